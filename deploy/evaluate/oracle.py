"""How much later a learned baseline finds a change than an oracle that knows the true one."""

import numpy as np

from anomaly.baseline import DAY_S, VITALS, Baseline
from anomaly.cusum import Cusum
from anomaly.deterioration import PATTERNS
from anomaly.kernel import Array, BoolArray
from deploy.evaluate.ward_days import EVERY_S

GROWS_S = 3600.0


def oracle_ratio(seed: int = 7, patients: int = 400, mean_days: float = 10.0) -> float:
    """Mean delay of baseline and CUSUM over that of a CUSUM which knows each patient's mean, course and spread.

    After three days all four vitals change by two of the patient's standard deviations, in a pattern's direction and
    within an hour; both thresholds are set so that without a change both alarm equally often, once in `mean_days`.
    """
    every, change = EVERY_S, round(3.0 * DAY_S / EVERY_S)
    n_times, grows = change + round(DAY_S / every), round(GROWS_S / every)
    rng = np.random.default_rng(seed)
    t = np.arange(n_times) * every
    prior = Baseline().columns
    v = len(VITALS)
    mean = prior.mean + prior.differs * rng.standard_normal((patients, v))
    swing = prior.swing[:, None] * rng.standard_normal((patients, v, 2)) / np.sqrt(2.0)
    spread = prior.spread * np.exp(0.2 * rng.standard_normal((patients, v)))
    repeats = np.exp(-every / prior.memory_s)
    direction = np.array(PATTERNS[0][1])
    kernel, state = Baseline(), Baseline().init(patients)
    z = rng.standard_normal((patients, v))
    turn = 2.0 * np.pi * t / DAY_S
    ours, oracles = np.zeros((2, patients, n_times)), np.zeros((2, patients, n_times))
    states = [state, state]
    last = [z.copy(), z.copy()]
    shows = np.sqrt((1.0 - repeats) / (1.0 + repeats))
    unit = direction / np.sqrt((direction**2).sum())
    for k in range(n_times):
        z = repeats * z + np.sqrt(1.0 - repeats**2) * rng.standard_normal((patients, v))
        usual = mean + swing[..., 0] * np.cos(turn[k]) + swing[..., 1] * np.sin(turn[k])
        for changed in range(2):
            true = z + 2.0 * np.sign(direction) * changed * np.clip((k - change) / grows, 0.0, 1.0)
            value = usual + spread * true
            seen = np.where(prior.is_ratio, np.exp(np.where(prior.is_ratio, value, 0.0)), value)
            states[changed], out = kernel.step(
                states[changed], seen, np.full(patients, t[k] % DAY_S), np.ones(patients, np.bool_)
            )
            ours[changed, :, k] = (unit * out.fresh).sum(axis=-1)
            oracles[changed, :, k] = (unit * (true - repeats * last[changed]) / np.sqrt(1.0 - repeats**2)).sum(axis=-1)
            last[changed] = true
    shift = 2.0 * float((unit * np.sign(unit) * shows).sum())
    mine, theirs = (_delay(pair, shift, change, mean_days) for pair in (ours, oracles))
    return mine / theirs


def _delay(pair: Array, shift: float, change: int, mean_days: float) -> float:
    """Mean delay (observations) of a CUSUM whose threshold brings so many false alarms without a change."""
    quiet, changed = pair
    # The first day is the baseline's own: nothing is counted in it.
    first = round(DAY_S / EVERY_S)
    allowed = quiet.shape[0] * (quiet.shape[1] - first) * EVERY_S / DAY_S / mean_days
    low, high = 1.0, 60.0
    for _ in range(25):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _passes(quiet[:, first:], shift, middle).sum() > allowed else (low, middle)
    passed = _passes(changed[:, change:], shift, high)
    return float(np.where(passed.any(axis=-1), passed.argmax(axis=-1) + 1, passed.shape[-1]).mean())


def _passes(x: Array, shift: float, limit: float) -> BoolArray:
    kernel = Cusum()
    state, passed = kernel.init(len(x)), np.zeros(x.shape, np.bool_)
    size, most = np.full((len(x), 1), shift), np.full((len(x), 1), limit)
    for k in range(x.shape[-1]):
        state, (_, over) = kernel.step(state, x[:, k : k + 1], size, most)
        passed[:, k] = over[:, 0]
    return passed
