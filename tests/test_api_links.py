"""Signed links over a real socket: a look changes nothing, a deed is done once, and what is not ours is refused."""

import base64
import http.client
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import pytest
from msgspec.structs import replace
from pages import NS, Flow, alarm, flow, server
from servers import answers, eventually, free_port

from dataflows.couriers.links import PATH, LinkOptions, Links
from dataflows.couriers.receipts import receipts
from dataflows.events import AlarmEvent, Condition
from deploy.api.link_page import page
from deploy.api.tokens import make

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


@dataclass
class Ward:
    flow: Flow
    port: int
    links: Links

    def link(self, event: AlarmEvent) -> str:
        return urlsplit(self.links.url("pager", event)).path

    def get(self, path: str) -> tuple[int, str]:
        return self._ask("GET", path, None)

    def post(self, path: str, **form: str) -> tuple[int, str]:
        return self._ask("POST", path, urlencode(form))

    def noted(self, event: AlarmEvent) -> set[str]:
        return {one.what for one in receipts(self.flow.folder / "main" / "couriers.sqlite", event.id)}

    def _ask(self, method: str, path: str, body: str | None) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, body, {"Content-Type": "application/x-www-form-urlencoded"} if body else {})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text


REFUSING = threading.Event()  # the flow says no


def answer(ward: Flow, over: threading.Event) -> None:
    """Answer commands as they come, as the flow would."""
    while not over.wait(0.01):
        ward.answer(not REFUSING.is_set(), "it is shelved" if REFUSING.is_set() else "")


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    folder = tmp_path_factory.mktemp("links")
    (folder / "secret").write_text(SECRET)
    (folder / "tokens.toml").write_text(make("one", "view")[1])
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    sections = (
        f'[api]\nport = {port}\ntokens_file = "{folder / "tokens.toml"}"\n'
        f'[links]\nurl = "{url}"\nsecret_file = "{folder / "secret"}"\n'
    )
    over = threading.Event()
    with flow(folder, 3) as one, server(folder, sections):
        eventually(lambda: answers(port), what="the API to be served")
        answering = threading.Thread(target=answer, args=(one, over))
        answering.start()
        yield Ward(one, port, Links(LinkOptions(url=url, secret_file=str(folder / "secret"))))
        over.set()
        answering.join()


def test_a_look_shows_the_alarm_and_changes_nothing_until_a_browser_says_that_it_was_seen(ward: Ward) -> None:
    event = ward.flow.raise_(replace(alarm(1, "pause"), bed="bed-01", reason="rested <b>3 s</b>"))
    status, text = ward.get(ward.link(event))
    assert status == 200
    for words in ("!!! HIGH pause", "bed-01", "rested &lt;b&gt;3 s&lt;/b&gt;", ">Acknowledge<", 'src="link.js"'):
        assert words in text
    assert "<b>" not in text
    assert ward.noted(event) == set()
    assert ward.post(ward.link(event), do="seen") == (204, "")
    assert ward.noted(event) == {"seen"}
    for file in ("link.js", "link.css"):
        assert ward.get(PATH + file)[0] == 200


def test_a_link_acknowledges_once_and_keeps_who_when_and_why(ward: Ward) -> None:
    event = ward.flow.raise_(alarm(2))
    status, text = ward.post(ward.link(event), do="acknowledge", actor="nina k", note="on my way")
    assert (status, "Done" in text) == (200, True)
    assert "seen by nina-k-via-pager: on my way" in text
    assert ward.noted(event) == {"did acknowledge", "seen", "accepted"}
    again = ward.post(ward.link(event), do="acknowledge", actor="ben")
    assert (again[0], "was used for that before, by pager" in again[1]) == (409, True)
    assert ">Acknowledge<" not in ward.get(ward.link(event))[1]
    assert ward.flow.standing[event.id].actor == "nina-k-via-pager"
    status, text = ward.post(ward.link(event), do="shelve", minutes="5")
    assert status == 200
    assert re.search(r"shelved until \d\d:\d\dZ by pager", text)


def test_what_the_flow_refuses_uses_up_no_link_and_is_not_accepted(ward: Ward) -> None:
    event = ward.flow.raise_(alarm(3))
    REFUSING.set()
    try:
        for _ in range(2):
            status, text = ward.post(ward.link(event), do="acknowledge")
            assert (status, "Not done: it is shelved" in text, ">Acknowledge<" in text) == (409, True, True)
    finally:
        REFUSING.clear()
    assert ward.noted(event) == {"refused acknowledge 1", "refused acknowledge 2", "seen"}
    assert ward.post(ward.link(event), do="acknowledge")[0] == 200
    assert "accepted" in ward.noted(event)


@pytest.mark.parametrize(("condition", "minutes"), [("asystole", ["2"]), ("bigeminy", ["2", "5", "15", "60"])])
def test_a_link_offers_no_longer_a_shelf_than_the_alarm_may_have(condition: Condition, minutes: list[str]) -> None:
    assert re.findall(r'<option value="(\d+)"', page(alarm(1, condition), set())) == minutes


def test_without_a_word_of_what_to_do_a_post_acknowledges(ward: Ward) -> None:
    event = ward.flow.raise_(alarm(0, "bigeminy", "medium"))
    assert ward.post(ward.link(event), note="")[0] == 200
    assert ward.flow.standing[event.id].state == "acknowledged"


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"do": "discharge"}, "A link does one of seen, acknowledge"),
        ({"do": "shelve", "minutes": "999"}, "need 2, 5, 15 or 60"),
        ({"do": "comment"}, "a comment needs a note"),
        ({"do": "acknowledge", "actor": "<script>"}, "letters, digits, - and _"),
        ({"do": "acknowledge", "note": "x" * 20_000}, "shorten it"),
    ],
)
def test_what_cannot_be_done_is_said_and_the_link_stays_good(ward: Ward, form: dict[str, str], said: str) -> None:
    event = ward.flow.raise_(alarm(1, "frozen", "low"))
    status, text = ward.post(ward.link(event), **form)
    assert status == 400
    assert said in text
    assert "<script>" not in text
    assert not {what for what in ward.noted(event) if what.startswith("did")}


def test_what_is_not_ours_is_refused_and_what_is_old_is_said_so(ward: Ward) -> None:
    event = ward.flow.raise_(alarm(1, "saturated", "low"))
    path = ward.link(event)
    assert ward.get(path[:-6] + "AAAAAA")[0] == 404
    assert ward.get(f"{PATH}%00%ff")[0] == 404
    old = replace(event, arrival_ns=time.time_ns() - 25 * 3600 * NS)
    status, text = ward.post(ward.link(old), do="acknowledge")
    assert (status, "too old" in text) == (410, True)
    never = ward.link(replace(event, id="never"))
    assert ward.get(never)[0] == 410
    assert ward.flow.standing[event.id].state == "active"


def test_an_alarm_that_is_over_can_still_be_marked_and_nothing_else_is_offered() -> None:
    text = page(replace(alarm(1), state="ended"), {"comment"})
    assert set(re.findall(r'value="([a-z-]+)"', text)) == {"mark-true", "mark-false"}
    assert "has done all" in page(replace(alarm(1), state="ended"), {"comment", "mark-true", "mark-false"})
    assert 'value="unshelve"' in page(replace(alarm(1), state="shelved"), set())
