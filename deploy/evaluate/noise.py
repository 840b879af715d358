"""Recorded noise added to clean records as the Noise Stress Test adds it.

The size of a lead is a function of its normal beats: the trimmed mean of the range within 50 ms of each of the first
300, and S, its power, is the square of that over 8 (a sine of that range). The size of a noise is the trimmed mean of
the RMS about the mean of each of its first 300 seconds, and N is its square. Trimmed: without the largest and the
smallest 5 %. Noise is added with the gain a for which ``10 log10(S / (a**2 N))`` is the ratio asked for, in two of
every four minutes after the first five.

References
----------
Moody, Muldrow & Mark, Comput Cardiol 11:381-384 (1984); the definitions are those of the manual of ``nst`` and
``sigamp`` in the WFDB applications. Differs in: noise starts at a sample that the seed draws for each record, not at
its first; it is added to the numbers in mV, not rounded to those of a converter.
"""

import warnings
import zlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from scipy import signal

from anomaly.kernel import Array
from deploy.evaluate.records import EvaluateError, Recording, stressed, without_holes

NOT_NORMAL = frozenset("VEFr?")  # as `sigamp` has it: paced and supraventricular beats are normal in shape
REACH_S = 0.05
N_MEASURED = 300


@dataclass(frozen=True)
class Noise:
    """A recorded noise, and how much of it is wanted."""

    name: str
    rate_hz: float
    leads: Array  # (n_leads, n_samples)
    snr_db: float
    seed: int = 0


def read_noise(path: Path, snr_db: float, seed: int) -> Noise:
    """Noise of a WFDB record, named by its path without suffix; `EvaluateError` if it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            import wfdb  # noqa: PLC0415 - takes a second: only for who evaluates

            record = wfdb.rdrecord(str(path))
    except (OSError, ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise EvaluateError(
            f"there is no noise record {path} that can be read ({error}): need its {path.name}.hea and .dat"
        ) from error
    leads = np.stack([without_holes(lead) for lead in np.asarray(record.p_signal, np.float64).T])
    return Noise(path.name, float(record.fs), leads, snr_db, seed)


def add(noise: Noise, recording: Recording) -> Recording:
    """The record in noise; lead k gets noise ``k % n``, as in `nst`."""
    rate_hz, n_samples = recording.rate_hz, recording.leads.shape[-1]
    resampled = _resampled(noise.leads, noise.rate_hz, rate_hz)
    start = np.random.default_rng([noise.seed, zlib.crc32(recording.name.encode())]).integers(resampled.shape[-1])
    index = (start + np.arange(n_samples)) % resampled.shape[-1]
    segments = stressed(rate_hz, n_samples)
    inside = np.zeros(n_samples, np.bool_)
    for first, end in segments.astype(np.int64):
        inside[first:end] = True
    mixed = recording.leads.copy()
    for k in range(len(mixed)):
        source = resampled[k % len(resampled)]
        level = noise_size(source, rate_hz)
        if level == 0.0:
            raise EvaluateError(f"noise {noise.name} has a flat lead: it cannot be brought to {noise.snr_db:g} dB")
        gain = qrs_size(recording, k) / np.sqrt(8.0) / level * 10.0 ** (-noise.snr_db / 20.0)
        # Where noise begins, ends or is wound back, its offset changes, so that there is no step.
        rises = np.diff(source, prepend=source[0])
        mixed[k] += gain * np.cumsum(np.where(inside, rises[index], 0.0))
    return recording._replace(leads=mixed, noisy=segments)


def qrs_size(recording: Recording, lead: int) -> float:
    """Trimmed mean of the range of the normal beats of a lead."""
    x, reach = recording.leads[lead], round(REACH_S * recording.rate_hz)
    normal = recording.beats[~np.isin(recording.symbols, list(NOT_NORMAL))].astype(np.int64)
    normal = normal[(normal >= reach) & (normal < len(x) - reach)][:N_MEASURED]
    size = _trimmed_mean(np.ptp(x[normal[:, None] + np.arange(-reach, reach + 1)], axis=-1)) if len(normal) else 0.0
    if size == 0.0:
        raise EvaluateError(f"record {recording.name} has no normal beat to size the noise by: leave it out")
    return size


def noise_size(x: Array, rate_hz: float) -> float:
    """Trimmed mean of the RMS about the mean of its seconds.

    Examples
    --------
    >>> round(noise_size(np.tile([1.0, 3.0], 500), 100.0), 3)
    1.0
    """
    second = round(rate_hz)
    n = min(N_MEASURED, len(x) // second)
    return _trimmed_mean(x[: n * second].reshape(n, second).std(axis=-1)) if n else 0.0


def _trimmed_mean(values: Array) -> float:
    cut = len(values) // 20
    return float(np.sort(values)[cut : len(values) - cut].mean())


def _resampled(leads: Array, from_hz: float, to_hz: float) -> Array:
    if from_hz == to_hz:
        return leads
    ratio = Fraction(to_hz / from_hz).limit_denominator(1000)
    middle = leads.mean(axis=-1, keepdims=True)
    resampled: Array = signal.resample_poly(leads - middle, ratio.numerator, ratio.denominator, axis=-1) + middle
    return resampled
