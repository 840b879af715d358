"""Patients of a shard who are followed from second to second: one row each, begun where one is new."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from dataflows.bank import Bank, BankImage

S = TypeVar("S")  # a NamedTuple of arrays, patient on axis 0


class Followed(Generic[S]):
    """State of patients, in a bank.

    Parameters
    ----------
    what
        Is followed; for words.
    begin : callable
        ``begin(patients)`` is the state of patients of whom nothing is known.
    """

    def __init__(self, what: str, begin: Callable[[Sequence[str]], S]) -> None:
        self._what, self._begin = what, begin
        self.bank: Bank[S] = Bank(begin(["s"]))

    def forget(self, patient: str) -> None:
        """Give up a patient's row."""
        self.bank.unseat(patient)

    def image(self) -> BankImage:
        """Copy everything for a snapshot."""
        return self.bank.image()

    def restore(self, image: BankImage) -> list[str]:
        """Take up a snapshot, or say why that cannot be: then everything is learned anew."""
        mismatch = self.bank.restore(image)
        return [f"{self._what}: {mismatch.detail}"] if mismatch else []

    def state_of(self, patients: Sequence[str]) -> S:
        """Gather the state of some patients, each of whom stands here once; who is new begins."""
        new = [patient for patient in patients if patient not in self.bank]
        if new:
            self.bank.seat(new, self._begin(new))
        return self.bank.take(patients)
