"""The lanes of every device of a shard: samples in by the round, estimates out by the second."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataflows import tree
from dataflows.bank import BankImage
from dataflows.cardiac import Cardiac
from dataflows.estimates import IntArray, Second, nothing_measured
from dataflows.items import Data
from dataflows.lane import Group, Lane, Spoke
from dataflows.lanes import lanes_of
from dataflows.roster import Device
from ingest.profile import StreamProfile


class Port(NamedTuple):
    """Where a device's samples of one kind go."""

    streams: tuple[int, ...]  # by part of the lane; the first one leads
    group: Group


class Speakers(NamedTuple):
    """Devices of one bank that speak for patients, by the patients' places in a list."""

    group: Group
    patients: list[int]
    ports: list[tuple[Device, Port]]


class Strip(NamedTuple):
    """Some seconds of a cardiac lead."""

    stream: StreamProfile
    samples: NDArray[np.float32]  # 125 Hz; NaN where there is none


class Wearables:
    """Banks by lane, and the way from each device's streams to them."""

    def __init__(self) -> None:
        self._groups: dict[Lane, Group] = {}
        self._ports: dict[str, dict[int, Port]] = {}

    def plug(self, device: Device) -> None:
        """Find the lanes of a device; its rows are seated by its first blocks."""
        self.unplug(device.key)
        self._ports[device.key] = {
            streams[0]: Port(streams, self._groups.setdefault(lane, Group(lane)))
            for lane, streams in lanes_of(device.birth)
        }

    def unplug(self, key: str) -> None:
        """Free the rows of a device."""
        for port in self._ports.pop(key, {}).values():
            port.group.bank.unseat(key)
            if not len(port.group.bank):
                self._groups.pop(port.group.lane, None)

    def step(self, round_: Iterable[tuple[Device, Data]]) -> None:
        """Step every lane that got samples once; a round holds a device at most once."""
        spoken: dict[int, tuple[Group, list[Spoke]]] = {}
        for device, data in round_:
            blocks = {block.stream: block for block in data.blocks}
            for leader, port in self._ports[device.key].items():
                if leader not in blocks:
                    continue
                parts = [blocks.get(stream) for stream in port.streams]
                spoke = Spoke(
                    key=device.key,
                    samples=tuple(None if part is None else part.samples for part in parts),
                    scales=tuple(device.birth.streams[stream].scale for stream in port.streams),
                    t0_ns=data.t0_ns,
                    flags=blocks[leader].flags,
                    fresh=blocks[leader].fresh,
                    bridged=blocks[leader].bridged,
                )
                spoken.setdefault(id(port.group), (port.group, []))[1].append(spoke)
        for group, spokes in spoken.values():
            group.step(spokes)

    def estimates(self, worn: Sequence[Sequence[Device]], end_ns: IntArray) -> Second:
        """Estimate the second that ends at `end_ns` of each patient out of the devices that the patient wears.

        The first device that has a kind of signal speaks for it.
        """
        known = nothing_measured(len(worn))
        for group, indices, ports in self._speakers(worn, set(Second._fields)):
            at = np.array(indices, np.int64)
            state = group.bank.take([device.key for device, _ in ports])
            tree.put(getattr(known, group.lane.kind), at, group.lane.estimate(state, end_ns[at]))
        return known

    def strips(self, worn: Sequence[Sequence[Device]], end_ns: IntArray, seconds: float) -> list[Strip | None]:
        """Return each patient's cardiac lead up to a time, from the first device that has one."""
        strips: list[Strip | None] = [None] * len(worn)
        for group, indices, ports in self._speakers(worn, {"cardiac"}):
            lane = group.lane
            if not isinstance(lane, Cardiac):
                continue
            keys = [device.key for device, _ in ports]
            samples = lane.strips(group.bank.take(keys), end_ns[np.array(indices, np.int64)], seconds)
            for i, (device, port), strip in zip(indices, ports, samples, strict=True):
                strips[i] = Strip(device.birth.streams[port.streams[0]], strip)
        return strips

    def _speakers(self, worn: Sequence[Sequence[Device]], kinds: set[str]) -> Iterator[Speakers]:
        """Find who speaks for each patient, by bank: the first device that has a kind of signal speaks for it."""
        asked: dict[int, Speakers] = {}
        for i, devices in enumerate(worn):
            silent = set(kinds)
            for device in devices:
                for port in self._ports[device.key].values():
                    kind = port.group.lane.kind
                    if kind in silent and device.key in port.group.bank:
                        silent.discard(kind)
                        speakers = asked.setdefault(id(port.group), Speakers(port.group, [], []))
                        speakers.patients.append(i)
                        speakers.ports.append((device, port))
        yield from asked.values()

    def images(self) -> tuple[tuple[str, BankImage], ...]:
        """Copy every bank for a snapshot."""
        return tuple((group.lane.kind, group.bank.image()) for group in self._groups.values() if len(group.bank))

    def restore(self, images: Iterable[tuple[str, BankImage]]) -> list[str]:
        """Fill the banks of the devices that are plugged in; return why any of them could not be filled.

        A bank that could not is left empty: the next block of each of its devices starts the row anew.
        """
        problems = []
        for kind, image in images:
            ports = self._ports.get(image.keys[0], {}).values()
            group = next((port.group for port in ports if port.group.lane.kind == kind), None)
            if group is None:
                problems.append(f"no lane {kind} for {image.keys[0]}")
            elif mismatch := group.bank.restore(image):
                problems.append(f"lane {kind}: {mismatch.detail}")
        return problems
