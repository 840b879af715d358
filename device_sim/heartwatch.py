"""Which alarms the true beats call for, and when: asystole, pause, extreme rates, ventricular tachycardia."""

import math
from collections import deque
from itertools import pairwise

from device_sim.expected import EARLY_S, LATE_S, SAME_EPISODE_S, Expected
from device_sim.physiology import BeatClass

# Definitions of PhysioNet/CinC 2015 (DOMAIN 2.2): no beat for 4 s; < 40 bpm over 5 beats; > 140 bpm over 17 beats; 5
# ventricular beats in a row at > 100 bpm.
ASYSTOLE_S = 4.0
ASYSTOLE_EDGE_S = 0.2  # a pause this close to 4 s may be alarmed or not
SLOW_BPM, SLOW_BEATS = 40.0, 5
FAST_BPM, FAST_BEATS = 140.0, 17
RUN_BPM, RUN_BEATS = 100.0, 5
RUN_WITHIN_S = 10.0  # a monitor has so long to say that a heart races (EC13, DOMAIN 4)
# A heart that rests for 3 s or more is told (the limit at which a pacemaker is thought of, from memory); what is
# shorter may be, from 2 s on, where many monitors begin.
PAUSE_S, PAUSE_EDGE_S, PAUSE_FROM_S = 3.0, 0.2, 1.8


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
            self._condition,
            from_s - EARLY_S,
            time_s + LATE_S,
            required,
            physiological=True,
            since_s=self._times[0],
            due=required,
        )


class _RunWatch:
    """Runs of ventricular beats that are a ventricular tachycardia: it is due at the fifth beat, once in an episode."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._told = False
        self._over_s = -math.inf

    def beat(self, time_s: float, kind: BeatClass) -> list[Expected]:
        """Expectations that this beat settles."""
        if kind != "V":
            self._times, self._told = [], False
            return []
        self._times = [*self._times[-(RUN_BEATS - 1) :], time_s]
        fast = time_s - self._times[0] < 60.0 / RUN_BPM * (RUN_BEATS - 1)
        if len(self._times) < RUN_BEATS or not fast:
            return []
        fresh, told = self._times[0] - self._over_s > SAME_EPISODE_S, self._told
        self._told, self._over_s = True, time_s
        if told:
            return []
        first_s = self._times[0]
        return [_called("ventricular-tachycardia", first_s, first_s, time_s + RUN_WITHIN_S, due=fresh)]


class HeartExpectations:
    """Alarms that the true beats call for.

    What of them is due is said here by the beats alone: an episode that is an alarm by itself may stand for it.
    """

    def __init__(self) -> None:
        self._last_s = math.nan
        self._still_s = math.nan  # since when the heart has been still: a beat, or the end of a fibrillation
        self._told = False
        self._stood_s = -math.inf  # end of the last asystole
        self._rested_s = -math.inf  # end of the last pause that was due
        self._slow = _RateWatch("extreme-bradycardia", SLOW_BPM, SLOW_BEATS, slow=True)
        self._fast = _RateWatch("extreme-tachycardia", FAST_BPM, FAST_BEATS, slow=False)
        self._runs = _RunWatch()

    def beat(self, time_s: float, kind: BeatClass = "N") -> list[Expected]:
        """Expectations that a beat settles; beats come in order."""
        found = [*self._asystole(time_s), *self._pause(time_s)]
        if self._told:
            self._stood_s = time_s
        self._last_s, self._still_s, self._told = time_s, time_s, False
        return [*found, *self._slow.beat(time_s), *self._fast.beat(time_s), *self._runs.beat(time_s, kind)]

    def quivering(self, until_s: float) -> None:
        """Take note that the ventricles fibrillate until then: that is no heart at rest."""
        if not self._still_s > until_s:
            self._still_s = until_s

    def silence(self, now_s: float) -> list[Expected]:
        """Expectations that the absence of beats until `now_s` settles."""
        return self._asystole(now_s) if now_s - self._still_s >= ASYSTOLE_S + ASYSTOLE_EDGE_S else []

    def close(self, now_s: float) -> list[Expected]:
        """Expectations left when the run is over."""
        rest = [] if self._told else self._pause(now_s, ended=False)
        return [*self._asystole(now_s), *rest, *self._slow.close(now_s), *self._fast.close(now_s)]

    def _asystole(self, now_s: float) -> list[Expected]:
        gap = now_s - self._still_s
        if self._told or not gap >= ASYSTOLE_S - ASYSTOLE_EDGE_S:
            return []
        self._told = True
        onset = self._still_s + ASYSTOLE_S
        required = gap >= ASYSTOLE_S + ASYSTOLE_EDGE_S
        due = required and onset - self._stood_s > SAME_EPISODE_S
        asystole = Expected(
            "asystole", onset - EARLY_S, onset + LATE_S, required, physiological=True, since_s=self._last_s, due=due
        )
        # It was a pause before, and may have been told as one.
        return [asystole, *(self._pause(now_s, ended=False) if required else [])]

    def _pause(self, time_s: float, *, ended: bool = True) -> list[Expected]:
        """Whatever rest a beat ends, or goes on; one of 4 s or more is an asystole, and told as that."""
        gap, rested_s = time_s - self._still_s, self._rested_s
        if not gap >= PAUSE_FROM_S:
            return []
        due = ended and PAUSE_S + PAUSE_EDGE_S <= gap < ASYSTOLE_S + ASYSTOLE_EDGE_S
        if due:
            self._rested_s = time_s
        fresh = self._still_s - rested_s > SAME_EPISODE_S
        first_s = self._still_s + PAUSE_FROM_S
        return [_called("pause", self._still_s, first_s, time_s + LATE_S, due=due and fresh)]


def _called(condition: str, since_s: float, from_s: float, to_s: float, *, due: bool) -> Expected:
    return Expected(condition, from_s - EARLY_S, to_s, required=False, physiological=True, since_s=since_s, due=due)
