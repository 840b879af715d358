"""How many series InfluxDB comes to hold, worked out from the tags of the schema: what its memory is needed for."""

import math
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from dataflows.couriers.measurement import Derived, Measurement
from dataflows.couriers.schema import EVERYTHING

Subject = Literal["device", "patient", "part", "site"]
SUBJECTS: Final[tuple[Subject, ...]] = ("device", "patient", "part", "site")  # whom a measurement is of: the first one


class Assumed(msgspec.Struct, frozen=True, kw_only=True):
    """What happens in a day: a busy day of one hospital. Of more than one of a kind, the mean."""

    patients: int = 1000  # patients who are there at some time of the day
    sites: int = 1  # sites
    devices: float = 1.5  # devices that a patient wears at some time of the day
    wearers: float = 1.5  # patients, and nobody, whom a device is told of
    wards: float = 1.2  # wards in which a patient lies: every fifth moves to another one
    leads: float = 1.0  # leads of a patient of which the waveform is kept
    conditions: float = 4.0  # conditions of which a patient has an alarm
    states: float = 3.0  # states that such an alarm is told in: active, acknowledged, ended; seldom missed
    reasons: int = 17  # reasons for which messages are refused: all there are
    removed: int = 4  # kinds of rows that are removed when a disk runs short
    parts: int = 4  # processes of femtoward


def series(assumed: Assumed) -> dict[str, int]:
    """How many series each measurement has after such a day.

    Examples
    --------
    >>> day = series(Assumed(patients=100))
    >>> day["vitals"], day["wave"], day["alarm"]
    (120, 100, 1440)
    """
    found: dict[str, int] = {}
    for one in EVERYTHING:
        found[one.name] = found.get(one.name, 0) + _series(one, assumed)
    return found


def _series(one: Measurement | Derived, assumed: Assumed) -> int:
    """As many as there are subjects, times how many values each further tag has for one of them."""
    tags = [tag.name for tag in one.tags] if isinstance(one, Measurement) else list(one.tag_names)
    subject = next(name for name in SUBJECTS if name in tags)
    counts: Mapping[Subject, float] = {
        "device": assumed.patients * assumed.devices,
        "patient": assumed.patients,
        "part": assumed.parts,
        "site": assumed.sites,
    }
    # 1: said by the subject, or by the condition.
    values: Mapping[tuple[Subject, str], float] = {
        ("device", "site"): 1,
        ("device", "patient"): assumed.wearers,
        ("patient", "site"): 1,
        ("patient", "ward"): assumed.wards,
        ("patient", "stream"): assumed.leads,
        ("patient", "condition"): assumed.conditions,
        ("patient", "kind"): 1,
        ("patient", "priority"): 1,
        ("patient", "state"): assumed.states,
        ("part", "instance"): 1,
        ("site", "condition"): assumed.reasons,
        ("site", "kind"): assumed.removed,
    }
    return math.ceil(counts[subject] * math.prod(values[subject, tag] for tag in tags if tag != subject) - 1e-9)
