"""Which alarms true breath, blood and temperature call for, second by second, whatever script brought them about."""

import math
from bisect import bisect_left
from typing import NamedTuple

from device_sim.expected import Expected

# How long it must hold before it is one, from memory: the usual limits and delays of a patient monitor.
APNOEA_S = 20.0  # without breath
DESATURATED, DESATURATED_S = 90.0, 10.0  # below so many %
FEVER_CEL, FEVER_S = 38.1, 600.0  # from there on NEWS2 gives points (DOMAIN 4)
ILL_POINTS, ILL_S = 5, 60.0  # of NEWS2: somebody must come within the hour (DOMAIN 4)
# What is said sooner than it is due, by a sensor that reads a little lower, is said well.
_SOONER_S = {"apnoea": 5.0, "spo2-low": 30.0, "fever": 1800.0}
# And it may take so long to be said; a fever's skin follows its core slowly. From memory.
_WITHIN_S = {
    "apnoea": 15.0,
    "spo2-low": 60.0,
    "fever": 1800.0,
    "deterioration": 1800.0,
    "urgent-deterioration": 1800.0,
}

# NEWS2 (Royal College of Physicians 2017, DOMAIN 4): above each limit the points are those that follow.
_BREATH = ((8.5, 11.5, 20.5, 24.5), (3, 1, 0, 2, 3))
_SPO2 = ((91.5, 93.5, 95.5), (3, 2, 1, 0))
_PULSE = ((40.5, 50.5, 90.5, 110.5, 130.5), (3, 1, 0, 1, 2, 3))
_CORE = ((35.05, 36.05, 38.05, 39.05), (3, 1, 0, 1, 2))


class Second(NamedTuple):
    """How a patient is at the end of a second."""

    at_s: float
    rate_bpm: float  # of the heart; NaN: it has none
    breath_bpm: float  # 0: no breath
    spo2: float  # %
    core_cel: float
    arrested: bool  # no pulse by a rhythm: the rhythm is the alarm


class _Hold:
    """A condition that must hold for a time before it is due, and is due once while it holds."""

    def __init__(self, condition: str, for_s: float) -> None:
        self._condition = condition
        self._for_s = for_s
        self._from_s: float | None = None
        self._told = False

    def step(self, at_s: float, sooner_s: float, *, holds: bool) -> list[Expected]:
        """Expectations that a second settles."""
        if not holds:
            self._from_s, self._told = None, False
            return []
        if self._from_s is None:
            self._from_s = at_s
        since_s = self._from_s
        if self._told or at_s - since_s < self._for_s:
            return []
        self._told = True
        to_s = since_s + self._for_s + _WITHIN_S[self._condition]
        from_s = max(0.0, since_s - sooner_s)
        return [Expected(self._condition, from_s, to_s, required=False, physiological=True, since_s=since_s, due=True)]


class BodyExpectations:
    """Alarms that breath, blood and temperature call for.

    While no blood moves none of them is due: that a patient without a pulse stops breathing and loses oxygen is no
    alarm of its own, and whoever comes, comes to the arrest.
    """

    def __init__(self) -> None:
        self._apnoea = _Hold("apnoea", APNOEA_S)
        self._desaturation = _Hold("spo2-low", DESATURATED_S)
        self._fever = _Hold("fever", FEVER_S)
        self._deterioration = _Hold("deterioration", ILL_S)
        self._urgent = _Hold("urgent-deterioration", ILL_S)
        self._well_s = 0.0  # when the patient was last without points beyond those of the beginning
        self._points_at_first: int | None = None

    def second(self, now: Second) -> list[Expected]:
        """Expectations that a second settles; seconds come in order."""
        moves, at_s = not now.arrested, now.at_s
        points = news2_points(now)
        ill = moves and points >= ILL_POINTS
        if self._points_at_first is None:
            self._points_at_first = points
        if points <= self._points_at_first:
            self._well_s = at_s
        return [
            *self._apnoea.step(at_s, _SOONER_S["apnoea"], holds=moves and now.breath_bpm <= 0.0),
            *self._desaturation.step(at_s, _SOONER_S["spo2-low"], holds=moves and now.spo2 < DESATURATED),
            *self._fever.step(at_s, _SOONER_S["fever"], holds=now.core_cel >= FEVER_CEL),
            # Whoever sees it coming is right from the first point on; by then it is urgent.
            *self._deterioration.step(at_s, at_s - ILL_S - self._well_s, holds=ill),
            *self._urgent.step(at_s, ILL_S, holds=ill),
        ]


def news2_points(now: Second) -> int:
    """Points of the four vital signs that a wearable sees; the others are taken for healthy.

    Examples
    --------
    >>> news2_points(Second(0.0, 75.0, 15.0, 97.0, 36.8, arrested=False))
    0
    >>> news2_points(Second(0.0, 115.0, 25.0, 91.0, 39.2, arrested=False))
    10
    """
    signs = ((_PULSE, now.rate_bpm), (_BREATH, now.breath_bpm), (_SPO2, now.spo2), (_CORE, now.core_cel))
    return sum(points[bisect_left(limits, value)] for (limits, points), value in signs if not math.isnan(value))
