"""Up to which row a courier looks that lets rows ripen: those that were committed a while ago."""

from typing import Final

from dataflows.store import LAST, Store

LOOK_S: Final = 1.0


class Hold:
    """The newest row that is ripe.

    Parameters
    ----------
    hold_s
        For how long a row ripens after its commit; 0: not at all.
    """

    def __init__(self, hold_s: float) -> None:
        self._hold_s = hold_s
        self._looked_s = -float("inf")
        self._up_to = 0 if hold_s else LAST

    def up_to(self, store: Store, now_s: float, now_ns: int) -> int:
        """Id of the newest row that is ripe, looked up once a second; of a store without commit times, every row is."""
        if self._hold_s and now_s - self._looked_s >= LOOK_S:
            self._looked_s = now_s
            found = store.committed_by(now_ns - round(self._hold_s * 1e9))
            self._up_to = LAST if found is None else found
        return self._up_to
