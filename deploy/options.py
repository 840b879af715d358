"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

DONE, FOUND_WRONG, BAD_USAGE, STOPPED = 0, 1, 2, 130  # exit statuses; 130: by a signal, without a result

Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings, TOML.")]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", metavar="DIR", help="Data folder of a ward, instead of --config.")
]
PartitionName = Annotated[
    str | None, typer.Option("--partition", metavar="NAME", help="This partition only (default: every one here).")
]
WhosePartition = Annotated[
    str | None, typer.Option("--partition", metavar="NAME", help="Whose ingest or couriers, where there are several.")
]
WhichProcess = Annotated[
    int | None, typer.Option("--process", min=0, metavar="I", help="Which process of the flow, where it is a cluster.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output and nothing else there.")]
Supervised = Annotated[bool, typer.Option("--supervised", hidden=True)]
Patients = Annotated[int, typer.Option(min=1, max=100_000, help="How many patients.")]
ScenarioName = Annotated[str, typer.Option(metavar="NAME", help="Built-in scenario, or the path of a TOML file.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same patients.")]
Wfdb = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[N=]RECORD", help="A recorded ECG (path without ending) as patient N's heart; may be repeated."
    ),
]
Pulse = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[N=]RECORD",
        help="A recorded pulse (a record's PLETH, or a .csv's) in patient N's light; may be repeated.",
    ),
]
