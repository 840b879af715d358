"""What the HTTP API shows of a row is all that the row says."""

import msgspec
import pytest
from msgspec.structs import replace
from outgoing import alarm, device, vitals

from dataflows.events import Reading
from deploy.api import documents, shown

# By row: what is said elsewhere in the answer, or under another name as text.
ELSEWHERE = {
    "vitals": {"site", "patient", "ward"},  # of the whole answer
    "alarm": {"category", "onset_ns", "event_ns", "arrival_ns", "until_ns", "strip_scale"},
    "device": {"last_seen_ns", "calibration_expiry_ns", "revision"},
}


@pytest.mark.parametrize(
    ("row", "document"),
    [(vitals(), documents.Second), (alarm("a1"), documents.Alarm), (device(), documents.Device)],
    ids=lambda one: getattr(one, "kind", ""),
)
def test_nothing_that_a_row_says_is_left_out(row: msgspec.Struct, document: type[msgspec.Struct]) -> None:
    kind: str = row.kind  # type: ignore[attr-defined]  # every row has one
    assert set(row.__struct_fields__) - set(document.__struct_fields__) == ELSEWHERE[kind]


def test_values_are_those_of_the_row_and_what_was_not_measured_is_null() -> None:
    second = shown.second(replace(vitals(hr=71.5), spo2=Reading(97.0, 1.1, 0.8)))
    assert (second.hr, second.spo2.value) == (documents.Value(71.5, 0.4, 0.9), 97.0)
    assert second.qt == documents.Value(None, None, 0.0)
