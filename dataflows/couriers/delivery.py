"""What a courier is: one way out of the house, and how it says that something could not be delivered."""

from collections.abc import Sequence
from typing import Protocol

from dataflows.couriers.cursors import Refused
from dataflows.store import Stored


class DeliveryFailed(Exception):
    """The receiver did not take the rows now and may take them later.

    Parameters
    ----------
    reason
        In words, without secrets.
    retry_after_s
        What the receiver asked for, if it did.
    of_row
        It answers, and does not take these rows: others it may.
    """

    def __init__(self, reason: str, retry_after_s: float | None = None, *, of_row: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s
        self.of_row = of_row


class ReceiverGone(DeliveryFailed):
    """The receiver wants nothing more: rows wait in the store, and it is asked again now and then."""


class Courier(Protocol):
    """One way out of the house."""

    @property
    def name(self) -> str:
        """Names the cursor and the reports: must not change between starts."""
        ...

    @property
    def kinds(self) -> tuple[str, ...]:
        """Which rows it carries."""
        ...

    @property
    def batch(self) -> int:
        """How many rows it carries at once."""
        ...

    @property
    def linger_s(self) -> float:
        """How long a row may wait for others, so that they fill a batch."""
        ...

    @property
    def hold_s(self) -> float:
        """How long a row stays in the store after its commit before it is carried."""
        ...

    @property
    def revised(self) -> tuple[str, ...]:
        """Which of its rows may change, and overwrite at the receiver what they said before."""
        ...

    @property
    def receiver(self) -> str:
        """Of whom receipts are kept, and whose rows may be held or asked for again; empty: nobody."""
        ...

    def wants(self, row: Stored) -> bool:
        """Whether a row is the receiver's business."""
        ...

    def due_ns(self, row: Stored, now_ns: int) -> int:
        """Until when a row has to be held, wall clock; 0: it need not."""
        ...

    def rank(self, row: Stored) -> int:
        """Rows of a lower rank go first; the first one, 0, is never long in being tried again."""
        ...

    def give_up_s(self, row: Stored) -> float | None:
        """After how long a row that keeps failing becomes a dead letter; None: never."""
        ...

    def lane(self, row: Stored) -> str:
        """Rows of one lane are delivered in order; a lane that fails holds up no other."""
        ...

    def deliver(self, rows: Sequence[Stored]) -> Sequence[Refused]:
        """Deliver rows of one lane, or several that are to be summed up, and return those that will never be taken.

        Called again with the same rows after a crash: the receiver must be able to tell (same point, same id).

        Raises
        ------
        DeliveryFailed
            Some may not have been delivered; try all of them again later.
        """
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class TakesAll:
    """A courier that carries every row of its kinds as soon as it can."""

    receiver = ""

    def wants(self, row: Stored) -> bool:  # noqa: ARG002 - the protocol's shape
        """Every one."""
        return True

    def due_ns(self, row: Stored, now_ns: int) -> int:  # noqa: ARG002 - the protocol's shape
        """Nothing is held."""
        return 0

    def rank(self, row: Stored) -> int:  # noqa: ARG002 - the protocol's shape
        """They are all alike."""
        return 1
