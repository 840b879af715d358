"""The HTTP API over real sockets: who may do what, what is found, what is done, and that nothing breaks it."""

import http.client
import json
import logging
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import schemathesis
from conftest import program
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from outgoing import device
from pages import Flow, alarm, ended, flow, server
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from servers import answers, eventually, free_port

from dataflows.couriers.receipts import Receipt, Receipts
from deploy.api.gate import FAILURES, LONGEST_BODY
from deploy.api.operations import Operation
from deploy.api.table import OPERATIONS
from deploy.api.tokens import ROLES, Role, make
from deploy.page import desk
from ingest.command import Acknowledge, Comment, Mark, Shelve, Unshelve

BASE = "/api/v1"
README = Path(__file__).parents[1] / "deploy" / "README.md"
EXAMPLE_ALARM = "6f1ae0c34b9d2e578a10"  # as the readme calls one
EXAMPLES = 6
CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - any JSON
        return json.loads(self.body)


@dataclass
class Api:
    """A running API, the ward behind it, and a token of each role."""

    ward: Flow
    port: int
    tokens: dict[str, str]
    stopping: threading.Event = field(default_factory=threading.Event)

    def ask(
        self, path: str, said: object = None, role: Role | str = "admin", method: str = "", **headers: str
    ) -> Answer:
        """GET a path, or POST what is said."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        body = said if isinstance(said, (bytes, str)) or said is None else json.dumps(said)
        given = {"Authorization": f"Bearer {self.tokens.get(role, role)}"} if role else {}
        given |= {"Content-Type": "application/json"} if body is not None else {}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method or ("GET" if said is None else "POST"), BASE + path, body, given)
        found = connection.getresponse()
        answer = Answer(found.status, {k.lower(): v for k, v in found.headers.items()}, found.read())
        connection.close()
        return answer

    def listed(self, query: str = "") -> Any:  # noqa: ANN401 - any JSON
        return self.ask(f"/alarms{query}").json

    def answer(self) -> None:
        """Answer commands as they come, as the flow would."""
        while not self.stopping.wait(0.01):
            self.ward.answer()


@contextmanager
def serving(folder: Path, beds: int = 3, more: str = "") -> Iterator[Api]:
    tokens: dict[str, str] = {}
    entries = []
    for role in ROLES:
        tokens[role], entry = make(role, role)
        entries.append(entry)
    (folder / "tokens.toml").write_text("\n".join(entries))
    port = free_port()
    section = f'[api]\nport = {port}\ntokens_file = "{folder / "tokens.toml"}"\n{more}'
    with flow(folder, beds) as ward, server(folder, section):
        eventually(lambda: answers(port), what="the API to be served")
        yield Api(ward, port, tokens)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with serving(tmp_path_factory.mktemp("api")) as one:
        one.ward.put(device())
        answering = threading.Thread(target=one.answer)
        answering.start()
        yield one
        one.stopping.set()
        answering.join()


@pytest.fixture
def quiet(tmp_path: Path) -> Iterator[Api]:
    """One whose flow answers nothing by itself."""
    with serving(tmp_path) as one:
        yield one


@pytest.fixture(scope="module")
def described(api: Api) -> Any:  # noqa: ANN401 - schemathesis's own
    api.ward.raise_(alarm(0))
    return schemathesis.openapi.from_dict(api.ask("/openapi.json", role="").json)


@pytest.mark.parametrize("op", OPERATIONS, ids=lambda op: op.name)
@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
def test_whatever_is_asked_the_answer_is_as_the_document_says(
    api: Api,
    described: Any,  # noqa: ANN401 - schemathesis's own
    op: Operation,
    mode: GenerationMode,
) -> None:
    @given(described[BASE + op.path][op.method].as_strategy(generation_mode=mode))
    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def ask(case: Any) -> None:  # noqa: ANN401 - schemathesis's own
        if "alarm" in (case.path_parameters or {}) and mode == GenerationMode.POSITIVE:
            case.path_parameters["alarm"] = "alarm-0-asystole"
        answer = case.call(f"http://127.0.0.1:{api.port}", headers={"Authorization": f"Bearer {api.tokens['admin']}"})
        assert answer.status_code < 500
        case.validate_response(answer, checks=CHECKS)

    ask()


@pytest.mark.parametrize("op", OPERATIONS, ids=lambda op: op.name)
def test_each_operation_wants_its_role(api: Api, op: Operation) -> None:
    path = op.path.format(alarm="none", command="none", site="none", patient="none", device="none")
    said: object = {} if op.method == "POST" else None
    for role in ROLES:
        status = api.ask(path, said, role).status
        assert (status == 403) == (ROLES.index(role) < ROLES.index(op.role)), role
    for nobody in ("", "fwd_wrong"):
        refused = api.ask(path, said, nobody)
        assert refused.status in {401, 429}
        assert refused.headers["content-type"] == "application/problem+json"
        assert (
            "femtoward token" in refused.json["detail"]
            or refused.status == 429
            or "not known" in refused.json["detail"]
        )


def test_wrong_tokens_are_slowed_down_and_right_ones_pass_all_the_same(quiet: Api) -> None:
    statuses = [quiet.ask("/health", role="fwd_guess").status for _ in range(FAILURES + 3)]
    assert statuses == [401] * FAILURES + [429] * 3
    assert quiet.ask("/health", role="fwd_guess").headers["retry-after"]
    assert quiet.ask("/health", role="view").status == 200


def test_alarms_are_found_by_what_they_are_and_paged_without_holes(quiet: Api) -> None:
    events = [
        quiet.ward.raise_(replace(alarm(index % 3, "poor-signal", "low"), id=f"a{index:02}")) for index in range(11)
    ]
    quiet.ward.put(ended(events[4]))
    assert [one["id"] for one in quiet.listed("?state=ended")["alarms"]] == ["a04"]
    assert {one["id"] for one in quiet.listed("?patient=p01&state=active")["alarms"]} == {"a01", "a07", "a10"}
    assert quiet.listed("?condition=asystole")["alarms"] == []
    assert quiet.listed("?until=2020-01-01T00:00:00Z")["alarms"] == []
    assert len(quiet.listed("?since=2020-01-01T00:00:00Z&priority=low")["alarms"]) == 11
    found, query = [], "?limit=4"
    while query:
        page = quiet.listed(query)
        found += [one["id"] for one in page["alarms"]]
        assert page["more"] == (page["next"] is not None)
        query = f"?limit=4&before={page['next']}" if page["next"] else ""
    assert found == ["a04", *(f"a{index:02}" for index in range(10, -1, -1) if index != 4)]
    upwards, after = [], "main~0"
    for _ in range(4):
        page = quiet.listed(f"?limit=4&after={after}")
        upwards += [one["id"] for one in page["alarms"]]
        after = page["newest"]
    assert upwards == found[::-1]
    assert quiet.listed(f"?after={after}")["alarms"] == []
    quiet.ward.put(ended(events[7]))
    assert [one["id"] for one in quiet.listed(f"?after={after}")["alarms"]] == ["a07"]


def test_what_did_not_change_need_not_come_again(quiet: Api) -> None:
    quiet.ward.raise_(alarm(1))
    first = quiet.ask("/alarms")
    again = quiet.ask("/alarms", If_None_Match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    quiet.ward.raise_(alarm(2))
    assert quiet.ask("/alarms", If_None_Match=first.headers["etag"]).status == 200


def test_one_alarm_comes_with_its_history_its_strip_and_its_receipts(api: Api) -> None:
    event = api.ward.raise_(replace(alarm(1, "pause"), strip=b"\1\0\2\0", strip_scale=0.5))
    api.ward.raise_(replace(event, step=1, state="acknowledged", change="acknowledged", actor="ana"))
    found = api.ask(f"/alarms/{event.id}").json
    assert [one["state"] for one in found["history"]] == ["active", "acknowledged"]
    assert found["alarm"]["actor"] == "ana"
    assert found["history"][0]["strip"] == {"rate_hz": 125, "scale": 0.5, "samples": "AQACAA=="}
    with Receipts(api.ward.folder / "main" / "couriers.sqlite") as kept:
        kept.note(Receipt("pager", "north", event.id, 0, "delivered", 1_700_000_000_000_000_000))
    [receipt] = api.ask(f"/alarms/{event.id}/receipts").json["receipts"]
    assert receipt == {"receiver": "pager", "step": 0, "what": "delivered", "at": "2023-11-14T22:13:20.000000000Z"}
    assert api.ask("/alarms/none").status == 404


def test_devices_patients_and_vitals_are_listed_and_the_rest_is_found_by_going_on(api: Api) -> None:
    [one] = api.ask("/devices").json["devices"]
    assert (one["site"], one["device"]) == ("north", "w1")
    assert api.ask("/devices/north/w1").json["device"] == one
    first = api.ask("/patients?limit=2").json
    rest = api.ask(f"/patients?after={first['next']}").json
    assert [p["patient"] for p in first["patients"] + rest["patients"]] == ["p00", "p01", "p02"]
    assert rest["next"] is None
    rows = api.ask("/patients/north/p01/vitals?seconds=3600").json["vitals"]
    assert len(rows) == 12
    assert rows[0]["hr"] == {"value": 61.0, "u": 0.5, "quality": 0.9}
    assert rows[0]["spo2"]["value"] is None
    newer = api.ask(f"/patients/north/p01/vitals?after={rows[9]['second']}").json["vitals"]
    assert newer == rows[10:]
    assert api.ask("/patients/north/nobody/vitals").status == 404
    api.ward.beat(int(time.time()))
    eventually(lambda: api.ask("/health").json["flowing"], what="the ward to be seen to flow")
    assert api.ask("/tokens").json["tokens"][0] == {"name": "view", "role": "view"}


DEEDS: list[tuple[str, dict[str, object], type]] = [
    ("acknowledge", {"note": "on my way"}, Acknowledge),
    ("shelve", {"note": "lead changed", "seconds": 120}, Shelve),
    ("unshelve", {}, Unshelve),
    ("comment", {"note": "a lead was off"}, Comment),
    ("mark", {"was": "false"}, Mark),
]


def test_deeds_go_through_the_door_and_come_back_with_the_flows_answer(quiet: Api) -> None:
    event = quiet.ward.raise_(alarm(1))
    for deed, said, kind in DEEDS:
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(quiet.ask, f"/alarms/{event.id}/{deed}", {**said, "actor": "ana"}, "acknowledge")
            eventually(lambda: any(quiet.ward.door.folder.glob("*.letter")), what="the command to lie at the door")
            [(actor, command)] = quiet.ward.commands()
            assert (actor, type(command), command.patient) == ("ana-via-acknowledge", kind, "p01")
            assert {name: getattr(command, name) for name in said} == said
            quiet.ward.put(_answer(command.id, done=True))
            answer = asked.result()
        assert (answer.status, answer.json["state"]) == (200, "done")
        assert quiet.ask(f"/commands/{command.id}").json["state"] == "done"


def _answer(command: str, *, done: bool, detail: str = "said") -> Any:  # noqa: ANN401 - a row
    from dataflows.events import Answer as Row  # noqa: PLC0415 - the name is taken here

    return Row("north", command, "ana", done, detail, 1_700_000_000_000_000_000)


def test_a_key_has_a_deed_done_once_and_a_refusal_is_said_in_the_flows_words(
    quiet: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "ANSWER_WITHIN_S", 0.0)
    event = quiet.ward.raise_(alarm(1))
    path = f"/alarms/{event.id}/acknowledge"
    waiting = quiet.ask(path, {}, Idempotency_Key="k1")
    assert (waiting.status, waiting.json["state"]) == (202, "waiting")
    assert quiet.ask(f"/commands/{waiting.json['command']}").status == 404
    quiet.ward.put(_answer(waiting.json["command"], done=False, detail="shelve is not available in this version"))
    refused = quiet.ask(path, {}, Idempotency_Key="k1")
    assert refused.status == 409
    assert refused.json["detail"] == "the flow has not done it: shelve is not available in this version"
    assert refused.json["command"] == waiting.json["command"]
    assert len(quiet.ward.commands()) == 1
    assert quiet.ask(path, {}, Idempotency_Key="k2").json["command"] != waiting.json["command"]


@pytest.mark.parametrize(
    ("path", "said", "status", "detail"),
    [
        ("/alarms/alarm-0-asystole/shelve", {}, 400, "body: Object missing required field `seconds`"),
        ("/alarms/alarm-0-asystole/mark", {"was": "maybe"}, 400, "Invalid enum value 'maybe'"),
        ("/alarms/alarm-0-asystole/acknowledge", b"{", 400, "body: Input data was truncated"),
        ("/alarms/alarm-0-asystole/acknowledge", b"[" * 9000, 400, "body: "),
        ("/alarms/alarm-0-asystole/acknowledge", {"who": "me"}, 400, "unknown field `who`"),
        ("/alarms/alarm-0-asystole/acknowledge", {"actor": "ana b"}, 400, "$.actor"),
        ("/alarms/alarm-0-asystole/acknowledge", b" " * (LONGEST_BODY + 1), 413, "shorten it"),
        ("/alarms/alarm-0-asystole", {}, 405, "Method Not Allowed"),
        ("/alarms/a%2fb", None, 404, "there is nothing at"),
        ("/alarms/a%00b", None, 404, "names are 1 to 64"),
        ("/alarms?limit=0", None, 400, "Expected `int` >= 1 - at `$.limit`"),
        ("/alarms?limit=1&limit=2", None, 400, "limit was given twice"),
        ("/alarms?after=main~1&before=main~2", None, 400, "go one way at a time"),
        ("/alarms?since=yesterday", None, 400, "Invalid RFC3339"),
        ("/alarms?" + "a" * 9000, None, 414, "ask for less"),
        ("/health?x=1", None, 400, "showHealth takes no query"),
        ("/nothing", None, 404, "there is nothing at '/api/v1/nothing'"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(api: Api, path: str, said: object, status: int, detail: str) -> None:
    api.ward.raise_(alarm(0))
    refused = api.ask(path, said)
    assert refused.status == status
    assert refused.headers["content-type"] == "application/problem+json"
    assert detail in refused.json["detail"]
    assert refused.json["status"] == status


def test_a_body_of_another_type_is_refused(api: Api) -> None:
    assert api.ask("/alarms/x/acknowledge", b"do=it", Content_Type="text/plain").status == 415


@given(
    st.binary(max_size=300)
    | st.binary(max_size=60).map(lambda junk: b"GET /api/v1/" + junk + b" HTTP/1.1\r\nHost: x\r\n\r\n")
)
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_answered_or_cut_off_and_nothing_is_told_of_us(api: Api, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", api.port), 5.0) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        heard = b""
        try:
            while part := connection.recv(65_536):
                heard += part
        except ConnectionResetError:
            pass
    assert heard == b"" or heard.startswith(b"HTTP/1.1 4") or b"openapi" in sent
    assert b"Traceback" not in heard
    assert api.ask("/health").status == 200


def test_what_goes_wrong_inside_is_said_in_words_and_no_patient_reaches_a_log(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("p01 of north")

    monkeypatch.setattr("deploy.api.archive.Archive.devices", broken)
    with caplog.at_level(logging.DEBUG):
        failed = api.ask("/devices")
        api.ask("/alarms?patient=p01")
        api.ask("/alarms/secret-alarm", role="fwd_secret-token")
    assert failed.status == 500
    assert "see the log" in failed.json["detail"]
    said = " ".join(record.getMessage() for record in caplog.records)
    assert "ValueError at" in said
    assert not {"p01", "secret-alarm", "fwd_secret-token"} & set(said.replace("/", " ").split())


def test_the_examples_of_the_readme_do_what_they_say(api: Api) -> None:
    api.ward.raise_(alarm(2))
    api.ward.beat(int(time.time()))
    section = README.read_text(encoding="utf-8").partition("\n## HTTP API\n")[2].partition("\n## ")[0]
    examples = re.findall(r"^curl .*?[^\\]$", section, re.MULTILINE | re.DOTALL)
    assert len(examples) >= 6
    script = "set -e\n" + "\necho\n".join(examples)
    for said, meant in ((EXAMPLE_ALARM, "alarm-2-asystole"), ("icu/opm-0001", "north/w1"), ("icu/p-0001", "north/p01")):
        assert said in script
        script = script.replace(said, meant)
    given = {"API": f"http://127.0.0.1:{api.port}{BASE}", "TOKEN": api.tokens["admin"], "PATH": os.environ["PATH"]}
    program("curl")
    done = subprocess.run(["bash", "-c", script], env=given, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == len(examples)
    assert not [one for one in told if "title" in one]
