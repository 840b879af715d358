"""What each rhythm does next: the intervals and beats that follow, given the rate and the variation of the moment."""

import math
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from device_sim.events import RhythmName
from device_sim.physiology import BeatClass, Shape

Array = NDArray[np.float64]

# Spread of RR over its mean: 4 % at rest gives an SDNN of 34 ms at 70 bpm; a driven rhythm is stiffer. From memory.
REST_SPREAD = 0.04
SPREAD: dict[RhythmName, float] = {"bradycardia": 0.025, "tachycardia": 0.01}
# RR in atrial fibrillation: independent, standard deviation over mean about 0.22, no shorter than the AV node recovers,
# which in a fast one it does sooner. Memory.
AF_SPREAD, AF_SHORTEST_S, AF_SHORTEST_SHARE = 0.22, 0.24, 0.75
# One ventricular ectopic beat in about six; coupling 0.6 of RR, then a full compensatory pause. From memory.
ECTOPY_SHARE, ECTOPY_COUPLING = 0.16, 0.6
# An atrial ectopic beat comes less early and resets the sinus node: its pause is not a full one. From memory.
ATRIAL_COUPLING, ATRIAL_PAUSE = 0.7, 1.1
# Atrial flutter turns 300 times a minute; the AV node lets every n-th through, now and then one more or less. Memory.
FLUTTER_HZ, FLUTTER_STRAY, SAFE_RATIO = 5.0, 0.12, 2
# Runs of 3 to 8 ventricular beats at 160 bpm, one in about 20 beats; from memory.
RUN_SHARE, RUN_BEATS, RUN_RR_S = 0.05, (3, 9), 60.0 / 160.0
RUN_PAUSE = 1.5  # after it, of the interval; from memory
VT_SPREAD = 0.015  # of RR; from memory
VT_STROKE, RUN_STROKE = 0.7, 0.9  # beside what the short filling leaves; from memory
# Sinus pauses of 2.2 to 3.6 s, below what is called asystole; from memory.
PAUSE_SHARE, PAUSE_S = 0.08, (2.2, 3.6)
# PR interval, from P wave to R peak: Wenckebach's grows until one P wave is not conducted; Mobitz II's does not grow.
# From memory.
PR_S = 0.16
WENCKEBACH_PR_S = (0.16, 0.25, 0.29)
MOBITZ_PR_S = (0.17, 0.17)
AGONAL_SPREAD = 0.25
LEAST_SHARE = 0.4  # of the mean interval: however much a heart varies, time goes forward
BLOCK_FASTEST_S = 0.4  # a sinus node behind a blocked AV node; between its beats there is room for a PR interval
SILENT: tuple[RhythmName, ...] = ("ventricular-fibrillation", "asystole")


class Step(NamedTuple):
    """What comes next, and how long after what came before."""

    after_s: float
    kind: BeatClass = "N"
    shape: Shape = "normal"
    stroke: float = 1.0


class Now(NamedTuple):
    """What a rhythm goes by."""

    time_s: float
    rr_s: float  # mean interval that is asked for
    swing: float  # variation of the moment, mean 0, standard deviation 1
    spread: float  # standard deviation of the interval over its mean, at rest


def steps(rhythm: RhythmName, now: Now, rng: Generator) -> list[Step]:  # noqa: C901, PLR0911, PLR0912  # one case per rhythm
    """Next steps of a rhythm, at least one."""
    match rhythm:
        case "atrial-fibrillation":
            shortest = min(AF_SHORTEST_S, AF_SHORTEST_SHARE * now.rr_s)
            above, spread = now.rr_s - shortest, AF_SPREAD * now.rr_s
            return [Step(shortest + float(rng.gamma((above / spread) ** 2, spread**2 / above)), shape="narrow")]
        case "atrial-flutter":
            return [_fluttering(now, rng)]
        case "ectopy":
            return _ectopic(_varied(rhythm, now), rng, ECTOPY_SHARE)
        case "bigeminy":
            rr = _varied(rhythm, now)
            return [Step(rr) if rng.uniform() < 0.02 else Step((2.0 - ECTOPY_COUPLING) * rr), _ectopic_after(rr)]
        case "atrial-ectopy":
            rr = _varied(rhythm, now)
            if rng.uniform() >= ECTOPY_SHARE:
                return [Step(rr)]
            return [Step(ATRIAL_COUPLING * rr, "S"), Step(ATRIAL_PAUSE * rr)]
        case "ventricular-runs":
            return _running(_varied(rhythm, now), rng)
        case "ventricular-tachycardia":
            rr = now.rr_s * (1.0 + VT_SPREAD * float(rng.standard_normal()))
            return [Step(rr, "V", "ventricular", VT_STROKE)]
        case "pauses":
            rr = _varied(rhythm, now)
            return [Step(float(rng.uniform(*PAUSE_S)) if rng.uniform() < PAUSE_SHARE else rr)]
        case "wenckebach":
            return _blocked(_varied(rhythm, now), WENCKEBACH_PR_S)
        case "mobitz":
            return _blocked(_varied(rhythm, now), MOBITZ_PR_S)
        case "agonal":
            rr = now.rr_s * math.exp(AGONAL_SPREAD * float(rng.standard_normal()))
            return [Step(rr, "V", "agonal", 0.0)]
        case "pulseless":
            return [Step(_varied(rhythm, now), stroke=0.0)]
        case _:
            return [Step(_varied(rhythm, now))]


def ventricular_bpm(rhythm: RhythmName, rate_bpm: Array) -> Array:
    """Mean rate of the ventricles in a rhythm, NaN without any.

    Parameters
    ----------
    rhythm
        What the heart does.
    rate_bpm : ndarray
        What is asked of it: the rate of the sinus node where there is one.
    """
    rr: Array = 60.0 / rate_bpm
    beats: float = 1.0
    match rhythm:
        case "wenckebach" | "mobitz":
            conducted = len(WENCKEBACH_PR_S if rhythm == "wenckebach" else MOBITZ_PR_S)
            took, beats = np.maximum(rr, BLOCK_FASTEST_S) * (conducted + 1), conducted
        case "atrial-ectopy":
            took, beats = rr * (1.0 + (ATRIAL_COUPLING + ATRIAL_PAUSE - 1.0) * ECTOPY_SHARE), 1.0 + ECTOPY_SHARE
        case "ventricular-runs":
            length = 0.5 * (RUN_BEATS[0] + RUN_BEATS[1] - 1)
            run_s = ECTOPY_COUPLING * rr + (length - 1.0) * RUN_RR_S + RUN_PAUSE * rr
            took, beats = rr + RUN_SHARE * (run_s - rr), 1.0 + RUN_SHARE * length
        case "pauses":
            took = rr + PAUSE_SHARE * (0.5 * sum(PAUSE_S) - rr)
        case "atrial-flutter":
            ratio = np.maximum(1.0, np.round(rr * FLUTTER_HZ))
            took = (ratio + FLUTTER_STRAY * (ratio <= SAFE_RATIO)) / FLUTTER_HZ
        case "agonal":
            took = rr * math.exp(0.5 * AGONAL_SPREAD**2)
        case "ventricular-fibrillation" | "asystole":
            took = np.full_like(rr, np.nan)
        case _:
            took = rr
    mean: Array = 60.0 * beats / took
    return mean


def _varied(rhythm: RhythmName, now: Now) -> float:
    return now.rr_s * max(LEAST_SHARE, 1.0 + SPREAD.get(rhythm, now.spread) * now.swing)


def _ectopic_after(rr_s: float) -> Step:
    return Step(ECTOPY_COUPLING * rr_s, "V", "ventricular")


def _ectopic(rr_s: float, rng: Generator, share: float) -> list[Step]:
    if rng.uniform() >= share:
        return [Step(rr_s)]
    return [_ectopic_after(rr_s), Step((2.0 - ECTOPY_COUPLING) * rr_s)]


def _running(rr_s: float, rng: Generator) -> list[Step]:
    if rng.uniform() >= RUN_SHARE:
        return [Step(rr_s)]
    run = [Step(RUN_RR_S, "V", "ventricular", RUN_STROKE)] * (int(rng.integers(*RUN_BEATS)) - 1)
    return [_ectopic_after(rr_s), *run, Step(RUN_PAUSE * rr_s)]


def _fluttering(now: Now, rng: Generator) -> Step:
    """Fall on one of the atria's turns, which go on as the clock does."""
    ratio = max(1, round(now.rr_s * FLUTTER_HZ))
    if rng.uniform() < FLUTTER_STRAY:
        # All of them are hardly ever let through.
        ratio += 1 if ratio <= SAFE_RATIO or rng.uniform() < 0.5 else -1
    turn = round(now.time_s * FLUTTER_HZ) + ratio
    return Step(turn / FLUTTER_HZ - now.time_s, shape="narrow")


def _blocked(pp_s: float, pr_s: tuple[float, ...]) -> list[Step]:
    """P waves at even intervals, each but the last followed by a beat; what comes before is a beat or the last P."""
    found: list[Step] = []
    pp_s = max(pp_s, BLOCK_FASTEST_S)
    at, last = pp_s - pr_s[-1], 0.0  # from the beat before: the P wave that is not conducted
    for delay in (None, *pr_s):
        found.append(Step(at - last, shape="atrium"))
        last = at
        if delay is not None:
            found.append(Step(delay, shape="narrow"))
            last = at + delay
        at += pp_s
    return found
