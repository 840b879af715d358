"""`femtoward run`: the ward's processes, each by itself or all of them under one supervisor."""

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

from deploy.logs import set_up
from deploy.problem import UserError
from deploy.settings import Settings
from deploy.signals import stop_by_handler, stop_by_thread
from deploy.supervise import Program, Supervisor, femtoward
from deploy.wiring import door
from ingest.door import DoorFullError, report

LOG = logging.getLogger("femtoward.run")
Part = Literal["ingest", "flow", "couriers"]
PARTS: tuple[Part, ...] = get_args(Part)
LOOK_EVERY_S = 0.2
COURIERS = "couriers"
NOT_CARRIED = "alarms and vitals are not carried on: the couriers do not start; their log says why"


def run_part(part: Part, settings: Settings, *, supervised: bool) -> None:
    """Run one process until a signal comes, then drain it.

    Raises
    ------
    UserError
        It cannot run so: its settings, or what lies in its folder, must be put right.
    """
    set_up(settings.log.level, settings.log.format)
    stopping = stop_by_thread(supervised=supervised)
    # Loaded here: ingest must not pay for Bytewax, nor the flow for the couriers' clients.
    try:
        if part == "ingest":
            from deploy.wiring import ingest_options  # noqa: PLC0415
            from ingest.service import run_ingest  # noqa: PLC0415

            run_ingest(ingest_options(settings), stopping)
        elif part == "flow":
            from dataflows.flow import run_flow  # noqa: PLC0415
            from deploy.wiring import flow_options  # noqa: PLC0415

            run_flow(flow_options(settings), stopping.is_set)
        else:
            _carry(settings, stopping)
    except Exception as error:
        if said := _unfit(error):
            raise UserError(said) from error
        raise


def programs(config: Path | None, settings: Settings) -> list[Program]:
    """Processes of a ward in the order of the data's way; couriers only where there is someone to carry to."""
    given = ("--config", str(config)) if config else ()
    parts = PARTS if settings.influx or settings.webhook else PARTS[:2]
    return [Program(part, femtoward("run", *given, "--only", part, "--supervised")) for part in parts]


def run_all(config: Path | None, settings: Settings) -> int:
    """Run every process, start again what dies, and drain them in order on SIGTERM or Ctrl-C.

    Returns
    -------
    int
        0, or 1 if something had to be killed.
    """
    set_up(settings.log.level, settings.log.format)
    stopping = stop_by_handler()
    supervisor = Supervisor(programs(config, settings))
    word = CouriersWord(supervisor, door(settings))
    try:
        supervisor.start_all()
        LOG.info("data in %s, broker %s", settings.data_dir.absolute(), settings.broker.url)
        while not stopping.wait(LOOK_EVERY_S):
            supervisor.tend()
            word.tell()
        LOG.info("draining: %s", ", ".join(supervisor.children))
        statuses = supervisor.drain()
    finally:
        supervisor.kill()
    LOG.info("stopped")
    return 0 if all(status == 0 for status in statuses.values()) else 1


class CouriersWord:
    """Tells the ward, by the local door, when the couriers do not start, and when they do again.

    The flow makes a system fault of it; of the other parts there is nothing to tell, as without them there is no alarm.

    Parameters
    ----------
    supervisor
        Whose child the couriers are, or not.
    folder
        The local door.
    """

    def __init__(self, supervisor: Supervisor, folder: Path) -> None:
        self._supervisor, self._folder = supervisor, folder
        # Unknown at first: a run before this one may have left word that they fail.
        self._told: bool | None = None

    def tell(self) -> None:
        """Look at the couriers, and leave word if something has changed."""
        if COURIERS not in self._supervisor.children:
            return
        well = self._supervisor.settled(COURIERS)
        if well is None or well == self._told:
            return
        try:
            report(self._folder, COURIERS, ok=well, detail="" if well else NOT_CARRIED)
        except (OSError, DoorFullError) as error:
            LOG.warning("the ward cannot be told how the couriers are (%s): tried again", error)
        else:
            self._told = well


def _carry(settings: Settings, stopping: threading.Event) -> None:
    from dataflows.couriers.courier import run_couriers  # noqa: PLC0415
    from deploy.wiring import courier_options  # noqa: PLC0415

    def tell(courier: str, ok: bool, detail: str) -> None:  # noqa: FBT001 - the shape that couriers call
        report(door(settings), courier, ok=ok, detail=detail)

    try:
        run_couriers(courier_options(settings), stopping, tell)
    except ValueError as error:  # a secret that is not there: read only here
        raise UserError(str(error)) from error


def _unfit(error: BaseException) -> str | None:
    """Words for an error that is no bug of ours; Bytewax hands on what its workers raised as a cause."""
    from dataflows.store import StoreError  # noqa: PLC0415 - only where something went wrong
    from ingest.journal import JournalError  # noqa: PLC0415

    for link in _chain(error):
        if isinstance(link, (JournalError, StoreError)) or type(link).__name__ == "FlowError":
            return str(link)
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
