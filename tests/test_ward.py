"""The whole way under `femtoward run`: mosquitto, ingest, flow, couriers, InfluxDB, a webhook, and rubbish beside."""

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pytest
from influx_server import InfluxServer
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from receiver import SECRET, Delivery, Receiver
from servers import Broker, eventually, start_mosquitto
from wards import NO_HEALTH
from wire import ECG, beating, birth_of, packets

from dataflows.couriers.schema import qualified
from dataflows.events import Bad, Vitals
from dataflows.store import Store, StoreMissing
from ingest.codec import encode_birth, encode_packet
from ingest.packet import Block, raw_bytes
from ingest.topics import topic_of

ROOT = Path(__file__).parents[1]
SCENARIO = """
about = "One heart beats, one stops for a while."
[[patients]]
rate_bpm = 72.0
[[patients]]
rate_bpm = 66.0
rhythms = [{ rhythm = "asystole", from_s = 8.0, for_s = 9.0 }]
"""
SECONDS = 26


class Ward(NamedTuple):
    """What was left when the ward had been drained."""

    folder: Path
    status: int
    acknowledged: dict[str, Any]
    deliveries: list[Delivery]
    influx: dict[str, int]
    influx_hr: list[float]
    log: str

    def store(self) -> Store:
        return Store(self.folder / "data" / "main" / "store.sqlite", readonly=True)


def femtoward(*arguments: object, **more: Any) -> "subprocess.Popen[str]":  # noqa: ANN401 - handed on
    line = [sys.executable, "-m", "deploy.cli", *map(str, arguments)]
    return subprocess.Popen(line, cwd=ROOT, text=True, **more)


def rows(folder: Path, kind: str) -> int:
    try:
        with Store(folder / "data" / "main" / "store.sqlite", readonly=True) as store:
            return store.count(kind)
    except StoreMissing:
        return 0


def bring_rubbish(broker: Broker) -> None:
    """Publish everything that a device should not, beside one device that is just odd."""
    client = Client(CallbackAPIVersion.VERSION2, client_id="rubbish")
    client.connect("127.0.0.1", broker.port)
    client.loop_start()

    def publish(topic: str, payload: bytes) -> None:
        client.publish(topic, payload, qos=1).wait_for_publish(10.0)

    def data(device: str, payload: bytes) -> None:
        publish(topic_of("demo", device, "data"), payload)

    publish("femtoward/v1/demo/no name/data", b"unknown topic")
    data("early", encode_packet(packets("early", beating(0.25))[0]))
    publish(topic_of("demo", "odd", "birth"), encode_birth(birth_of("odd", "odd-patient")))
    sent = packets("odd", beating(6.0))
    good = encode_packet(sent[0])
    data("odd", good)
    data("odd", good[: len(good) // 2])  # truncated
    data("odd", b"\xff" * 10_000_000)
    data("odd", encode_packet(msgspec.structs.replace(sent[1], blocks=(Block(0, 125, 1, 0.0, b"short"),))))
    data("odd", encode_packet(packets("someone-else", beating(0.25))[0]))
    back = msgspec.structs.replace(sent[2].blocks[0], first_sample=0)
    data("odd", encode_packet(msgspec.structs.replace(sent[2], blocks=(back,))))
    for packet in (sent[4], sent[3], sent[3], *sent[5:]):  # out of order, repeated, and years off
        data("odd", encode_packet(packet))
    broken = msgspec.structs.replace(ECG, dtype="f4", scale=1.0)
    publish(topic_of("demo", "nan", "birth"), encode_birth(birth_of("nan", "nan-patient", streams=(broken,))))
    holes = beating(6.0)
    holes[1000:1010] = np.nan
    holes[1500] = np.inf
    for packet, start in zip(packets("nan", beating(6.0)), range(0, 3000, 125), strict=True):
        block = Block(0, start, 1, 0.0, raw_bytes(holes[None, start : start + 125], broken))
        data("nan", encode_packet(msgspec.structs.replace(packet, blocks=(block,))))
    client.disconnect()
    client.loop_stop()


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Ward:
    folder = tmp_path_factory.mktemp("ward")
    (folder / "influx").mkdir()
    (folder / "broker").mkdir()
    (folder / "scenario.toml").write_text(SCENARIO)
    with (
        start_mosquitto(folder / "broker") as broker,
        InfluxServer(folder / "influx") as influx,
        Receiver() as nurse,
    ):
        (folder / "femtoward.toml").write_text(
            f'[ward]\ndata_dir = "data"\nsites = ["demo"]\n[broker]\nurl = "{broker.url}"\n'
            f'[influx]\nurl = "{influx.url}"\napi = "v1"\n'
            f'[[webhook]]\nname = "nurse"\nurl = "{nurse.url}"\nsecret_env = "NURSE"\nallow_local = true\n{NO_HEALTH}'
        )
        config = ("--config", folder / "femtoward.toml")
        environment = {**os.environ, "NURSE": SECRET}
        with (folder / "log").open("w") as log:
            run = femtoward("run", *config, env=environment, stderr=log)
        options = ("--scenario", folder / "scenario.toml", "--patients", 2, "--seconds", SECONDS)
        simulator = femtoward("simulate", "--broker", broker.url, *options, stderr=subprocess.DEVNULL)
        try:
            eventually(lambda: rows(folder, "vitals") > 0, what="the first vitals")
            bring_rubbish(broker)
            raised = nurse.wait_for(lambda came: any(one.data["condition"] == "asystole" for one in came))
            alarm = next(one.data["id"] for one in raised if one.data["condition"] == "asystole")
            ack = femtoward(
                "alarms",
                "ack",
                alarm,
                "--note",
                "on my way",
                *config,
                "--json",
                stdout=subprocess.PIPE,
                env=environment,
            )
            answer, _ = ack.communicate(timeout=30)
            assert simulator.wait(60) == 0
            run.send_signal(signal.SIGTERM)
            status = run.wait(20)
        finally:
            for process in (run, simulator):
                process.kill()
                process.wait()
        hr = [row[1] for series in influx.query("SELECT hr FROM vitals") for row in series["values"]]
        asked = {"vitals": "coverage", "alarm": "id", "bed": "need"}
        counts = {name: influx.count(qualified(name), field) for name, field in asked.items()}
        said = (folder / "log").read_text()
        return Ward(folder, status, json.loads(answer), list(nurse.deliveries), counts, hr, said)


def test_the_ward_drains_with_status_0(ward: Ward) -> None:
    assert ward.status == 0, ward.log


def test_a_stopped_heart_reaches_the_webhook_signed_and_once(ward: Ward) -> None:
    asystole = [one for one in ward.deliveries if one.data["condition"] == "asystole"]
    assert [one.type for one in asystole] == ["alarm.active", "alarm.acknowledged", "alarm.ended"]
    assert all(one.verified for one in ward.deliveries)
    assert len({one.id for one in ward.deliveries}) == len(ward.deliveries)
    assert asystole[0].data["patient"] == "patient-0002"
    assert asystole[0].data["priority"] == "high"


def test_acknowledging_by_command_line_is_answered_and_told(ward: Ward) -> None:
    assert ward.acknowledged["done"] is True
    with ward.store() as store:
        alarm = next(event for event in store.alarms() if event.condition == "asystole")
        history = [(event.state, event.note) for event in store.history(alarm.id)]
    assert history == [("active", ""), ("acknowledged", "on my way"), ("ended", "")]


def test_every_vitals_row_alarm_event_and_bed_of_the_store_is_in_influxdb(ward: Ward) -> None:
    with ward.store() as store:
        assert ward.influx == {name: store.count(name) for name in ("vitals", "alarm", "bed")}
    assert 60.0 < float(np.median(ward.influx_hr)) < 76.0


def test_rubbish_is_counted_under_its_reason_and_says_what_to_do(ward: Ward) -> None:
    with ward.store() as store:
        bad = [row for _, row in store.read(0, 100_000, ("bad",)) if isinstance(row, Bad)]
    expected = [
        *("unknown-topic", "no-birth", "undecodable", "too-large", "wrong-length", "wrong-device"),
        "sample-number-backwards",
    ]
    assert Counter(row.reason for row in bad) == Counter(expected)
    advice = r"expected|are the most|none of|publish|correct|choose"
    assert [row.detail for row in bad if not re.search(advice, row.detail)] == []
    too_large = next(row for row in bad if row.reason == "too-large")
    assert "10000000 bytes came" in too_large.detail


def test_the_ledger_of_the_odd_device_balances(ward: Ward) -> None:
    with ward.store() as store:
        odd = next(row for row in store.ledger() if row.device == "odd")
        status = store.devices()["demo", "odd"]
    assert odd.published == odd.stored + odd.quarantined + odd.lost
    assert (odd.lost, odd.repeated, odd.late, odd.quarantined) == (0, 1, 1, 5)
    assert abs(status.clock_offset_ms) > 365 * 86_400_000.0
    assert re.search(r"its clock is \d+\.\d days behind: set it", status.reason)


def test_rubbish_disturbs_nobody_else(ward: Ward) -> None:
    with ward.store() as store:
        vitals = [row for _, row in store.read(0, 100_000, ("vitals",)) if isinstance(row, Vitals)]
        assert store.conflicts() == []
    steady = [row for row in vitals if row.patient == "patient-0001"]
    assert [row.second for row in steady] == list(range(steady[0].second, steady[0].second + len(steady)))
    assert len(steady) >= SECONDS - 2
    assert all(abs(row.hr.value - 72.0) < 6.0 for row in steady[8:])


def test_samples_that_are_no_numbers_lower_the_quality_and_are_said(ward: Ward) -> None:
    with ward.store() as store:
        vitals = [row for _, row in store.read(0, 100_000, ("vitals",)) if isinstance(row, Vitals)]
    reasons = {row.reason for row in vitals if row.patient == "nan-patient"}
    assert "not-finite" in reasons
