"""Devices that publish valid packets far faster than they can measure, in a process of their own."""

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

QUIET_S = 5.0  # at their own rate, before and after
THEIRS = "patient-of-"  # how the names of their patients begin


class FloodOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Who floods, and how."""

    port: int
    site: str
    devices: tuple[str, ...]
    times: float  # their rate
    seconds: float
    seed: int


class FloodReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was said, all of it acknowledged."""

    packets: dict[str, int]  # by device
    begin_ns: int  # of the flood
    end_ns: int


def flood(options: FloodOptions, stopping: threading.Event) -> FloodReport:
    """Publish at the devices' own rate, then at many times that, then as before.

    The packets go on in time as their sequence does: such a device claims to live faster than the clock.
    """
    tape = Tape(len(options.devices), seed=options.seed)
    numbers = dict.fromkeys(options.devices, 0)
    t0_ns = time.time_ns() - PACKET_NS
    boot = f"flood-{t0_ns}"
    with Gateway(options.port, f"flooder-{options.site}") as gateway:
        for device in options.devices:
            birth = tape.birth(device, f"{THEIRS}{device}")
            gateway.say(topic_of(options.site, device, "birth"), encode_birth(birth), retain=True)

        def play(seconds: float, times: float) -> tuple[int, int]:
            begin = time.monotonic()
            begin_ns, first = time.time_ns(), dict(numbers)
            while (gone := time.monotonic() - begin) < seconds and not stopping.is_set():
                due = int(gone * times * 1e9 / PACKET_NS)
                for source, device in enumerate(options.devices):
                    while numbers[device] - first[device] < due:
                        number = numbers[device]
                        packet = tape.packet(source, number, device, boot, t0_ns + number * PACKET_NS)
                        gateway.say(topic_of(options.site, device, "data"), encode_packet(packet))
                        numbers[device] = number + 1
                stopping.wait(0.25 / times)
            return begin_ns, time.time_ns()

        play(QUIET_S, 1.0)
        begin_ns, end_ns = play(options.seconds, options.times)
        play(QUIET_S, 1.0)
        gateway.settle()
    return FloodReport(packets=numbers, begin_ns=begin_ns, end_ns=end_ns)


if __name__ == "__main__":
    given = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=FloodOptions)
    show_json(flood(given, stop_by_thread(supervised=True)))
