"""Devices whose clocks step and drift while their samples go on, in a process of their own."""

import sys
import threading
import time
from pathlib import Path

import msgspec

from deploy.output import show_json
from deploy.siege.trials.gateway import Gateway
from deploy.siege.trials.tape import Tape
from deploy.signals import stop_by_thread
from device_sim.wearable import PACKET_NS
from ingest.codec import encode_birth, encode_packet
from ingest.topics import topic_of


class Clock(msgspec.Struct, frozen=True, kw_only=True):
    """A device's clock."""

    device: str
    steps: tuple[tuple[float, float], ...] = ()  # from so many seconds on, it is off by so many
    drift_ppm: float = 0.0

    def off_ns(self, at_s: float) -> int:
        """How far off it is after `at_s`."""
        step_s = next((off_s for from_s, off_s in reversed(self.steps) if at_s >= from_s), 0.0)
        return round(step_s * 1e9 + at_s * self.drift_ppm * 1e3)


class ClockedOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Who publishes, and for how long."""

    port: int
    site: str
    clocks: tuple[Clock, ...]
    seconds: float
    seed: int


class ClockedReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was said, all of it acknowledged."""

    packets: int  # of each device


def publish(options: ClockedOptions, stopping: threading.Event) -> ClockedReport:
    """Publish every device's packets in time, with what its clock says."""
    tape = Tape(len(options.clocks), seed=options.seed)
    begin, begin_ns = time.monotonic(), time.time_ns()
    number = 0
    with Gateway(options.port, f"clocked-{options.site}") as gateway:
        for clock in options.clocks:
            birth = tape.birth(clock.device, f"patient-of-{clock.device}")
            gateway.say(topic_of(options.site, clock.device, "birth"), encode_birth(birth), retain=True)
        while number * PACKET_NS / 1e9 < options.seconds and not stopping.is_set():
            stopping.wait(max(begin + (number + 1) * PACKET_NS / 1e9 - time.monotonic(), 0.0))
            at_s = number * PACKET_NS / 1e9
            for source, clock in enumerate(options.clocks):
                t0_ns = begin_ns + number * PACKET_NS + clock.off_ns(at_s)
                packet = tape.packet(source, number, clock.device, f"boot-{begin_ns}", t0_ns)
                gateway.say(topic_of(options.site, clock.device, "data"), encode_packet(packet))
            number += 1
        gateway.settle()
    return ClockedReport(packets=number)


if __name__ == "__main__":
    given = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=ClockedOptions)
    show_json(publish(given, stop_by_thread(supervised=True)))
