"""Records of a journal, made by hand: births, packets, ticks, commands."""

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from ingest.codec import encode_packet
from ingest.command import Command
from ingest.documents import encode_birth, encode_command
from ingest.journal import Record, RecordKind
from ingest.packet import Block, Packet, raw_bytes
from ingest.profile import Birth, StreamProfile
from ingest.topics import command_topic, topic_of

SECOND_NS = 1_000_000_000
T0_NS = 1_700_000_000 * SECOND_NS
ECG = StreamProfile(
    name="mcg", kind="mcg", sensor="opm-serf", rate_hz=500.0, n_channels=1, unit="pT", dtype="i2", block_len=125,
    scale=0.01, range=300.0,
)  # fmt: skip


def birth_of(device: str, patient: str | None, *, number: int = 0, streams: Sequence[StreamProfile] = (ECG,)) -> Birth:
    return Birth(version=1, device=device, birth=number, streams=tuple(streams), patient=patient)


def beating(
    seconds: float, rate_bpm: float = 60.0, pauses: Iterable[tuple[float, float]] = (), seed: int = 1
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """A lead in pT at 500 Hz: narrow beats on a little noise, none within the pauses (from, to) in s."""
    t = np.arange(round(seconds * 500)) / 500.0
    x = np.random.default_rng(seed).normal(0.0, 0.3, t.size)
    for at in np.arange(0.4, seconds, 60.0 / rate_bpm):
        if not any(a <= at < b for a, b in pauses):
            x += 50.0 * np.exp(-0.5 * np.square((t - at) / 0.01))
            x += 8.0 * np.exp(-0.5 * np.square((t - at - 0.28) / 0.045))
    return x


class Tape:
    """Writes records one after the other, with arrival times of its own clock."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.first_offset = 0  # of the records; more where earlier ones were taken away
        self.now_ns = T0_NS

    def add(self, kind: RecordKind, topic: str, payload: bytes) -> None:
        self.now_ns += 1
        self.records.append(Record(self.first_offset + len(self.records), self.now_ns, kind, topic, payload))

    def birth(self, birth: Birth, site: str = "s") -> None:
        self.add(RecordKind.MESSAGE, topic_of(site, birth.device, "birth"), encode_birth(birth))

    def command(self, command: Command, site: str = "s", actor: str = "nurse") -> None:
        self.add(RecordKind.COMMAND, command_topic(site, actor), encode_command(command))

    def tick(self, *, blind_ns: int = 0) -> None:
        payload = msgspec.json.encode({"blind_ns": blind_ns}) if blind_ns else b""
        self.add(RecordKind.TICK, "", payload)

    def link(self, *, up: bool) -> None:
        self.add(RecordKind.LINK, "", msgspec.json.encode({"up": up, "reason": "test"}))

    def packet(self, packet: Packet, site: str = "s") -> None:
        self.add(RecordKind.MESSAGE, topic_of(site, packet.device, "data"), encode_packet(packet))

    def ticks(self, seconds: float) -> None:
        """Let time pass with ticks only."""
        for _ in range(round(seconds * 4)):
            self.now_ns += SECOND_NS // 4
            self.tick()


def packets(
    device: str,
    signal: np.ndarray[tuple[int], np.dtype[np.float64]],
    *,
    boot: str = "b1",
    birth: int = 0,
    t0_ns: int = T0_NS,
    flags: int = 1,
) -> list[Packet]:
    """A lead cut into packets of 250 ms."""
    cut = []
    for seq, start in enumerate(range(0, len(signal) - 124, 125)):
        samples = raw_bytes(signal[None, start : start + 125], ECG)
        block = Block(0, start, flags, 0.0, samples)
        cut.append(Packet(1, device, boot, birth, seq, t0_ns + start * 2_000_000, 2, (block,)))
    return cut


def played(tape: Tape, streams: Iterable[Sequence[Packet]]) -> Tape:
    """Send packets of several devices side by side in real time, each 20 ms after its last sample, with ticks."""
    queue = sorted((packet for stream in streams for packet in stream), key=lambda p: (p.t0_ns, p.device))
    next_tick = tape.now_ns
    for packet in queue:
        due = packet.t0_ns + 270_000_000
        while next_tick <= due:
            tape.now_ns = max(tape.now_ns, next_tick)
            tape.tick()
            next_tick += SECOND_NS // 4
        tape.now_ns = max(tape.now_ns, due)
        tape.packet(packet)
    return tape
