"""The courier to a FHIR server: a real one over HTTP that takes, refuses, fails; and `femtoward fhir`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from carrying import Place, stored
from commandline import Run, refused
from fhir.resources.R4B import get_fhir_model_class
from fhir_receiver import Entry, FhirReceiver
from http_stub import Reply
from msgspec.structs import replace
from outgoing import SECOND, alarm, device, vitals
from servers import eventually

from dataflows.couriers.delivery import DeliveryFailed
from dataflows.couriers.fhir import FhirCourier
from dataflows.couriers.fhir_options import FhirOptions
from dataflows.events import Row
from dataflows.store import Store
from deploy import receivers
from deploy.settings import parse_settings
from deploy.wiring import courier_options

MINUTE = SECOND - SECOND % 60


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.put(device())
    return place


@pytest.fixture
def server() -> Iterator[FhirReceiver]:
    with FhirReceiver() as server:
        yield server


def courier(server: FhirReceiver, place: Place, **options: Any) -> FhirCourier:  # noqa: ANN401 - of FhirOptions
    return FhirCourier(FhirOptions(url=f"{server.url}/fhir", **options), place.store)


def test_one_second_in_a_minute_goes_out_for_each_patient_after_its_device(server: FhirReceiver, place: Place) -> None:
    rows: list[Row] = [vitals(patient, MINUTE + s) for s in range(130) for patient in ("p1", "p2")]
    one = courier(server, place)
    assert one.deliver(stored(rows)) == []
    rates = [r for r in server.of("Observation") if r["code"]["coding"][0]["code"] == "8867-4"]
    assert len(rates) == 6
    assert {r["effectiveDateTime"][-3:] for r in rates} == {"00Z"}
    assert [r["identifier"][0]["value"] for r in server.of("Device")] == ["w1"]
    assert len(server.of("DeviceMetric")) == 1
    assert server.order[0].startswith("Device/")
    assert {r.get("device", {}).get("display", "w1") for r in rates} == {"w1", "femtoward"}  # p2 wears nothing known
    before = len(server.requests)
    assert one.deliver(stored(rows)) == []
    assert len(server.requests) == before  # nothing is due that has gone out
    one.close()


def test_what_is_sent_again_after_a_crash_overwrites_itself(server: FhirReceiver, place: Place) -> None:
    rows: list[Row] = [vitals(second=MINUTE + s) for s in range(60)]
    for _ in range(2):
        one = courier(server, place)
        one.deliver(stored(rows))
        one.close()
    assert len(server.resources) < len(server.order)
    assert len({r["effectiveDateTime"] for r in server.of("Observation")}) == 1


def test_an_alarm_goes_as_a_transaction_and_keeps_its_strip(server: FhirReceiver, place: Place) -> None:
    place.put(alarm())
    one = courier(server, place)
    seen = replace(alarm(step=1, state="acknowledged"), change="acknowledged", strip=b"", actor="nurse-7")
    assert one.deliver(stored([alarm()])) == []
    assert one.deliver(stored([seen])) == []
    assert all(json.loads(request.body)["type"] == "transaction" for request in server.requests)
    (issue,) = server.of("DetectedIssue")
    assert issue["mitigation"][0]["author"]["identifier"]["value"] == "nurse-7"
    assert any("valueSampledData" in server.resources[r["reference"]] for r in issue["evidence"][0]["detail"])
    one.close()


def test_vitals_that_the_server_does_not_take_are_refused_and_the_others_taken(place: Place) -> None:
    def judge(resource: Entry) -> tuple[int, str] | None:
        is_bad = resource.get("subject", {}).get("identifier", {}).get("value") == "p2"
        return (422, "no such patient") if is_bad else None

    with FhirReceiver(judge) as server:
        one = courier(server, place)
        (letter,) = one.deliver(stored([vitals(patient) for patient in ("p1", "p2", "p3")]))
        assert (letter.row.id, letter.reason) == (2, "422 Refused: no such patient")
        assert {r["subject"]["identifier"]["value"] for r in server.of("Observation")} == {"p1", "p3"}
        one.close()


def test_a_bundle_that_is_refused_as_a_whole_is_halved_until_the_row_is_found(place: Place) -> None:
    with FhirReceiver() as server:
        take = server.reply

        def reply(request: Any) -> Reply:  # noqa: ANN401
            return Reply(400, "cannot parse") if '"value":"p2"' in request.body else take(request)

        server.reply = reply
        one = courier(server, place)
        (letter,) = one.deliver(stored([vitals(patient) for patient in ("p1", "p2", "p3")]))
        assert (letter.row.id, letter.reason) == (2, "400: cannot parse")
        one.close()


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(503, "", (("Retry-After", "7"),)), "answers 503"),
        (Reply(401, '{"issue":[{"diagnostics":"who are you"}]}'), "check the token.*who are you"),
        (Reply(307, "", (("Location", "http://elsewhere"),)), "redirects are not followed"),
        (Reply(404, "nothing here"), "must be the base address"),
        (Reply(200, "<html>hello</html>"), "not with a Bundle"),
        (Reply(200, '{"resourceType":"Bundle","type":"batch-response"}'), "not with a Bundle of"),
    ],
)
def test_what_a_server_fails_at_is_tried_again(place: Place, reply: Reply, said: str) -> None:
    with FhirReceiver() as server:
        server.reply = lambda _: reply
        one = courier(server, place)
        with pytest.raises(DeliveryFailed, match=said) as failed:
            one.deliver(stored([vitals()]))
        assert failed.value.retry_after_s == (7.0 if reply.status == 503 else None)
        with pytest.raises(DeliveryFailed, match=said):
            one.deliver(stored([alarm()]))
        one.close()


def test_an_entry_that_may_pass_later_is_no_refusal(place: Place) -> None:
    with FhirReceiver(lambda _: (500, "out of order")) as server, pytest.raises(DeliveryFailed, match="out of order"):
        courier(server, place).deliver(stored([vitals()]))


def test_a_server_that_is_not_there_is_tried_again(place: Place, server: FhirReceiver) -> None:
    one = courier(server, place)
    server.__exit__(None, None, None)
    with pytest.raises(DeliveryFailed, match="cannot be reached"):
        one.deliver(stored([vitals()]))


def test_the_token_goes_with_every_request(monkeypatch: pytest.MonkeyPatch, place: Place, server: FhirReceiver) -> None:
    monkeypatch.setenv("WARD_FHIR", "sesame")
    one = courier(server, place, secret_env="WARD_FHIR")  # noqa: S106 - a variable's name
    one.deliver(stored([alarm()]))
    assert server.requests[0].headers["authorization"] == "Bearer sesame"


def test_a_section_of_the_settings_makes_the_courier(tmp_path: Path, server: FhirReceiver) -> None:
    text = f'[ward]\ndata_dir = "{tmp_path}"\n[fhir]\nurl = "{server.url}/fhir"\nevery_s = 30\n'
    settings = parse_settings(text)
    options = courier_options(settings)
    assert options.fhir is not None
    assert (options.fhir.every_s, options.fhir.alarms) == (30, True)
    assert settings.fhir is not None
    assert receivers.fhir(settings.fhir).verdict == "warning"  # it answers no /metadata
    server.reply = lambda _: Reply(200, '{"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"}')
    assert receivers.fhir(settings.fhir).verdict == "ok"
    server.reply = lambda _: Reply(200, '{"resourceType": "CapabilityStatement", "fhirVersion": "5.0.0"}')
    assert receivers.fhir(settings.fhir).verdict == "problem"


def test_rows_come_through_the_machinery_of_the_couriers(place: Place, server: FhirReceiver) -> None:
    from test_couriers import running  # noqa: PLC0415

    place.put(*(vitals(second=SECOND + s) for s in range(3)), alarm())
    with running(place, fhir=FhirOptions(url=f"{server.url}/fhir")):
        eventually(lambda: server.of("DetectedIssue") and server.of("Observation"))
        eventually(lambda: place.settled("fhir") == 5)


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    with Store(tmp_path / "main" / "store.sqlite") as store:
        store.put([device(), *(vitals(p, MINUTE + s) for p in ("p1", "p2") for s in range(121)), alarm()])
        store.put([replace(alarm(step=1, state="ended"), strip=b"")])
    return tmp_path


def test_fhir_prints_a_bundle_of_a_time_and_a_patient(femtoward: Run, ward: Path) -> None:
    found = femtoward("fhir", "--data-dir", ward, "--patient", "p1", "--json").json
    get_fhir_model_class("Bundle").model_validate(found)
    kinds = [entry["resource"]["resourceType"] for entry in found["entry"]]
    assert kinds[:2] == ["Device", "DeviceMetric"]
    assert kinds.count("DetectedIssue") == 1
    assert found["entry"][-1]["resource"]["status"] == "amended"
    assert len(found["entry"][-1]["resource"]["evidence"][0]["detail"]) == 2
    times = [e["resource"]["effectiveDateTime"] for e in found["entry"] if e["resource"].get("bodySite")]
    assert len(times) == 3
    short = femtoward("fhir", "--data-dir", ward, "--until", MINUTE + 60, "--since", MINUTE, "--no-alarms").json
    assert len([e for e in short["entry"] if e["resource"].get("bodySite")]) == 2


def test_fhir_writes_a_resource_a_line(femtoward: Run, ward: Path, tmp_path: Path) -> None:
    file = tmp_path / "out.ndjson"
    said = femtoward("fhir", "--data-dir", ward, "--ndjson", "--out", file, "--json").json["resources"]
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(lines) == sum(said.values())
    assert said["Device"] == 1
    assert str(file) in femtoward("fhir", "--data-dir", ward, "--ndjson", "--out", file).out


def test_fhir_refuses_what_makes_no_sense(femtoward: Run, ward: Path) -> None:
    refused(femtoward("fhir", "--data-dir", ward, "--patient", "p9"), "no patient 'p9'; these are known: p1, p2")
    refused(femtoward("fhir", "--data-dir", ward, "--since", "noon"), "--since 'noon': need a time")
    refused(femtoward("fhir", "--data-dir", ward, "--since", "9", "--until", "5"), "does not lie before")
    refused(femtoward("fhir", "--data-dir", ward, "--json", "--ndjson"), "leave one out")
