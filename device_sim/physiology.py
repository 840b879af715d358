"""A heart's beats: what one is, who may decide when it comes, and the rate they make."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

BeatClass = Literal["N", "V", "S"]
# What the field shows of an event of the heart. `atrium` is a P wave alone: it is no beat.
Shape = Literal["normal", "narrow", "ventricular", "agonal", "atrium"]


class Beat(NamedTuple):
    """One beat of the true heart, or a P wave that stands by itself."""

    time_s: float  # R peak (of a P wave by itself: its middle), since the start of the run
    kind: BeatClass
    rr_s: float  # interval before it
    atrial: bool  # a P wave goes before
    shape: Shape = "normal"
    settled_rr_s: float = 0.0  # interval that QT has settled to; 0: the one before it
    stroke: float = 1.0  # blood that it moves, against what is usual after its interval
    st: float = 0.0  # shift of the ST segment, of the R peak
    t_wave: float = 1.0  # size of the T wave
    lungs: float = 0.0  # how full they are at that time, -1 to 1

    @property
    def ventricles(self) -> bool:
        """Whether the ventricles beat: only then is it a beat."""
        return self.shape != "atrium"


class BeatSource(Protocol):
    """Whatever decides when a heart beats."""

    def advance(self, until_s: float) -> list[Beat]:
        """Beats up to and including `until_s` that were not returned before, in order."""


def rate_over(times_s: Sequence[float], end_s: float) -> float | None:
    """Heart rate as the ward defines it: 60 over the mean of the last 8 RR intervals that lie within 10 s.

    Parameters
    ----------
    times_s
        Beats in order, s.
    end_s
        As of when; later beats do not count.
    """
    stop = bisect_right(times_s, end_s)
    start = max(bisect_right(times_s, end_s - 10.0), stop - 9, 0)
    if stop - start < 2:
        return None
    return float(60.0 * (stop - start - 1) / (times_s[stop - 1] - times_s[start]))
