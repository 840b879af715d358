"""Alarms of the heart that need not wait for the end of a second: a look at each packet, a full one where it pays."""

from collections.abc import Iterable
from typing import Final

import numpy as np

from anomaly.conditions import ASYSTOLE_NS, BRADYCARDIA_BEATS, TACHYCARDIA_BEATS
from dataflows import findings
from dataflows.alarms import STALE_NS
from dataflows.bank import Bank
from dataflows.cardiac_second import AS_OF_LAG_NS, SETTLE_NS
from dataflows.cardiac_state import CardiacState
from dataflows.estimates import BoolArray, FloatArray
from dataflows.events import SECOND_NS, AlarmEvent, Condition
from dataflows.items import Data
from dataflows.limits import HIGH, HR, LOW, InForce
from dataflows.roster import FUTURE_NS, Device, Roster
from dataflows.ward import Moment, Ward
from dataflows.wearables import Wearables

FRESH_BEATS: Final = 3  # a rate that was beyond its limit before so many beats is no news
FRESH_WAVE_NS: Final = 8 * SECOND_NS  # nor is a ventricular rhythm that began before
OF_HEART: Final[tuple[Condition, ...]] = (
    "asystole",
    "extreme-bradycardia",
    "extreme-tachycardia",
    "ventricular-fibrillation",
    "ventricular-tachycardia",
)


class Early:
    """Looks whether a heart calls for an alarm in the midst of a second.

    It raises and never ends, and only what a full second would raise: by the same evidence, as of the end of a packet.
    Where nothing is wrong it costs a few comparisons of the newest beats.

    Parameters
    ----------
    roster, wearables, ward, limits
        Of the shard.
    """

    def __init__(self, roster: Roster, wearables: Wearables, ward: Ward, limits: InForce) -> None:
        self._roster, self._wearables, self._ward, self._limits = roster, wearables, ward, limits

    def look(self, spoke: Iterable[tuple[Device, Data]]) -> list[AlarmEvent]:
        """Take packets that have been stepped, at most one per patient, whose seconds have been closed."""
        asked: dict[int, tuple[Bank[CardiacState], list[Device]]] = {}
        for device, data in spoke:
            bank = self._wearables.hearts(device.key)
            if bank is not None and self._in_time(device, data):
                asked.setdefault(id(bank), (bank, []))[1].append(device)
        ill: list[Device] = []
        for bank, devices in asked.values():
            limits = self._limits.of([device.patient for device in devices])[:, HR]
            likely = suspected(bank, [device.key for device in devices], limits)
            for row in np.flatnonzero(likely.any(axis=-1)).tolist():
                device = devices[row]
                named = (name for name, is_so in zip(OF_HEART, likely[row].tolist(), strict=True) if is_so)
                if not all(self._ward.holds(device.patient, name) for name in named):
                    ill.append(device)
        return self._judged(ill) if ill else []

    def _in_time(self, device: Device, data: Data) -> bool:
        patient, age_ns = self._roster.patients[device.patient], data.arrival_ns - device.end_ns
        return (
            -FUTURE_NS <= age_ns <= STALE_NS
            and device.end_ns % SECOND_NS > 0
            and patient.next_second == device.end_ns // SECOND_NS
        )

    def _judged(self, ill: list[Device]) -> list[AlarmEvent]:
        patients = [device.patient for device in ill]
        end_ns = np.array([device.end_ns for device in ill], np.int64)
        limits = self._limits.of(patients)
        worn = [
            self._roster.speaking(self._roster.patients[device.patient], device.end_ns // SECOND_NS) for device in ill
        ]
        known = self._wearables.estimates(worn, end_ns, limits[:, HR])
        evidence = findings.of_heart(known, limits, end_ns)
        evidence = evidence._replace(truth=np.where(evidence.truth == 1, 1, -1))
        arrivals = [device.arrival_ns for device in ill]
        return self._ward.observe(Moment(patients, end_ns.tolist(), arrivals, known.cardiac.quality.tolist()), evidence)


def suspected(bank: Bank[CardiacState], keys: list[str], rate_limits: FloatArray) -> BoolArray:
    """Which of `OF_HEART` the newest beats may call for since not long ago, shape (n, 5).

    What has been so for longer has been judged at the end of a second; what a sensor that is blind tells is no news.

    Parameters
    ----------
    bank
        Cardiac lanes.
    keys
        Devices in it.
    rate_limits : shape (n, 2)
        Below the one a heart is too slow, above the other too fast, 1/min.
    """
    times, start_ns, end_ns, ventricular_ns, blind = bank.look(
        keys,
        lambda whole: (whole.ring.times_ns, whole.start_ns, whole.end_ns, whole.watch.onset_ns, whole.blind),
    )

    since_ns = start_ns + SETTLE_NS

    def rate(n_beats: int, before: int) -> FloatArray:
        """Over some beats, the newest of which has so many after it, 1/min; NaN: there are not so many."""
        last, first = times[:, -1 - before], times[:, -n_beats - before]
        there = first >= since_ns
        return np.where(there, 60.0 * (n_beats - 1) * SECOND_NS / np.where(there, last - first, 1), np.nan)

    low, high = rate_limits[:, LOW], rate_limits[:, HIGH]
    slow = (rate(BRADYCARDIA_BEATS, 0) < low) & ~(rate(BRADYCARDIA_BEATS, FRESH_BEATS) < low)
    fast = (rate(TACHYCARDIA_BEATS, 0) > high) & ~(rate(TACHYCARDIA_BEATS, FRESH_BEATS) > high)
    rest_ns = end_ns - AS_OF_LAG_NS - np.maximum(times[:, -1], since_ns)
    still = (rest_ns >= ASYSTOLE_NS) & (rest_ns < ASYSTOLE_NS + 2 * SECOND_NS)
    ventricular = (ventricular_ns > 0) & (end_ns[:, None] - ventricular_ns < FRESH_WAVE_NS)
    return np.stack([still, slow, fast, *ventricular.T], axis=-1) & ~blind[:, None]
