"""National Early Warning Score 2, as the pair that what is measured allows."""

from typing import Final, NamedTuple

import numpy as np

from anomaly.kernel import Array, BoolArray, IntArray

UNKNOWN: Final = -1


class Observations(NamedTuple):
    """What the score is made of, shape ``(n,)`` each; NaN, or `UNKNOWN`, where it was not measured."""

    resp: Array  # breaths/min
    spo2: Array  # %
    oxygen: IntArray  # 1: breathes supplemental oxygen, 0: air
    systolic: Array  # mmHg
    pulse: Array  # 1/min
    alert: IntArray  # 1: alert, 0: new confusion, or responds to voice, pain or not at all
    temp: Array  # of the body's core, Cel
    hypercapnic: IntArray  # 1: prescribed 88 to 92 % (SpO2 scale 2); `UNKNOWN` counts as 0, scale 1


class Range(NamedTuple):
    """The least and the most that the score may be, shape ``(n,)`` each, and what makes it urgent by itself."""

    low: IntArray  # 0..20
    high: IntArray
    extreme: IntArray  # parameters measured that score 3 alone: urgent review whatever the sum


class _Scale(NamedTuple):
    """Steps of one parameter: ``points[k]`` up to and including ``limits[k]``, the last beyond."""

    limits: tuple[float, ...]
    points: tuple[int, ...]
    decimals: int = 0  # to which the chart reads a value


# Royal College of Physicians, National Early Warning Score (NEWS) 2, London 2017, chart 1.
RESP: Final = _Scale((8, 11, 20, 24), (3, 1, 0, 2, 3))
SPO2_1: Final = _Scale((91, 93, 95), (3, 2, 1, 0))
SPO2_2_AIR: Final = _Scale((83, 85, 87), (3, 2, 1, 0))
SPO2_2_OXYGEN: Final = _Scale((83, 85, 87, 92, 94, 96), (3, 2, 1, 0, 1, 2, 3))
SYSTOLIC: Final = _Scale((90, 100, 110, 219), (3, 2, 1, 0, 3))
PULSE: Final = _Scale((40, 50, 90, 110, 130), (3, 1, 0, 1, 2, 3))
TEMP: Final = _Scale((35.0, 36.0, 38.0, 39.0), (3, 1, 0, 1, 2), 1)
OXYGEN: Final = 2
NOT_ALERT: Final = 3
MOST: Final = 20


def news2(seen: Observations) -> Range:
    """Score what was measured, and add for everything else the least and the most that it might bring.

    A value is rounded as the chart reads it: to whole numbers, temperature to a tenth, halves up.

    Parameters
    ----------
    seen : Observations
        Shape ``(n,)`` each.

    Returns
    -------
    Range
        Equal ends where everything was measured.

    Notes
    -----
    A wearable measures neither blood pressure nor consciousness, and the skin's temperature is not the core's: without
    them the ends are at least nine apart. A bare number would pretend to know.

    Examples
    --------
    A pulse of 112 and a breath rate of 22, nothing else:

    >>> nan, unknown = np.array([np.nan]), np.array([UNKNOWN])
    >>> seen = Observations(np.array([22.0]), nan, unknown, nan, np.array([112.0]), unknown, nan, unknown)
    >>> news2(seen)
    Range(low=array([4]), high=array([18]), extreme=array([0]))

    References
    ----------
    Royal College of Physicians, National Early Warning Score (NEWS) 2: Standardising the assessment of acute-illness
    severity in the NHS, London 2017.
    """
    saturation = np.stack(
        [_points(SPO2_1, seen.spo2), _points(SPO2_2_AIR, seen.spo2), _points(SPO2_2_OXYGEN, seen.spo2)]
    )
    on_scale_2 = seen.hypercapnic == 1
    # On scale 2 the same saturation scores more with oxygen: where that is not known, either may hold.
    spo2_low = np.where(on_scale_2, np.where(seen.oxygen == 1, saturation[2, 0], saturation[1, 0]), saturation[0, 0])
    spo2_high = np.where(on_scale_2, np.where(seen.oxygen == 0, saturation[1, 1], saturation[2, 1]), saturation[0, 1])
    each = np.stack(
        [
            _points(RESP, seen.resp),
            np.stack([spo2_low, spo2_high]),
            _either(seen.oxygen == 1, seen.oxygen == 0, OXYGEN),
            _points(SYSTOLIC, seen.systolic),
            _points(PULSE, seen.pulse),
            _either(seen.alert == 0, seen.alert == 1, NOT_ALERT),
            _points(TEMP, seen.temp),
        ]
    )
    low, high = each[:, 0].sum(axis=0), each[:, 1].sum(axis=0)
    return Range(low, high, (each[:, 0] == 3).sum(axis=0))


def _points(scale: _Scale, value: Array) -> IntArray:
    """Least and most points of a parameter, shape ``(2, n)``."""
    unit = 10.0**scale.decimals
    read = np.floor(value * unit + 0.5 + 1e-9) / unit  # 38.05 is not representable: it must not fall short of itself
    known = ~np.isnan(value)
    step = np.searchsorted(np.array(scale.limits), np.where(known, read, 0.0), side="left")
    points = np.array(scale.points)[step]
    return np.stack([np.where(known, points, 0), np.where(known, points, max(scale.points))])


def _either(yes: BoolArray, no: BoolArray, points: int) -> IntArray:
    """Points of what holds, none of what does not, either where it is not known."""
    return np.stack([np.where(yes, points, 0), np.where(no, 0, points)])
