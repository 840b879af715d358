"""The command `femtoward fhir`."""

from pathlib import Path
from typing import Annotated

import typer

from deploy.options import DONE, AsJson, Config, DataDir, PartitionName


def fhir(  # noqa: PLR0913 - each is an option of the command line
    *,
    patient: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="This patient only; may be repeated.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="From then on (default: ten minutes before --until).")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Before then (default: the newest).")] = None,
    every: Annotated[int, typer.Option(min=1, max=3600, metavar="S", help="One second of vitals in so many.")] = 60,
    alarms: Annotated[bool, typer.Option(help="Alarms that began in that time, too.")] = True,
    ndjson: Annotated[bool, typer.Option("--ndjson", help="A resource a line instead of one Bundle.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write there and say how many.")] = None,
    config: Config = None,
    data_dir: DataDir = None,
    partition: PartitionName = None,
    as_json: AsJson = False,
) -> int:
    """Write vitals, alarms and devices as FHIR R4."""
    from collections import Counter  # noqa: PLC0415

    from dataflows.fhir import bundles  # noqa: PLC0415
    from deploy.fhir import Ask, check_known, resources  # noqa: PLC0415
    from deploy.moment import second_of  # noqa: PLC0415
    from deploy.output import show_json, show_lines  # noqa: PLC0415
    from deploy.problem import UserError  # noqa: PLC0415
    from deploy.rooms import reading, rooms, settings_of  # noqa: PLC0415

    if ndjson and as_json and out is None:
        raise UserError("--json prints one object and --ndjson one a line: leave one out, or name a file with --out")
    ask = Ask(
        tuple(patient or ()),
        second_of(since, "--since") if since else None,
        second_of(until, "--until") if until else None,
        every,
        alarms,
    )
    if ask.since_s is not None and ask.until_s is not None and ask.since_s >= ask.until_s:
        raise UserError(f"--since {since} does not lie before --until {until}")
    found, known = [], set()
    for room in rooms(settings_of(config, data_dir), partition):
        with reading(room) as store:
            known |= {name for _, name in (*store.patients(), *store.latest_vitals())}
            found += list(resources(store, ask))
    check_known(known, ask)
    lines = [bundles.encode(one) for one in (found if ndjson else [bundles.collection(found)])]
    if out is None:
        show_lines(line.decode() for line in lines)
        return DONE
    try:
        out.write_bytes(b"".join(line + b"\n" for line in lines))
    except OSError as error:
        raise UserError(f"{out} cannot be written ({error})") from error
    count = Counter(type(one).__name__ for one in found)
    if as_json:
        show_json({"file": str(out), "resources": dict(sorted(count.items()))})
    else:
        show_lines([f"{out}: {', '.join(f'{n} {kind}' for kind, n in sorted(count.items())) or 'nothing'}"])
    return DONE
