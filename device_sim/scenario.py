"""Scenarios: who lies in the ward and what happens to whom when, from TOML."""

import math
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple, cast, get_args

import msgspec

from device_sim.faults import FAULTS, Fault, FaultName

RhythmName = Literal["sinus", "bradycardia", "tachycardia", "asystole", "atrial-fibrillation", "ectopy"]
RHYTHMS: tuple[RhythmName, ...] = get_args(RhythmName)
LIBRARY = Path(__file__).parent / "scenarios"
RATES_BPM = (20.0, 250.0)
BREATHS_BPM = (4.0, 60.0)


def _need(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name}={value}: need {low} <= {name} <= {high}")


class RhythmEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rhythm that begins at `from_s` and lasts `for_s` (0: until the end)."""

    rhythm: str
    from_s: float
    for_s: float = 0.0
    rate_bpm: float = 0.0  # 0: the patient's own rate
    ramp_s: float = 4.0  # the rate takes this long to get there, and to come back

    def __post_init__(self) -> None:
        """Refuse what no heart can do."""
        if self.rhythm not in RHYTHMS:
            raise ValueError(f"rhythm {self.rhythm!r} is unknown: allowed are {', '.join(RHYTHMS)}")
        _need("from_s", self.from_s, 0.0, 1e9)
        _need("for_s", self.for_s, 0.0, 1e9)
        _need("ramp_s", self.ramp_s, 0.0, 600.0)
        if self.rate_bpm != 0.0:
            _need("rate_bpm", self.rate_bpm, *RATES_BPM)


class FaultEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fault of the device that begins at `from_s` and lasts `for_s` (0: until the end)."""

    fault: str
    from_s: float
    for_s: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no fault."""
        if self.fault not in FAULTS:
            raise ValueError(f"fault {self.fault!r} is unknown: allowed are {', '.join(FAULTS)}")
        _need("from_s", self.from_s, 0.0, 1e9)
        _need("for_s", self.for_s, 0.0, 1e9)


class PatientScript(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One patient: rates at rest and what happens."""

    rate_bpm: float = 70.0
    breath_bpm: float = 15.0
    rhythms: tuple[RhythmEvent, ...] = ()
    faults: tuple[FaultEvent, ...] = ()

    def __post_init__(self) -> None:
        """Refuse events that overlap: two rhythms at once cannot be."""
        _need("rate_bpm", self.rate_bpm, *RATES_BPM)
        _need("breath_bpm", self.breath_bpm, *BREATHS_BPM)
        for events in (self.rhythms, self.faults):
            spans = sorted((event.from_s, event.from_s + (event.for_s or math.inf)) for event in events)
            for (a, b), (c, d) in pairwise(spans):
                if c < b:
                    raise ValueError(f"events at {a:g}..{b:g} s and {c:g}..{d:g} s of one patient overlap: move one")


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A ward. Patient `i` of any number of patients follows script ``i % len(patients)``: the share stays the same."""

    about: str
    patients: tuple[PatientScript, ...]
    repeat_s: float = 0.0  # the script begins anew after this time; 0: it runs once

    def __post_init__(self) -> None:
        """Refuse an empty ward, and events that do not fit into the repeated time."""
        if not self.patients:
            raise ValueError("patients is empty: need at least one [[patients]] table")
        _need("repeat_s", self.repeat_s, 0.0, 1e9)
        if self.repeat_s == 0.0:
            return
        for script in self.patients:
            events: tuple[RhythmEvent | FaultEvent, ...] = (*script.rhythms, *script.faults)
            for event in events:
                if event.from_s + max(event.for_s, 0.001) > self.repeat_s:
                    raise ValueError(f"an event at {event.from_s:g} s does not end within repeat_s={self.repeat_s:g}")


class Episode(NamedTuple):
    """A scripted rhythm in seconds since the start of the run."""

    rhythm: RhythmName
    from_s: float
    to_s: float
    rate_bpm: float
    ramp_s: float


class Script(NamedTuple):
    """One patient's script with its repetitions laid out by `episodes` and `faults`."""

    patient: PatientScript
    repeat_s: float

    def episodes(self, from_s: float, to_s: float) -> list[Episode]:
        """Rhythm episodes that touch ``[from_s, to_s)``, in order."""
        found = [
            Episode(
                cast("RhythmName", event.rhythm),
                start,
                end,
                event.rate_bpm or self.patient.rate_bpm,
                event.ramp_s,
            )
            for event in self.patient.rhythms
            for start, end in self._spans(event.from_s, event.for_s, from_s, to_s)
        ]
        return sorted(found, key=lambda episode: episode.from_s)

    def faults(self, from_s: float, to_s: float) -> list[Fault]:
        """Faults that touch ``[from_s, to_s)``, in order."""
        found = [
            Fault(cast("FaultName", event.fault), start, end)
            for event in self.patient.faults
            for start, end in self._spans(event.from_s, event.for_s, from_s, to_s)
        ]
        return sorted(found, key=lambda fault: fault.from_s)

    def _spans(self, start: float, length: float, from_s: float, to_s: float) -> list[tuple[float, float]]:
        if self.repeat_s == 0.0:
            spans = [(start, start + length if length else math.inf)]
        else:
            length = length or self.repeat_s - start
            first = max(0, math.floor((from_s - start - length) / self.repeat_s))
            last = max(0, math.floor((to_s - start) / self.repeat_s))
            spans = [(start + k * self.repeat_s, start + k * self.repeat_s + length) for k in range(first, last + 1)]
        return [(a, b) for a, b in spans if a < to_s and b > from_s]


def names() -> list[str]:
    """Names of the built-in scenarios."""
    return sorted(path.stem for path in LIBRARY.glob("*.toml"))


def load_scenario(name: str) -> Scenario:
    """Read a built-in scenario by name, or any other by the path of its TOML file.

    Raises
    ------
    ValueError
        If there is none of that name, or if it holds something that cannot be; the message says what and where.
    """
    path = Path(name) if name.endswith(".toml") else LIBRARY / f"{name}.toml"
    if not path.is_file():
        raise ValueError(
            f"scenario {name!r} is unknown: allowed are {', '.join(names())}, or the path of a .toml file that exists"
        )
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Scenario)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"scenario {path}: {error}") from error


def script_of(scenario: Scenario, index: int) -> Script:
    """Script of patient `index`."""
    return Script(scenario.patients[index % len(scenario.patients)], scenario.repeat_s)
