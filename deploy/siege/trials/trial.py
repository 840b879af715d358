"""What every trial is: a set of parameters that measures something and says what was wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

Tell = Callable[[str], None]


class Outcome(NamedTuple):
    """What a trial measured; it passed if nothing is wrong."""

    figures: msgspec.Struct
    wrong: list[str]  # in words


class Trial(Protocol):
    """A frozen dataclass; its defaults are what the project promises."""

    @property
    def patients(self) -> int:
        """How many patients, or devices where nobody wears them."""
        ...

    @property
    def seconds(self) -> float:
        """How long the part lasts that gives the trial its name."""
        ...

    @property
    def seed(self) -> int:
        """Same seed, same patients."""
        ...

    def run(self, folder: Path, tell: Tell) -> Outcome:
        """Measure, in an empty folder; `tell` takes lines about how far it is."""
        ...


def within(what: str, value: float, limit: float, unit: str) -> list[str]:
    """Nothing if a figure keeps its limit, else words; a figure that was not measured keeps none.

    Examples
    --------
    >>> within("the longest restart", 6.25, 5.0, "s")
    ['the longest restart is 6.25 s: at most 5 s are promised']
    """
    if value <= limit:
        return []
    return [f"{what} is {value:.6g} {unit}: at most {limit:g} {unit} are promised"]
