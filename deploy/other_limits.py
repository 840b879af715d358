"""Other limits and delays, as people give them to try them out, put into a flow that is played again."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from dataflows.alarms import DELAY_NS
from dataflows.events import SECOND_NS, Condition
from dataflows.limits import DEFAULTS, VITALS, InForce
from dataflows.rules import COLUMN, RULES
from deploy.problem import UserError
from ingest.command import Vital

SIDES: Final = ("low", "high")
_SAID: Final = re.compile(r"(?P<name>[a-z0-9-]+)=(?P<value>[+-]?\d+(?:\.\d+)?)")


class Change(NamedTuple):
    """One other limit or delay."""

    name: str  # hr-high, or a condition
    value: float
    relative: bool  # to what was in force, for each patient

    def __str__(self) -> str:
        """As people say it."""
        if not self.relative:
            return f"{self.name} at {self.value:g}"
        return f"{self.name} {abs(self.value):g} {'higher' if self.value > 0 else 'lower'}"


def parse_limit(text: str) -> Change:
    """Read a limit such as ``hr-high=+5`` or ``spo2-low=88``.

    Raises
    ------
    UserError
        It is none.
    """
    change = _parse(text, "--limit")
    vital, _, side = change.name.rpartition("-")
    known = [
        f"{name}-{edge}" for i, name in enumerate(VITALS) for j, edge in enumerate(SIDES) if np.isfinite(DEFAULTS[i, j])
    ]
    if vital not in VITALS or change.name not in known or side not in SIDES:
        raise UserError(f"--limit {text!r}: need one of {', '.join(known)}, such as hr-high=+5")
    return change


def parse_delay(text: str) -> Change:
    """Read a delay in seconds such as ``spo2-low=+20``.

    Raises
    ------
    UserError
        It is none.
    """
    change = _parse(text, "--delay")
    if change.name not in COLUMN:
        raise UserError(f"--delay {text!r}: need a condition, one of {', '.join(COLUMN)}, such as spo2-low=+20")
    rule = RULES[COLUMN[change.name]]
    if change.value + (rule.delay_s if change.relative else 0.0) < 0.0:
        raise UserError(f"--delay {text!r}: {rule.condition} has a delay of {rule.delay_s:g} s, and none is below 0")
    return change


def in_force(limits: Sequence[Change]) -> InForce:
    """Limits with some of them changed.

    Raises
    ------
    UserError
        They cross.
    """
    usual, shift = DEFAULTS.copy(), np.zeros_like(DEFAULTS)
    for change in limits:
        vital, _, side = change.name.rpartition("-")
        place = VITALS.index(cast("Vital", vital)), SIDES.index(side)
        if change.relative:
            shift[place] += change.value
        else:
            usual[place] = change.value
    moved = usual + shift
    for index, vital in enumerate(VITALS):
        low, high = moved[index]
        if low >= high:  # never where there is one only
            raise UserError(f"{vital} would have a low limit of {low:g} and a high one of {high:g}: need low < high")
    return InForce(usual, shift)


def delays_of(changes: Sequence[Change]) -> NDArray[np.int64]:
    """Delays of all conditions with some of them changed, ns."""
    found = DELAY_NS.copy()
    for change in changes:
        column = COLUMN[cast("Condition", change.name)]
        found[column] = round(change.value * SECOND_NS) + (found[column] if change.relative else 0)
    return found


def _parse(text: str, option: str) -> Change:
    said = _SAID.fullmatch(text)
    if said is None:
        raise UserError(f"{option} {text!r}: need NAME=+N, NAME=-N or NAME=N, such as hr-high=+5")
    return Change(said["name"], float(said["value"]), said["value"][0] in "+-")
