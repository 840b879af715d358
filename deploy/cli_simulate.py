"""`femtoward simulate`: publish a simulated ward, or show what would be published."""

from pathlib import Path
from typing import Annotated

import typer

from deploy.options import DONE, FOUND_WRONG, AsJson, Patients, Pulse, ScenarioName, Seed, Supervised, Wfdb
from deploy.problem import UserError

_INSTEAD = (
    "--list, --plot, --witness, --from, --days and --verify each do something else than publish: give one of them, or "
    "none (only --verify goes with --plot)"
)


def simulate(  # noqa: PLR0911, PLR0913 - each is an option of the command line, some are another thing to do
    *,
    broker: Annotated[str, typer.Option(metavar="URL", help="Where to publish.")] = "mqtt://127.0.0.1:1883",
    secret_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Password of the user in the broker's address.")
    ] = None,
    patients: Patients = 12,
    scenario: ScenarioName = "ward",
    seconds: Annotated[float, typer.Option(min=0.0, help="How long (0: until Ctrl-C).")] = 0.0,
    speed: Annotated[float, typer.Option(help="Simulated seconds per second.")] = 1.0,
    seed: Seed = 1,
    site: Annotated[str, typer.Option(metavar="NAME", help="Site to publish as.")] = "demo",
    truth: Annotated[Path | None, typer.Option(metavar="FILE", help="Write down what the flow must find.")] = None,
    wfdb: Wfdb = None,
    pulse: Pulse = None,
    bundles: Annotated[bool, typer.Option("--bundles", help="One gateway with many devices in a message.")] = False,
    listing: Annotated[bool, typer.Option("--list", help="List scenarios, devices and faults instead.")] = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw the scenario instead: signals and truth.")
    ] = None,
    witness: Annotated[
        bool, typer.Option("--witness", help="Hash a run instead (60 s, or --seconds): same seed, same bytes.")
    ] = False,
    again: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Run the whole run of a truth file again: are its bytes the same?"),
    ] = None,
    days: Annotated[float, typer.Option(min=0.0, help="Make so many days of vitals instead, without waveforms.")] = 0.0,
    every: Annotated[float, typer.Option(metavar="S", help="Seconds from row to row of those days.")] = 60.0,
    vitals: Annotated[
        Path | None, typer.Option(metavar="FILE.npz", help="Write the days here (default: only measure).")
    ] = None,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Measure the sensors against their declarations instead (1 h, or --seconds)."),
    ] = False,
    as_json: AsJson = False,
    supervised: Supervised = False,
) -> int:
    """Publish a simulated ward to a broker."""
    # A witness may be asked for by either.
    hashed = witness or again is not None
    if sum((listing, plot is not None and not verify, hashed, days > 0.0, verify)) > 1:
        raise UserError(_INSTEAD)
    if verify:
        return _verify(seconds, plot, as_json=as_json)
    hearts, pulses = tuple(wfdb or ()), tuple(pulse or ())
    run = {
        "scenario": scenario,
        "patients": patients,
        "seconds": seconds,
        "seed": seed,
        "site": site,
        "wfdb": hearts,
        "pulse": pulses,
    }
    if listing:
        return _list(as_json=as_json)
    if plot is not None:
        return _plot(plot, as_json=as_json, **run)
    if again is not None:
        return _again(again, as_json=as_json)
    if witness:
        return _witness(as_json=as_json, **run)
    if days > 0.0:
        return _days(scenario, patients, seed, days, every, vitals, as_json=as_json)
    from deploy.output import progress, show_json, show_lines  # noqa: PLC0415
    from deploy.signals import stop_by_thread  # noqa: PLC0415
    from deploy.simulate import broker_of, in_words, sim_options  # noqa: PLC0415
    from deploy.simulate import simulate as publish  # noqa: PLC0415

    options = sim_options(
        broker=broker_of(broker, secret_file),
        speed=speed,
        truth=str(truth) if truth else None,
        bundles=bundles,
        **run,
    )
    report = publish(options, stop_by_thread(supervised=supervised), progress)
    if as_json:
        show_json(report)
    else:
        show_lines(in_words(report))
    return DONE


def _verify(seconds: float, path: Path | None, *, as_json: bool) -> int:
    from deploy.output import progress, show_json, show_lines  # noqa: PLC0415
    from deploy.verify import in_words, measure  # noqa: PLC0415

    report = measure(seconds, path, progress)
    if as_json:
        show_json(report)
    else:
        show_lines(in_words(report))
    return DONE if report.ok else FOUND_WRONG


def _list(*, as_json: bool) -> int:
    from deploy.output import show_json, show_lines  # noqa: PLC0415
    from deploy.scenarios import library, library_in_words  # noqa: PLC0415

    found = library()
    if as_json:
        show_json(found)
    else:
        show_lines(library_in_words(found))
    return DONE


def _plot(path: Path, *, as_json: bool, **run: object) -> int:
    from deploy.output import show_json, show_lines  # noqa: PLC0415
    from deploy.scenarios import picture  # noqa: PLC0415

    shown = picture(path, **run)
    if as_json:
        show_json({"scenario": run["scenario"], "seed": run["seed"], "patients": shown, "path": str(path)})
    else:
        show_lines([f"{shown} patients of {run['scenario']} in {path}"])
    return DONE


def _witness(*, as_json: bool, **run: object) -> int:
    from deploy.output import show_json, show_lines  # noqa: PLC0415
    from deploy.scenarios import witness, witness_in_words  # noqa: PLC0415

    line = witness(**run)
    if as_json:
        show_json(line)
    else:
        show_lines(witness_in_words(line))
    return DONE


def _again(path: Path, *, as_json: bool) -> int:
    from deploy.output import show_json, show_lines  # noqa: PLC0415
    from deploy.scenarios import again_in_words, run_again  # noqa: PLC0415

    report = run_again(path)
    if as_json:
        show_json(report)
    else:
        show_lines(again_in_words(report))
    return DONE if report.same else FOUND_WRONG


def _days(
    scenario: str, patients: int, seed: int, days: float, every_s: float, path: Path | None, *, as_json: bool
) -> int:
    from deploy.output import show_json, show_lines  # noqa: PLC0415
    from deploy.scenarios import day_options, days_in_words, make_days  # noqa: PLC0415

    options = day_options(scenario=scenario, patients=patients, seed=seed, days=days, every_s=every_s)
    report = make_days(options, path)
    if as_json:
        show_json(report)
    else:
        show_lines(days_in_words(report))
    return DONE
