"""The commands about how heavy alarms are: the report, and what other limits would have done."""

from pathlib import Path
from typing import Annotated

import typer

from deploy.options import DONE, AsJson, Config, DataDir, PartitionName


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
