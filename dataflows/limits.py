"""Alarm limits that are in force for every patient of a shard: the ward's defaults, moved by the patients' own."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from dataflows.estimates import FloatArray
from ingest.command import Vital
from ingest.limits import LIMITS, Own

VITALS: Final[tuple[Vital, ...]] = tuple(LIMITS)
HR, RESP, SPO2, TEMP = (VITALS.index(vital) for vital in ("hr", "resp", "spo2", "temp"))
LOW, HIGH = 0, 1
DEFAULTS: Final[FloatArray] = np.array(
    [[np.nan if edge is None else edge.default for edge in (limits.low, limits.high)] for limits in LIMITS.values()]
)


def defaults(n: int) -> FloatArray:
    """Limits of patients who have none of their own, shape (n, vitals, 2); NaN: there is none."""
    return np.broadcast_to(DEFAULTS, (n, *DEFAULTS.shape))


class InForce:
    """Limits of those who have some of their own.

    Parameters
    ----------
    usual : shape (vitals, 2)
        Limits of who has none of his own.
    shift : shape (vitals, 2)
        By how much every limit, also a patient's own, is moved: to try out what other limits would do.
    """

    def __init__(self, usual: FloatArray = DEFAULTS, shift: FloatArray | None = None) -> None:
        self._usual, self._shift = usual, shift
        self._own: dict[str, Own] = {}
        self._made: dict[str, FloatArray] = {}

    def set(self, patient: str, own: Own) -> None:
        """Take up all of a patient's own limits."""
        self._own[patient] = own
        made = self._usual.copy()
        for vital, edges in own.items():
            for side, value in enumerate(edges):
                if value is not None:
                    made[VITALS.index(vital), side] = value
        self._made[patient] = made

    def forget(self, patient: str) -> None:
        """Let a patient go."""
        self._own.pop(patient, None)
        self._made.pop(patient, None)

    def of(self, patients: Sequence[str]) -> FloatArray:
        """Limits of some patients, shape (n, vitals, 2): of heart, breath, saturation, skin; low and high."""
        if self._made:
            found = np.stack([self._made.get(patient, self._usual) for patient in patients])
        else:
            found = np.broadcast_to(self._usual, (len(patients), *self._usual.shape))
        return found if self._shift is None else found + self._shift

    def image(self) -> dict[str, Own]:
        """Copy everything for a snapshot."""
        return dict(self._own)

    def restore(self, image: Mapping[str, Own]) -> None:
        """Take up a snapshot."""
        self._own, self._made = {}, {}
        for patient, own in image.items():
            self.set(patient, own)
