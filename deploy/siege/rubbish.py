"""Rubbish for every topic, made from a seed: random, mutated, huge, wrong, and none of it a lie that must be believed.

A packet of a simulated device that was changed and is still valid would be another truth under the device's name; who
may speak under a name is for the broker's access list. So what is mutated carries the name of a device of ours.
"""

import json
import random
from typing import Final, NamedTuple

from ingest.codec import encode_bundle, encode_command, encode_packet
from ingest.command import Acknowledge, Shelve
from ingest.packet import Block, Packet
from ingest.profile import WIRE_VERSION, Birth, StreamProfile
from ingest.topics import ROOT, bundle_topic, command_topic, topic_of

HUGE_BYTES: Final = 3 << 20
RATE_HZ: Final = 250
BLOCK: Final = 125
PATIENT: Final = "nobody"
DEVICE: Final = "rubbish-0001"


class Message(NamedTuple):
    """A topic and what goes there."""

    topic: str
    payload: bytes


def plain_birth(device: str, patient: str) -> Birth:
    """Birth of a device with one magnetic channel."""
    stream = StreamProfile(
        name="mcg",
        kind="mcg",
        sensor="opm-serf",
        rate_hz=float(RATE_HZ),
        n_channels=1,
        unit="pT",
        dtype="i2",
        scale=0.01,
        block_len=BLOCK,
        range=300.0,
    )
    return Birth(version=1, device=device, birth=0, streams=(stream,), model="siege", patient=patient, simulated=True)


def plain_packet(device: str, boot: str, seq: int, t0_ns: int, period: int = 200) -> Packet:
    """Packet `seq` of such a device: a beat every `period` samples."""
    first = seq * BLOCK
    counts = [5000 if (first + i) % period in range(98, 103) else (first + i) % 7 for i in range(BLOCK)]
    samples = b"".join(count.to_bytes(2, "little") for count in counts)
    return Packet(WIRE_VERSION, device, boot, 0, seq, t0_ns, 1, (Block(0, first, 1, 0.0, samples),))


class Rubbish:
    """Makes it.

    Parameters
    ----------
    rng
        Where it comes from.
    site
        Whose topics.
    devices
        Simulated devices of that site.
    """

    def __init__(self, rng: random.Random, site: str, devices: list[str]) -> None:
        self._rng, self._site, self._devices = rng, site, devices
        self._makers = (
            self._random_bytes,
            self._mutated_packet,
            self._mutated_command,
            self._bundle,
            self._json,
            self._strange_topic,
        )

    def one(self, heard: bytes, t0_ns: int) -> Message:
        """One piece.

        Parameters
        ----------
        heard
            A packet that some simulated device has published.
        t0_ns
            About now.
        """
        pick = self._rng.random()
        if pick < 0.01:
            return Message(self._data(), self._rng.randbytes(HUGE_BYTES))
        if pick < 0.15 and heard:  # on the topic of another
            return Message(topic_of(self._site, DEVICE, "data"), heard)
        if pick < 0.25 and heard:  # cut off: its head may be read, its body not
            return Message(topic_of(self._site, DEVICE, "data"), heard[: self._rng.randrange(len(heard))])
        return self._rng.choice(self._makers)(t0_ns)

    def _data(self) -> str:
        return topic_of(self._site, self._rng.choice([*self._devices, DEVICE]), "data")

    def _random_bytes(self, _t0_ns: int) -> Message:
        device = self._rng.choice([*self._devices, DEVICE, "never-seen"])
        topics = [
            topic_of(self._site, device, "data"),
            topic_of(self._site, device, "birth"),
            topic_of(self._site, device, "status"),
            command_topic(self._site, "rubbish"),
            bundle_topic(self._site, "rubbish"),
        ]
        # One at least: an empty birth says that a device leaves.
        return Message(self._rng.choice(topics), self._rng.randbytes(self._rng.randrange(1, 400)))

    def _mutated_packet(self, t0_ns: int) -> Message:
        packet = plain_packet(DEVICE, f"boot-{self._rng.randrange(3)}", self._rng.randrange(10_000), t0_ns)
        fmt = self._rng.choice(("msgpack", "json"))
        payload = bytearray(encode_packet(packet, "json" if fmt == "json" else "msgpack"))
        for _ in range(self._rng.randrange(4)):
            payload[self._rng.randrange(len(payload))] = self._rng.randrange(256)
        return Message(topic_of(self._site, DEVICE, "data"), bytes(payload))

    def _mutated_command(self, _t0_ns: int) -> Message:
        id_ = f"rubbish-{self._rng.randrange(100)}"
        command = self._rng.choice(
            (
                Acknowledge(id=id_, patient=PATIENT, alarm=f"{self._rng.getrandbits(64):016x}"),
                Shelve(id=id_, patient=PATIENT, condition="asystole", seconds=60),
            )
        )
        payload = bytearray(encode_command(command))
        for _ in range(self._rng.randrange(3)):
            payload[self._rng.randrange(len(payload))] = self._rng.randrange(256)
        # Whatever it says now, it must not name a patient of the ward.
        payload = bytearray(b"{}") if b"patient-0" in payload else payload
        return Message(command_topic(self._site, "rubbish"), bytes(payload))

    def _bundle(self, t0_ns: int) -> Message:
        packets = [plain_packet(DEVICE, "bundle", self._rng.randrange(1000), t0_ns) for _ in range(3)]
        payload = bytearray(encode_bundle("rubbish", packets))
        for _ in range(self._rng.randrange(3)):
            payload[self._rng.randrange(20)] = self._rng.randrange(256)
        return Message(bundle_topic(self._site, "rubbish"), bytes(payload))

    def _json(self, _t0_ns: int) -> Message:
        value: object = self._rng.choice(
            (None, 1e308, [], [[[[]]]], {"version": 1}, {"device": DEVICE, "seq": -1}, "x" * 300)
        )
        leaf = self._rng.choice(("data", "birth", "status"))
        device = DEVICE if leaf == "birth" else self._rng.choice([*self._devices, DEVICE])
        return Message(f"{ROOT}/{self._site}/{device}/{leaf}", json.dumps(value).encode())

    def _strange_topic(self, _t0_ns: int) -> Message:
        topics = (
            f"{ROOT}/{self._site}/ward/data",
            f"{ROOT}/{self._site}/a b/data",
            f"{ROOT}/{self._site}/ward/cmd/no one",
            f"{ROOT}/\N{SNOWMAN}/{DEVICE}/status",
            f"{ROOT}/{self._site}/gateway/{'x' * 70}/data",
        )
        return Message(self._rng.choice(topics), self._rng.randbytes(20))
