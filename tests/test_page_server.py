"""The ward page's server, by its own protocol: who may speak to it, what it says, and who is left behind."""

import http.client
import json
import re
import socket
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from outgoing import alarm, vitals, wave
from pages import Flow, Server, flow, key, server
from pages import alarm as raised
from servers import free_port
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from dataflows.events import PatientInfo
from dataflows.store import Store
from deploy import grounds
from deploy.page import connections
from deploy.page.messages import Acknowledge, Changes, Snapshot
from deploy.problem import UserError
from deploy.settings import parse_settings
from deploy.wiring import page_options
from ingest.door import Door

TOKEN = "a-token-of-this-ward-0123456789"  # noqa: S105 - opens nothing but a test's own server
README = Path(__file__).parents[1] / "deploy" / "README.md"
FromServer = Snapshot | Changes


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    with flow(tmp_path_factory.mktemp("ward"), 3) as one:
        yield one


@pytest.fixture(scope="module")
def served(ward: Flow) -> Iterator[Server]:
    with server(ward.folder) as one:
        yield one


class Talk:
    """A page that a test plays."""

    def __init__(self, socket_: ClientConnection) -> None:
        self.socket = socket_

    def hear(self, *, answer: bool = True) -> FromServer:
        said: FromServer = msgspec.json.decode(self.socket.recv(timeout=20), type=FromServer)
        if answer:
            self.say({"type": "seen", "n": said.n})
        return said

    def say(self, message: object) -> None:
        self.socket.send(message if isinstance(message, (str, bytes)) else json.dumps(message))

    def until(self, condition: Any) -> FromServer:  # noqa: ANN401 - a predicate
        for _ in range(100):
            said = self.hear()
            if condition(said):
                return said
        pytest.fail("a hundred messages, and none of them is it")


@contextmanager
def talking(one: Server, origin: str | None = None, headers: dict[str, str] | None = None) -> Iterator[Talk]:
    url = one.url.replace("http", "ws") + "live"
    given = Origin(origin or one.url.rstrip("/"))
    with connect(url, origin=given, additional_headers=headers or {}, compression=None) as connection:
        yield Talk(connection)


def request(
    one: Server, path: str = "/", method: str = "GET", body: str | None = None, **headers: str
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", one.port, timeout=10)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


def test_a_snapshot_comes_first_then_what_changes_and_a_sign_of_life_each_second(ward: Flow, served: Server) -> None:
    with talking(served) as page:
        first = page.hear()
        assert isinstance(first, Snapshot)
        assert {tile.key for tile in first.tiles} == {key(0), key(1), key(2)}
        quiet = page.hear()
        assert isinstance(quiet, Changes)
        assert (quiet.tiles, quiet.trouble) == ((), "")
        ward.beat(1_900_000_000)
        news = page.until(lambda said: said.tiles)
        assert {tile.second for tile in news.tiles} == {1_900_000_000}


def test_the_waveform_of_the_chosen_bed_comes_with_its_last_seconds(ward: Flow, served: Server) -> None:
    for second in range(1_900_000_100, 1_900_000_103):
        ward.beat(second)
    with talking(served) as page:
        page.say({"type": "choose", "key": key(1)})

        def has_come(said: FromServer) -> bool:
            return isinstance(said, Changes) and any(one.second == 1_900_000_102 for one in said.seconds)

        seconds = page.until(has_come).seconds  # type: ignore[union-attr]  # Changes, as just looked at
        assert {one.key for one in seconds} == {key(1)}
        assert len(seconds[0].counts) == seconds[0].rate_hz == 125
        ward.beat(1_900_000_103)
        [following] = page.until(lambda said: said.seconds).seconds  # type: ignore[union-attr]
        assert following.second == 1_900_000_103


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("{", "Input data was truncated"),
        (b"\x00\x01", "bytes came, need JSON as text"),
        ('{"type": "discharge"}', "Invalid value 'discharge' - at `$.type`"),
        ('{"type": "seen", "n": 1, "more": 2}', "Object contains unknown field `more`"),
        ('{"type": "choose", "key": 3}', "Expected `str`, got `int` - at `$.key`"),
        ('{"type": "acknowledge", "request": "r", "key": "k", "alarm": "a", "actor": "n k"}', "matching regex"),
    ],
)
def test_what_is_not_agreed_is_refused_with_a_reason(served: Server, message: str | bytes, said: str) -> None:
    with talking(served) as page:
        page.say(message)
        [outcome] = page.until(lambda heard: isinstance(heard, Changes) and heard.outcomes).outcomes  # type: ignore[union-attr]
        assert (outcome.request, outcome.state) == ("", "refused")
        assert said in outcome.detail


def test_acknowledging_goes_through_the_door_and_the_flows_answer_comes_back(ward: Flow, served: Server) -> None:
    event = ward.raise_(raised(2))

    def outcome(page: Talk) -> Any:  # noqa: ANN401 - an Outcome
        return page.until(lambda said: isinstance(said, Changes) and said.outcomes).outcomes[0]  # type: ignore[union-attr]

    with talking(served) as page:
        page.until(lambda said: any(tile.alarms for tile in said.tiles))
        said = Acknowledge(request="r1", key=key(2), alarm=event.id, actor="nina", note="on my way")
        page.say(msgspec.json.encode(said).decode())
        assert outcome(page).state == "sent"
        ward.answer()
        done = outcome(page)
        assert (done.request, done.state) == ("r1", "done")
        page.say(msgspec.json.encode(msgspec.structs.replace(said, alarm="no-such")).decode())
        assert outcome(page).state == "refused"


def test_a_page_that_says_too_much_is_left(served: Server) -> None:
    with talking(served) as page, pytest.raises(ConnectionClosed) as closed:  # noqa: PT012 - some time or other
        while True:
            page.say({"type": "seen", "n": 1})
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008


def test_a_page_that_answers_nothing_gets_three_messages_and_is_left(ward: Flow, served: Server) -> None:
    with talking(served) as page, talking(served) as quick:
        heard = []
        with pytest.raises(ConnectionClosed) as closed:  # noqa: PT012 - some time or other
            while True:
                heard.append(page.hear(answer=False).n)
                ward.beat(1_900_000_200 + len(heard))
                quick.hear()
    assert heard == [1, 2, 3]
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1013


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_a_page_of_another_site_gets_no_connection(served: Server, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused, talking(served, origin):
        pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1", 200), ("localhost:8080", 200), ("[::1]:8080", 200), ("evil.example", 421), ("[", 421), ("", 421)],
)
def test_only_an_address_or_a_name_of_ours_is_answered(served: Server, host: str, status: int) -> None:
    assert request(served, Host=host).status == status


def test_no_answer_lets_scripts_of_others_in(served: Server) -> None:
    for path in ("/", "/static/page.js", "/nothing"):
        policy = request(served, path).headers["Content-Security-Policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy


def test_with_a_token_nothing_is_shown_before_it_is_given(ward: Flow, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(stat.S_IRUSR)
    with server(ward.folder, f'secret_file = "{file}"\n') as one:
        origin = one.url.rstrip("/")
        shut = request(one)
        assert (shut.status, shut.headers["Location"]) == (303, "enter")
        assert request(one, "/enter").status == request(one, "/static/look.css").status == 200
        with pytest.raises(InvalidStatus), talking(one):
            pass
        wrong = request(one, "/enter", "POST", urlencode({"token": "guessed"}), Origin=origin)
        assert (wrong.headers["Location"], wrong.headers["Set-Cookie"]) == ("enter?wrong", None)
        foreign = request(one, "/enter", "POST", urlencode({"token": TOKEN}), Origin="http://evil.example")
        assert foreign.status == 403
        right = request(one, "/enter", "POST", urlencode({"token": TOKEN}), Origin=origin)
        cookie = right.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert TOKEN not in cookie
        shown = {"Cookie": cookie.partition(";")[0]}
        assert request(one, **shown).status == 200
        one.kill()
        one.start()
        with talking(one, headers=shown) as page:  # a page that was let in comes back by itself
            assert isinstance(page.hear(), Snapshot)


def test_behind_a_proxy_that_passes_on_what_the_readme_says_it_is_entered_and_live(ward: Flow, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    with server(ward.folder, f'secret_file = "{file}"\nnames = ["ward.example"]\n') as one:
        form, origin = urlencode({"token": TOKEN}), "https://ward.example:8443"
        passed = {"http_host": "ward.example:8443", "http_upgrade": "websocket"}
        nginx: dict[str, str] = dict(re.findall(r"proxy_set_header (\w+) (?:\$|\")(\w+)\"?;", README.read_text()))
        headers = {name: passed.get(value, value) for name, value in nginx.items()}
        host = headers["Host"]
        entered = request(one, "/enter", "POST", form, Origin=origin, Host=host)
        cookie = entered.headers["Set-Cookie"]
        assert "Secure" in cookie
        shaken = {name: value for name, value in headers.items() if name != "Host"}
        assert request(one, Host=host, Cookie=cookie.partition(";")[0], Connection="upgrade").status == 200
        key_ = {"Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec_WebSocket_Version": "13"}
        live = request(one, "/live", Host=host, Origin=origin, Cookie=cookie.partition(";")[0], **shaken, **key_)
        assert live.status == 101
        rewritten = request(one, "/enter", "POST", form, Origin=origin, Host=f"127.0.0.1:{one.port}")
        assert rewritten.status == 403  # what nginx does by itself


def test_whoever_guesses_tokens_or_holds_connections_shuts_nobody_out(ward: Flow, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    with ExitStack() as held, server(ward.folder, f'secret_file = "{file}"\n') as one:
        origin, elsewhere = one.url.rstrip("/"), ("127.0.0.2", 0)
        entered = request(one, "/enter", "POST", urlencode({"token": TOKEN}), Origin=origin)
        shown = {"Cookie": entered.headers["Set-Cookie"].partition(";")[0]}
        for _ in range(300):  # that ask for nothing
            held.enter_context(socket.create_connection(("127.0.0.1", one.port), 10, elsewhere))
        assert request(one, **shown).status == 200
        assert request(one, "/enter").status == 200
        guesses = []
        for i in range(12):
            address = (f"127.0.1.{i // 3}", 0)
            guess = http.client.HTTPConnection("127.0.0.1", one.port, timeout=30, source_address=address)
            guess.request("POST", "/enter", urlencode({"token": f"guess-{i}"}), {"Origin": origin})
            guesses.append(guess)
        assert request(one, **shown).status == 200
        refused = request(one, "/enter", "POST", urlencode({"token": TOKEN}), Origin=origin)
        assert (refused.status, refused.headers["Retry-After"]) == (429, "2")  # eight places, all taken
        assert Counter(guess.getresponse().status for guess in guesses) == {303: 8, 429: 4}  # two of each address
        assert request(one, "/enter", "POST", urlencode({"token": TOKEN}), Origin=origin).headers["Set-Cookie"]
        for guess in guesses:
            guess.close()


def test_a_connection_that_asks_for_nothing_is_closed(served: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SILENT_S", 0.2)
    with socket.create_connection(("127.0.0.1", served.port), 30) as silent:
        silent.sendall(b"GET / HTTP/1.1\r\nHost: 127")
        assert silent.recv(1) == b""


def test_it_drains_at_once_although_pages_are_open(ward: Flow) -> None:
    with server(ward.folder, apart=True) as one, talking(one) as page:
        page.hear()
        assert one.stop() == 0


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        one = Server(tmp_path, taken.getsockname()[1], apart=True)
        one.start()
        assert one.process is not None
        assert one.process.wait(30) == 2
        assert "the ward page cannot be opened (Address already in use)" in (tmp_path / "page.log").read_text()


def test_all_partitions_of_this_host_are_shown_and_the_doors_kept_apart(tmp_path: Path) -> None:
    with Store(tmp_path / "a" / "store.sqlite") as a, Store(tmp_path / "b" / "store.sqlite") as b:
        for store, bed in ((a, "a-1"), (b, "b-1")):  # the same patient's name, at two sites of one name
            store.put([PatientInfo("north", "p1", bed, ("w1",), True, 1), vitals(), wave()])
        b.put([alarm()])
        partitions = '[[partition]]\nname = "a"\nsites = ["x"]\n[[partition]]\nname = "b"\nsites = ["y"]\n'
        with server(tmp_path, partitions) as one, talking(one) as page:
            tiles = {tile.key: tile.name for tile in page.until(lambda said: len(said.tiles) == 2).tiles}
            assert tiles == {"a/north/p1": "a-1", "b/north/p1": "b-1"}
            said = {
                "type": "acknowledge",
                "request": "r",
                "key": "b/north/p1",
                "alarm": "a1",
                "actor": "nina",
                "note": "",
            }
            page.say(said)
            page.until(lambda heard: isinstance(heard, Changes) and heard.outcomes)
        assert not Door(tmp_path / "a" / "door").take(10)
        assert len(Door(tmp_path / "b" / "door").take(10)) == 1


def test_without_a_store_it_says_what_is_missing_and_begins_when_it_is_there(tmp_path: Path) -> None:
    with server(tmp_path) as one, talking(one) as page:
        page.until(lambda said: said.trouble == "no store yet in main: the flow makes it when it starts")
        with flow(tmp_path, 2):
            page.until(lambda said: len(said.tiles) == 2)
            page.until(lambda said: said.trouble == "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[page]\nhost = "0.0.0.0"', "host = '0.0.0.0' lets others on the network in: name a file or a variable"),
        ('[page]\nhost = "ward.example"', "lets others on the network in"),
        ("[page]\nport = 0", "page.port = 0: expected `int` >= 1"),
        ("[page]\nport = 9465", "page.port = 9465 is a health port, too"),
        ('[page]\nnames = ["http://x"]', "page.names"),
    ],
)
def test_settings_that_would_open_it_to_anybody_are_refused(text: str, said: str) -> None:
    with pytest.raises(UserError) as refused:
        parse_settings(text)
    assert said in str(refused.value)


def test_a_token_that_can_be_guessed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = parse_settings('[page]\nhost = "0.0.0.0"\nsecret_env = "WARD_TOKEN"')
    with pytest.raises(UserError, match="WARD_TOKEN is not set or empty"):
        page_options(settings)
    monkeypatch.setenv("WARD_TOKEN", "short")
    with pytest.raises(UserError, match="has 5 characters, need 16 at least"):
        page_options(settings)
    monkeypatch.setenv("WARD_TOKEN", TOKEN)
    assert page_options(settings).token == TOKEN


def test_the_doctor_looks_at_its_token_and_its_port(served: Server) -> None:
    taken = grounds.page(parse_settings(f"[page]\nport = {served.port}"))
    assert (taken.verdict, "Address already in use" in taken.said) == ("warning", True)
    free = grounds.page(parse_settings(f"[page]\nport = {free_port()}"))
    assert (free.verdict, "for this machine alone" in free.said) == ("ok", True)
    unset = grounds.page(parse_settings('[page]\nsecret_env = "NOT_SET_ANYWHERE"'))
    assert (unset.verdict, "NOT_SET_ANYWHERE is not set" in unset.said) == ("problem", True)


def test_many_pages_at_once_are_bounded(served: Server) -> None:
    with ExitStack() as many:
        for _ in range(64):
            many.enter_context(talking(served))
        with talking(served) as page, pytest.raises(ConnectionClosed) as closed:
            page.socket.recv(timeout=10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.reason == "64 pages are open already: close one"
