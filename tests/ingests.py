"""What tests of a running ingest share: a device that publishes, and what stands in the journal."""

from collections import Counter
from pathlib import Path

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from ingest.journal import JournalReader, Record, RecordKind
from ingest.notices import LinkNotice, Report
from ingest.options import broker_address
from ingest.topics import topic_of

DATA = topic_of("east", "d1", "data")


class Publisher:
    """A device that knows what the broker has acknowledged, and sends again what it has not."""

    def __init__(self, url: str) -> None:
        self.client = paho.Client(CallbackAPIVersion.VERSION2, client_id="device", clean_session=False)
        self.client.reconnect_delay_set(1, 1)
        self.client.max_inflight_messages_set(200)
        self._sent: dict[int, paho.MQTTMessageInfo] = {}
        self.client.connect(broker_address(url).host, broker_address(url).port)
        self.client.loop_start()

    @property
    def acknowledged(self) -> set[int]:
        return {number for number, sent in self._sent.items() if _is_published(sent)}

    def publish(self, *numbers: int) -> None:
        for number in numbers:
            self._sent[number] = self.client.publish(DATA, b"%d" % number, qos=1)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


def _is_published(sent: paho.MQTTMessageInfo) -> bool:
    try:
        return sent.is_published()
    except RuntimeError:  # it was queued while the broker was away: kept, and not acknowledged yet
        return False


class Watch:
    """Everything that is in a journal so far."""

    def __init__(self, folder: Path) -> None:
        self.reader = JournalReader(folder / "journal")
        self.records: list[Record] = []

    def look(self) -> list[Record]:
        while records := self.reader.read(len(self.records), 1000):
            self.records += records
        return self.records

    def of(self, kind: RecordKind) -> list[Record]:
        return [record for record in self.look() if record.kind == kind]

    def reports(self, *reporters: str) -> list[Report]:
        said = [msgspec.json.decode(record.payload, type=Report) for record in self.of(RecordKind.REPORT)]
        return [report for report in said if report.reporter in reporters]

    def links(self) -> list[LinkNotice]:
        return [msgspec.json.decode(record.payload, type=LinkNotice) for record in self.of(RecordKind.LINK)]

    def numbers(self) -> Counter[int]:
        return Counter(int(record.payload) for record in self.of(RecordKind.MESSAGE))

    def holds(self, count: int) -> bool:
        return len(self.numbers()) >= count

    def ups_reach(self, count: int) -> bool:
        return sum(link.up for link in self.links()) >= count
