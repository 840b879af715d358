"""Slow, obvious twins of the kernels that make vitals out of signals: one row, plain loops."""

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import signal

Array = NDArray[np.float64]
NAN = float("nan")


def repaired(samples: list[float], limit: float = 1e12) -> list[float]:
    """One channel: every bad sample is the good one before it; the first good one where there is none before."""
    good = [x for x in samples if abs(x) <= limit]
    last, out = (good[0] if good else 0.0), []
    for x in samples:
        last = x if abs(x) <= limit else last
        out.append(last)
    return out


def heart_rate(times_s: list[float], as_of_s: float) -> float:
    """60 over the mean of the last 8 RR intervals of which none begins more than 10 s before.

    NaN with fewer than 2 of them, or with the last beat more than 4 s ago.
    """
    past = [t for t in times_s if t <= as_of_s]
    intervals = [(a, b) for a, b in pairwise(past) if a >= as_of_s - 10.0][-8:]
    if len(intervals) < 2 or past[-1] < as_of_s - 4.0:
        return NAN
    return 60.0 * len(intervals) / sum(b - a for a, b in intervals)


def variability_ms(times_s: list[float], as_of_s: float) -> tuple[float, float]:
    """RMSSD and SDNN over the last 60 s."""
    past = [t for t in times_s if as_of_s - 60.0 <= t <= as_of_s]
    rr = [1e3 * (b - a) for a, b in pairwise(past)]
    sinus = [False] * len(rr)
    for i in range(1, len(rr)):
        plausible = all(300.0 <= x <= 2000.0 for x in (rr[i - 1], rr[i]))
        sinus[i] = plausible and abs(rr[i] - rr[i - 1]) <= 0.3 * rr[i - 1]
    nn = [x for x, ok in zip(rr, sinus, strict=True) if ok]
    steps = [rr[i] - rr[i - 1] for i in range(1, len(rr)) if sinus[i] and sinus[i - 1]]
    if len(nn) < 10:
        return NAN, NAN
    mean = sum(nn) / len(nn)
    sdnn = math.sqrt(sum((x - mean) ** 2 for x in nn) / (len(nn) - 1))
    rmssd = math.sqrt(sum(x * x for x in steps) / len(steps)) if len(steps) >= 9 else NAN
    return rmssd, sdnn


def pushed(times_ns: list[int], at_ns: int, n_kept: int) -> list[int]:
    """One beat put in its place, unless there is one within 200 ms; the newest `n_kept`."""
    if any(abs(t - at_ns) < 200_000_000 for t in times_ns):
        return times_ns
    return sorted([*times_ns, at_ns])[-n_kept:]


class Episode(NamedTuple):
    """What `over_beats` found."""

    known: bool
    true: bool
    onset_s: float
    rate: float


def over_beats(times_s: list[float], as_of_s: float, n_beats: int, begins: float, ends: float) -> Episode:
    """Walk over the beats: begins beyond the one rate over `n_beats`, ends at or on this side of the other."""
    past = [t for t in times_s if t <= as_of_s]
    if len(past) < n_beats or past[-1] < as_of_s - 4.0:
        return Episode(known=False, true=False, onset_s=NAN, rate=NAN)
    side = 1.0 if begins > ends else -1.0
    onset, rate = NAN, NAN
    for i in range(n_beats - 1, len(past)):
        rate = 60.0 * (n_beats - 1) / round(past[i] - past[i - n_beats + 1], 9)
        if side * rate > side * begins and math.isnan(onset):
            onset = past[i]
        elif side * rate <= side * ends:
            onset = NAN
    return Episode(known=True, true=not math.isnan(onset), onset_s=onset, rate=rate)


def trailing_run(samples: list[float]) -> int:
    """How many samples at the end equal each other."""
    run = 1
    while run < len(samples) and samples[-run - 1] == samples[-1]:
        run += 1
    return run


def picked(samples: Array, rate_hz: float, out_hz: float) -> list[float]:
    """Sample nearest to each multiple of ``1 / out_hz``, halves up."""
    out: list[float] = []
    while (i := math.floor(len(out) * rate_hz / out_hz + 0.5)) < len(samples):
        out.append(float(samples[i]))
    return out


def cancelled(x: Array, n_channels: int, frame: int, keep: float, blind: float) -> Array:
    """One row of high-passed channels, primary first; see `anomaly.reference`."""
    n, n_references = x.shape[1], x.shape[0] - n_channels
    rr, out = np.zeros((n_references, n_references)), np.empty((n_channels, n))
    pr, pp, mass = np.zeros((n_channels, n_references)), np.zeros(n_channels), 0.0
    before = np.zeros((n_channels, n_references))
    for start in range(0, n, frame):
        p, r = x[:n_channels, start : start + frame], x[n_channels:, start : start + frame]
        rr, pr = keep * rr + r @ r.T / frame, keep * pr + p @ r.T / frame
        pp, mass = keep * pp + np.diag(p @ p.T) / frame, keep * mass + 1.0
        now, left = np.zeros_like(before), pp.copy()
        for _ in range(3):
            middle = float(np.median(left))
            for c in range(n_channels):
                ridge = blind**2 * max(left[c], middle) * np.eye(n_references)
                now[c] = np.linalg.solve(rr + ridge, pr[c])
            left = np.array([pp[c] - 2.0 * now[c] @ pr[c] + now[c] @ rr @ now[c] for c in range(n_channels)])
        fade = 1.0 - np.arange(1, frame + 1) / frame
        for c in range(n_channels):
            change = (now[c] - before[c]) @ r
            slow = mass * np.mean(change**2) < left[c]
            out[c, start : start + frame] = p[c] - now[c] @ r + (fade * change if slow else 0.0)
        before = now
    return out


class PulseRules(NamedTuple):
    """Parameters of the twin of `anomaly.pulse`, in samples."""

    n_rise: int
    steep: float
    keep: float
    noise_gain: float
    delay: float
    rate_hz: float


def pulses(counts: Array, band: Array, rules: PulseRules) -> list[tuple[float, float]]:
    """Positions and heights of the pulses in one row of counts, (n_wavelengths, n_samples), sample by sample."""
    x = -np.log(np.maximum(counts.sum(axis=0), 1.0))
    y = signal.sosfilt(band, x, zi=signal.sosfilt_zi(band) * x[0])[0]
    y = np.concatenate([np.zeros(rules.n_rise + 3), y])
    jolts = [0.0, abs(x[1] - x[0]), *(abs(x[i] - 2.0 * x[i - 1] + x[i - 2]) for i in range(2, len(x)))]
    offset, size, usual, trust = rules.n_rise + 3, 0.0, 0.0, 0.0
    last, rr, found = -math.inf, 0.8 * rules.rate_hz, []
    for i in range(len(x)):
        size = rules.keep * size + (1.0 - rules.keep) * jolts[i]
        top = offset + i - 1
        if not (y[top] - y[top - 1] > 0.0 and y[top + 1] - y[top] <= 0.0):
            continue
        sigma = max(rules.noise_gain * size / (1.0 - rules.keep ** (i + 1)), 2e-4 / 7.0)
        if i + 1 < rules.rate_hz or math.exp(-x[i]) < 200.0:
            continue
        foot = top
        while foot > top - rules.n_rise and y[foot] - y[foot - 1] > 0.0:
            foot -= 1
        slopes = [y[k + 1] - y[k] for k in range(foot, top)]
        steepest = foot + int(np.argmax(slopes))
        a, b, c = (y[k + 1] - y[k] for k in (steepest - 1, steepest, steepest + 1))
        bend = a - 2.0 * b + c
        vertex = max(-0.5, min(0.5, 0.5 * (a - c) / bend)) if bend < 0.0 else math.copysign(0.5, c - a)
        height, at = float(y[top] - y[foot]), steepest - offset + 0.5 + vertex - rules.delay
        strength, since = math.sqrt(height * b * rules.steep), at - last
        fresh = math.exp(-max(since - 1.4 * rr, 0.0) / (2.0 * rules.rate_hz))
        share = 0.75 if since < 0.6 * rr else 0.35 * fresh
        if height / sigma < 7.0 - 3.0 * trust * fresh or strength < share * usual or since < 0.24 * rules.rate_hz:
            continue
        alike = abs(since - rr) <= 0.3 * rr and abs(strength - usual) <= 0.3 * usual
        trust = trust * fresh + 0.4 * (alike - trust * fresh)
        usual = strength if usual == 0.0 else usual + 0.35 * (min(strength, 2.0 * usual) - usual)
        rr += 0.35 * (min(max(since, 0.5 * rr), 1.5 * rr) - rr) if math.isfinite(since) else 0.0
        last = at
        found.append((at, height))
    return found


def beat_line(
    times_s: list[float], values: list[float], end_s: float, since_s: float, grid_s: list[float]
) -> tuple[list[float], list[float]]:
    """Interval (ms, at its middle) and value of the beats of a window of 32 s, on straight lines between them."""
    beats = [(t, v) for t, v in zip(times_s, values, strict=True) if max(end_s - 36.0, since_s) <= t <= end_s]
    rr = [1e3 * (b[0] - a[0]) for a, b in pairwise(beats)]
    usual = sorted(rr)[(len(rr) - 1) // 2]
    steady = [abs(one - usual) <= 0.35 * usual for one in rr]
    middles = [(0.5 * (a[0] + b[0]), one) for (a, b), one, ok in zip(pairwise(beats), rr, steady, strict=True) if ok]
    kept = [beats[k] for k in range(len(beats)) if (k > 0 and steady[k - 1]) or (k < len(steady) and steady[k])]
    lines = []
    for points in (middles, kept):
        line = np.interp(grid_s, [t for t, _ in points], [v for _, v in points])
        lines.append([float(y) if t >= since_s else NAN for t, y in zip(grid_s, line, strict=True)])
    return lines[0], lines[1]
