"""Simulated days of vitals for the task `deterioration`: patients who get worse or do not, and monitors' artefacts."""

from typing import Final, Literal, NamedTuple

import numpy as np

from anomaly.kernel import Array, IntArray
from device_sim.course import DAY_S
from device_sim.days import DayOptions, days
from device_sim.events import CourseEvent, CourseName
from device_sim.scenario import Scenario
from device_sim.script import PatientScript

EVERY_S: Final = 60.0
Course = CourseName | Literal["none"]
# How long until a course has reached its full size, hours; by how fast such patients get worse, from memory.
OVER_H: Final[dict[CourseName, tuple[float, float]]] = {
    "infection": (6.0, 24.0),
    "bleeding": (1.0, 8.0),
    "respiratory": (3.0, 18.0),
}

# Artefacts: each vital is replaced now and then by what a monitor shows that misreads. Their number and length were
# set, before anything was tuned, so that monitors on healthy simulated patients alarm as often as was counted on wards:
# with critical-care limits and no delay 69.7 times in 16.5 h (4,104 patients on floors, shared/DOMAIN.md section 3),
# with wide limits and a delay 2.3 times a day (Weller 2018, PubMed 29214598). They are not to be changed.
ARTEFACTS_A_DAY: Final = 51.0  # of each vital but temperature
ARTEFACT_MIN: Final = 1.005  # mean length, minutes: the number of minutes is geometric


class Limits(NamedTuple):
    """A monitor with fixed limits."""

    hr: tuple[float, float]
    resp: tuple[float, float]
    spo2: float
    minutes: int  # in a row before it alarms


CRITICAL_CARE: Final = Limits((50.0, 120.0), (8.0, 30.0), 90.0, 1)
WARD: Final = Limits((45.0, 140.0), (5.0, 35.0), 85.0, 2)  # wide limits and a delay; the numbers are from memory


class WardDays(NamedTuple):
    """Vitals by the minute of `n` patients, and what was wrong with whom."""

    seen: Array  # (n, n_times, 4) heart rate, breath rate, saturation, skin temperature; NaN: not measured
    moving: Array  # (n, n_times) of bool
    t_s: Array  # (n_times,)
    hour: Array  # (n,) of the day at which it begins
    course: list[Course]
    from_s: Array  # (n,) its beginning; NaN: none
    over_s: Array  # (n,)


def ward_days(seed: int, patients: int, n_days: float, share_ill: float = 0.25) -> WardDays:
    """Simulate a ward; a share of its patients gets worse once, after a day at least."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(11,)))
    scripts, course, from_s, over_s = [], list[Course](), np.full(patients, np.nan), np.full(patients, np.nan)
    names: tuple[CourseName, ...] = ("infection", "bleeding", "respiratory")
    for index in range(patients):
        courses: tuple[CourseEvent, ...] = ()
        if rng.random() < share_ill:
            name = names[rng.integers(len(names))]
            over_s[index] = rng.uniform(*OVER_H[name]) * 3600.0
            from_s[index] = rng.uniform(DAY_S, max(n_days * DAY_S - over_s[index], DAY_S + 1.0))
            courses = (CourseEvent(course=name, from_s=float(from_s[index]), over_s=float(over_s[index])),)
        course.append(courses[0].course if courses else "none")  # type: ignore[arg-type]  # one of these names
        scripts.append(
            PatientScript(
                rate_bpm=float(np.clip(rng.normal(74.0, 8.0), 50.0, 100.0)),
                breath_bpm=float(np.clip(rng.normal(16.0, 1.5), 11.0, 21.0)),
                spo2=float(np.clip(rng.normal(96.5, 1.0), 93.0, 99.0)),
                hour=float(rng.uniform(0.0, 24.0)),
                courses=courses,
            )
        )
    scenario = Scenario(about="patients of a ward, some of whom get worse", patients=tuple(scripts))
    blocks = list(days(DayOptions(patients=patients, seed=seed, days=n_days, every_s=EVERY_S), scenario))
    vitals = [
        np.concatenate([block[field] for block in blocks], axis=-1)
        for field in (1, 2, 3, 4)  # heart rate, breath rate, saturation, skin
    ]
    return WardDays(
        seen=_misread(np.stack(vitals, axis=-1), rng),
        moving=np.concatenate([block.moving for block in blocks], axis=-1),
        t_s=np.concatenate([block.t_s for block in blocks]),
        hour=np.array([script.hour for script in scripts]),
        course=course,
        from_s=from_s,
        over_s=over_s,
    )


def alarms_of(limits: Limits, ward: WardDays) -> tuple[IntArray, Array]:
    """Alarms of a monitor with fixed limits: whose, and when (s); one ends when the value is back."""
    hr, resp, spo2 = ward.seen[..., 0], ward.seen[..., 1], ward.seen[..., 2]
    with np.errstate(invalid="ignore"):
        each = [
            (hr < limits.hr[0]) | (hr > limits.hr[1]),
            (resp < limits.resp[0]) | (resp > limits.resp[1]),
            spo2 < limits.spo2,
        ]
    patients, times = [], []
    for beyond in each:
        held = beyond.copy()
        for back in range(1, limits.minutes):
            held[:, back:] &= beyond[:, :-back]
            held[:, :back] = False
        began = held & ~np.pad(held, ((0, 0), (1, 0)))[:, :-1]
        row, column = np.nonzero(began)
        patients.append(row)
        times.append(ward.t_s[column])
    who, when = np.concatenate(patients), np.concatenate(times)
    order = np.lexsort((when, who))
    return who[order].astype(np.int64), when[order]


def _misread(vitals: Array, rng: np.random.Generator) -> Array:
    """Replace vitals now and then."""
    n, n_times, _ = vitals.shape
    seen = vitals.copy()
    start = ARTEFACTS_A_DAY * EVERY_S / DAY_S
    for vital in range(3):
        begins = rng.random((n, n_times)) < start
        length = rng.geometric(1.0 / ARTEFACT_MIN, (n, n_times))
        number = np.cumsum(begins, axis=-1)  # of the newest artefact
        since = np.arange(n_times) - np.maximum.accumulate(np.where(begins, np.arange(n_times), -1), axis=-1)
        newest = np.maximum.accumulate(np.where(begins, np.arange(n_times), 0), axis=-1)
        wrong = (number > 0) & (since < np.take_along_axis(length, newest, axis=-1))
        drawn = np.take_along_axis(rng.random((n, n_times)), newest, axis=-1)
        seen[..., vital] = np.where(wrong, _misreading(vital, seen[..., vital], drawn), seen[..., vital])
    return seen


def _misreading(vital: int, true: Array, drawn: Array) -> Array:
    """What is shown instead: half or twice the heart rate, any breath rate, a saturation that falls."""
    if vital == 0:
        return np.where(drawn < 0.5, 0.5 * true, 2.0 * true)
    if vital == 1:
        return np.where(np.isnan(true), np.nan, 3.0 + 42.0 * drawn)
    return true + 12.0 * np.log1p(-0.999 * drawn)  # exponential, 12 % on average
