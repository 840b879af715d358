"""How many series InfluxDB comes to hold, worked out from the tags of the schema: what its memory is needed for."""

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal, get_type_hints

import msgspec
from msgspec import Meta

from dataflows.couriers.measurement import Derived, Measurement
from dataflows.couriers.policies import POLICIES
from dataflows.couriers.schema import EVERYTHING

Subject = Literal["device", "patient", "part", "site"]
MOST_DAYS: Final = 36_500
# A point goes with its whole shard, once the newest of it is past retention.
_SHARD_DAYS: Final = {policy.name: policy.shard_hours / 24 for policy in POLICIES}
SUBJECTS: Final[tuple[Subject, ...]] = ("device", "patient", "part", "site")  # whom a measurement is of: the first one


class Assumed(msgspec.Struct, frozen=True, kw_only=True):
    """What happens in a busy day of one hospital; of what differs from patient to patient, the mean."""

    patients: Annotated[int, Meta(description="patients")] = 1000
    newcomers: Annotated[int, Meta(description="new patients on each further day: they stay for four days")] = 250
    sites: Annotated[int, Meta(description="sites")] = 1
    devices: Annotated[float, Meta(description="devices that a patient wears, one after the other or at once")] = 1.5
    wearers: Annotated[float, Meta(description="wearers of a device, counting nobody as one")] = 1.5
    wards: Annotated[float, Meta(description="wards that a patient lies in: one in five is moved to another")] = 1.2
    leads: Annotated[float, Meta(description="leads of a patient of which the waveform is kept")] = 1.0
    conditions: Annotated[float, Meta(description="conditions of which a patient has an alarm")] = 4.0
    states: Annotated[float, Meta(description="states of an alarm: active, acknowledged, ended; rarely missed")] = 3.0
    reasons: Annotated[int, Meta(description="reasons for which messages are refused: all there are")] = 17
    removed: Annotated[
        int, Meta(description="kinds of rows that are removed when a disk runs short: all there are")
    ] = 5
    receivers: Annotated[int, Meta(description="receivers of alarms")] = 5
    receipts: Annotated[int, Meta(description="what may become of an event at one of them")] = 11
    houses: Annotated[int, Meta(description="wards of a site")] = 20
    alarmed: Annotated[int, Meta(description="conditions that are alarmed on a ward")] = 15
    parts: Annotated[int, Meta(description="processes of a partition: ingest, flow, couriers, page")] = 4


def described() -> Iterator[tuple[str, str]]:
    """Names of what is assumed, and what they mean."""
    for name, hint in get_type_hints(Assumed, include_extras=True).items():
        yield name, hint.__metadata__[0].description


def series(assumed: Assumed, days: int = 1) -> dict[str, int]:
    """How many series each measurement has after such a day, or after so many: devices stay, patients come and go.

    Examples
    --------
    >>> day = series(Assumed(patients=100))
    >>> day["vitals"], day["wave"], day["alarm"]
    (120, 100, 1440)
    >>> year = series(Assumed(), days=365)
    >>> year["vitals"], year["wave"], year["alarm"]
    (10200, 1313, 1324800)
    """
    found: dict[str, int] = {}
    for one in EVERYTHING:
        found[one.name] = found.get(one.name, 0) + _series(one, assumed, days)
    return found


def lasts(assumed: Assumed, most: int) -> int:
    """How many days pass until InfluxDB has so many series that no day's more would do.

    Examples
    --------
    >>> lasts(Assumed(), 1_000_000)
    182
    """
    return bisect_right(range(MOST_DAYS), most, key=lambda days: sum(series(assumed, days).values())) - 1


def _series(one: Measurement | Derived, assumed: Assumed, days: int) -> int:
    """As many as there are subjects, times how many values each further tag has for one of them."""
    kept = days if one.retention.days is None else min(days, one.retention.days + _SHARD_DAYS[one.retention.name])
    newcomers = assumed.newcomers * max(0.0, kept - 1.0)
    tags = [tag.name for tag in one.tags] if isinstance(one, Measurement) else list(one.tag_names)
    subject = next(name for name in SUBJECTS if name in tags)
    counts: Mapping[Subject, float] = {
        "device": assumed.patients * assumed.devices,
        "patient": assumed.patients + newcomers,
        "part": assumed.parts,
        "site": assumed.sites,
    }
    # 1: said by the subject, or by the condition.
    values: Mapping[tuple[Subject, str], float] = {
        ("device", "site"): 1,
        ("device", "patient"): assumed.wearers + newcomers / max(1, assumed.patients),
        ("patient", "site"): 1,
        ("patient", "ward"): assumed.wards,
        ("patient", "stream"): assumed.leads,
        ("patient", "condition"): assumed.conditions,
        ("patient", "kind"): 1,
        ("patient", "priority"): 1,
        ("patient", "state"): assumed.states,
        ("part", "instance"): 1,
        ("site", "condition"): assumed.alarmed if one.name == "burden" else assumed.reasons,
        ("site", "ward"): assumed.houses,
        ("site", "priority"): 1,
        ("site", "kind"): assumed.removed,
        ("site", "receiver"): assumed.receivers,
        ("site", "what"): assumed.receipts,
    }
    return math.ceil(counts[subject] * math.prod(values[subject, tag] for tag in tags if tag != subject) - 1e-9)
