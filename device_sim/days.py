"""Days of vitals without waveforms: what a ward would report, for many patients at once and far faster than time."""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.random import Generator, SeedSequence, default_rng
from numpy.typing import NDArray
from scipy import signal

from device_sim.course import APNOEA_DEPTH, DAY_S, SKIN_OF_CORE, heart_bpm, levels
from device_sim.events import ARRESTED
from device_sim.fleet import MAX_PATIENTS
from device_sim.scenario import Scenario, load_scenario, script_of
from device_sim.script import REST_CORE_CEL, Script

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

AWAKE_H = (6.5, 22.0)
# Patients differ: standard deviations between them, as shares, Cel or %. All numbers of this module are from memory.
RATE_DIFFERS, BREATH_DIFFERS, SKIN_DIFFERS_CEL, SPO2_DIFFERS = 0.10, 0.10, 0.4, 0.8
SKIN_CEL = 35.0
# What wanders: its time constant and standard deviation (as shares, Cel or %).
RATE_WANDERS, BREATH_WANDERS, SKIN_WANDERS, SPO2_WANDERS = (400.0, 0.04), (200.0, 0.07), (1800.0, 0.15), (300.0, 0.5)
# Now and then a patient who is awake moves: a slow process beyond a threshold.
MOVES_S, MOVES_ABOVE = 240.0, 1.3
MOVES_RATE, MOVES_BREATH = 0.20, 0.25
# And now and then the device gives nothing.
AWAY_S, AWAY_ABOVE = 900.0, 2.2
_CHUNK = 1440


class DayOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Whose days, how many, how finely.

    Raises
    ------
    ValueError
        If a number is out of range; the message says what is allowed.
    """

    patients: int = 100
    scenario: str = "deterioration"
    seed: int = 1
    days: float = 1.0
    every_s: float = 60.0

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        if not 1 <= self.patients <= MAX_PATIENTS:
            raise ValueError(f"patients={self.patients}: need 1 <= patients <= {MAX_PATIENTS}")
        if not 0 <= self.seed < 1 << 63:
            raise ValueError(f"seed={self.seed}: need 0 <= seed < 2**63")
        if not 0.0 < self.days <= 3660.0:
            raise ValueError(f"days={self.days}: need 0 < days <= 3660")
        if not 1.0 <= self.every_s <= 3600.0:
            raise ValueError(f"every_s={self.every_s}: need 1 <= every_s <= 3600")


class DayBlock(NamedTuple):
    """Vitals of all patients over some time; NaN where nothing is measured."""

    t_s: Array  # (n_times,), since the start of the scenario
    hr: Array  # (n, n_times), bpm
    breath: Array  # (n, n_times), per minute
    spo2: Array  # (n, n_times), %
    skin_cel: Array  # (n, n_times)
    core_cel: Array  # (n, n_times), which no device measures
    moving: Mask  # (n, n_times)
    ill: Mask  # (n, n_times): a course, a fever, a desaturation, an apnoea or another rhythm than sinus


class _Wander:
    """First-order processes, one per patient, that do not depend on who else there is nor on how time is cut."""

    def __init__(self, tau_s: float, every_s: float, n_patients: int) -> None:
        self._keep = float(np.exp(-every_s / tau_s))
        self._state = np.zeros((n_patients, 1))
        self._fresh = True

    def step(self, white: Array) -> Array:
        """Next values, standard deviation 1."""
        drive = np.sqrt(1.0 - self._keep**2)
        if self._fresh:
            self._state = white[:, :1] * (1.0 - drive)  # in its steady state from the first sample on
            self._fresh = False
        out, self._state = signal.lfilter([drive], [1.0, -self._keep], white, zi=self._state)
        values: Array = out
        return values


def days(options: DayOptions, scenario: Scenario | None = None) -> Iterator[DayBlock]:
    """Vitals block by block, of the scenario that the options name or of another one.

    Examples
    --------
    >>> block = next(days(DayOptions(patients=3, scenario="quiet", days=1.0)))
    >>> block.hr.shape, 40.0 < float(np.nanmean(block.hr)) < 120.0
    ((3, 1440), True)
    """
    scenario = scenario or load_scenario(options.scenario)
    n, every_s = options.patients, options.every_s
    rngs = [default_rng(SeedSequence(options.seed, spawn_key=(4, index))) for index in range(n)]
    own = np.array([rng.standard_normal(4) for rng in rngs])
    taus = (RATE_WANDERS[0], BREATH_WANDERS[0], SKIN_WANDERS[0], SPO2_WANDERS[0], MOVES_S, AWAY_S)
    wanders = [_Wander(tau_s, every_s, n) for tau_s in taus]
    n_times = max(1, round(options.days * DAY_S / every_s))
    for first in range(0, n_times, _CHUNK):
        t: Array = np.arange(float(first), float(min(first + _CHUNK, n_times))) * every_s
        noise = _noise(rngs, len(wanders), len(t))
        yield _block(scenario, t, own, [one.step(white) for one, white in zip(wanders, noise, strict=True)])


def _noise(rngs: list[Generator], n_kinds: int, n_times: int) -> Array:
    """Standard normal numbers of every patient's own generator, shape ``(n_kinds, n, n_times)``."""
    white = np.empty((len(rngs), n_times, n_kinds))
    for row, rng in enumerate(rngs):
        rng.standard_normal(out=white[row])
    return np.ascontiguousarray(white.transpose(2, 0, 1))


def _block(scenario: Scenario, t: Array, own: Array, wander: list[Array]) -> DayBlock:
    n_scripts = min(len(scenario.patients), len(own))
    scripts = [_by_the_clock(script_of(scenario, index)) for index in range(n_scripts)]
    which = np.arange(len(own)) % len(scenario.patients)
    sick = np.stack([_ill(script, t) for script in scripts])[which]
    beats = np.stack([heart_bpm(script, t) for script in scripts])[which]
    now = [levels(script, t) for script in scripts]
    breath = np.stack([np.where(one.depth > APNOEA_DEPTH, one.breath_bpm, 0.0) for one in now])[which]
    spo2 = np.stack(
        [np.where(_bloodless(script, t), np.nan, one.spo2) for script, one in zip(scripts, now, strict=True)]
    )[which]
    core = np.stack([one.core_cel for one in now])[which]
    awake = np.stack([_awake(script.patient.hour, t) for script in scripts])[which]
    moving = awake & (wander[4] > MOVES_ABOVE)
    away = wander[5] > AWAY_ABOVE
    hr = beats * np.exp(RATE_DIFFERS * own[:, :1] + RATE_WANDERS[1] * wander[0] + MOVES_RATE * moving)
    breath = breath * np.exp(BREATH_DIFFERS * own[:, 1:2] + BREATH_WANDERS[1] * wander[1] + MOVES_BREATH * moving)
    skin = (
        SKIN_CEL + SKIN_DIFFERS_CEL * own[:, 2:3] + SKIN_WANDERS[1] * wander[2] + SKIN_OF_CORE * (core - REST_CORE_CEL)
    )
    oxygen = np.minimum(100.0, spo2 + SPO2_DIFFERS * own[:, 3:4] + SPO2_WANDERS[1] * wander[3])
    hr, breath, oxygen, skin = (np.where(away, np.nan, values) for values in (hr, breath, oxygen, skin))
    return DayBlock(t, hr, breath, oxygen, skin, core, moving, sick)


def _by_the_clock(script: Script) -> Script:
    """Give a script that does not say when it begins midnight: days have hours."""
    hour = max(0.0, script.patient.hour)
    return script._replace(patient=msgspec.structs.replace(script.patient, hour=hour))


def _awake(hour: float, t: Array) -> Mask:
    now = (hour + t / 3600.0) % 24.0
    awake: Mask = (now >= AWAKE_H[0]) & (now < AWAKE_H[1])
    return awake


def _bloodless(script: Script, t: Array) -> Mask:
    """When no pulse carries blood whose oxygen could be told."""
    none = np.zeros(len(t), np.bool_)
    for event in script.patient.rhythms:
        if event.rhythm in ARRESTED:
            none |= script.share(event, 0.0, t) > 0.0
    return none


def _ill(script: Script, t: Array) -> Mask:
    patient = script.patient
    ill = np.zeros(len(t), np.bool_)
    for event in (*patient.courses, *patient.rhythms, *patient.breaths, *patient.blood, *patient.temperatures):
        ill |= script.share(event, 0.0, t) > 0.0
    return ill
