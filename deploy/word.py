"""Word of what died: left at the local doors, so that the ward hears of it by a technical alarm."""

import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from deploy.parts import One
from deploy.supervise import BAD_SETTINGS, Child, Supervisor
from ingest.door import DoorFullError, report

LOG = logging.getLogger("femtoward.run")

# What a part that is away means to those who rely on it.
MEANS = {
    "ingest": "messages wait at the broker until it is back",
    "flow": "there are no vitals and no new alarms until it is back",
    "couriers": "alarms and vitals are not carried on until they are back",
    "page": "the ward page shows nothing until it is back",
}


class PartsWord:
    """Tells the ward when a part has died or does not start, and when it runs again.

    Word waits in the doors: what is told of ingest and of the flow is read when they are back.

    Parameters
    ----------
    supervisor
        Whose children the parts are.
    doors
        The local door of each partition on this host.
    """

    def __init__(self, supervisor: Supervisor, doors: Iterable[Path]) -> None:
        self._supervisor, self._doors = supervisor, list(doors)
        # Of each child: deaths that were told of, and whether all is well now; a run before this one may have left word
        # that something fails.
        self._told: dict[str, tuple[int, bool]] = {}
        self._untold: set[str] = set()  # of whom no word could be left the last time

    def tell(self) -> None:
        """Look at every part, and leave word of what has changed."""
        for name, child in self._supervisor.children.items():
            deaths, well = self._told.get(name, (0, None))
            if child.deaths > deaths:
                self._leave(name, child, well=False, detail=_died(name, child))
            elif not well and self._supervisor.settled(name):
                self._leave(name, child, well=True, detail="")

    def _leave(self, name: str, child: Child, *, well: bool, detail: str) -> None:
        try:
            for door in self._doors:
                report(door, name, ok=well, detail=detail)
        except (OSError, DoorFullError) as error:
            if name not in self._untold:
                LOG.warning("the ward cannot be told how %s is (%s): tried again and again", name, error)
            self._untold.add(name)
        else:
            self._told[name] = (child.deaths, well)
            self._untold.discard(name)


def tell_after_systemd(one: One, doors: Iterable[Path], environment: Mapping[str, str]) -> None:
    """Leave word of a part that systemd has started or seen end, as ``ExecStartPost`` and ``ExecStopPost`` have it.

    What refuses to start is tried again every few seconds, and told of once: the doors must not fill up with it.

    Parameters
    ----------
    one
        The process.
    doors
        The local door of each partition that it concerns.
    environment
        Of this process; systemd says there how a service ended.

    Raises
    ------
    OSError, DoorFullError
        Word cannot be left.
    """
    result = environment.get("SERVICE_RESULT")
    if result == "success":  # drained
        return
    status = environment.get("EXIT_CODE"), environment.get("EXIT_STATUS")
    refused = result is not None and status == ("exited", str(BAD_SETTINGS))
    how = " ".join(filter(None, (result, *status)))
    said = "refused to start, and its log says why" if refused else f"ended ({how})"
    detail = f"{one.name} {said} at {_now()}; systemd starts it again; {MEANS[one.part]}" if result else ""
    for door in doors:
        told = door.with_name(f"refused-{one.name}")
        if refused and told.exists():
            continue
        report(door, one.name, ok=result is None, detail=detail)
        if refused:
            told.touch()
        else:
            told.unlink(missing_ok=True)


def _died(name: str, child: Child) -> str:
    means = MEANS.get(child.program.part, "look into its log")
    if child.last_status == BAD_SETTINGS:
        return f"{name} refused to start at {_now()}, and its log says why; tried again; {means}"
    return f"{name} ended with status {child.last_status} at {_now()}; started again, restart {child.deaths}; {means}"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
