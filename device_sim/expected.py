"""Which alarms must come, and when, worked out from the true beats and the scripted faults alone."""

import math
from collections import deque
from itertools import pairwise
from typing import NamedTuple

from device_sim.faults import MUTE, Fault
from device_sim.wearable import PACKET_NS

# Definitions of PhysioNet/CinC 2015 (DOMAIN 2.2): no beat for 4 s; < 40 bpm over 5 beats; > 140 bpm over 17 beats.
ASYSTOLE_S = 4.0
ASYSTOLE_EDGE_S = 0.2  # a pause this close to 4 s may be alarmed or not
SLOW_BPM, SLOW_BEATS = 40.0, 5
FAST_BPM, FAST_BEATS = 140.0, 17
EARLY_S, LATE_S = 0.5, 2.0
# A condition that returns this soon may still be the old alarm.
SAME_EPISODE_S = 30.0
CONTACT_S, CONTACT_EDGE_S = 10.0, 2.0
NOTICED_S = 6.0  # a frozen or saturated sensor is noticed within this time
POOR_S = 12.0
AFTERMATH_S = 15.0  # alarms that a fault explains may come until this long after it

# What must be noticed of a fault and within which time, and what else may be.
_MUST: dict[str, tuple[str, float]] = {
    "saturation": ("saturated", NOTICED_S),
    "stuck": ("frozen", NOTICED_S),
    "lost-lock": ("saturated", NOTICED_S),  # to the ward a sensor without its lock is one that cannot measure
    "noise": ("poor-signal", POOR_S),
}
_MAY: dict[str, tuple[str, ...]] = {
    "saturation": ("frozen", "poor-signal", "cannot-analyse"),
    "stuck": ("poor-signal", "cannot-analyse"),
    "noise": ("cannot-analyse",),
    "lost-lock": ("frozen", "poor-signal", "cannot-analyse"),
    "laser-step": ("saturated", "poor-signal", "cannot-analyse"),
    "cell-cooling": ("saturated", "poor-signal", "cannot-analyse", "asystole"),
    "heater-line": ("poor-signal", "cannot-analyse"),
    "flicker": ("poor-signal", "cannot-analyse"),
    "dead-channel": ("frozen", "poor-signal", "cannot-analyse"),
    "gain-step": ("poor-signal", "cannot-analyse"),
    "wrong-calibration": ("poor-signal", "cannot-analyse"),
    "clock-skew": ("late-data",),
    "clock-step": ("late-data", "lost-contact", "poor-signal", "cannot-analyse"),
    "packet-loss": ("poor-signal", "cannot-analyse", "lost-contact"),
    "reordering": ("poor-signal", "cannot-analyse"),
    # No heart and no pulse: "asystole or sensor off" is a right answer too.
    "off-body": ("off-body", "asystole", "poor-signal", "cannot-analyse"),
}


class Expected(NamedTuple):
    """An alarm whose onset lies in ``[from_s, to_s]``, in s since the start of the run."""

    condition: str
    from_s: float
    to_s: float
    required: bool
    physiological: bool
    since_s: float  # the evidence begins here
    due: bool = False  # clinically, even if the flow does not know the condition


class _RateWatch:
    """Runs of slow or fast beats.

    The condition is *possible* while the mean rate over the beats passes the limit, whether `n_beats` stands for the
    beats or for the intervals; it is *certain* once each of the last `n_beats` intervals passes it.
    """

    def __init__(self, condition: str, limit_bpm: float, n_beats: int, *, slow: bool) -> None:
        self._condition = condition
        self._limit_s = 60.0 / limit_bpm
        self._n = n_beats
        self._sign = 1.0 if slow else -1.0
        self._times: deque[float] = deque(maxlen=n_beats + 1)
        self._from_s: float | None = None
        self._told = False
        self._over_s = -math.inf

    def beat(self, time_s: float) -> list[Expected]:
        """Expectations that this beat settles."""
        self._times.append(time_s)
        times = list(self._times)
        if len(times) < self._n:
            return []
        means = [(times[-1] - times[-1 - k]) / k for k in (self._n - 1, self._n) if k < len(times)]
        if not any(self._passes(mean) for mean in means):
            return self.close(time_s)
        if self._from_s is None:
            self._from_s = time_s
        gaps = [b - a for a, b in pairwise(times)]
        if self._told or len(gaps) < self._n or not all(self._passes(gap) for gap in gaps):
            return []
        self._told = True
        return [self._expected(time_s, required=self._from_s - self._over_s > SAME_EPISODE_S)]

    def close(self, time_s: float) -> list[Expected]:
        """Expectations left when the run of beats, or the simulation, is over."""
        if self._from_s is None:
            return []
        left = [] if self._told else [self._expected(time_s, required=False)]
        self._from_s, self._told, self._over_s = None, False, time_s
        return left

    def _passes(self, interval_s: float) -> bool:
        return self._sign * (interval_s - self._limit_s) > 0.0

    def _expected(self, time_s: float, *, required: bool) -> Expected:
        from_s = self._from_s if self._from_s is not None else time_s
        return Expected(
            self._condition, from_s - EARLY_S, time_s + LATE_S, required, physiological=True, since_s=self._times[0]
        )


class HeartExpectations:
    """Alarms that the true beats call for."""

    def __init__(self) -> None:
        self._last_s = math.nan
        self._told = False
        self._slow = _RateWatch("extreme-bradycardia", SLOW_BPM, SLOW_BEATS, slow=True)
        self._fast = _RateWatch("extreme-tachycardia", FAST_BPM, FAST_BEATS, slow=False)

    def beat(self, time_s: float) -> list[Expected]:
        """Expectations that a beat settles; beats come in order."""
        pause = self._pause(time_s)
        self._last_s, self._told = time_s, False
        return [*pause, *self._slow.beat(time_s), *self._fast.beat(time_s)]

    def silence(self, now_s: float) -> list[Expected]:
        """Expectations that the absence of beats until `now_s` settles."""
        return self._pause(now_s) if now_s - self._last_s >= ASYSTOLE_S + ASYSTOLE_EDGE_S else []

    def close(self, now_s: float) -> list[Expected]:
        """Expectations left when the run is over."""
        return [*self._pause(now_s), *self._slow.close(now_s), *self._fast.close(now_s)]

    def _pause(self, now_s: float) -> list[Expected]:
        gap = now_s - self._last_s
        if self._told or not gap >= ASYSTOLE_S - ASYSTOLE_EDGE_S:
            return []
        self._told = True
        onset = self._last_s + ASYSTOLE_S
        required = gap >= ASYSTOLE_S + ASYSTOLE_EDGE_S
        return [
            Expected("asystole", onset - EARLY_S, onset + LATE_S, required, physiological=True, since_s=self._last_s)
        ]


def blind_expectations() -> list[Expected]:
    """Alarms that a sensor calls for which cannot work where it is: it is noticed at once, and stays so."""
    rest = [_technical(may, 0.0, math.inf, required=False) for may in ("saturated", *_MAY["saturation"])]
    return [_technical("saturated", -PACKET_NS / 1e9, NOTICED_S, required=True), *rest]


class FaultExpectations:
    """Alarms that a fault of a device calls for.

    Parameters
    ----------
    phase_s
        When the device takes its first sample; its packets follow from there.
    """

    def __init__(self, phase_s: float) -> None:
        self._phase_s = phase_s

    def begun(self, fault: Fault) -> list[Expected]:
        """Expectations of a fault."""
        ended = fault.to_s + AFTERMATH_S
        if fault.name in MUTE:
            # After a restart the sensor has to zero itself.
            after = ("saturated", "poor-signal", "cannot-analyse") if fault.name == "reboot" else ()
            return [
                *self._contact(fault),
                *(_technical(may, fault.from_s, ended, required=False) for may in after),
            ]
        expected = []
        if fault.name in _MUST:
            condition, within_s = _MUST[fault.name]
            required = fault.to_s - fault.from_s >= within_s
            # What a sensor says of itself it says of a whole packet, also of one in which the fault begins.
            first_s = fault.from_s - PACKET_NS / 1e9
            expected.append(_technical(condition, first_s, fault.from_s + within_s, required=required))
        expected += [
            _technical(may, fault.from_s - PACKET_NS / 1e9, ended, required=False) for may in _MAY.get(fault.name, ())
        ]
        return expected

    def _contact(self, fault: Fault) -> list[Expected]:
        first, after = muted_slots(fault, self._phase_s)
        slot_s = PACKET_NS / 1e9
        last_s = self._phase_s + slot_s * first  # the packet before the first muted one leaves here
        gap = self._phase_s + slot_s * (after + 1) - last_s
        if gap < CONTACT_S - CONTACT_EDGE_S:
            return []
        due = last_s + CONTACT_S
        required = gap >= CONTACT_S + CONTACT_EDGE_S
        return [_technical("lost-contact", due - CONTACT_EDGE_S, due + CONTACT_EDGE_S, required=required)]


def muted_slots(fault: Fault, phase_s: float) -> tuple[int, float]:
    """First packet that a mute fault holds back, and the first after it (infinity: none)."""
    slot_s = PACKET_NS / 1e9
    first = max(0, math.floor((fault.from_s - phase_s) / slot_s))
    return first, math.ceil((fault.to_s - phase_s) / slot_s) if fault.to_s < math.inf else math.inf


def _technical(condition: str, from_s: float, to_s: float, *, required: bool) -> Expected:
    return Expected(condition, from_s, to_s, required, physiological=False, since_s=from_s)
