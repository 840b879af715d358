"""What InfluxDB refuses: a bad line costs its own row and nothing else; a server that refuses all is at fault."""

import json
from collections.abc import Callable

import pytest
from carrying import stored
from http_stub import HttpStub, Reply, Request
from hypothesis import given, settings
from hypothesis import strategies as st
from line_parser import parse
from outgoing import ledger, vitals, wave

from dataflows.couriers.delivery import DeliveryFailed
from dataflows.couriers.influx import InfluxCourier
from dataflows.couriers.influx_options import InfluxOptions
from dataflows.events import Row


def _refuse_poison(request: Request) -> Reply:
    if "poison" in request.body:
        return Reply(422, '{"code":"unprocessable entity","message":"failure writing points: field type conflict"}')
    return Reply(204)


@given(poisoned=st.sets(st.integers(0, 39), max_size=5))
@settings(max_examples=15)
def test_a_poisoned_line_takes_only_its_own_row_along(poisoned: set[int]) -> None:
    rows: list[Row] = [vitals(f"p{i}", reason="poison" if i in poisoned else "") for i in range(40)]
    with HttpStub(_refuse_poison) as server:
        courier = InfluxCourier(InfluxOptions(url=server.url))
        refused = courier.deliver(stored(rows))
        courier.close()
        taken = [request.body for request in server.requests if "poison" not in request.body]
    assert {one.row.id - 1 for one in refused} == poisoned
    assert all("field type conflict" in one.reason for one in refused)
    written = {parse(line).tags["patient"] for body in taken for line in body.split("\n")}
    assert written == {f"p{i}" for i in range(40) if i not in poisoned}


def _three(request: Request) -> Reply:
    """InfluxDB 3: takes the good lines, and names the others by their number from 1."""
    body = request.body.split("\n")
    bad = [
        {"original_line": line[:20], "line_number": number, "error_message": "invalid column type"}
        for number, line in enumerate(body, start=1)
        if "poison" in line
    ]
    if bad:
        return Reply(400, json.dumps({"error": "partial write of line protocol occurred", "data": bad}))
    return Reply(204)


def _three_at_once(request: Request) -> Reply:
    """InfluxDB 3 that takes nothing of a batch with a bad line, and names the first."""
    reply = _three(request)
    if reply.status == 204:
        return reply
    first = json.loads(reply.body)["data"][0]
    return Reply(400, json.dumps({"error": "parsing failed for write_lp endpoint", "data": first}))


def _two(request: Request) -> Reply:
    """InfluxDB 2.7: takes the good lines, and counts the others."""
    dropped = request.body.count("poison")
    if dropped:
        said = "failure writing points to database: partial write: field type conflict: input field"
        return Reply(422, json.dumps({"code": "unprocessable entity", "message": f"{said} dropped={dropped}"}))
    return Reply(204)


def _one(request: Request) -> Reply:
    """InfluxDB 1.x: takes the good lines, and repeats those that it cannot read, without counting them."""
    bad = [line for line in request.body.split("\n") if "poison" in line]
    if bad:
        said = "\n".join(f"unable to parse '{line}': invalid number" for line in bad)
        return Reply(400, json.dumps({"error": f"partial write: {said} dropped=0"}))
    return Reply(204)


@pytest.mark.parametrize(
    ("server", "takes_good", "most"),
    [
        (_three, True, 2),
        (_three_at_once, False, 4),
        (_two, True, 30),
        (_one, True, 30),
        (_refuse_poison, False, 30),
    ],
)
def test_every_version_names_or_counts_bad_lines_and_only_their_rows_are_quarantined(
    server: Callable[[Request], Reply],
    takes_good: bool,  # noqa: FBT001 - a parameter of the test
    most: int,
) -> None:
    rows: list[Row] = [vitals(f"p{i}", reason="poison" if i in {3, 4, 30} else "") for i in range(40)]
    with HttpStub(server) as stub:
        courier = InfluxCourier(InfluxOptions(url=stub.url))
        refused = courier.deliver(stored(rows))
        courier.close()
        bodies = [one.body for one in stub.requests if takes_good or "poison" not in one.body]
        good = [line for body in bodies for line in body.split("\n") if "poison" not in line]
        assert len(stub.requests) <= most
    assert [one.row.id - 1 for one in refused] == [3, 4, 30]
    assert all(one.reason.startswith(("400: ", "422: ")) for one in refused)
    assert {parse(line).tags["patient"] for line in good} == {f"p{i}" for i in range(40)} - {"p3", "p4", "p30"}


def test_a_bad_line_costs_its_row_in_the_retention_where_it_stands_and_nothing_elsewhere() -> None:
    rows: list[Row] = [vitals("p1", reason="poison"), vitals("p2"), wave(), ledger()]
    with HttpStub(_three) as stub:
        courier = InfluxCourier(InfluxOptions(url=stub.url))
        [refused] = courier.deliver(stored(rows))
        courier.close()
        written = {request.path.split("bucket=femtoward%2F")[1].split("&")[0] for request in stub.requests}
    assert refused.row.row == rows[0]
    assert written == {"second", "wave", "minute"}


@pytest.mark.parametrize("number", [0, -3, 99])
def test_a_line_number_that_is_none_of_ours_is_not_believed(number: int) -> None:
    def reply(request: Request) -> Reply:
        if "poison" not in request.body:
            return Reply(204)
        data = [{"line_number": number, "error_message": "?", "original_line": "?"}]
        return Reply(400, json.dumps({"error": "partial write of line protocol occurred", "data": data}))

    rows: list[Row] = [vitals(f"p{i}", reason="poison" if i == 2 else "") for i in range(5)]
    with HttpStub(reply) as stub:
        courier = InfluxCourier(InfluxOptions(url=stub.url))
        assert [one.row.id for one in courier.deliver(stored(rows))] == [3]
        courier.close()


def test_a_server_that_refuses_every_row_is_taken_to_be_at_fault() -> None:
    with HttpStub(lambda _: Reply(400, '{"error":"what do you want?"}')) as server:
        courier = InfluxCourier(InfluxOptions(url=server.url))
        with pytest.raises(DeliveryFailed, match="refuses every row: 400: what do you want"):
            courier.deliver(stored([vitals("p1"), vitals("p2")]))
        with pytest.raises(DeliveryFailed, match="refuses every row"):  # nor is a lone row at fault
            courier.deliver(stored([vitals("p1")]))
        courier.close()
