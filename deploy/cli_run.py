"""The commands that run a ward, and the one that besieges it."""

import os
import signal
from pathlib import Path
from typing import Annotated

import typer

from deploy.options import (
    DONE,
    FOUND_WRONG,
    AsJson,
    Config,
    Seed,
    Supervised,
    WhichProcess,
    WhosePartition,
)
from deploy.problem import UserError


def run(
    *,
    config: Config = None,
    only: Annotated[
        str | None, typer.Option(metavar="PART", help="One process alone: ingest, flow, couriers or page.")
    ] = None,
    partition: WhosePartition = None,
    process: WhichProcess = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="With --only: start it again when it dies or hangs; for containers.")
    ] = False,
    supervised: Supervised = False,
) -> int:
    """Run the ward against your own broker."""
    from deploy.parts import one_of, part_of  # noqa: PLC0415
    from deploy.settings import read_settings  # noqa: PLC0415

    part = None if only is None else part_of("--only", only, partition, process)
    if part is None and (partition is not None or process is not None or watch):
        raise UserError("--partition, --process and --watch are said of one part: they go with --only PART")
    settings = read_settings(config)
    one = None if part is None else one_of(settings, part, partition, process)
    if one is None or watch:
        from deploy.run import run_all  # noqa: PLC0415

        return run_all(config, settings, one)
    from deploy.part import run_part  # noqa: PLC0415

    return run_part(one, settings, supervised=supervised)


def word(
    name: Annotated[str, typer.Argument(metavar="PART", help="ingest, flow, couriers or page.")],
    *,
    config: Config = None,
    partition: WhosePartition = None,
    process: WhichProcess = None,
) -> int:
    """Tell the ward that systemd has started a part, or how it ended."""
    from deploy.parts import doors, one_of, part_of  # noqa: PLC0415
    from deploy.settings import read_settings  # noqa: PLC0415
    from deploy.word import tell_after_systemd  # noqa: PLC0415

    settings = read_settings(config)
    one = one_of(settings, part_of("PART", name, partition, process), partition, process)
    tell_after_systemd(one, doors(settings, one), os.environ)
    return DONE


def siege(  # noqa: PLR0913 - each is an option of the command line
    *,
    minutes: Annotated[float, typer.Option(min=0.1, help="How long the attacks go on.")] = 5.0,
    seed: Seed = 1,
    patients: Annotated[
        int | None, typer.Option(min=1, help="How many patients (default: 50, or the trial's).")
    ] = None,
    kills: Annotated[
        int | None, typer.Option(min=0, help="How many processes are killed (default: 3 a minute).")
    ] = None,
    processes: Annotated[
        int, typer.Option(min=1, max=8, help="Processes of the flow; several are a Bytewax cluster.")
    ] = 1,
    trial: Annotated[
        str, typer.Option(metavar="NAME", help="Measure one promise instead: restart, idle, cluster and others.")
    ] = "",
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="Of a trial: how long its outage, flood or measurement lasts.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep everything here (default: a temporary folder).")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Kill, cut off and feed rubbish to a ward; nothing may be lost."""
    from deploy.output import progress, show_json, show_lines  # noqa: PLC0415

    if trial:
        from deploy.siege.trials.command import run_trial, show  # noqa: PLC0415
        from deploy.siege.trials.command import trial as named_trial  # noqa: PLC0415

        signal.signal(signal.SIGTERM, signal.default_int_handler)  # else what the trial started would outlive it
        one = named_trial(trial, patients=patients, seed=seed, seconds=seconds)
        return show(run_trial(one, data_dir, progress), as_json=as_json)
    from deploy.siege.command import SiegeOptions, run_siege  # noqa: PLC0415
    from deploy.siege.result import in_words  # noqa: PLC0415
    from deploy.signals import stop_by_handler  # noqa: PLC0415

    options = SiegeOptions(
        minutes=minutes,
        seed=seed,
        patients=patients or 50,
        kills=kills,
        processes=processes,
        data_dir=data_dir,
    )
    result, wrong = run_siege(options, stop_by_handler(), progress)
    for said in wrong:
        progress(f"wrong: {said}")
    if as_json:
        show_json(result)
    else:
        show_lines(in_words(result))
    return FOUND_WRONG if wrong else DONE
