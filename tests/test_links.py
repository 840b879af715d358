"""Signed links: only ours are taken, while they hold, and each does a thing once; receipts keep what came first."""

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outgoing import NS, SECOND, alarm, any_alarm

from dataflows.couriers.links import DOINGS, MAX_TOKEN, PATH, Link, LinkOptions, Links, Refusal, command_id
from dataflows.couriers.receipts import Receipt, Receipts, receipts
from dataflows.events import AlarmEvent
from deploy.settings import parse_settings
from deploy.wiring import link_options
from ingest.codec import encode_command
from ingest.command import Acknowledge
from ingest.documents import decode_command

NEW = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OLD = "whsec_" + base64.b64encode(b"an old secret of 32 bytes......!").decode()


def links(secrets: str, folder: Path, hours: float = 24.0) -> Links:
    file = folder / "secret"
    file.write_text(secrets)
    return Links(LinkOptions(url="https://ward.example/api/", secret_file=str(file), hours=hours))


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Links:
    return links(NEW, tmp_path_factory.mktemp("links"))


def token_of(url: str) -> str:
    base, _, token = url.partition(PATH)
    assert base == "https://ward.example/api"
    return token


@given(any_alarm)
def test_a_link_leads_back_to_its_event(ours: Links, event: AlarmEvent) -> None:
    token = token_of(ours.url("pager", event))
    link = ours.verify(token, event.arrival_ns / NS)
    assert isinstance(link, Link)
    assert (link.receiver, link.site, link.alarm, link.step) == ("pager", event.site, event.id, event.step)
    assert (link.patient, link.condition) == (event.patient, event.condition)
    assert token_of(ours.url("pager", event)) == token  # the same event: the same body, each time
    assert len(token) <= MAX_TOKEN


@given(st.data())
def test_a_link_that_was_tampered_with_is_refused(ours: Links, data: st.DataObject) -> None:
    token = token_of(ours.url("pager", alarm()))
    at = data.draw(st.integers(0, len(token) - 1))
    by = data.draw(st.sampled_from("ABCabc019-_.~/%é"))
    other = token[:at] + by + token[at + 1 :]
    found = ours.verify(other, float(SECOND))
    if not isinstance(found, Refusal):  # another spelling of the same bytes: the same link
        assert found == ours.verify(token, float(SECOND))


@given(st.text(max_size=2 * MAX_TOKEN) | st.binary(max_size=200).map(lambda b: base64.urlsafe_b64encode(b).decode()))
def test_whatever_comes_as_a_token_is_refused_and_never_raises(ours: Links, token: str) -> None:
    assert isinstance(ours.verify(token, float(SECOND)), Refusal)


def test_a_link_holds_for_its_hours(tmp_path: Path) -> None:
    ours = links(NEW, tmp_path, hours=0.5)
    token = token_of(ours.url("pager", alarm()))
    assert isinstance(ours.verify(token, SECOND + 1799.9), Link)
    late = ours.verify(token, SECOND + 1800.0)
    assert isinstance(late, Refusal)
    assert late.why == "expired"


def test_while_secrets_rotate_links_of_either_hold_and_the_newest_signs(tmp_path: Path) -> None:
    old, both, new = links(OLD, tmp_path), links(f"{NEW} {OLD}", tmp_path), links(NEW, tmp_path)
    before, after = (token_of(one.url("pager", alarm())) for one in (old, both))
    assert isinstance(both.verify(before, float(SECOND)), Link)
    assert isinstance(new.verify(after, float(SECOND)), Link)
    forged = new.verify(before, float(SECOND))
    assert isinstance(forged, Refusal)
    assert forged.why == "forged"


def test_each_thing_that_a_link_does_is_one_command(ours: Links) -> None:
    link = ours.verify(token_of(ours.url("pager", alarm())), float(SECOND))
    other = ours.verify(token_of(ours.url("phone", alarm())), float(SECOND))
    assert isinstance(link, Link)
    assert isinstance(other, Link)
    ids = [command_id(one, doing) for one in (link, other) for doing in DOINGS]
    assert len(set(ids)) == len(ids)
    command = Acknowledge(id=command_id(link, "acknowledge"), patient=link.patient, alarm=link.alarm)
    assert decode_command(encode_command(command)) == command
    assert command_id(link, "acknowledge") == command.id


@pytest.mark.parametrize("url", ["ward.example", "ftp://ward.example/", "https://ward.example/?a=b"])
def test_an_address_that_links_cannot_lead_to_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="need https://HOST/"):
        LinkOptions(url=url)


def test_the_settings_name_where_links_lead() -> None:
    assert link_options(parse_settings("")) is None
    settings = parse_settings('[links]\nurl = "https://ward.example/"\nsecret_env = "LINKS"\nhours = 2.0')
    assert link_options(settings) == LinkOptions(url="https://ward.example/", secret_env="LINKS", hours=2.0)  # noqa: S106


def test_a_receipt_is_kept_as_it_came_first(tmp_path: Path) -> None:
    path = tmp_path / "couriers.sqlite"
    assert receipts(path) == []
    with Receipts(path) as first, Receipts(path) as second:
        assert first.note(Receipt("pager", "north", "a1", 0, "seen", 7))
        assert not second.note(Receipt("pager", "north", "a1", 0, "seen", 9))
        assert second.note(Receipt("pager", "north", "a1", 0, "did acknowledge", 9))
        assert second.note(Receipt("pager", "north", "a22", 0, "seen", 9))
    assert [(one.what, one.at_ns) for one in receipts(path, "a1")] == [("seen", 7), ("did acknowledge", 9)]
    assert len(receipts(path)) == 3
