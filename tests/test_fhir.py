"""Vitals, alarms and devices as FHIR R4, held against an independent library and HL7's vital-signs profiles."""

import json
import math
import struct
from typing import Any, get_args

import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from outgoing import alarm, any_alarm, any_vitals, device, floats, names, readings, texts, vitals
from strategies import births

from dataflows.events import WARD, AlarmChange, AlarmEvent, AlarmState, Condition, DeviceStatus, Reading, Vitals
from dataflows.fhir import bundles, codes
from dataflows.fhir.alarms import alarm_bundle
from dataflows.fhir.devices import device as device_resource
from dataflows.fhir.devices import metrics
from dataflows.fhir.resources import Bundle, Resource
from dataflows.fhir.vitals import observations
from ingest.profile import Birth

PROFILES = {  # of hl7.org/fhir/R4/observation-vitalsigns.html: codes that must be there, and the unit
    "heartrate": ({"8867-4"}, "/min"),
    "resprate": ({"9279-1"}, "/min"),
    "oxygensat": ({"2708-6", "59408-5"}, "%"),
    "bodytemp": ({"8310-5"}, "Cel"),
}


def _changed(
    row: Vitals,
    resp: Reading,
    spo2: Reading,
    pvc: Reading,
    shares: tuple[float, ...],
    reasons: tuple[str, str],
) -> Vitals:
    fields = {name: getattr(row, name) for name in row.__struct_fields__}
    deviation, low, high, af, vf, vt = shares
    fields |= {"resp": resp, "spo2": spo2, "pvc": pvc, "resp_reason": reasons[0], "spo2_reason": reasons[1]}
    fields |= {"deviation": deviation, "news2_min": low, "news2_max": high, "af": af, "vf": vf, "vt": vt}
    return Vitals(**fields)


def _event(event: AlarmEvent, condition: Condition, state: AlarmState, patient: str) -> AlarmEvent:
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    return AlarmEvent(**(fields | {"condition": condition, "state": state, "patient": patient}))


more_vitals = st.builds(
    _changed,
    any_vitals,
    readings,
    readings,
    readings,
    st.tuples(*[floats] * 6),
    st.tuples(texts, texts),
)
statuses = st.builds(
    DeviceStatus,
    names,
    names,
    st.one_of(st.just(""), names),
    texts,
    st.booleans(),
    st.sampled_from(["online", "offline", "zeroing", "calibrating", "unknown", "gone"]),
    texts,
    st.integers(0, 2**62),
    floats,
    floats,
    st.integers(0, 2**31),
    floats,
    st.sampled_from(["", "pT/sqrt(Hz)", "fT / sqrt(Hz)"]),
    st.integers(0, 2**62),
)
any_event = st.builds(
    _event,
    any_alarm,
    st.sampled_from(get_args(Condition)),
    st.sampled_from(get_args(AlarmState)),
    st.one_of(names, st.just(WARD)),
)


def said(what: Bundle | Resource) -> dict[str, Any]:
    """What a resource says, by the independent library's judgement and by the JSON itself."""
    body = bundles.encode(what)
    found: dict[str, Any] = json.loads(body)
    get_fhir_model_class(found["resourceType"]).model_validate_json(body)
    return found


def by_code(found: list[dict[str, Any]], code: str) -> dict[str, Any]:
    (one,) = [one for one in found if code in {coding["code"] for coding in one["code"]["coding"]}]
    return one


def test_every_vital_is_coded_or_said_to_have_no_code() -> None:
    assert set(codes.VITALS) == set(Vitals.__struct_fields__)
    for field, found in codes.VITALS.items():
        if isinstance(found, codes.Coded):
            assert found.codes or found.why_local, field
            assert found.unit, field
            assert codes.vital(field) is found
        else:
            assert found[0]
            with pytest.raises(codes.UnmappedError, match=field):
                codes.vital(field)


def test_every_condition_is_coded_or_said_to_have_no_code() -> None:
    assert set(codes.CONDITIONS) == set(get_args(Condition))
    for name, found in codes.CONDITIONS.items():
        assert bool(found.codes) != bool(found.why_local), name
        assert codes.condition(name) is found


def test_what_the_table_does_not_know_is_an_error_by_name() -> None:
    with pytest.raises(codes.UnmappedError, match="vital 'glucose' has no code: give it one in dataflows/fhir/codes"):
        codes.vital("glucose")
    with pytest.raises(codes.UnmappedError, match="condition 'hiccup' has no code"):
        codes.condition("hiccup")


def test_no_code_stands_for_two_things() -> None:
    taken = [
        (code.system, code.code)
        for table in (codes.VITALS, codes.CONDITIONS)
        for found in {id(one): one for one in table.values()}.values()
        if isinstance(found, codes.Coded)
        for code in found.codes
    ]
    assert len(set(taken)) == len(taken)


@given(more_vitals, st.lists(statuses, max_size=2))
@settings(max_examples=12)
def test_any_second_is_valid_and_keeps_to_the_vital_signs_profiles(row: Vitals, worn: list[DeviceStatus]) -> None:
    built = observations(row, worn)
    said(bundles.collection(built))
    found = [json.loads(bundles.encode(one)) for one in built]
    assert {"8867-4", "9279-1", "59408-5", "8310-5", "80404-7", "rmssd", "news2"} <= {
        coding["code"] for one in found for coding in one["code"]["coding"]
    }
    for one in found:
        assert ("dataAbsentReason" in one) != ("valueQuantity" in one or "valueRange" in one)  # vs-2
        assert one["category"][0]["coding"][0]["code"] == "vital-signs"
        assert one["subject"]["identifier"]["value"] == row.patient
        assert "reference" not in one["subject"]
        profile = one.get("meta", {}).get("profile")
        if profile:
            wanted, unit = PROFILES[profile[1].rpartition("/")[2]]
            assert wanted <= {c["code"] for c in one["code"]["coding"] if c["system"] == codes.LOINC}
            assert one.get("valueQuantity", {"code": unit})["code"] == unit
    assert observations(row, worn) == built
    assert len({one.id for one in built}) == len(built)


def test_a_value_carries_its_uncertainty_and_quality_and_what_measured_it() -> None:
    found = [said(one) for one in observations(vitals(hr=61.5), [device()])]
    hr = by_code(found, "8867-4")
    assert hr["valueQuantity"]["value"] == 61.5
    assert hr["valueQuantity"]["extension"][0]["valueDecimal"] == 0.4
    assert hr["extension"][0]["valueDecimal"] == 0.9
    assert hr["method"]["text"] == "from mcg"
    assert hr["device"]["reference"] == f"Device/{device_resource(device()).id}"
    assert hr["meta"]["security"][0]["code"] == "HTEST"
    assert by_code(found, "59408-5")["dataAbsentReason"]["coding"][0]["code"] == "unknown"


def test_of_several_devices_the_values_are_made_by_the_software() -> None:
    found = observations(vitals(), [device(), device()])
    assert {one.device.display for one in found if one.device} == {"femtoward"}


def test_the_same_second_has_the_same_ids_and_another_has_others() -> None:
    first, other = observations(vitals()), observations(vitals(second=1_700_000_001))
    assert not {one.id for one in first} & {one.id for one in other}


@given(any_event)
@settings(max_examples=25)
def test_any_alarm_is_valid(event: AlarmEvent) -> None:
    for kind in ("collection", "transaction"):
        found = said(alarm_bundle(event, kind=kind))
        entries = {entry["fullUrl"].rpartition("fhir/")[2]: entry["resource"] for entry in found["entry"]}
        issue = found["entry"][-1]["resource"]
        assert all(one["reference"] in entries for one in issue["evidence"][0]["detail"])
        assert ("patient" in issue) == (event.patient != WARD)
        assert all(("request" in entry) == (kind == "transaction") for entry in found["entry"])
    assert alarm_bundle(event) == alarm_bundle(event)


def test_an_alarm_says_its_value_its_strip_and_its_severity() -> None:
    value, strip, issue = (entry["resource"] for entry in said(alarm_bundle(alarm()))["entry"])
    assert issue["severity"] == "high"
    assert issue["detail"] == "no heart beat for 4 s"
    assert {coding["code"] for coding in issue["code"]["coding"]} == {"397829000", "199684", "asystole"}
    assert value["valueQuantity"]["value"] == 0.0
    assert strip["valueSampledData"]["data"] == "1 -2 3 -4"
    assert strip["valueSampledData"]["period"] == 8.0
    assert strip["valueSampledData"]["factor"] == 0.01
    assert strip["effectivePeriod"]["end"].endswith("Z")


def test_an_alarm_keeps_its_id_through_its_life() -> None:
    life: tuple[AlarmState, ...] = ("active", "acknowledged", "ended")
    events = (alarm(step=step, state=state) for step, state in enumerate(life))
    first, seen, over = (said(alarm_bundle(event))["entry"][-1]["resource"] for event in events)
    assert first["id"] == seen["id"] == over["id"]
    assert (first["status"], over["status"]) == ("final", "amended")
    assert seen["mitigation"][0]["action"]["coding"][0]["code"] == "acknowledged"
    assert "end" not in first["identifiedPeriod"]
    assert "end" in over["identifiedPeriod"]


def test_who_acknowledged_is_said_once_and_of_a_latched_alarm_too() -> None:
    def mitigations(state: AlarmState, change: AlarmChange) -> list[dict[str, Any]]:
        event = replace(alarm(step=1, state=state), change=change, actor="ana")
        found: list[dict[str, Any]] = said(alarm_bundle(event))["entry"][-1]["resource"].get("mitigation", [])
        return found

    [latched] = mitigations("ended", "acknowledged")
    assert latched["author"]["identifier"]["value"] == "ana"
    assert mitigations("acknowledged", "acknowledged") == [latched]
    [commented] = mitigations("acknowledged", "commented")  # whoever commented has not acknowledged it
    assert "author" not in commented
    assert mitigations("ended", "ended") == []


def test_a_retracted_alarm_is_withdrawn_and_not_deleted() -> None:
    assert said(alarm_bundle(alarm(step=1, state="retracted")))["entry"][-1]["resource"]["status"] == "entered-in-error"


def test_a_strip_comes_out_as_it_went_in() -> None:
    counts = [((i * 37) % 60_001) - 30_000 for i in range(1250)]
    event = AlarmEvent(
        **(
            {name: getattr(alarm(), name) for name in AlarmEvent.__struct_fields__}
            | {"strip": struct.pack("<1250h", *counts), "strip_scale": 0.0025}
        )
    )
    strip = said(alarm_bundle(event))["entry"][1]["resource"]["valueSampledData"]
    assert [int(one) for one in strip["data"].split()] == counts
    assert strip["factor"] == 0.0025


@given(statuses, births())
@settings(max_examples=12)
def test_any_device_is_valid_with_and_without_its_birth(status: DeviceStatus, birth: Birth) -> None:
    said(device_resource(status))
    (first,) = metrics(status)
    said(first)
    for metric, stream in zip(metrics(status, birth), birth.streams, strict=True):
        found = said(metric)["calibration"][0]
        if stream.calibration is None or not stream.calibration.expiry_ns:
            assert found["state"] == "unspecified"
        else:
            over = status.last_seen_ns >= stream.calibration.expiry_ns
            assert found["state"] == ("calibration-required" if over else "calibrated")


def test_what_is_not_finite_never_reaches_json() -> None:
    row = vitals(hr=math.inf)
    assert b"null" not in bundles.encode(bundles.collection(observations(row)))
