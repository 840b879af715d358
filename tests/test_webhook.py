"""Webhooks: what is sent, how it is signed, and receivers that misbehave in every way."""

import base64
import hashlib
import hmac
import json
import logging
import socket
import ssl
import threading
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
from msgspec.structs import replace
from outgoing import NS, SECOND, alarm, vitals
from receiver import SECRET, Behaviour, Receiver

from dataflows.couriers import bodies
from dataflows.couriers.bodies import message_id
from dataflows.couriers.delivery import DeliveryFailed, ReceiverGone
from dataflows.couriers.post import Poster
from dataflows.couriers.signing import sign
from dataflows.couriers.webhook import WebhookCourier, WebhookOptions
from dataflows.events import AlarmEvent, Priority
from dataflows.store import Stored

VARIABLE = "WARD_SECRET"
OLD_SECRET = "whsec_" + base64.b64encode(b"an old secret of 32 bytes......!").decode()


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, SECRET)


def courier(
    url: str,
    *,
    allow_local: bool = True,
    timeout_s: float = 5.0,
    priorities: tuple[Priority, ...] = ("high", "medium", "low"),
) -> WebhookCourier:
    options = WebhookOptions(
        name="pager",
        url=url,
        secret_env=VARIABLE,
        allow_local=allow_local,
        timeout_s=timeout_s,
        priorities=priorities,
    )
    return WebhookCourier(options, now_s=lambda: SECOND + 0.9)


def deliver(to: WebhookCourier, *events: AlarmEvent) -> None:
    for row in [Stored(id_, event) for id_, event in enumerate(events, start=1)]:
        if to.wants(row):
            assert to.due_ns(row, SECOND * NS) == 0
            assert to.deliver([row]) == []


def test_an_event_is_sent_and_signed_as_standard_webhooks_has_it() -> None:
    with Receiver() as receiver:
        deliver(courier(receiver.url), alarm(step=2))
        [one] = receiver.deliveries
    assert one.verified
    assert one.id == message_id(alarm(step=2)) == "north_a1_2"
    assert one.timestamp == SECOND
    assert one.type == "alarm.active"
    assert one.headers["content-type"] == "application/json"
    signed = f"{one.id}.{one.timestamp}.".encode() + one.body
    mac = hmac.new(bytes(range(32)), signed, hashlib.sha256).digest()
    assert one.headers["webhook-signature"] == f"v1,{base64.b64encode(mac).decode()}"


def test_the_body_says_what_happened_and_nothing_more_of_the_patient() -> None:
    with Receiver() as receiver:
        deliver(courier(receiver.url), msgspec.structs.replace(alarm(), note="Mrs Example, room 4", actor="nurse-7"))
        body = json.loads(receiver.deliveries[0].body)
    assert body == {
        "type": "alarm.active",
        "timestamp": "2023-11-14T22:13:20.000000005Z",
        "data": {
            "site": "north",
            "id": "a1",
            "step": 0,
            "patient": "p1",
            "condition": "asystole",
            "kind": "physiological",
            "priority": "high",
            "state": "active",
            "change": "raised",
            "level": 0,
            "onset": "2023-11-14T22:13:20.000000000Z",
            "event": "2023-11-14T22:13:20.000000005Z",
            "arrival": "2023-11-14T22:13:20.000000009Z",
            "value": 0.0,
            "u": None,
            "unit": "",
            "limit": None,
            "quality": 0.9,
            "confidence": 0.8,
            "condition_delay_ms": None,
            "signal_delay_ms": None,
            "algorithm": "beats",
            "version": "1",
            "reason": "no heart beat for 4 s",
            "episode": "a1",
            "occurrences": 1,
            "shelved_until": None,
            "mark": "",
            "actor": "nurse-7",
        },
    }


def test_the_least_as_fhir_names_neither_bed_nor_ward_nor_anybody() -> None:
    event = replace(alarm(step=1, state="acknowledged"), change="acknowledged", actor="nurse-7", bed="bed-4")
    event = replace(event, ward="ward-9", note="Mrs Example", reason="acknowledged by nurse-7")
    least, full = (bodies.body_of(event, "fhir", detail).content for detail in ("minimal", "full"))
    assert all(word in full for word in (b"nurse-7", b"bed-4", b"SampledData"))
    assert not [word for word in (b"nurse", b"bed-4", b"ward-9", b"Example", b"SampledData") if word in least]
    assert b"acknowledged" in least


def test_the_same_event_is_the_same_body_and_id_each_time() -> None:
    with Receiver() as receiver:
        for _ in range(2):
            deliver(courier(receiver.url), alarm())
        first, second = receiver.deliveries
    assert (first.id, first.body) == (second.id, second.body)


def test_a_missed_alarm_is_named_so() -> None:
    with Receiver() as receiver:
        deliver(courier(receiver.url), alarm(state="missed"), alarm(step=1, state="ended"))
        assert [one.type for one in receiver.deliveries] == ["alarm.missed", "alarm.ended"]


def test_while_secrets_rotate_every_one_of_them_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, f"{SECRET} {OLD_SECRET}")
    with Receiver(secrets=[OLD_SECRET]) as old, Receiver(secrets=[SECRET]) as new:
        for receiver in (old, new):
            deliver(courier(receiver.url), alarm())
            assert receiver.deliveries[0].verified
            assert len(receiver.deliveries[0].headers["webhook-signature"].split()) == 2


def test_a_receiver_with_another_secret_does_not_verify() -> None:
    with Receiver(secrets=[OLD_SECRET]) as receiver:
        deliver(courier(receiver.url), alarm())
        assert not receiver.deliveries[0].verified


def test_only_the_priorities_asked_for_are_sent() -> None:
    with Receiver() as receiver:
        to = courier(receiver.url, priorities=("high", "medium"))
        deliver(to, alarm("a1", priority="low"), alarm("a2", priority="medium"))
        assert [one.data["id"] for one in receiver.deliveries] == ["a2"]


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
def test_every_other_status_is_a_failure_that_may_pass(status: int) -> None:
    with Receiver(lambda _: status, headers={"Retry-After": "17"}) as receiver:
        with pytest.raises(DeliveryFailed, match=f"answers {status}") as failure:
            deliver(courier(receiver.url), alarm())
        assert failure.value.retry_after_s == 17.0


def test_a_redirect_is_not_followed() -> None:
    with Receiver() as other, Receiver(lambda _: 307, headers={"Location": other.url}) as receiver:
        with pytest.raises(DeliveryFailed, match="redirects are not followed"):
            deliver(courier(receiver.url), alarm())
        assert other.deliveries == []


def test_gone_means_that_nothing_more_is_wanted() -> None:
    with Receiver(lambda _: 410) as receiver, pytest.raises(ReceiverGone, match="410 Gone"):
        deliver(courier(receiver.url), alarm())


@pytest.mark.parametrize("behaviour", ["hang", "drip"])
def test_who_hangs_or_drips_is_hung_up_on(behaviour: Behaviour) -> None:
    with Receiver(lambda _: behaviour) as receiver, pytest.raises(DeliveryFailed, match=r"not answered within 0\.6 s"):
        deliver(courier(receiver.url, timeout_s=0.6), alarm())


def test_who_hangs_up_is_a_failure_that_may_pass() -> None:
    with Receiver(lambda _: "close") as receiver, pytest.raises(DeliveryFailed, match="cannot be reached"):
        deliver(courier(receiver.url), alarm())


def test_a_huge_answer_is_not_read() -> None:
    with Receiver(lambda _: "huge") as receiver:
        deliver(courier(receiver.url), alarm())


def test_neither_a_name_server_nor_dead_addresses_hold_a_delivery_beyond_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: asked.wait(10.0))
    to = Poster("pager", "http://name.example/", 0.05, allow_local=True)
    with pytest.raises(DeliveryFailed, match=r"name.example cannot be reached: no name server answers in time"):
        to.post(b"", {})
    asked.set()
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, Receiver() as receiver:
        port = full.getsockname()[1]
        fill = [socket.socket() for _ in range(4)]
        for one in fill:  # until its queue is full: whoever connects then waits
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        place = urlsplit(receiver.url)
        both = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", at)) for at in (port, place.port)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)
        deliver(courier(receiver.url, timeout_s=1.0), alarm())
        assert len(receiver.deliveries) == 1
        both[1] = both[0]
        with pytest.raises(DeliveryFailed, match="timed out"):
            Poster("pager", receiver.url, 0.1, allow_local=True).post(b"", {})
        for one in fill:
            one.close()


def test_a_receiver_that_is_not_there_is_a_failure_that_may_pass() -> None:
    with Receiver() as receiver:
        url = receiver.url
    with pytest.raises(DeliveryFailed, match="cannot be reached"):
        deliver(courier(url), alarm())


def test_plain_http_where_tls_is_wanted_is_a_failure_that_may_pass() -> None:
    with Receiver() as receiver, pytest.raises(DeliveryFailed, match="cannot be reached") as failure:
        deliver(courier(receiver.url.replace("http:", "https:")), alarm())
    assert isinstance(failure.value.__cause__, ssl.SSLError | OSError)


@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1", "127.9.9.9", "[::1]", "169.254.169.254", "[fe80::1]", "0.0.0.0", "[::ffff:127.0.0.1]"],  # noqa: S104 - addresses to be refused
)
def test_this_machine_and_its_link_are_refused_unless_allowed(host: str) -> None:
    with pytest.raises(ValueError, match="set allow_local = true if that is meant"):
        courier(f"http://{host}:9/hook", allow_local=False)
    courier(f"http://{host}:9/hook", allow_local=True)


def test_a_name_that_leads_to_this_machine_is_refused_when_it_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as receiver:
        port = receiver.port
        to = courier(f"http://pager.example:{port}/hook", allow_local=False)
        # What a name server of an attacker may say after the check at the start.
        monkeypatch.setattr("socket.getaddrinfo", lambda *_: [(2, 1, 6, "", ("127.0.0.1", port))])
        with pytest.raises(DeliveryFailed, match=r"pager\.example is this machine"):
            deliver(to, alarm())
        assert receiver.deliveries == []


@pytest.mark.parametrize(
    ("secret", "message"),
    [
        ("", "not set or empty"),
        ("hunter2hunter2", "malformed"),
        ("whsec_!!!!", "malformed"),
        ("whsec_aGk=", "malformed, need whsec_ and the base64 of 24 to 64 bytes"),
        (f"{SECRET} whsec_", "malformed"),
    ],
)
def test_a_malformed_secret_is_refused_without_saying_it(
    monkeypatch: pytest.MonkeyPatch, secret: str, message: str
) -> None:
    monkeypatch.setenv(VARIABLE, secret)
    with pytest.raises(ValueError, match=message) as refusal:
        courier("https://pager.example/")
    assert not secret or secret not in str(refusal.value)


def test_a_receiver_without_a_secret_is_refused_with_the_way_to_make_one() -> None:
    with pytest.raises(ValueError, match=r"name secret_env or secret_file.*os\.urandom"):
        WebhookCourier(WebhookOptions(name="pager", url="https://pager.example/"))


def test_secrets_come_from_a_file_too_and_reach_no_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    (tmp_path / "secret").write_text(f"{SECRET}\n{OLD_SECRET}\n")
    with Receiver(secrets=[OLD_SECRET]) as receiver:
        options = WebhookOptions(name="pager", url=receiver.url, secret_file=str(tmp_path / "secret"), allow_local=True)
        deliver(WebhookCourier(options), alarm())
        assert receiver.deliveries[0].verified
    assert "whsec_" not in caplog.text + repr(options)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "a b", "url": "https://h/"}, "name is 'a b'"),
        ({"name": "a", "url": "ftp://h/"}, "url must be https"),
        ({"name": "a", "url": "https://me:pw@h/"}, "without user or password"),
        ({"name": "a", "url": "https://h/", "priorities": []}, "need a priority"),
        ({"name": "a", "url": "https://h/", "priorities": ["urgent"]}, "Invalid enum value"),
        ({"name": "a", "url": "https://h/", "timeout_s": 0}, "timeout_s > 0"),
    ],
)
def test_a_malformed_option_is_refused_by_name(changes: dict[str, object], message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message) as refusal:
        msgspec.convert(changes, WebhookOptions)
    assert ":pw@" not in str(refusal.value)


def test_a_high_priority_is_not_given_up_before_a_day_whatever_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, SECRET)
    to = WebhookCourier(WebhookOptions(name="pager", url="https://h/", secret_env=VARIABLE, give_up_s=60.0))
    assert to.give_up_s(Stored(1, alarm(priority="low"))) == 60.0
    assert to.give_up_s(Stored(1, alarm(priority="high"))) == 86_400.0


def test_the_published_example_of_standard_webhooks_holds() -> None:
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_events_of_one_alarm_share_a_lane_and_other_rows_are_none_of_its_business() -> None:
    to = courier("https://pager.example/")
    lanes = [to.lane(Stored(1, event)) for event in (alarm("a1"), alarm("a1", 1), alarm("a2"))]
    assert lanes[0] == lanes[1] != lanes[2]
    assert to.kinds == ("alarm",)
    assert to.deliver([Stored(1, vitals())]) == []


def test_times_are_written_to_the_nanosecond() -> None:
    with Receiver() as receiver:
        deliver(courier(receiver.url), msgspec.structs.replace(alarm(), event_ns=SECOND * NS + 123_456_789))
        assert json.loads(receiver.deliveries[0].body)["timestamp"] == "2023-11-14T22:13:20.123456789Z"
