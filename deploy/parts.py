"""The processes of a ward: what each is called, whose it is, and which port answers for its health."""

from pathlib import Path
from typing import Literal, NamedTuple, get_args

from deploy.problem import UserError
from deploy.settings import Settings
from deploy.wiring import door, named

Part = Literal["ingest", "flow", "couriers", "page"]
PARTS: tuple[Part, ...] = get_args(Part)


class One(NamedTuple):
    """One process of a ward."""

    part: Part
    name: str
    number: int  # of the partition, or in the cluster of the flow
    partition: str  # whose ingest or couriers; "" for the flow and the page, which work for all
    health_port: int

    @property
    def arguments(self) -> tuple[str, ...]:
        """Options of `femtoward run` that name it."""
        if self.part == "page":
            return ("--only", self.part)
        which = ("--partition", self.partition) if self.partition else ("--process", str(self.number))
        return ("--only", self.part, *which)


def part_of(given_by: str, name: str, partition: str | None, process: int | None) -> Part:
    """Part that a command names, with what may be said beside it.

    Raises
    ------
    UserError
        There is no such part, or it has no partition or no processes of its own.
    """
    part = next((part for part in PARTS if part == name), None)
    if part is None:
        raise UserError(f"{given_by} {name!r}: need one of {', '.join(PARTS)}")
    if part == "page" and partition is not None:
        raise UserError(f"--partition {partition!r}: the page shows all partitions on this host, leave it out")
    if part == "flow" and partition is not None:
        raise UserError(f"--partition {partition!r}: the flow works for all partitions; which process says --process I")
    if part != "flow" and process is not None:
        said = "leave it out" if part == "page" else f"whose {part} says --partition NAME"
        raise UserError(f"--process {process}: only the flow has several; {said}")
    return part


def one_of(settings: Settings, part: Part, partition: str | None, process: int | None) -> One:
    """Process of a part; which one need not be said where this host has but one.

    Raises
    ------
    UserError
        There is no such partition or process here, or it must be said which; or the settings have no page.
    """
    if part == "page":
        if settings.page is None and settings.api is None:
            raise UserError("the settings name no page: add a section [page] or [api], or run the other parts only")
        return _page(settings)
    if part == "flow":
        index = settings.flow.process if process is None else process
        if index not in settings.flow.here:
            here = ", ".join(map(str, settings.flow.here))
            raise UserError(f"--process {index}: the processes of the flow on this host are {here} (flow.process)")
        return _flow(settings, index)
    return _of_partition(settings, part, named(settings, partition).name)


def everyone(settings: Settings) -> list[One]:
    """Processes on this host in the order of the data's way; couriers and the page only where they are wanted."""
    ingests, couriers = (
        [_of_partition(settings, part, partition.name) for partition in settings.local]
        for part in ("ingest", "couriers")
    )
    flows = [_flow(settings, index) for index in settings.flow.here]
    pages = [_page(settings)] if settings.page or settings.api else []
    return [*ingests, *flows, *(couriers if settings.carries else ()), *pages]


def doors(settings: Settings, one: One | None = None) -> list[Path]:
    """Doors of the partitions on this host that a process works for; None: of all."""
    names = [one.partition] if one and one.partition else [partition.name for partition in settings.local]
    return [door(settings, name) for name in names]


def _of_partition(settings: Settings, part: Literal["ingest", "couriers"], partition: str) -> One:
    index = [one.name for one in settings.partitions].index(partition)
    name = part if len(settings.partitions) == 1 else f"{part}-{partition}"
    return One(part, name, index, partition, settings.health.port(part, index))


def _flow(settings: Settings, index: int) -> One:
    name = "flow" if settings.flow.total == 1 else f"flow-{index}"
    return One("flow", name, index, "", settings.health.port("flow", index))


def _page(settings: Settings) -> One:
    return One("page", "page", 0, "", settings.health.port("page", 0))
