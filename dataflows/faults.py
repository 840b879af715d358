"""Which parts of the system are in trouble, and when that is news: what stands must not hide what comes on top."""

from collections.abc import Mapping
from typing import Final

import msgspec

from dataflows.events import SECOND_NS
from dataflows.items import Reported

QUIET_NS: Final = 600 * SECOND_NS  # a reporter that comes and goes is news so often at most, unless it gets worse


class Fault(msgspec.Struct, frozen=True, array_like=True):
    """What is known of one reporter that fails, or did so lately."""

    level: int  # how bad it is; 0: bad, and no more was said
    told_ns: int = 0  # when the ward was told last; 0: never
    told_level: int = 0
    owed: bool = False  # it came again too soon after that: told if it still fails when the time is over


class Faults:
    """Reporters that fail.

    Attributes
    ----------
    failing
        What each of them said last.
    """

    def __init__(self) -> None:
        self.failing: dict[str, str] = {}
        self._known: dict[str, Fault] = {}

    @property
    def words(self) -> str:
        """All that fails."""
        return "; ".join(f"{reporter}: {detail}" for reporter, detail in sorted(self.failing.items()))

    def take(self, report: Reported) -> bool:
        """Take note of a report; return whether the ward must be told, though it knows of other faults."""
        name, at_ns, known = report.reporter, report.arrival_ns, self._known.get(report.reporter)
        was = known or Fault(0)
        if report.ok:
            self.failing.pop(name, None)
            if known is not None:
                self._known[name] = Fault(0, was.told_ns, was.told_level)
            return False
        worse = name not in self.failing or report.level > was.level
        soon = was.told_ns > 0 and at_ns - was.told_ns < QUIET_NS and report.level <= was.told_level
        self.failing[name] = report.detail
        self._known[name] = Fault(report.level, was.told_ns, was.told_level, was.owed or (worse and soon))
        return worse and not soon

    def due(self, at_ns: int) -> bool:
        """Whether one that failed again too soon to be told still does, and it is time."""
        return any(fault.owed and at_ns - fault.told_ns >= QUIET_NS for fault in self._known.values())

    def told(self, at_ns: int) -> None:
        """Take note that the ward was told of all that fails; who has been well for long is forgotten."""
        recent = {name: fault for name, fault in self._known.items() if at_ns - fault.told_ns < QUIET_NS}
        now = {name: self._known.get(name, Fault(0)).level for name in self.failing}
        self._known = recent | {name: Fault(level, at_ns, level) for name, level in now.items()}

    def image(self) -> dict[str, Fault]:
        """Copy what is known beside `failing` for a snapshot."""
        return dict(self._known)

    def restore(self, failing: Mapping[str, str], known: Mapping[str, Fault]) -> None:
        """Take up a snapshot; one of another version says only who fails."""
        self.failing, self._known = dict(failing), dict(known)
