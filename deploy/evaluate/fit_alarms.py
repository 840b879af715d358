"""How much a margin weighs for each alarm: `python -m deploy.evaluate.fit_alarms FOLDER` prints `judgement.FITS`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from scipy import special

from anomaly.judgement import ARRHYTHMIAS, Arrhythmia, Fit, Judge, Opinion, probability
from anomaly.kernel import Array, BoolArray, IntArray
from anomaly.witness import Witness
from deploy.evaluate.bedside import alarms_of, is_ventricular, read, truth_of
from deploy.evaluate.listening import Rings, heard, listen

# Alarms of the whole training set of PhysioNet/CinC 2015: true, false.
MIX: Final[dict[Arrhythmia, tuple[int, int]]] = {
    "asystole": (22, 100),
    "extreme-bradycardia": (46, 43),
    "extreme-tachycardia": (131, 9),
    "ventricular-fibrillation": (6, 52),
    "ventricular-tachycardia": (89, 252),
}
# Strong priors: a definition is right to half of what its measure is unsure by, and that unit is worth odds of 4 to 1.
SLOPE, SLOPE_SPREAD = 1.5, 0.5  # of its logarithm
AT, AT_SPREAD = 0.0, 0.5
_SLOPES = SLOPE * np.exp(np.linspace(-1.5, 1.5, 31))
_AT = np.linspace(-3.0, 3.0, 121)


class Choice(NamedTuple):
    """What the inner folds choose from; the middle of each first, which stands where all are equally good."""

    believed: float
    trust: float


CHOICES: Final = tuple(Choice(believed, trust) for believed in (0.5, 0.4, 0.6) for trust in (0.75, 0.7, 0.8))


def weights_of(kind: IntArray, true: BoolArray) -> Array:
    """Weight of each record with which the records stand for the whole set's mix of alarms."""
    weights = np.zeros(len(kind))
    for k, alarm in enumerate(ARRHYTHMIAS):
        for truth, total in zip((True, False), MIX[alarm], strict=True):
            mine = (kind == k) & (true == truth)
            weights[mine] = total / max(int(mine.sum()), 1)
    return weights


def opinions(rings: Rings, kind: IntArray, choice: Choice) -> Opinion:
    """What the witnesses of each record say of its alarm."""
    heart, *pulses = heard(rings, Witness(believed=choice.believed))
    judge = Judge(trust=choice.trust)
    told = [judge.hear(alarm, heart, pulses, rings.ventricles) for alarm in ARRHYTHMIAS]
    row = np.arange(len(kind))
    return Opinion(*(np.stack(field)[kind, row] for field in zip(*told, strict=True)))


def fit(margins: Array, true: BoolArray, weights: Array) -> Fit:
    """Slope and place that are most probable, given the priors; without records they are the priors' own."""
    weights = weights * (len(weights) / max(weights.sum(), 1e-12))
    odds = _SLOPES[:, None, None] * (margins - _AT[:, None])
    likelihood = (weights * special.log_expit(np.where(true, odds, -odds))).sum(axis=-1)
    prior = -0.5 * (np.log(_SLOPES / SLOPE)[:, None] / SLOPE_SPREAD) ** 2 - 0.5 * ((_AT - AT) / AT_SPREAD) ** 2
    slope, at = np.unravel_index(int(np.argmax(likelihood + prior)), prior.shape)
    return Fit(round(float(_SLOPES[slope]), 2), round(float(_AT[at]), 3))


def fits(opinion: Opinion, kind: IntArray, true: BoolArray, weights: Array, records: IntArray) -> tuple[Fit, ...]:
    """One fit for each alarm, from some records."""
    found = []
    for k in range(len(ARRHYTHMIAS)):
        mine = records[(kind[records] == k) & (opinion.witness[records] >= 0)]
        found.append(fit(opinion.margin[mine], true[mine], weights[mine]))
    return tuple(found)


def probabilities(opinion: Opinion, kind: IntArray, by: Sequence[Fit], records: IntArray) -> Array:
    """Probability that the alarms of some records are true."""
    found = np.zeros(len(records))
    for k, one in enumerate(by):
        mine = kind[records] == k
        found[mine] = probability(Opinion(*(field[records[mine]] for field in opinion)), one)
    return found


def main(folder: Path) -> None:
    """Fit on all records of a folder."""
    alarms = alarms_of(folder, None)
    kind, true = truth_of(alarms)
    rings = listen([read(folder, alarm.record) for alarm in alarms], is_ventricular(alarms))
    opinion = opinions(rings, kind, CHOICES[0])
    found = fits(opinion, kind, true, weights_of(kind, true), np.arange(len(kind)))
    for alarm, one in zip(ARRHYTHMIAS, found, strict=True):
        sys.stdout.write(f'    "{alarm}": Fit(slope={one.slope}, at={one.at}),\n')


if __name__ == "__main__":
    main(Path(sys.argv[1]))
