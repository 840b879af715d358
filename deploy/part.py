"""`femtoward run --only PART`: one process of a ward, until a signal drains it."""

import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from deploy.health import serve
from deploy.logs import set_up
from deploy.notify import telling
from deploy.options import DONE, FOUND_WRONG
from deploy.parts import One
from deploy.problem import UserError
from deploy.settings import Settings
from deploy.signals import stop_by_thread
from ingest.beacon import Beacon
from ingest.room import Room

LOG = logging.getLogger("femtoward.run")
NO_ROOM_BYTES = 1 << 20  # with less left a disk is full: what is written at a start takes about so much


def run_part(one: One, settings: Settings, *, supervised: bool) -> int:
    """Run one process until a signal comes, then drain it; return the exit status.

    Parameters
    ----------
    one
        Which.
    settings
        Of the ward.
    supervised
        Our standard input comes from a supervisor.

    Raises
    ------
    UserError
        It cannot run so: its settings, or what lies in its folder, must be put right.
    """
    set_up(settings.log.level, settings.log.format)
    stopping = stop_by_thread(supervised=supervised)
    beacon = Beacon()
    try:
        with ExitStack() as around:
            _open_health(around, one, settings, beacon, needed=not supervised)
            around.enter_context(telling(beacon, supervised=supervised))
            _run(one, settings, stopping, beacon)
    except Exception as error:
        from dataflows.peers import PeerLostError  # noqa: PLC0415 - only where something went wrong

        if isinstance(error, PeerLostError):  # nothing to put right: it ends to be started again
            LOG.error("%s", error)  # noqa: TRY400 - no bug of ours, so no traceback
            return FOUND_WRONG
        if _no_room(error, settings.data_dir):  # there may be room at a later start: no settings are wrong
            LOG.error("%s has no room on the disk of %s: %s", one.name, settings.data_dir, error)  # noqa: TRY400 - as above
            return FOUND_WRONG
        if said := _unfit(error):
            raise UserError(said) from error
        raise
    return DONE


def _run(one: One, settings: Settings, stopping: threading.Event, beacon: Beacon) -> None:
    # Loaded here: ingest must not pay for Bytewax, nor the flow for the couriers' clients.
    if one.part == "ingest":
        from deploy.wiring import ingest_options, retain_from  # noqa: PLC0415
        from ingest.service import run_ingest  # noqa: PLC0415

        options, needed = ingest_options(settings, one.partition), retain_from(settings, one.partition)
        run_ingest(options, stopping, retain_from=needed, beacon=beacon)
    elif one.part == "flow":
        from dataflows.flow import run_flow  # noqa: PLC0415
        from deploy.wiring import flow_options  # noqa: PLC0415

        run_flow(flow_options(settings, one.number), stopping.is_set, beacon=beacon)
    elif one.part == "page":
        from deploy.page.server import run_page  # noqa: PLC0415
        from deploy.wiring import api_options, page_options  # noqa: PLC0415

        run_page(page_options(settings) if settings.page else None, stopping, beacon, api=api_options(settings))
    else:
        from dataflows.couriers.courier import run_couriers  # noqa: PLC0415
        from deploy.wiring import courier_options  # noqa: PLC0415

        try:
            run_couriers(courier_options(settings, one.partition), stopping, beacon=beacon)
        except ValueError as error:  # a secret that is not there: read only here
            raise UserError(str(error)) from error


def _open_health(around: ExitStack, one: One, settings: Settings, beacon: Beacon, *, needed: bool) -> None:
    """Open the health port; a part that is started again runs without it where somebody has taken it meanwhile."""
    try:
        around.enter_context(serve(one.name, one.health_port, settings.health.host, beacon))
    except UserError as error:
        if needed:
            raise
        LOG.warning("%s runs without its health port: %s", one.name, error)


def _unfit(error: BaseException) -> str | None:
    """Words for an error that is no bug of ours; Bytewax hands on what its workers raised as a cause."""
    # Only where something went wrong.
    from dataflows.recovery import FlowError  # noqa: PLC0415
    from dataflows.store import StoreError  # noqa: PLC0415
    from ingest.journal import JournalError  # noqa: PLC0415

    for link in _chain(error):
        if isinstance(link, (FlowError, JournalError, StoreError)):
            return str(link)
    return None


def _no_room(error: BaseException, folder: Path) -> bool:
    """Whether a full disk led to an error; where SQLite gives another reason, the disk itself is asked."""
    from dataflows.disk_full import is_full, is_only_full  # noqa: PLC0415 - only where something went wrong

    links = list(_chain(error))
    if any(map(is_only_full, links)):
        return True
    return any(map(is_full, links)) and Room(folder, short_bytes=0, stop_bytes=0).left() < NO_ROOM_BYTES


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
