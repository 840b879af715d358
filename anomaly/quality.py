"""Can this signal be believed, and if not, why: from the samples, from the device's word, from the beats."""

from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy import signal, special

from anomaly.kernel import Array, BoolArray, IntArray


class Reason(IntEnum):
    """Why a quality is not 1, the weightiest first: where several hold, the first one is said."""

    GOOD = 0
    GAP = 1  # samples are missing
    NOT_FINITE = 2  # samples are no numbers
    UNLOCKED = 3  # the sensor is zeroing, calibrating, or lost its lock
    SATURATED = 4  # the sensor is at the end of its range
    FROZEN = 5  # the same value over and over
    OFF_BODY = 6  # proven to be off the body
    NO_SIGNAL = 7  # dead channels only
    SETTLING = 8  # filters restarted a short time ago
    NOISY = 9  # beats do not stand out of the noise


REASONS = ("", "gap", "not-finite", "unlocked", "saturated", "frozen", "off-body", "no-signal", "settling", "noisy")

CLIPPED = 0.98  # of the range: a sensor bends before it clips
SATURATED_SHARE = 0.02  # of the samples of a block, from which on the block is called saturated
FROZEN_S = 1.0  # real noise does not repeat itself for so long
BAD_SHARE = 0.05  # of the samples missing or not finite, from which on that is the reason
NOISE_PLACES = 20  # independent chances in one beat interval that noise is taken for a beat (0.8 s, band of 12 Hz)
NOISY_QUALITY = 0.9  # below this noise is given as the reason


class SignalState(NamedTuple):
    """Run lengths, and the noise so far."""

    last: Array  # (n_devices, n_channels) newest sample
    run: IntArray  # (n_devices, n_channels) samples at the end that equal each other, at least 1
    density: Array  # (n_devices, n_channels) forgotten power density, unit**2 / Hz; NaN: none yet


class SignalOut(NamedTuple):
    """What a block's samples say of themselves."""

    clipped: Array  # (n_devices, n_channels) share of the samples at the end of the range
    frozen_s: Array  # (n_devices,) how long every channel has repeated one value
    flat: BoolArray  # (n_devices, n_channels) this channel has repeated one value for `FROZEN_S`
    noise: Array  # (n_devices, n_channels) noise density above the heart's band, unit / sqrt(Hz)


@dataclass(frozen=True)
class SignalQuality:
    """Clipping, frozen and dead channels, and the noise above the heart's band.

    The noise is the median of the periodogram between `noise_low_hz` and 0.45 of the rate, the neighbourhood of mains
    harmonics left out, and so in the unit of a profile's noise floor. The median is deaf to lines and to what a QRS
    leaves up there.

    Parameters
    ----------
    rate_hz
        Sampling rate.
    range_
        The sensor clips at +-range, in the unit of the signal; 0: not stated.
    noise_low_hz
        Where the heart's band has ended; None: a fifth of the sampling rate.
    mains_hz
        Lines to leave out.
    memory_s
        Time constant of the noise estimate.
    """

    rate_hz: float
    range_: float = 0.0
    noise_low_hz: float | None = None
    mains_hz: float = 50.0
    memory_s: float = 2.0

    def __post_init__(self) -> None:
        """Refuse what cannot be measured."""
        if self.rate_hz <= 0.0 or self.memory_s <= 0.0 or self.mains_hz <= 0.0 or self.range_ < 0.0:
            raise ValueError(
                f"need positive rate_hz, memory_s, mains_hz and range_ >= 0, got {self.rate_hz=}, {self.memory_s=}, "
                f"{self.mains_hz=}, {self.range_=}"
            )
        if self.noise_low_hz is not None and not 0.0 < self.noise_low_hz < 0.45 * self.rate_hz:
            raise ValueError(f"need 0 < noise_low_hz={self.noise_low_hz} < 0.45 rate_hz = {0.45 * self.rate_hz}")

    def init(self, first: Array) -> SignalState:
        """Nothing seen; `first` has shape ``(n_devices, n_channels, n_samples)``."""
        shape = first.shape[:2]
        return SignalState(np.full(shape, np.nan), np.zeros(shape, np.int64), np.full(shape, np.nan))

    def step(self, state: SignalState, block: Array) -> tuple[SignalState, SignalOut]:
        """Judge a block of shape ``(n_devices, n_channels, n_samples)`` of finite samples."""
        n_samples = block.shape[-1]
        change = np.empty(block.shape, np.bool_)
        np.not_equal(block[..., 1:], block[..., :-1], out=change[..., 1:])
        np.not_equal(block[..., 0], state.last, out=change[..., 0])
        newest = (np.arange(1, n_samples + 1) * change).max(axis=-1)  # 1 + place of the newest change; 0: none
        run = np.where(newest > 0, n_samples + 1 - newest, state.run + n_samples)
        clip_at = CLIPPED * self.range_ if self.range_ > 0.0 else np.inf
        clipped = np.count_nonzero(np.abs(block) >= clip_at, axis=-1) / n_samples
        seen = self._density(block)
        forget = np.exp(-n_samples / (self.rate_hz * self.memory_s))
        density = np.where(np.isnan(state.density), seen, forget * state.density + (1.0 - forget) * seen)
        return SignalState(block[..., -1].copy(), run, density), SignalOut(
            clipped=clipped,
            frozen_s=run.min(axis=-1) / self.rate_hz,
            flat=run >= FROZEN_S * self.rate_hz,
            noise=np.sqrt(density),
        )

    def _density(self, block: Array) -> Array:
        low = 0.2 * self.rate_hz if self.noise_low_hz is None else self.noise_low_hz
        window, bins = _noise_bins(block.shape[-1], self.rate_hz, low, self.mains_hz)
        if len(bins) == 0:  # too short a block to tell noise from lines
            return np.full(block.shape[:2], np.nan)
        # `low` is far from 0 Hz, but an offset is large: taken off before the window, it cannot leak up there.
        spectrum = np.fft.rfft((block - block[..., :1]) * window, axis=-1)[..., bins]
        power = spectrum.real**2 + spectrum.imag**2
        density: Array = np.median(power, axis=-1) / np.log(2.0)  # the power in a bin is exponentially distributed
        return density


@cache
def _noise_bins(n_samples: int, rate_hz: float, low_hz: float, mains_hz: float) -> tuple[Array, IntArray]:
    """Window, scaled so that the squared spectrum is a one-sided power density, and the bins that hold noise only."""
    window = signal.windows.blackmanharris(n_samples, sym=False)  # 92 dB: the mains may be so much above the noise
    hz = np.fft.rfftfreq(n_samples, 1.0 / rate_hz)
    off_line = np.abs(hz - np.rint(hz / mains_hz) * mains_hz) > 4.0 * rate_hz / n_samples
    bins = np.flatnonzero((hz >= low_hz) & (hz <= 0.45 * rate_hz) & off_line)
    return window * np.sqrt(2.0 / (rate_hz * max((window**2).sum(), 1e-300))), bins


class CardiacEvidence(NamedTuple):
    """What the quality of a cardiac signal is made from; every array has shape (n_devices,)."""

    missing: Array  # share of the samples that did not come
    not_finite: Array  # share of the samples that were no numbers
    unlocked: BoolArray  # the device says: not locked, zeroing or calibrating
    clipped: Array  # share of the samples at the end of the range; 1 where the device says so
    frozen_s: Array  # how long every channel has repeated one value
    off_body: BoolArray  # proven, or the device says so
    dead: BoolArray  # every channel is flat
    settling: BoolArray  # filters restarted a short time ago
    snr: Array  # height of a beat over the rms noise, both as the detector sees them; NaN: no beat yet


def cardiac_quality(evidence: CardiacEvidence) -> tuple[Array, IntArray]:
    """Return the quality of the newest block, and the reason why it is not better.

    Anything that stops the heart from being seen makes it 0. Missing, invalid and clipped samples take away their
    share tenfold up to where they are the reason; settling halves; noise takes what `beat_quality` says. No beat yet is
    no reason by itself: a heart that stands still is seen well.

    Parameters
    ----------
    evidence
        See there.

    Returns
    -------
    quality : ndarray, shape (n_devices,)
        0..1.
    reason : ndarray of int, shape (n_devices,)
        `Reason`; `REASONS` has the words.
    """
    e = evidence
    beats = np.where(np.isnan(e.snr), 1.0, beat_quality(np.nan_to_num(e.snr, nan=0.0)))
    causes = (  # in the order of Reason, from GAP on
        e.missing > BAD_SHARE,
        e.not_finite > BAD_SHARE,
        e.unlocked,
        e.clipped > SATURATED_SHARE,
        e.frozen_s >= FROZEN_S,
        e.off_body,
        e.dead,
        e.settling,
        beats < NOISY_QUALITY,
    )
    present = np.stack(causes, axis=-1)
    reason = np.where(present.any(axis=-1), np.argmax(present, axis=-1) + 1, int(Reason.GOOD))
    blind = present[:, 2:7].any(axis=-1)
    share = np.maximum(1.0 - 10.0 * (e.missing + e.not_finite), 0.0)
    quality = np.where(blind, 0.0, share * beats * np.where(e.settling, 0.5, 1.0))
    return quality, reason.astype(np.int64)


def beat_quality(snr: Array) -> Array:
    """Chance that a threshold at half the height of a beat tells it from the noise of a whole beat interval.

    ``Phi(snr / 2) ** (1 + 20)``: the beat stays above the threshold and none of some 20 independent values of the noise
    in one interval reaches it. 0.25 at 3, 0.62 at 4, 0.88 at 5, 0.97 at 6, 0.999 at 8. (An NV ensemble that sees single
    beats at -1 dB gets 0: averaging or a template must come first.)

    Parameters
    ----------
    snr : ndarray
        Height of a beat over the rms of the noise in the detector's band.
    """
    chance: Array = special.ndtr(0.5 * np.maximum(snr, 0.0)) ** (1 + NOISE_PLACES)
    return chance
