"""Wards for the task `faults`: every device has each of its faults in turn, and hearts without faults lie beside."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec
import numpy as np

from anomaly.kernel import Array
from device_sim.devices import DEVICES
from device_sim.events import ActivityEvent, ActivityName, Event, FaultEvent, RhythmEvent, RhythmName
from device_sim.faults import FaultName
from device_sim.script import PatientScript

KINDS: Final = tuple(name for name, kind in DEVICES.items() if kind.head.kind == "mcg" and not kind.blind)
FIRST_S: Final = 40.0  # sensors have learned what is usual by then
EVERY_S: Final = 100.0  # from one fault to the next: a cell that has cooled is warm again
TURNS: Final = 3
SOUND: Final = 6  # patients of each kind whose devices have no fault
LASTS_S: Final = 20.0
LONGER_S: Final[dict[FaultName, float]] = {"off-body": 50.0}
STANDING: Final[tuple[FaultName, ...]] = ("expired-calibration",)  # there from the beginning or never
MOVES: Final[tuple[ActivityName, ...]] = ("walking", "turning", "cough", "getting-up")
MOVES_AFTER_S, MOVES_FOR_S = 75.0, 12.0  # of the beginning of a fault
RHYTHMS: Final[tuple[RhythmName, ...]] = (
    "atrial-fibrillation",
    "ventricular-tachycardia",
    "asystole",
    "ventricular-fibrillation",
    "tachycardia",
    "bigeminy",
    "pauses",
    "bradycardia",
)
RHYTHM_FOR_S: Final = 30.0


def ward(seed: int, kinds: Sequence[str] = KINDS, turns: int = TURNS) -> tuple[list[PatientScript], float]:
    """A ward and how long it takes, s: of each kind of device, one patient to begin with each fault, and sound ones.

    Parameters
    ----------
    seed
        Of rates, rhythms, the order of the faults, and moments.
    kinds
        Of devices.
    turns
        Faults of each patient, one after the other.
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(12,)))
    patients = []
    for kind in kinds:
        names = rng.permutation(np.array(faults_of(kind))).tolist()
        patients += [_faulty(kind, [names[(k + 7 * turn) % len(names)] for turn in range(turns)], rng)
                     for k in range(len(names))]  # fmt: skip
        patients += [_sound(kind, turns, rng) for _ in range(SOUND)]
    return patients, FIRST_S + turns * EVERY_S


def as_toml(patients: Iterable[PatientScript]) -> str:
    """Scripts as the file of a scenario.

    Examples
    --------
    >>> print(as_toml([PatientScript(faults=(FaultEvent(fault="stuck", from_s=3.0, for_s=2.0),))]))
    about = "every fault of every device"
    [[patients]]
    device = "reference"
    rate_bpm = 70.0
    faults = [{from_s = 3.0, for_s = 2.0, fault = "stuck"}]
    """
    lines = ['about = "every fault of every device"']
    for script in patients:
        lines += ["[[patients]]", f'device = "{script.device}"', f"rate_bpm = {script.rate_bpm}"]
        for name in ("rhythms", "activities", "faults"):
            events = [_inline(event) for event in getattr(script, name)]
            lines += [f"{name} = [{', '.join(events)}]"] if events else []
    return "\n".join(lines)


def _inline(event: Event) -> str:
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    return "{" + ", ".join(f"{name} = {msgspec.json.encode(value).decode()}" for name, value in fields.items()) + "}"


def faults_of(kind: str) -> tuple[FaultName, ...]:
    """Faults that come and go, of a kind of device."""
    return tuple(name for name in DEVICES[kind].faults if name not in STANDING)


def _faulty(kind: str, names: Sequence[FaultName], rng: np.random.Generator) -> PatientScript:
    starts = FIRST_S + EVERY_S * np.arange(len(names)) + rng.uniform(0.0, 2.0, len(names))
    faults = [
        FaultEvent(fault=name, from_s=float(at), for_s=LONGER_S.get(name, LASTS_S))
        for name, at in zip(names, starts, strict=True)
    ]
    return PatientScript(
        device=kind,
        rate_bpm=float(rng.uniform(55.0, 95.0)),
        activities=tuple(_moves(starts + MOVES_AFTER_S, rng)),
        faults=tuple(faults),
    )


def _sound(kind: str, n: int, rng: np.random.Generator) -> PatientScript:
    """A heart whose rhythm changes, and a device without a fault, unless its calibration has run out."""
    starts: Array = FIRST_S + EVERY_S * np.arange(n, dtype=np.float64)
    which = rng.integers(len(RHYTHMS), size=n)
    expired = (FaultEvent(fault="expired-calibration", from_s=0.0),) if rng.uniform() < 0.5 else ()
    return PatientScript(
        device=kind,
        rate_bpm=float(rng.uniform(55.0, 95.0)),
        rhythms=tuple(
            RhythmEvent(rhythm=RHYTHMS[k], from_s=float(at), for_s=RHYTHM_FOR_S)
            for k, at in zip(which, starts, strict=True)
        ),
        activities=tuple(_moves(starts + MOVES_AFTER_S, rng)),
        faults=expired,
    )


def _moves(starts: Array, rng: np.random.Generator) -> Iterator[ActivityEvent]:
    for at in starts:
        yield ActivityEvent(activity=MOVES[rng.integers(len(MOVES))], from_s=float(at), for_s=MOVES_FOR_S)
