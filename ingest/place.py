"""Where a patient lies: a bed of a ward."""

from typing import NamedTuple

from ingest.command import Admit, Transfer


class Place(NamedTuple):
    """A bed of a ward; empty: not known, or none.

    Examples
    --------
    >>> str(Place("icu", "bed-3")), str(Place("", "")), str(Place("icu", ""))
    ('bed-3 of icu', 'no bed', 'no bed of icu')
    """

    ward: str = ""
    bed: str = ""

    def __str__(self) -> str:
        """Name it in a sentence."""
        return (self.bed or "no bed") + (f" of {self.ward}" if self.ward else "")

    def after(self, command: Admit | Transfer) -> "Place":
        """Where the patient lies after a command: who goes to another ward leaves the bed behind.

        Examples
        --------
        >>> Place("icu", "bed-3").after(Admit(id="c1", patient="p1", device="w1", ward="surgery"))
        Place(ward='surgery', bed='')
        """
        ward = self.ward if command.ward is None else command.ward
        stays = self.bed if self.ward in ("", ward) else ""
        return Place(ward, stays if command.bed is None else command.bed)
