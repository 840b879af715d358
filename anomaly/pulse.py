"""Pulse beats in the light that comes through tissue: upstrokes of the absorbance."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy import signal

from anomaly.kernel import Array, IntArray
from anomaly.sos import SosFilter, SosState

LOW_HZ, HIGH_HZ = 0.3, 8.0  # a pulse wave: under the slowest heart, so that its shape stays, and what makes it steep
STEEP_S = 0.1  # an upstroke takes about so long
RISE_S = 0.6  # no upstroke takes longer; what does is breath or movement
REFRACTORY_S = 0.24  # 220 bpm are 0.273 s
DICROTIC_SHARE = 0.6  # of the usual interval: before it, a rise must be nearly as high as a beat
DICROTIC_HEIGHT = 0.75
HEIGHT = 0.35  # of the usual rise, from which on a rise is a beat
OVERDUE = 1.4  # usual intervals, after which that demand decays
DECAY_S = 2.0
NOISE_S = 2.0  # memory of the noise estimate
NOISE_HEIGHT = 7.0  # rms of the noise in the band: noise alone rises so high about once in an hour
NOISE_TRUST = 3.0  # by which that is lowered once the rhythm is trusted
CLEAR_HEIGHT = 14.0  # rms of the noise, from which on noise does not lower the quality
LEAST_PERFUSION = 2e-4  # a weaker pulse is none
LEARN = 0.35  # share of a new beat in the usual rise and interval
TRUST = 0.4  # share of a new beat in the trust in the rhythm
ALIKE = 0.3  # an interval or rise within this share of the usual one confirms it
START_RR_S = 0.8


class PulseState(NamedTuple):
    """Delay lines, the newest band-passed samples, and what is usual."""

    band: SosState
    newest: Array  # (n_devices, 2) newest samples of the absorbance
    noise: Array  # (n_devices, 1) delay line of the noise estimate
    seen: IntArray  # (n_devices,) samples stepped so far
    recent: Array  # (n_devices, n_recent) band-passed absorbance
    last: Array  # (n_devices,) position of the last beat's upstroke; NaN: none
    rise: Array  # (n_devices,) usual strength of a rise; 0: none yet
    rr: Array  # (n_devices,) usual interval, samples
    trust: Array  # (n_devices,) share of the newest beats that confirmed the usual, 0..1


class PulseOut(NamedTuple):
    """Pulse beats that a block completed, in order of time."""

    at: Array  # (n_devices, n_most) steepest point of the upstroke, samples since the row's first one; NaN: none
    quality: Array  # (n_devices, n_most) 0..1, 0 where there is none
    amplitude: Array  # (n_devices, n_most) rise of the absorbance, i.e. perfusion AC / DC; NaN: none
    dc: Array  # (n_devices, n_wavelengths) mean counts in the block
    lead: Array  # (n_devices, n_most) samples by which the foot of the upstroke lies before `at`; NaN: none


class Rises(NamedTuple):
    """Upstrokes that have ended, ordered by row and time."""

    row: IntArray  # (n_rises,)
    at: Array  # (n_rises,) steepest point, samples since the row's first one
    height: Array  # (n_rises,) of the band-passed absorbance
    strength: Array  # (n_rises,) geometric mean of the height and of what the steepest slope rises in 0.1 s
    snr: Array  # (n_rises,) height over the rms of the noise in the band; 0 in the dark
    lead: Array  # (n_rises,) samples from the foot to the steepest point


@dataclass(frozen=True)
class PulseDetector:
    """Find the systolic upstrokes in photon counts.

    The counts of all wavelengths are added (the sum of Poisson counts weights each by its own information), and the
    absorbance, minus their logarithm, band-passed to 0.3-8 Hz: blood makes it rise. Each rise from a minimum to the
    next maximum is a candidate, judged when its maximum has passed: by its strength against the usual one of a beat (a
    demand that decays when a beat is overdue, as does the trust in the rhythm), by its height against the noise in the
    band, and against the dicrotic wave that follows a beat. The noise comes from second differences of the absorbance,
    where a pulse has next to nothing; it holds the shot noise, so that light too weak to show a pulse never shows one.

    The quality of a beat is ``trust * clear``: trust grows as intervals and strengths repeat themselves to 30 % and is
    0 at the first beat; clear goes from 0 at a height of 4 times the noise to 1 at 14 times. Noise alone now and then
    rises high enough (about once in an hour), but has no rhythm: its quality is 0.

    Beats do not depend on where the signal is cut. One wavelength is enough.

    Parameters
    ----------
    rate_hz
        Sampling rate, at least 40 Hz.
    dark_counts
        Mean counts per sample, all wavelengths together, under which there is no light path: shot noise alone is 7 %
        of 200 counts and hides any pulse.

    References
    ----------
    Zong, Heldt, Moody and Mark, An open-source algorithm to detect onset of arterial blood pressure pulses, Computers
    in Cardiology 30 (2003), for the upstroke against an adaptive threshold. Differs from it in:

    - rises between the extrema of a band-passed signal instead of a slope sum;
    - beside the threshold that follows the beats, one from the noise, and one against the dicrotic wave.
    """

    rate_hz: float
    dark_counts: float = 200.0

    def __post_init__(self) -> None:
        """Refuse a rate at which noise and pulse cannot be told apart."""
        if self.rate_hz < 40.0:
            raise ValueError(f"need rate_hz >= 40 for noise above the pulse's band, got {self.rate_hz=}")

    @cached_property
    def band(self) -> SosFilter:
        """The pulse's band."""
        # A first-order high-pass: one of second order overshoots after a slow pulse, and that rises like a beat.
        high = signal.butter(1, LOW_HZ, "highpass", fs=self.rate_hz, output="sos")
        return SosFilter(np.concatenate([high, signal.butter(2, HIGH_HZ, fs=self.rate_hz, output="sos")]))

    @cached_property
    def delay(self) -> float:
        """Samples by which the band-pass delays the steepest point of a rise of 0.1 s."""
        place = np.arange(-2.0, 2.0, 1.0 / self.rate_hz)
        wave = 1.0 / (1.0 + np.exp(-place / (STEEP_S / 4.0)))  # steepest at 0
        wave[place > 0.0] *= np.exp(-place[place > 0.0] / 0.4)
        slopes = np.diff(signal.sosfilt(self.band.sos, wave))
        return float(place[np.argmax(slopes)] * self.rate_hz + 0.5)

    @cached_property
    def _keep(self) -> float:
        return float(np.exp(-1.0 / (NOISE_S * self.rate_hz)))

    @cached_property
    def _noise_gain(self) -> float:
        """Rms of white noise in the band over the mean size of its second difference."""
        impulse = np.zeros((1, 1, round(20.0 * self.rate_hz)))
        impulse[..., 0] = 1.0
        response = signal.sosfilt(self.band.sos, impulse)
        in_band = np.sqrt(float((response * response).sum()))
        return float(in_band / np.sqrt(6.0 * 2.0 / np.pi))

    @property
    def _n_rise(self) -> int:
        return round(RISE_S * self.rate_hz)

    def init(self, first: Array) -> PulseState:
        """No beat yet; `first` has shape ``(n_devices, n_wavelengths, n_samples)``."""
        n = len(first)
        x = absorbance(first[..., :1])
        return PulseState(
            band=self.band.init(x[:, None]),
            newest=np.repeat(x, 2, axis=-1),
            noise=np.zeros((n, 1)),
            seen=np.zeros(n, np.int64),
            recent=np.zeros((n, self._n_rise + 3)),
            last=np.full(n, np.nan),
            rise=np.zeros(n),
            rr=np.full(n, START_RR_S * self.rate_hz),
            trust=np.zeros(n),
        )

    def step(self, state: PulseState, block: Array) -> tuple[PulseState, PulseOut]:
        """Search a block of shape ``(n_devices, n_wavelengths, n_samples)`` of photon counts."""
        n_samples = block.shape[-1]
        x = absorbance(block)
        band, y = self.band.step(state.band, x[:, None])
        wide = np.concatenate([state.newest, x], axis=-1)
        jolts = np.abs(wide[:, 2:] - 2.0 * wide[:, 1:-1] + wide[:, :-2])
        size, smooth = signal.lfilter([1.0 - self._keep], [1.0, -self._keep], jolts, zi=state.noise)
        wave = np.concatenate([state.recent, y[:, 0]], axis=-1)
        slopes = np.diff(wave, axis=-1)
        state = PulseState(
            band, wide[:, -2:].copy(), smooth, state.seen + n_samples, wave[:, n_samples:].copy(), *state[5:]
        )
        shape = (len(block), int((n_samples + self._n_rise) / (REFRACTORY_S * self.rate_hz)) + 1)
        nothing = np.full(shape, np.nan)
        out = PulseOut(nothing, np.zeros(shape), nothing.copy(), block.mean(axis=-1), nothing.copy())
        ends = (slopes[:, -n_samples - 1 : -1] > 0.0) & (slopes[:, -n_samples:] <= 0.0)
        rows, ended = np.nonzero(ends)
        if len(rows) == 0:  # no wave has reached its top in any row
            return state, out
        noise = self._noise(size[rows, ended], x[rows, ended], (state.seen - n_samples)[rows] + ended + 1)
        return self._decide(state, self._rises(state, wave, slopes, noise, (rows, ended)), out)

    def _noise(self, size: Array, x: Array, known: IntArray) -> Array:
        """Rms of the noise in the band; infinite in the dark, and before it is `known` from enough samples."""
        sigma = self._noise_gain * size / (1.0 - self._keep**known)
        blind = (x > -np.log(self.dark_counts)) | (known < NOISE_S * self.rate_hz / 2.0)
        noise: Array = np.where(blind, np.inf, np.maximum(sigma, LEAST_PERFUSION / NOISE_HEIGHT))
        return noise

    def _rises(
        self, state: PulseState, wave: Array, slopes: Array, noise: Array, ended: tuple[IntArray, IntArray]
    ) -> Rises:
        """Measure the rises whose tops were passed at the rows and block samples `ended`, if they can be beats."""
        n_held = self._n_rise + 3
        n_samples = wave.shape[-1] - n_held
        row, top = ended[0], n_held - 1 + ended[1]
        place = np.arange(self._n_rise)
        rising = slopes[row[:, None], top[:, None] - self._n_rise + place]
        start = np.where(rising <= 0.0, place + 1, 0).max(axis=-1)
        height = wave[row, top] - wave[row, top - self._n_rise + start]
        snr = height / noise
        can = np.flatnonzero(snr >= NOISE_HEIGHT - NOISE_TRUST)  # what no trust would let through needs no more work
        row, top, height, snr = row[can], top[can], height[can], snr[can]
        steepest = np.argmax(np.where(place >= start[can, None], rising[can], -np.inf), axis=-1)
        at = top - self._n_rise + steepest
        left, mid, right = slopes[row, at - 1], slopes[row, at], slopes[row, at + 1]
        bend = np.minimum(left - 2.0 * mid + right, -1e-300)
        offset = np.minimum(np.maximum(0.5 * (left - right) / bend, -0.5), 0.5)
        # The foot is where the tangent at the steepest point meets the level of the minimum before it.
        risen = 0.5 * (wave[row, at] + wave[row, at + 1]) - wave[row, top - self._n_rise + start[can]]
        return Rises(
            row=row,
            at=(state.seen - n_samples)[row] + (at - n_held) + 0.5 + offset - self.delay,  # slopes lie between samples
            height=height,
            strength=np.sqrt(height * mid * (STEEP_S * self.rate_hz)),
            snr=snr,
            lead=risen / mid + offset,
        )

    def _decide(self, state: PulseState, rises: Rises, out: PulseOut) -> tuple[PulseState, PulseOut]:
        """Go through the rises of every row in order of time: the first of each row, then the second, and so on."""
        last, usual, rr, trust = state.last.copy(), state.rise.copy(), state.rr.copy(), state.trust.copy()
        filled = np.zeros(len(last), np.int64)
        rank = np.arange(len(rises.row)) - np.searchsorted(rises.row, rises.row)
        for k in range(int(rank.max(initial=-1)) + 1):
            e = np.flatnonzero(rank == k)
            r = rises.row[e]
            since = rises.at[e] - last[r]
            since[np.isnan(since)] = np.inf
            # A beat that is overdue takes the demand down, and the trust: silence is no rhythm.
            fresh = np.exp(-np.maximum(since - OVERDUE * rr[r], 0.0) / (DECAY_S * self.rate_hz))
            share = np.where(since < DICROTIC_SHARE * rr[r], DICROTIC_HEIGHT, HEIGHT * fresh)
            believed = trust[r] * fresh
            beat = (rises.strength[e] >= usual[r] * share) & (since >= REFRACTORY_S * self.rate_hz)
            beat &= rises.snr[e] >= NOISE_HEIGHT - NOISE_TRUST * believed
            e, r, since, believed = e[beat], r[beat], since[beat], believed[beat]
            strength, was, beat_rr = rises.strength[e], usual[r], rr[r]
            alike = (np.abs(since - beat_rr) <= ALIKE * beat_rr) & (np.abs(strength - was) <= ALIKE * was)
            trusted = believed + TRUST * (alike - believed)
            at = (r, filled[r])
            out.at[at] = rises.at[e]
            out.amplitude[at] = rises.height[e]
            out.lead[at] = rises.lead[e]
            out.quality[at] = trusted * _clear(rises.snr[e])
            # An artefact may not raise the usual beyond what beats reach within a few seconds.
            learned = was + LEARN * (np.minimum(strength, 2.0 * was) - was)
            usual[r] = np.where(was == 0.0, strength, learned)
            held = np.where(np.isinf(since), beat_rr, np.minimum(np.maximum(since, 0.5 * beat_rr), 1.5 * beat_rr))
            rr[r] = beat_rr + LEARN * (held - beat_rr)
            trust[r] = trusted
            last[r] = rises.at[e]
            filled[r] += 1
        return state._replace(last=last, rise=usual, rr=rr, trust=trust), out


def _clear(snr: Array) -> Array:
    """Share of the quality that noise leaves to a rise of so many times its rms."""
    least = NOISE_HEIGHT - NOISE_TRUST
    share: Array = np.minimum(np.maximum((snr - least) / (CLEAR_HEIGHT - least), 0.0), 1.0)
    return share


def absorbance(counts: Array) -> Array:
    """Minus the logarithm of the counts of all wavelengths, at least one."""
    absorbance: Array = -np.log(np.maximum(counts.sum(axis=1), 1.0))
    return absorbance
