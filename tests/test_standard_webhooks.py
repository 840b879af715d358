"""Standard Webhooks against its reference package, and the receiver of the docs against ours."""

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from outgoing import SECOND, alarm
from receiver import SECRET, WAIT_S, Receiver
from servers import eventually, free_port
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from dataflows.couriers.bodies import Template
from dataflows.couriers.signing import sign
from dataflows.couriers.webhook import WebhookCourier, WebhookOptions
from dataflows.store import Stored
from deploy import receiver_example
from deploy.receiver_example import MALFORMED, NOT_SIGNED, TAKEN

OTHER = "whsec_" + base64.b64encode(b"another secret of 32 bytes.....!").decode()
VARIABLE = "WARD_SECRET"
KEY = base64.b64decode(SECRET.removeprefix("whsec_"))


@given(
    st.binary(min_size=24, max_size=64),
    st.text(st.characters(codec="utf-8", exclude_characters="."), min_size=1, max_size=40),
    st.integers(0, 4_000_000_000),
    st.text(max_size=200),
)
def test_we_sign_as_the_reference_does(key: bytes, id_: str, timestamp_s: int, body: str) -> None:
    reference = Webhook(key).sign(id_, datetime.fromtimestamp(timestamp_s, UTC), body)
    assert sign(key, id_, timestamp_s, body.encode()) == reference


@pytest.mark.parametrize("template", ["json", "fhir", "text"])
def test_the_reference_verifies_what_we_send_with_either_secret_while_they_rotate(
    monkeypatch: pytest.MonkeyPatch, template: Template
) -> None:
    monkeypatch.setenv(VARIABLE, f"{SECRET} {OTHER}")
    with Receiver() as receiver:
        options = WebhookOptions(
            name="pager", url=receiver.url, secret_env=VARIABLE, allow_local=True, template=template
        )
        WebhookCourier(options).deliver([Stored(1, alarm())])
        [one] = receiver.deliveries
    for secret in (SECRET, OTHER):
        Webhook(secret).verify(one.body, one.headers)
    with pytest.raises(WebhookVerificationError, match="No matching signature"):
        Webhook(bytes(32)).verify(one.body, one.headers)
    with pytest.raises(WebhookVerificationError, match="No matching signature"):
        Webhook(SECRET).verify(one.body + b" ", one.headers)


class Kept:
    """What the receiver of the docs passed on."""

    def __init__(self, now_s: float = SECOND, secrets: str = SECRET) -> None:
        self.bodies: list[bytes] = []
        self.receiver = receiver_example.Receiver(secrets, self.bodies.append, lambda: now_s)

    def receive(self, key: bytes = KEY, sent: int = SECOND, id_: str = "m1", body: bytes = b"{}") -> int:
        headers = {"webhook-id": id_, "webhook-timestamp": str(sent), "webhook-signature": sign(key, id_, sent, body)}
        return self.receiver.receive(headers, body)


@pytest.mark.parametrize("skew_s", [-301, 301, 10_000_000])
def test_the_receiver_of_the_docs_rejects_what_was_signed_long_ago_or_ahead(skew_s: int) -> None:
    kept = Kept()
    assert kept.receive(sent=SECOND + skew_s) == MALFORMED
    assert kept.receive(sent=SECOND - 300) == kept.receive(id_="m2", sent=SECOND + 300) == TAKEN
    assert len(kept.bodies) == 2


def test_the_receiver_of_the_docs_rejects_a_wrong_key_and_a_changed_body() -> None:
    kept = Kept()
    assert kept.receive(key=bytes(32)) == NOT_SIGNED
    headers = {"webhook-id": "m1", "webhook-timestamp": str(SECOND), "webhook-signature": sign(KEY, "m1", SECOND, b"a")}
    assert kept.receiver.receive(headers, b"b") == NOT_SIGNED
    assert kept.receiver.receive(headers | {"webhook-signature": "v1,ü v2,x"}, b"a") == NOT_SIGNED
    assert kept.receiver.receive(headers | {"webhook-id": ""}, b"a") == MALFORMED
    assert kept.receiver.receive(headers | {"webhook-timestamp": "soon"}, b"a") == MALFORMED
    for digits in (13, 400, 5000):  # int() itself refuses the last
        assert kept.receiver.receive(headers | {"webhook-timestamp": "1" * digits}, b"a") == MALFORMED
    assert kept.bodies == []


def test_the_receiver_of_the_docs_shows_a_repeated_event_once_and_takes_both_secrets() -> None:
    kept = Kept(secrets=f"{SECRET} {OTHER}")
    assert [kept.receive(), kept.receive(), kept.receive(key=b"another secret of 32 bytes.....!")] == [TAKEN] * 3
    assert kept.receive(id_="m2") == TAKEN
    assert len(kept.bodies) == 2


@contextmanager
def serving(receiver: receiver_example.Receiver) -> Iterator[str]:
    port = free_port()
    config = uvicorn.Config(
        receiver_example.app(receiver), host="127.0.0.1", port=port, log_config=None, lifespan="off"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        eventually(lambda: server.started)
        yield f"http://127.0.0.1:{port}/alarms"
    finally:
        server.should_exit = True
        thread.join(WAIT_S)


def test_the_receiver_of_the_docs_takes_what_we_send(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, SECRET)
    bodies: list[bytes] = []
    with serving(receiver_example.Receiver(SECRET, bodies.append)) as url:
        to = WebhookCourier(WebhookOptions(name="pager", url=url, secret_env=VARIABLE, allow_local=True))
        for _ in range(2):
            assert to.deliver([Stored(1, alarm())]) == []
    assert len(bodies) == 1
