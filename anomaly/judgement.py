"""Is an alarm of the heart true: what the heart's own signal and independent pulses say of it, weighed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np
from scipy import special

from anomaly.conditions import ASYSTOLE_NS, BRADYCARDIA_BPM, TACHYCARDIA_BPM
from anomaly.kernel import Array, BoolArray, IntArray
from anomaly.witness import Heard

Arrhythmia = Literal[
    "asystole",
    "extreme-bradycardia",
    "extreme-tachycardia",
    "ventricular-fibrillation",
    "ventricular-tachycardia",
]
ARRHYTHMIAS: Final[tuple[Arrhythmia, ...]] = (
    "asystole",
    "extreme-bradycardia",
    "extreme-tachycardia",
    "ventricular-fibrillation",
    "ventricular-tachycardia",
)
VENTRICULAR_BPM = 100.0  # a ventricular tachycardia is faster [PhysioNet/CinC 2015]
IN_STEP = 0.45  # a pulse whose intervals and heights depart no farther from the usual has not lost a beat
LONE_TRUST = 0.6  # of a pulse in a fibrillation: there is none
# A margin of 1, as a share of the limit: so far the measure itself is unsure.
PAUSE_UNIT = 0.2  # a pause is longer or shorter by part of a beat
RATE_UNIT = 0.08  # a rate over 5 beats, by a part of one interval
STEP_UNIT = 0.3
TRUST_UNIT = 0.5
RUN = 0.4  # mean probability of being ventricular of 5 beats: they may not all be told by their shape
RUN_UNIT = 0.3
ODDS_UNIT = 2.0  # of the log odds of fibrillation
WAVE = 2.0  # log odds from which on a wave is ventricular
CLEAR = 1.0  # a margin beyond it says no more: whatever disturbed the sensor may be as large as it likes


class Ventricles(NamedTuple):
    """What the shape of the heart's own signal says of the ventricles, shape (n_devices,) each; NaN: nothing."""

    run: Array  # highest mean probability, over 5 beats that follow each other, of being ventricular
    wave: Array  # highest log odds of a ventricular wave, fast or fibrillating, in the lead that shows it least
    fibrillation: Array  # the same of fibrillation or flutter


class Opinion(NamedTuple):
    """What was said of an alarm, shape (n_devices,) each."""

    margin: Array  # logarithm of what was measured over the limit, in units of the measure; above 0: for the alarm
    value: Array  # what was measured, as `in_words` tells it
    witness: IntArray  # whose word that was: 0 the heart's own signal, from 1 on the pulses; -1 nobody's


class Fit(NamedTuple):
    """How much a margin weighs."""

    slope: float  # log odds per unit of margin
    at: float  # margin at which an alarm is as likely true as false


# Fitted by `deploy.evaluate.fit_alarms` on 104 alarms of PhysioNet/CinC 2015. Fits that have not seen a record judge
# it as these do: score 0.872 (0.773-0.954) by nested cross-validation, none of 52 true alarms missed. The rules and
# their limits were written with all records in view; priors of half and twice the slope gave 0.78 to 0.84 where these
# gave 0.82.
FITS: Final[dict[Arrhythmia, Fit]] = {
    "asystole": Fit(slope=1.11, at=0.15),
    "extreme-bradycardia": Fit(slope=2.24, at=-0.55),
    "extreme-tachycardia": Fit(slope=2.24, at=-0.4),
    "ventricular-fibrillation": Fit(slope=1.5, at=0.35),
    "ventricular-tachycardia": Fit(slope=1.5, at=0.55),
}
# An alarm that is true with probability p is worth raising where a missed one costs five false ones, 1 / (2 + 4 score)
# at a score of 0.8.
LEAST: Final = 0.19
_WORDS: Final[dict[Arrhythmia, tuple[str, str]]] = {  # of the heart's own signal, of a pulse
    "asystole": ("longest pause in {source} {value:.1f} s", "longest pause in {source} {value:.1f} s"),
    "extreme-bradycardia": ("slowest 5 beats of {source} {value:.0f} /min", "slowest 5 of {source} {value:.0f} /min"),
    "extreme-tachycardia": ("fastest 13 beats of {source} {value:.0f} /min", "fastest 13 of {source} {value:.0f} /min"),
    "ventricular-fibrillation": (
        "log odds of fibrillation in {source} {value:.1f}",
        "{source} has a trust of {value:.2f}",
    ),
    "ventricular-tachycardia": (
        "fastest 5 beats of {source} {value:.0f} /min",
        "{source} departs by {value:.0%} at most from its step and height",
    ),
}


@dataclass(frozen=True)
class Judge:
    """Weigh witnesses about an alarm.

    The rules, one for each alarm, all of the same kind: what a trustworthy pulse says of the heart's rhythm goes before
    what the heart's own signal says, because a disturbance of an electrode or a field sensor looks like an arrhythmia
    and does not disturb the pulse; a pulse of little trust says nothing.

    - asystole: the shortest of the longest pauses of all witnesses, against 4 s. Whoever goes on beating contradicts.
    - extreme bradycardia, extreme tachycardia: the slowest (fastest) rate of the trusted pulses, else of the heart.
    - ventricular tachycardia: contradicted by a trusted pulse that keeps step and height all the while, since a run of
      ventricular beats breaks them; by a heart that is at no time faster than 100 /min; and by beats that are not
      ventricular.
    - ventricular fibrillation: contradicted by a trusted pulse, since there is none in it; and by a lead that does not
      show it, since all do.

    Low quality alone contradicts nothing.

    Parameters
    ----------
    trust
        Mean quality of its beats from which on a pulse is trusted.
    """

    trust: float = 0.75

    def __post_init__(self) -> None:
        """Refuse a trust that nobody or everybody has."""
        if not 0.0 < self.trust < 1.0:
            raise ValueError(f"need 0 < trust={self.trust} < 1")

    def hear(
        self,
        alarm: Arrhythmia,
        heart: Heard,
        pulses: Sequence[Heard],
        ventricles: Ventricles | None = None,
        limit_bpm: Array | None = None,
    ) -> Opinion:
        """What witnesses say of an alarm.

        Parameters
        ----------
        alarm
            Which.
        heart
            The beats of electrodes or field sensors.
        pulses
            The pulses of light or pressure sensors; a row whose sensor is not there has heard nothing.
        ventricles
            What shapes say; None: nothing.
        limit_bpm : ndarray, shape (n_devices,)
            Of an extreme rate, where it is a patient's own; None: the usual one.
        """
        nothing = np.full_like(heart.trust, np.nan)
        shape = Ventricles(nothing, nothing, nothing) if ventricles is None else ventricles
        if alarm == "asystole":
            pauses = _stack([heart.pause_s, *(pulse.pause_s for pulse in pulses)])
            return _least(np.log(np.maximum(pauses, 0.1) * 1e9 / ASYSTOLE_NS) / PAUSE_UNIT, pauses)
        if alarm == "extreme-bradycardia":
            rates = self._rates(heart.slowest_bpm, pulses, [pulse.slowest_bpm for pulse in pulses])
            slow = _column(BRADYCARDIA_BPM if limit_bpm is None else limit_bpm, rates)
            return _least(np.log(slow / rates) / RATE_UNIT, rates)
        if alarm == "extreme-tachycardia":
            rates = self._rates(heart.fastest_bpm, pulses, [pulse.fastest_bpm for pulse in pulses])
            fast = _column(TACHYCARDIA_BPM if limit_bpm is None else limit_bpm, rates)
            return _least(np.log(rates / fast) / RATE_UNIT, rates)
        if alarm == "ventricular-fibrillation":
            trusts = [pulse.trust for pulse in pulses]
            margins = [np.log((1.001 - trust) / (1.001 - LONE_TRUST)) / TRUST_UNIT for trust in trusts]
            return _least(_stack([shape.fibrillation / ODDS_UNIT, *margins]), _stack([shape.fibrillation, *trusts]))
        steps = [np.where(pulse.trust >= self.trust, pulse.unsteady, np.nan) for pulse in pulses]
        # A wave without pauses has few beats to count or to tell by their shape.
        beats = ~(shape.wave > WAVE)
        fast = np.where(beats, np.log(heart.burst_bpm / VENTRICULAR_BPM) / RATE_UNIT, np.nan)
        broad = np.where(beats, np.log(np.maximum(shape.run, 0.01) / RUN) / RUN_UNIT, np.nan)
        by_shape = np.isfinite(broad) & ~(fast < broad)
        margins = [np.where(by_shape, broad, fast)]
        margins += [np.log(np.maximum(step, 0.01) / IN_STEP) / STEP_UNIT for step in steps]
        return _least(_stack(margins), _stack([np.where(by_shape, shape.run, heart.burst_bpm), *steps]))

    def _rates(self, of_heart: Array, pulses: Sequence[Heard], of_pulses: Sequence[Array]) -> Array:
        """Rates of whoever is asked; NaN for the others: of the heart where no pulse is trusted."""
        rates = [
            np.where(pulse.trust >= self.trust, rate, np.nan) for pulse, rate in zip(pulses, of_pulses, strict=True)
        ]
        told = np.isfinite(_stack([np.full_like(of_heart, np.nan), *rates])).any(axis=-1)
        return _stack([np.where(told, np.nan, of_heart), *rates])


def probability(opinion: Opinion, fit: Fit) -> Array:
    """Probability that an alarm is true; nobody's word leaves it as the monitor that raised it has it: true."""
    chance: Array = special.expit(fit.slope * (opinion.margin - fit.at))
    return np.where(opinion.witness >= 0, chance, 1.0)


def contradicted(probability_: Array, least: float) -> BoolArray:
    """Whether an alarm is to be called false."""
    return probability_ < least


def _stack(of_each: Sequence[Array]) -> Array:
    """One witness a column."""
    return np.ascontiguousarray(np.stack(of_each, axis=-1))


def _column(limit: Array | float, rates: Array) -> Array:
    return np.broadcast_to(np.asarray(limit, np.float64), rates.shape[:1])[:, None]


def _least(margins: Array, values: Array) -> Opinion:
    """Opinion of the witness that speaks most clearly against the alarm."""
    known = np.isfinite(margins)
    witness = np.argmin(np.where(known, margins, np.inf), axis=-1)
    told = known.any(axis=-1)
    margin, value = (np.take_along_axis(x, witness[:, None], axis=-1)[:, 0] for x in (margins, values))
    return Opinion(
        margin=np.where(told, np.minimum(margin, CLEAR), 0.0),
        value=np.where(told, value, np.nan),
        witness=np.where(told, witness, -1),
    )


def in_words(alarm: Arrhythmia, value: float, sources: Sequence[str], witness: int) -> str:
    """The reason of an opinion, for people.

    Examples
    --------
    >>> in_words("extreme-bradycardia", 71.6, ("the ECG", "the light pulse"), 1)
    'slowest 5 of the light pulse 72 /min'
    >>> in_words("asystole", float("nan"), ("the ECG",), -1)
    'no sensor knows anything of it'
    """
    if witness < 0:
        return "no sensor knows anything of it"
    if alarm == "ventricular-tachycardia" and witness == 0 and value <= 1.0:  # no rate, but a probability
        return f"5 beats of {sources[0]} are ventricular by {value:.0%} at most"
    return _WORDS[alarm][witness > 0].format(source=sources[witness], value=value)
