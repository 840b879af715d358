"""How long a chest that breathed has not moved with breath."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from anomaly.kernel import Array, BoolArray, IntArray

SWING_S = 5.0  # of movement that is looked at: more than half of a breath at 6 per minute
S_NS = 1_000_000_000


class ChestState(NamedTuple):
    """What is usual for each chest, and when it last moved."""

    usual: Array  # (n,) usual swing, m/s2; 0: none yet
    learned_s: Array  # (n,) seconds that the usual was learned from
    moved_ns: IntArray  # (n,) end of the newest second in which it moved, or in which that was not known
    end_ns: IntArray  # (n,) of the newest second
    sure: BoolArray  # (n,) it was seen to move, and nothing has been missed since


class ChestOut(NamedTuple):
    """What is known of breath by movement; every array has shape (n,)."""

    pause_s: Array  # since the chest last moved with breath; 0: it does; NaN: not known
    since_ns: IntArray  # when it last moved; 0 where that is not known
    sure: BoolArray  # False: it may not have moved for longer, since something was missed


def swing(axes: Array) -> Array:
    """Return how far the acceleration goes to and fro: the length of the box around it, shape (n,).

    Parameters
    ----------
    axes : ndarray, shape (n_devices, n_axes, n_samples)
        The last `SWING_S` of each axis, slow; NaN anywhere in a row: the row's swing is not known.
    """
    box = axes.max(axis=-1) - axes.min(axis=-1)
    length: Array = np.sqrt((box * box).sum(axis=-1))
    return length


@dataclass(frozen=True)
class ChestBreath:
    """Tell a chest that has stopped from one that breathes, second by second.

    A chest at rest swings with every breath. Its swing over 5 s, while it swings, is learned as usual; under `share` of
    that it does not breathe. Whatever else moves it counts as breath, so that only a chest at rest is ever said to have
    stopped: movement ends a pause, it never begins one.

    Parameters
    ----------
    share
        Of the usual swing. Shallow breath (0.4 of the usual in the simulation) stays above it.
    least_ms2
        A chest whose usual swing is smaller is not seen to breathe, and so not seen to stop: noise and the recoil of
        the heart are slower or faster, and ten times smaller.
    most_ms2
        A larger swing is no breath and is not learned from: who turns, moves gravity by more.
    memory_s
        Time constant of what is usual.
    learn_s
        How much is learned before anything is said.

    Examples
    --------
    >>> kernel = ChestBreath()
    >>> state = kernel.init(1)
    >>> for second in range(1, 91):
    ...     moved = np.array([0.15 if second <= 60 else 0.004])
    ...     state, out = kernel.step(state, moved, np.array([second * S_NS]))
    >>> round(float(out.pause_s[0])), int(out.since_ns[0]) // S_NS
    (34, 56)
    """

    share: float = 0.25
    least_ms2: float = 0.02
    most_ms2: float = 0.6
    memory_s: float = 30.0
    learn_s: float = 15.0

    def __post_init__(self) -> None:
        """Refuse limits in the wrong order."""
        if not (0.0 < self.share < 1.0 and 0.0 < self.least_ms2 < self.most_ms2 and self.learn_s > 0.0):
            raise ValueError(
                f"need 0 < share < 1, 0 < least_ms2 < most_ms2 and learn_s > 0, got {self.share=}, {self.least_ms2=}, "
                f"{self.most_ms2=}, {self.learn_s=}"
            )

    def init(self, n: int) -> ChestState:
        """Nothing seen yet."""
        zero = np.zeros(n, np.int64)
        return ChestState(np.zeros(n), np.zeros(n), zero, zero, np.zeros(n, np.bool_))

    def step(self, state: ChestState, swings: Array, end_ns: IntArray) -> tuple[ChestState, ChestOut]:
        """Take the swing of one second of each row.

        Parameters
        ----------
        state
            Before.
        swings : ndarray, shape (n,)
            As of `swing`, m/s2; NaN: not known.
        end_ns : ndarray of int, shape (n,)
            Of the second; after a hole of more than a second, what came before is no evidence of a pause.
        """
        seen = np.isfinite(swings)
        follows = end_ns - state.end_ns <= 2 * S_NS
        size = np.where(seen, swings, 0.0)
        ready = state.learned_s >= self.learn_s
        moves = ~ready | (size >= self.share * state.usual)
        learns = seen & moves & (size <= self.most_ms2)
        first = learns & (state.learned_s <= 0.0)
        share = 1.0 / np.minimum(state.learned_s + 1.0, self.memory_s)
        followed = state.usual + share * (size - state.usual)
        usual = np.where(first, size, np.where(learns, followed, state.usual))
        sure = seen & ((moves & ready) | (state.sure & follows))
        moved_ns = np.where(seen & ~moves & follows, state.moved_ns, end_ns)
        known = seen & ready & (usual >= self.least_ms2)
        # A swing over 5 s ends so much after the movement, but for what a quarter of it is still a movement.
        since_ns = moved_ns - round((SWING_S - 1.0) * S_NS)
        paused = known & (moved_ns < end_ns)
        state = ChestState(usual, np.minimum(state.learned_s + learns, self.memory_s), moved_ns, end_ns, sure)
        return state, ChestOut(
            pause_s=np.where(known, np.where(paused, (end_ns - since_ns) / S_NS, 0.0), np.nan),
            since_ns=np.where(known, since_ns, 0),
            sure=sure,
        )
