"""What the cardiac lane knows of one second: rates, rhythms and faults as of a time, out of its state."""

from collections.abc import Callable

import numpy as np

from anomaly import conditions, ectopy, intervals, patterns
from anomaly.fibrillation import fibrillation
from anomaly.strip import StripRing
from anomaly.ventricular_watch import FIBRILLATION, TACHYCARDIA, WatchState
from dataflows import estimates
from dataflows.cardiac_slow import slow_of
from dataflows.cardiac_state import CardiacState
from dataflows.device import HOLE_NS
from dataflows.estimates import BoolArray, FloatArray, IntArray
from dataflows.events import SECOND_NS

AS_OF_LAG_NS = SECOND_NS // 4  # a beat is decided at most so long after its peak: a second's row ends so much earlier
SETTLE_NS = 3 * SECOND_NS  # the detector learns and the filters settle
CENTRE_HZ = 12.0  # of a QRS's band: the slope that a beat is timed by
TIMING_FLOOR_MS = 0.03  # of a beat, when there is no noise: sampling and interpolation
# Its peak is sharper than its band, and several channels see it: of what noise does to a peak of the band, this much is
# seen (0.16 to 0.32 with simulated sensors: `femtoward evaluate rates`).
TIMING_SHARE = 0.3
RATE_LIMITS_BPM = (conditions.BRADYCARDIA_BPM, conditions.TACHYCARDIA_BPM)
BRADYCARDIA_END = conditions.BRADYCARDIA_END_BPM - conditions.BRADYCARDIA_BPM  # above the limit it has ended
TACHYCARDIA_END = conditions.TACHYCARDIA_BPM - conditions.TACHYCARDIA_END_BPM

Heard = Callable[[IntArray, BoolArray], tuple[FloatArray, IntArray]]


def second_of(
    state: CardiacState, end_ns: IntArray, heard: Heard, rate_limits: FloatArray, ring: StripRing
) -> estimates.Cardiac:
    """Tell what was known `AS_OF_LAG_NS` before the end of a second.

    Parameters
    ----------
    state
        Of ``n`` rows.
    end_ns : shape (n,)
        End of the second.
    heard
        ``heard(as_of_ns, here)`` returns what is heard of breath, and in how many series.
    rate_limits : shape (n, 2)
        Below the one a heart is too slow, above the other too fast, 1/min.
    ring
        Of the lead that the waves are largest in.
    """
    here = state.end_ns > end_ns - SECOND_NS
    as_of, since = np.minimum(end_ns, state.end_ns) - AS_OF_LAG_NS, state.start_ns + SETTLE_NS
    # A peak of a band around CENTRE_HZ is timed to 1 / (2 pi f SNR): the noise over the slope beside it.
    blur_ms = 1e3 / (2.0 * np.pi * CENTRE_HZ * np.maximum(np.nan_to_num(state.snr, nan=1.0), 1.0))
    jitter_ms = np.hypot(TIMING_FLOOR_MS, TIMING_SHARE * blur_ms)
    rate = intervals.summary(state.ring, as_of, jitter_ms, since, ectopy.ectopic(state.ring))
    still = conditions.asystole(state.ring, as_of, since)
    low, high = rate_limits[:, 0], rate_limits[:, 1]
    slow = conditions.extreme_bradycardia(state.ring, as_of, since, low, low + BRADYCARDIA_END)
    fast = conditions.extreme_tachycardia(state.ring, as_of, since, high, high - TACHYCARDIA_END)
    atrial = fibrillation(state.ring, as_of, since)
    rest = patterns.pause(state.ring, as_of, since)
    pairs = patterns.bigeminy(state.ring, as_of, since)
    runs = patterns.run(state.ring, ectopy.are_ventricular(state.ring), as_of, since)
    early = ectopy.ventricular(state.ring, as_of, since)
    worst = np.argmin(state.quality, axis=-1)[:, None]
    said, n_series = heard(as_of, here)
    slow_vitals = slow_of(ring, state, here, as_of, end_ns)
    return estimates.Cardiac(
        present=here,
        hr=np.where(here, rate.hr_bpm, np.nan),
        hr_u=rate.hr_u,
        hr_scatter_u=rate.hr_scatter_u,
        rr_ms=rate.rr_ms,
        rr_u=rate.rr_u,
        rmssd_ms=rate.rmssd_ms,
        rmssd_u=rate.rmssd_u,
        sdnn_ms=rate.sdnn_ms,
        sdnn_u=rate.sdnn_u,
        quality=state.quality.mean(axis=-1),
        reason=np.take_along_axis(state.reason, worst, axis=-1)[:, 0],
        settling=end_ns - state.start_ns < SETTLE_NS,
        saturated=state.saturated & here,
        unlocked=state.unlocked & here,
        zeroing=state.zeroing & here,
        fault_ns=state.fault_ns,
        frozen_ns=np.where(here, state.frozen_ns, 0),
        sensor_fault=np.where(here, state.named, -1),
        sensor_fault_ns=state.named_ns,
        # Absence of beats is no evidence where there is no signal that could hold them.
        asystole=_truth(still, here & (state.void_ns < HOLE_NS)),
        asystole_ns=still.onset_ns,
        asystole_s=still.value,
        bradycardia=_truth(slow, here),
        bradycardia_ns=slow.onset_ns,
        bradycardia_rate=slow.value,
        tachycardia=_truth(fast, here),
        tachycardia_ns=fast.onset_ns,
        tachycardia_rate=fast.value,
        fibrillation=np.where(atrial.known & here, atrial.true.astype(np.int64), -1),
        fibrillation_ns=atrial.onset_ns,
        fibrillation_p=np.where(here, atrial.probability, np.nan),
        grouped=atrial.grouped & here,
        vf=_stands(state.watch, FIBRILLATION, here),
        vf_ns=state.watch.onset_ns[:, FIBRILLATION],
        vf_p=np.where(here, state.watch.ventricular * state.watch.disorder, np.nan),
        vt=_stands(state.watch, TACHYCARDIA, here),
        vt_ns=state.watch.onset_ns[:, TACHYCARDIA],
        vt_p=np.where(here, state.watch.ventricular * (1.0 - state.watch.disorder), np.nan),
        ventricular_rate=state.watch.rate_bpm,
        breath=said,
        breath_series=n_series,
        pause=_truth(rest, here),
        pause_ns=rest.onset_ns,
        pause_s=rest.value,
        bigeminy=_truth(pairs, here),
        bigeminy_ns=pairs.onset_ns,
        bigeminy_pairs=pairs.value,
        run=_truth(runs, here),
        run_ns=runs.onset_ns,
        run_beats=runs.value,
        pvc=np.where(here, early.per_minute, np.nan),
        pvc_u=early.u,
        ectopic=np.where(here, ectopy.shares_in(state.ring, as_of, intervals.RATE_SPAN_NS), 0.0),
        beats_ns=slow_vitals.beats_ns,
        sinus=slow_vitals.sinus,
        jitter_ms=jitter_ms,
        shape=slow_vitals.shape,
        shape_beats=slow_vitals.shape_beats,
    )


def _truth(evidence: conditions.Evidence, here: BoolArray) -> IntArray:
    return np.where(evidence.known & here, evidence.true.astype(np.int64), -1)


def _stands(watch: WatchState, which: int, here: BoolArray) -> IntArray:
    return np.where(watch.known & here, (watch.onset_ns[:, which] > 0).astype(np.int64), -1)
