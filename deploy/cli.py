"""The command line: one function for each command; each loads its heavy modules itself, so that help is quick."""

import os
import sys
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import typer

from deploy import cli_bench, cli_burden, cli_fhir, cli_orders, cli_provision, cli_run, cli_simulate, cli_token
from deploy.cli_ward import alarms_app, devices_app
from deploy.options import (
    BAD_USAGE,
    DONE,
    FOUND_WRONG,
    STOPPED,
    AsJson,
    Config,
    DataDir,
    Patients,
    Pulse,
    ScenarioName,
    Seed,
    Wfdb,
)
from deploy.problem import Stopped, UserError

app = typer.Typer(
    name="femtoward",
    help="Vitals and alarms from wearable quantum sensors, live. Simulated sensors; not a medical device.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
cli_orders.attach(alarms_app)
app.add_typer(alarms_app, name="alarms")
alarms_app.command("report")(cli_burden.report)
alarms_app.command("what-if")(cli_burden.what_if)
app.add_typer(devices_app, name="devices")


def main() -> None:
    """Run the command line and exit: 0 done, 1 ran and found something wrong, 2 bad usage or settings."""
    # One BLAS thread: results must not depend on how many cores there are. Read when NumPy is loaded.
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    try:
        status = app(prog_name="femtoward", standalone_mode=False)
    except UserError as error:
        _refuse(str(error))
    except typer.TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            typer.echo(error.format_message(), err=True)
            sys.exit(BAD_USAGE)
        _refuse(_usage(error))
    except Stopped as error:
        typer.echo(f"femtoward: {error}", err=True)
        sys.exit(STOPPED)
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("femtoward: stopped", err=True)
        sys.exit(STOPPED)
    except BrokenPipeError:
        # Whoever read our output has gone: nothing is left to say, and Python must not try at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FOUND_WRONG)
    sys.exit(status if isinstance(status, int) else DONE)


def _refuse(message: str) -> None:
    typer.echo(f"femtoward: {message}", err=True)
    sys.exit(BAD_USAGE)


def _usage(error: typer.TyperException) -> str:
    """One line for a mistake in the command line: what came, what was needed, where to look."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "femtoward"
    said = error.format_message().replace("\n", " ").rstrip(".")
    came = _came(getattr(getattr(error, "param", None), "opts", []))
    return f"{said[:1].lower()}{said[1:]}{came}; `{command} --help` shows what it takes"


def _came(names: list[str]) -> str:
    """Say what stood after an option; the library's messages do not always."""
    for name, value in pairwise(sys.argv):
        if name in names:
            return f", {value!r} came"
    return ""


def _version(wanted: bool) -> None:  # noqa: FBT001 - the shape that typer wants
    if wanted:
        from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

        try:
            typer.echo(f"femtoward {version('femtoward')}")
        except PackageNotFoundError:
            typer.echo("femtoward (not installed: run from its source)")
        raise typer.Exit


@app.callback()
def femtoward(
    *,
    _show: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Vitals and alarms from wearable quantum sensors, live. Simulated sensors; not a medical device."""


@app.command()
def demo(  # noqa: PLR0913 - each is an option of the command line
    *,
    patients: Patients = 12,
    seconds: Annotated[float | None, typer.Option(min=1.0, help="How long; without it, until Ctrl-C.")] = None,
    scenario: ScenarioName = "ward",
    wfdb: Wfdb = None,
    pulse: Pulse = None,
    headless: Annotated[bool, typer.Option("--headless", help="Plain lines instead of the live table.")] = False,
    as_json: AsJson = False,
    data_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the data here (default: a temporary folder).")
    ] = None,
    seed: Seed = 1,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the broker (default: a free one).")
    ] = None,
) -> int:
    """Show a simulated ward, live, with all that it needs."""
    from deploy.signals import stop_by_handler  # noqa: PLC0415

    stopping = stop_by_handler()  # first of all: what follows takes seconds to load
    from deploy.demo import DemoOptions, run_demo  # noqa: PLC0415
    from deploy.output import progress, show_json, show_lines  # noqa: PLC0415
    from deploy.verdict import in_words  # noqa: PLC0415

    options = DemoOptions(
        patients=patients,
        seconds=seconds,
        scenario=scenario,
        wfdb=tuple(wfdb or ()),
        pulse=tuple(pulse or ()),
        seed=seed,
        data_dir=data_dir,
        port=port,
        headless=headless,
        as_json=as_json,
    )
    result, wrong = run_demo(options, stopping)
    for said in wrong:
        progress(f"wrong: {said}")
    if as_json:
        show_json(result)
    else:
        show_lines(in_words(result))
    return FOUND_WRONG if wrong else DONE


app.command()(cli_run.run)
app.command(hidden=True)(cli_run.word)
app.command()(cli_run.siege)
app.command()(cli_simulate.simulate)
app.command()(cli_provision.provision)
app.command()(cli_fhir.fhir)
app.command()(cli_bench.bench)
app.command()(cli_token.token)


@app.command()
def replay(
    journal: Annotated[Path, typer.Argument(metavar="JOURNAL", help="Folder of a journal, or data folder of a run.")],
    *,
    data_dir: Annotated[Path, typer.Option(metavar="DIR", help="New folder for the store.")],
    shards: Annotated[
        int, typer.Option(min=1, max=256, help="Keys to spread the patients over; changes no result.")
    ] = 1,
    as_json: AsJson = False,
) -> int:
    """Work through a journal again; print its digests."""
    from deploy.output import progress, show_json, show_lines  # noqa: PLC0415
    from deploy.replay import in_words, replay  # noqa: PLC0415
    from deploy.signals import stop_by_thread  # noqa: PLC0415

    result = replay(journal, data_dir, shards, progress, stop_by_thread(supervised=False))
    if as_json:
        show_json(result)
    else:
        show_lines(in_words(result))
    return FOUND_WRONG if result.conflicts else DONE


@app.command()
def evaluate(  # noqa: PLR0913 - each is an option of the command line
    task: Annotated[str, typer.Argument(metavar="TASK", help="What is measured, such as beats.")],
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="DATASET_DIR", help="Folder of recorded signals; none if they are simulated."),
    ] = None,
    *,
    records: Annotated[str, typer.Option(metavar="A,B", help="These records only.")] = "",
    lead: Annotated[Literal["first", "both"], typer.Option(help="Leads of each record that are looked at.")] = "first",
    noise: Annotated[
        Path | None, typer.Option(metavar="RECORD", help="Recorded noise to be added: a record's path without suffix.")
    ] = None,
    snr: Annotated[float, typer.Option(metavar="DB", help="Of beats to noise, as the Noise Stress Test has it.")] = 6.0,
    seed: Annotated[int, typer.Option(metavar="S", min=0, help="Draws where in the noise a record begins.")] = 0,
    annotations: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write what was found there, as WFDB annotation files.")
    ] = None,
    without: Annotated[str, typer.Option(metavar="A,B", help="Score once more without these records.")] = "",
    as_json: AsJson = False,
) -> int:
    """Measure the detectors on recorded signals."""
    from deploy.evaluate import tasks  # noqa: PLC0415
    from deploy.evaluate.records import EvaluateError  # noqa: PLC0415
    from deploy.evaluate.request import Request  # noqa: PLC0415
    from deploy.output import progress, show_json, show_lines  # noqa: PLC0415

    if task not in tasks.TASKS:
        raise UserError(f"task {task!r} is unknown: need one of {', '.join(tasks.TASKS)}")
    if (folder is None) != (task in tasks.SIMULATED):
        raise UserError(
            f"task {task} simulates what it measures: leave {folder} out"
            if folder
            else f"task {task} needs a folder of recorded signals: femtoward evaluate {task} DATASET_DIR"
        )
    names = tuple(name.strip() for name in records.split(",") if name.strip()) or None
    disputed = tuple(name.strip() for name in without.split(",") if name.strip())
    leads = 2 if lead == "both" else 1
    module = tasks.task(task)
    try:
        request = Request(
            folder or Path(),
            names,
            leads=leads,
            noise=noise,
            snr_db=snr,
            seed=seed,
            annotations=annotations,
            without=disputed,
        )
        report = module.evaluate(request, progress)
    except EvaluateError as error:
        raise UserError(str(error)) from error
    if as_json:
        show_json(report)
    else:
        show_lines([module.as_text(report)])
    return DONE


@app.command()
def check(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A payload as a device publishes it, or a settings file (.toml).")
    ],
    *,
    birth: Annotated[Path | None, typer.Option(metavar="FILE", help="The birth that a packet belongs to.")] = None,
    topic: Annotated[str | None, typer.Option(help="The topic that it is published on.")] = None,
    as_json: AsJson = False,
) -> int:
    """Tell what a file is and what is wrong with it."""
    from deploy.check import check_file  # noqa: PLC0415
    from deploy.output import show_json, show_lines  # noqa: PLC0415

    finding = check_file(file, birth, topic)
    if as_json:
        show_json({"file": str(file), "what": finding.what, "ok": not finding.wrong, **finding._asdict()})
    else:
        verdict = "wrong" if finding.wrong else "ok"
        show_lines(
            [f"{file}: {finding.what}, {verdict}", *finding.facts, *(f"wrong: {said}" for said in finding.wrong)]
        )
    return FOUND_WRONG if finding.wrong else DONE


@app.command()
def doctor(*, config: Config = None, data_dir: DataDir = None, as_json: AsJson = False) -> int:
    """Look for what keeps a ward from running here."""
    from deploy.doctor import examine  # noqa: PLC0415
    from deploy.output import show_json, show_lines  # noqa: PLC0415
    from deploy.rooms import settings_of  # noqa: PLC0415

    lines = []
    for line in examine(settings_of(config, data_dir)):
        lines.append(line)
        if not as_json:
            show_lines([f"{line.verdict:<8} {line.name}: {line.said}"])
    problems = sum(line.verdict == "problem" for line in lines)
    if as_json:
        show_json({"ok": not problems, "checks": [line._asdict() for line in lines]})
    return FOUND_WRONG if problems else DONE


if __name__ == "__main__":
    main()
