"""The commands about how heavy alarms are: the report, and what other limits would have done."""

from pathlib import Path
from typing import Annotated

import typer

from deploy.options import DONE, FOUND_WRONG, AsJson, Config, DataDir, PartitionName


def report(
    *,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="From then on (default: the first alarm).")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Before then (default: the newest).")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it, too (.png, .svg or .pdf).")] = None,
    config: Config = None,
    data_dir: DataDir = None,
    partition: PartitionName = None,
    as_json: AsJson = False,
) -> int:
    """Tell how heavy alarms are on those who answer them."""
    from deploy import burden  # noqa: PLC0415
    from deploy.moment import second_of  # noqa: PLC0415
    from deploy.output import show_json, show_lines  # noqa: PLC0415
    from deploy.rooms import reading, rooms, settings_of  # noqa: PLC0415

    from_s = second_of(since, "--since") if since else None
    to_s = second_of(until, "--until") if until else None
    ledger = burden.Ledger()
    for room in rooms(settings_of(config, data_dir), partition):
        with reading(room) as store:
            ledger.read(store)
    found = ledger.report(from_s, to_s)
    if plot is not None:
        burden.plot(found, plot)
    if as_json:
        show_json(found)
    else:
        show_lines(burden.lines(found))
    return DONE


def what_if(
    journal: Annotated[Path, typer.Argument(metavar="JOURNAL", help="Folder of a journal, or data folder of a run.")],
    *,
    limit: Annotated[
        list[str] | None, typer.Option(metavar="NAME=[+-]N", help="Another limit, such as hr-high=+5; may be repeated.")
    ] = None,
    delay: Annotated[
        list[str] | None,
        typer.Option(metavar="CONDITION=[+-]S", help="Another delay, such as spo2-low=+20; may be repeated."),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Truth of the simulator: its events are labelled, too.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Replay a journal with other limits; tell what that does."""
    from deploy.other_limits import parse_delay, parse_limit  # noqa: PLC0415
    from deploy.output import progress, show_json, show_lines  # noqa: PLC0415
    from deploy.problem import UserError  # noqa: PLC0415
    from deploy.signals import stop_by_thread  # noqa: PLC0415
    from deploy.truth import truth_at  # noqa: PLC0415
    from deploy.what_if import lines, what_if  # noqa: PLC0415

    limits, delays = [parse_limit(text) for text in limit or ()], [parse_delay(text) for text in delay or ()]
    if not limits and not delays:
        raise UserError("nothing is to be changed: give --limit hr-high=+5 or --delay spo2-low=+20")
    known = truth_at(truth) if truth else None
    found = what_if(journal, limits, delays, known, progress, stop_by_thread(supervised=False))
    if as_json:
        show_json(found)
    else:
        show_lines(lines(found))
    return FOUND_WRONG if found.total.missed else DONE
