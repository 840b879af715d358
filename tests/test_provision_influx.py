"""InfluxDB's part of provisioning: on a real influxd by InfluxQL, and against the documented API of InfluxDB 2.7."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from http_stub import HttpStub, Reply, Request
from influx2_stub import ORG, Influx2Stub
from influx_server import InfluxServer
from msgspec.structs import replace
from outgoing import vitals

from dataflows.couriers.delivery import DeliveryFailed
from dataflows.couriers.influx import InfluxCourier
from dataflows.couriers.policies import POLICIES
from dataflows.couriers.tier_queries import THINNINGS
from dataflows.store import Stored
from deploy import receivers
from deploy.influx_limits import influx_limits
from deploy.problem import UserError
from deploy.provision import influx
from deploy.provision.plan import Step, due
from deploy.settings import Influx
from deploy.wiring import influx_options

TOKEN = "a-token-that-must-not-be-seen"  # noqa: S105 - of no server
NAMES = [policy.name for policy in POLICIES]


@pytest.fixture(scope="module")
def influxd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    with InfluxServer(tmp_path_factory.mktemp("influx")) as server:
        yield server


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Influx2Stub, Influx]]:
    secret = tmp_path / "token"
    secret.write_text(f"{TOKEN}\n")
    with Influx2Stub(TOKEN) as stub:
        yield stub, Influx(url=stub.url, bucket="ward", org=ORG, secret_file=str(secret))


def v1(server: InfluxServer, database: str) -> Influx:
    return Influx(url=server.url, api="v1", bucket=database)


def apply(settings: Influx) -> None:
    influx.apply(settings, influx.plan(settings))


def actions(steps: list[Step]) -> dict[str, str]:
    return {f"{step.what} {step.name}": step.action for step in steps}


@pytest.mark.servers
@pytest.mark.parametrize("database", ["ward", 'a "ward" of - my.own'])
def test_provisioning_an_influxd_twice_changes_nothing(influxd: InfluxServer, database: str) -> None:
    settings = v1(influxd, database)
    steps = influx.plan(settings)
    assert {step.action for step in steps} == {"create"}
    assert database not in str(influxd.query("SHOW DATABASES"))  # a plan does nothing
    influx.apply(settings, steps)
    assert {step.action for step in influx.plan(settings)} == {"same"}
    influx.apply(settings, steps)  # an old plan does no harm
    assert {step.action for step in influx.plan(settings)} == {"same"}
    name = database.replace('"', '\\"')
    kept = influxd.query(f'SHOW RETENTION POLICIES ON "{name}"')[0]["values"]
    assert [row[0] for row in kept] == ["autogen", *NAMES]
    assert [row[0] for row in kept if row[-1]] == ["second"]


@pytest.mark.servers
def test_what_was_changed_on_an_influxd_is_put_right_and_what_is_kept_longer_stays(influxd: InfluxServer) -> None:
    settings = v1(influxd, "changed")
    apply(settings)
    for statement in (
        "ALTER RETENTION POLICY autogen ON changed DEFAULT",
        "ALTER RETENTION POLICY wave ON changed DURATION 2h SHARD DURATION 1h",
        "ALTER RETENTION POLICY forever ON changed DURATION 9000h",
        "ALTER RETENTION POLICY minute ON changed DURATION 90000h",
        "DROP CONTINUOUS QUERY vitals_1m ON changed",
        "DROP CONTINUOUS QUERY vitals_1h ON changed",
        "CREATE CONTINUOUS QUERY vitals_1h ON changed BEGIN SELECT max(hr) INTO x FROM vitals GROUP BY time(1h) END",
        "CREATE CONTINUOUS QUERY vitals_1m_late ON changed BEGIN SELECT min(hr) INTO x FROM v GROUP BY time(1m) END",
        "CREATE CONTINUOUS QUERY mine ON changed BEGIN SELECT max(hr) INTO y FROM vitals GROUP BY time(1h) END",
    ):
        influxd.query(statement, "changed")
    steps = influx.plan(settings)
    assert actions(due(steps)) == {
        "retention policy second": "change",
        "retention policy wave": "change",
        "retention policy forever": "change",
        "continuous query vitals_1m": "create",
        "continuous query vitals_1h": "change",
        "continuous query vitals_1m_late": "change",  # of an earlier version
    }
    said = {step.name: step.detail for step in steps}
    assert said["wave"] == "for 2 days; for 2 h is too short"
    assert said["second"] == "for 30 days; queries without a policy do not ask it"
    assert said["minute"] == "for 3750 days, longer than needed: left so"
    influx.apply(settings, steps)
    assert not due(influx.plan(settings))
    kept = {row[0]: row[1] for row in influxd.query("SHOW RETENTION POLICIES ON changed")[0]["values"]}
    assert (kept["wave"], kept["forever"], kept["minute"]) == ("48h0m0s", "0s", "90000h0m0s")
    queries = next(one for one in influxd.query("SHOW CONTINUOUS QUERIES") if one["name"] == "changed")
    assert {row[0] for row in queries["values"]} == {"mine", *(thinning.name for thinning in THINNINGS)}


@pytest.mark.servers
def test_the_doctor_says_what_provisioning_would_do(influxd: InfluxServer) -> None:
    settings = v1(influxd, "sick")
    verdict, said = receivers.influx_setup(settings)
    assert verdict == "warning"
    assert said.startswith("8 things to make or change (database sick, retention policy second, retention policy wave")
    assert "run `femtoward provision" in said
    apply(settings)
    assert receivers.influx_setup(settings).verdict == "ok"
    assert receivers.influx_setup(replace(settings, url="http://127.0.0.1:1")).verdict == "warning"


@pytest.mark.servers
def test_the_doctor_says_when_an_influxd_will_take_no_new_patients(influxd: InfluxServer) -> None:
    settings = v1(influxd, "limits")
    found = influx_limits(settings)
    assert found == influx_limits(replace(settings, bucket="no such database"))
    assert found is not None
    assert found.verdict == "warning"
    assert found.said.startswith("max-series-per-database is 1000000 (0 are used), max-values-per-tag is 100000: with")
    assert "set max-values-per-tag = 0, max-series-per-database = 0 and index-version = 'tsi1' in [data]" in found.said


def _one(limits: dict[str, object]) -> Callable[[Request], Reply]:
    """InfluxDB 1.x that has settings; without, one that does not show them to this user."""
    version = (("X-Influxdb-Version", "1.8.10"),)

    def reply(request: Request) -> Reply:
        series: list[dict[str, object]] = []
        if "DIAGNOSTICS" in request.body:
            if not limits:
                return Reply(403, '{"error":"need an administrator"}', version)
            series = [{"name": "config-data", "columns": list(limits), "values": [list(limits.values())]}]
        elif "DATABASES" in request.body:
            series = [{"name": "databases", "columns": ["name"], "values": [["femtoward"]]}]
        elif "CARDINALITY" in request.body:
            series = [{"columns": ["cardinality estimation"], "values": [[27977]]}]
        return Reply(200, json.dumps({"results": [{"series": series}]}), version)

    return reply


@pytest.mark.parametrize(
    ("limits", "verdict", "words"),
    [
        ({"max-series-per-database": 0, "max-values-per-tag": 0}, "ok", "any number of series, 27,977 now; whether"),
        ({"max-series-per-database": 9, "index-version": "tsi1"}, "ok", "27,977 now, the index on disk"),
        ({"max-series-per-database": 0, "max-values-per-tag": 9}, "warning", "max-values-per-tag is 9: with"),
        ({}, "warning", "need an administrator: whether it takes new patients for ever is not known: set max-values"),
    ],
)
def test_the_doctor_asks_for_the_limits_and_else_says_what_to_set(
    limits: dict[str, object], verdict: str, words: str
) -> None:
    with HttpStub(_one(limits)) as stub:
        found = influx_limits(Influx(url=stub.url, api="v1"))
    assert found is not None
    assert found.verdict == verdict
    assert words in found.said


def test_what_has_no_such_limits_is_not_asked_for_them(two: tuple[Influx2Stub, Influx]) -> None:
    assert influx_limits(two[1]) is None
    unread = replace(two[1], secret_file="nowhere")  # noqa: S106 - a file's name
    found = influx_limits(unread)
    assert found is not None
    assert found.verdict == "warning"


@pytest.mark.servers
def test_where_a_courier_thins_out_the_server_does_not(influxd: InfluxServer) -> None:
    settings = v1(influxd, "by-courier")
    apply(settings)
    settings = replace(settings, tiers="courier")
    steps = influx.plan(settings)
    assert {step.name for step in due(steps)} == {thinning.name for thinning in THINNINGS}
    influx.apply(settings, steps)
    assert not due(influx.plan(settings))
    assert "by-courier" in [one["name"] for one in influxd.query("SHOW CONTINUOUS QUERIES")]
    assert not any(one.get("values") for one in influxd.query("SHOW CONTINUOUS QUERIES") if one["name"] == "by-courier")


@pytest.mark.servers
def test_continuous_queries_of_provisioning_thin_out_by_themselves(influxd: InfluxServer) -> None:
    settings = v1(influxd, "runs")
    apply(settings)
    [*_, found] = [one for one in influxd.query("SHOW CONTINUOUS QUERIES") if one["name"] == "runs"]
    for (_, query), thinning in zip(found["values"], THINNINGS, strict=True):
        assert f"RESAMPLE EVERY {thinning.every} FOR {thinning.back} " in query
        assert f"INTO runs.{thinning.tier.policy}.{thinning.tier.measurement} FROM runs.second.vitals" in query


@pytest.mark.servers
def test_an_administrator_provisions_and_a_writer_writes_and_no_password_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = "INFLUX_PASSWORD"
    monkeypatch.setenv(variable, TOKEN)
    with InfluxServer(tmp_path, admin=TOKEN) as server:
        server.query(f"CREATE USER root WITH PASSWORD '{TOKEN}' WITH ALL PRIVILEGES")
        server.query(f"CREATE USER writer WITH PASSWORD '{TOKEN}'")
        server.query("CREATE DATABASE ward")
        server.query("GRANT WRITE ON ward TO writer")
        root = Influx(url=server.url, api="v1", bucket="ward", user="root", secret_env=variable)
        writer = replace(root, user="writer")
        row = Stored(1, vitals(second=int(time.time())))
        said = []
        for wrong in (root, writer):  # neither the password nor the rights
            monkeypatch.setenv(variable, f"{TOKEN}-not" if wrong is root else TOKEN)
            courier = InfluxCourier(influx_options(wrong))
            with pytest.raises(DeliveryFailed) as failure:
                courier.deliver([row])
            courier.close()
            with pytest.raises(UserError) as refusal:
                influx.plan(wrong)
            said += [str(failure.value), str(refusal.value)]
        assert "InfluxDB answers 401 (check the token or the password): authorization failed" in said[0]
        assert "authorization failed; need the rights of an administrator" in said[1]
        assert said[2].endswith("; run `femtoward provision`")
        assert said[3].endswith("; need the rights of an administrator")
        assert not any(TOKEN in one for one in said)
        apply(root)
        assert not due(influx.plan(root))
        courier = InfluxCourier(influx_options(writer))
        assert courier.deliver([row]) == []
        courier.close()
        assert server.query('SELECT hr FROM "second".vitals', "ward")


def test_provisioning_influxdb_2_makes_buckets_and_tasks_once(two: tuple[Influx2Stub, Influx]) -> None:
    stub, settings = two
    steps = influx.plan(settings)
    assert {step.action for step in steps} == {"create"}
    assert not stub.changes
    influx.apply(settings, steps)
    made = [call for call in stub.changes if call.path == "/api/v2/buckets"]
    assert [(call.method, call.body["name"]) for call in made] == [("POST", f"ward/{name}") for name in NAMES]
    rules = {call.body["name"]: call.body["retentionRules"] for call in made}
    assert rules["ward/second"] == [
        {"type": "expire", "everySeconds": 30 * 86_400, "shardGroupDurationSeconds": 86_400}
    ]
    assert rules["ward/forever"][0]["everySeconds"] == 0  # for ever, as the API has it
    tasks = [call.body for call in stub.changes if call.path == "/api/v2/tasks"]
    assert [(one["org"], one["status"]) for one in tasks] == [(ORG, "active")] * len(THINNINGS)
    assert [one["name"] for one in stub.tasks] == [f"ward {thinning.name}" for thinning in THINNINGS]
    assert not due(influx.plan(settings))
    done = len(stub.changes)
    apply(settings)
    assert len(stub.changes) == done


def test_what_was_changed_on_influxdb_2_is_put_right_and_what_is_kept_longer_stays(
    two: tuple[Influx2Stub, Influx],
) -> None:
    stub, settings = two
    apply(settings)
    buckets = {one["name"]: one for one in stub.buckets}
    buckets["ward/second"]["retentionRules"] = [{"type": "expire", "everySeconds": 3600}]
    buckets["ward/wave"]["retentionRules"] = []  # for ever
    stub.tasks[0]["flux"] = stub.tasks[0]["flux"].replace("10m", "2m")
    stub.tasks[1]["status"] = "inactive"
    stub.tasks.append({**stub.tasks[0], "id": "00000000000000ff", "name": "ward vitals_1m_late", "status": "active"})
    steps = influx.plan(settings)
    assert actions(due(steps)) == {
        "bucket ward/second": "change",
        "task ward vitals_1m": "change",
        "task ward vitals_1h": "change",
        "task ward vitals_1m_late": "change",  # of an earlier version
    }
    before = len(stub.changes)
    influx.apply(settings, steps)
    assert [(call.method, call.path) for call in stub.changes[before:]] == [
        ("PATCH", f"/api/v2/buckets/{buckets['ward/second']['id']}"),
        ("PATCH", f"/api/v2/tasks/{stub.tasks[0]['id']}"),
        ("PATCH", f"/api/v2/tasks/{stub.tasks[1]['id']}"),
        ("PATCH", "/api/v2/tasks/00000000000000ff"),
    ]
    assert not due(influx.plan(settings))
    influx.apply(by_courier := replace(settings, tiers="courier"), influx.plan(by_courier))
    assert {task["status"] for task in stub.tasks} == {"inactive"}
    assert not due(influx.plan(by_courier))


def test_more_buckets_than_one_page_holds_are_all_looked_at(
    two: tuple[Influx2Stub, Influx], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.provision.influx2.PAGE", 2)
    stub, settings = two
    apply(settings)
    assert not due(influx.plan(settings))
    assert len(stub.buckets) == 2 + len(POLICIES)


def test_a_refusal_of_influxdb_2_says_what_to_do_and_never_the_token(
    two: tuple[Influx2Stub, Influx], tmp_path: Path
) -> None:
    stub, settings = two
    said = []
    stub.forbidden = "POST"
    for wrong in (settings, replace(settings, org="nobody"), replace(settings, api="v1")):
        with pytest.raises(UserError) as refusal:
            apply(wrong)
        said.append(str(refusal.value))
    (tmp_path / "token").write_text("another")
    with pytest.raises(UserError) as refusal:
        apply(settings)
    said.append(str(refusal.value))
    assert "it needs read and write on buckets and tasks" in said[0]
    assert 'check influx.org: the name of the organisation): organization name "nobody" not found' in said[1]
    assert "is InfluxDB 2: set influx.api = 'v2'" in said[2]
    assert "InfluxDB answers 401 (the token is none" in said[3]
    assert not any(TOKEN in one or "another" in one.split("put one into")[0] for one in said)


def test_provisioning_influxdb_3_makes_databases_before_they_are_written_to(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    made: list[str] = ["_internal", "ward/wave"]
    asked: list[dict[str, str]] = []

    def three(request: Request) -> Reply:
        version = (("X-Influxdb-Version", "3.2.1"),)
        if request.path == "/ping":
            return Reply(200, "{}", version)
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return Reply(401, '{"error":"the request was not authenticated"}', version)
        assert request.path.partition("?")[0] == "/api/v3/configure/database"
        if not request.body:
            return Reply(200, json.dumps([{"iox::database": name} for name in made]))
        asked.append(json.loads(request.body))
        made.append(asked[-1]["db"])
        return Reply(200)

    with HttpStub(three) as stub:
        settings = Influx(url=stub.url, bucket="ward", tiers="courier", secret_file=str(tmp_path / "token"))
        steps = influx.plan(settings)
        assert [step.name for step in due(steps)] == [f"ward/{name}" for name in NAMES if name != "wave"]
        assert not asked
        influx.apply(settings, steps)
        assert asked == [
            {"db": "ward/second", "retention_period": "720h"},
            {"db": "ward/minute", "retention_period": "8760h"},
            {"db": "ward/hour", "retention_period": "87600h"},
            {"db": "ward/forever"},
        ]
        assert not due(influx.plan(settings))
        with pytest.raises(UserError, match=r"neither continuous queries nor tasks: set influx.tiers = 'courier'"):
            influx.plan(replace(settings, tiers="server"))
        with pytest.raises(UserError, match=r"401 \(need an administrator's token\): the request was not") as refusal:
            influx.plan(replace(settings, secret_file=""))
        assert TOKEN not in str(refusal.value)


def test_a_server_without_means_of_its_own_leaves_it_to_a_courier() -> None:
    with HttpStub() as stub:  # as VictoriaMetrics: it states no version
        settings = Influx(url=stub.url)
        with pytest.raises(UserError, match=r"what answers at .* set influx.tiers = 'courier'"):
            influx.plan(settings)
        for tiers in ("courier", "none"):
            settings = replace(settings, tiers=tiers)
            assert not due(influx.plan(settings))
            apply(settings)
        assert {request.path for request in stub.requests} == {"/ping"}


def test_a_server_that_is_not_there_or_too_old_is_said() -> None:
    with HttpStub() as gone:
        url = gone.url
    with pytest.raises(UserError, match=r"cannot be reached .*start it, or correct influx.url"):
        influx.plan(Influx(url=url))
    with Influx2Stub(TOKEN, version="1.1.4") as stub, pytest.raises(UserError, match=r"1.1.4 .* is too old"):
        influx.plan(Influx(url=stub.url))
