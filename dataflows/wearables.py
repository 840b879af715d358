"""The lanes of every device of a shard: samples in by the round, estimates out by the second."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dataflows import estimates, tree
from dataflows.bank import Bank, BankImage
from dataflows.cardiac import Cardiac
from dataflows.cardiac_state import CardiacState
from dataflows.estimates import LANE_KINDS, FloatArray, IntArray, Second, nothing_measured
from dataflows.items import Data
from dataflows.lane import Group, Lane, Spoke
from dataflows.lanes import lanes_of
from dataflows.limits import HR, defaults
from dataflows.roster import Device
from dataflows.speakers import sensors_of, standing, together
from ingest.profile import StreamProfile


class Port(NamedTuple):
    """Where a device's samples of one kind go."""

    streams: tuple[int, ...]  # by part of the lane; the first one leads
    scales: tuple[float, ...]  # of each
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
        self._ports[device.key] = ports = {}
        for lane, streams in lanes_of(device.birth):
            if lane not in self._groups:
                self._groups[lane] = Group(lane)
            self._groups[lane].users += 1
            scales = tuple(device.birth.streams[stream].scale for stream in streams)
            ports[streams[0]] = Port(streams, scales, self._groups[lane])

    def unplug(self, key: str) -> None:
        """Free the rows of a device."""
        for port in self._ports.pop(key, {}).values():
            port.group.bank.unseat(key)
            port.group.users -= 1
            if not port.group.users:
                del self._groups[port.group.lane]

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
                    scales=port.scales,
                    t0_ns=data.t0_ns,
                    flags=blocks[leader].flags,
                    fresh=any(part is not None and part.fresh for part in parts),
                    bridged=blocks[leader].bridged,
                )
                spoken.setdefault(id(port.group), (port.group, []))[1].append(spoke)
        for group, spokes in spoken.values():
            group.step(spokes)

    def estimates(
        self, worn: Sequence[Sequence[Device]], end_ns: IntArray, rate_limits: FloatArray | None = None
    ) -> Second:
        """Estimate the second that ends at `end_ns` of each patient out of the devices that the patient wears.

        The first device whose signal of a kind can be used in this second speaks for it, else the first that has one;
        where none has, the first one that ever had says since when. What is wrong with a sensor is told of each.

        Parameters
        ----------
        worn
            Devices of each of ``n`` patients.
        end_ns : shape (n,)
            End of the second.
        rate_limits : shape (n, 2)
            Below the one a heart is too slow, above the other too fast, 1/min; None: the ward's defaults.
        """
        rates = defaults(len(worn))[:, HR] if rate_limits is None else rate_limits
        known = nothing_measured(len(worn))
        known.worn[:] = [self.measures(devices) for devices in worn]
        for turn in range(max(map(len, worn), default=0)):
            for group, indices, ports in self._speakers(worn, set(LANE_KINDS), turn):
                at = np.array(indices, np.int64)
                state = group.bank.take([device.key for device, _ in ports])
                lane = group.lane
                estimate = (
                    lane.estimate(state, end_ns[at], rates[at])
                    if isinstance(lane, Cardiac)
                    else lane.estimate(state, end_ns[at])
                )
                so_far = getattr(known, lane.kind)
                better = np.ones(len(at), np.bool_)
                if turn:
                    better = standing(estimate) > standing(tree.take(so_far, at))
                tree.put(so_far, at[better], tree.take(estimate, np.flatnonzero(better)))
                if isinstance(estimate, estimates.Cardiac):
                    sensors = sensors_of(estimate)
                    tree.put(known.sensors, at, together(tree.take(known.sensors, at), sensors) if turn else sensors)
        return known

    def hearts(self, key: str) -> Bank[CardiacState] | None:
        """Bank in which a device's heart has a row, if it has one."""
        for port in self._ports.get(key, {}).values():
            if isinstance(port.group.lane, Cardiac) and key in port.group.bank:
                return port.group.bank
        return None

    def measures(self, devices: Sequence[Device]) -> bool:
        """Whether a patient wears anything that a heart rate could come from."""
        kinds = {port.group.lane.kind for device in devices for port in self._ports[device.key].values()}
        return bool(kinds & {"cardiac", "optical"})

    def strips(self, worn: Sequence[Sequence[Device]], end_ns: IntArray, seconds: float) -> list[Strip | None]:
        """Return each patient's cardiac lead up to a time, from the first device that has one."""
        strips: list[Strip | None] = [None] * len(worn)
        for turn in range(max(map(len, worn), default=0)):
            for group, indices, ports in self._speakers(worn, {"cardiac"}, turn):
                lane = group.lane
                if not isinstance(lane, Cardiac):
                    continue
                keys = [device.key for device, _ in ports]
                samples = lane.strips(group.bank.take(keys), end_ns[np.array(indices, np.int64)], seconds)
                for i, (device, port), strip in zip(indices, ports, samples, strict=True):
                    so_far = strips[i]
                    if so_far is None or np.isnan(so_far.samples).all():
                        strips[i] = Strip(device.birth.streams[port.streams[0]], strip)
        return strips

    def _speakers(self, worn: Sequence[Sequence[Device]], kinds: set[str], turn: int) -> Iterator[Speakers]:
        """Find who may speak for each patient, by bank: each patient's device number `turn` of those with a kind."""
        asked: dict[int, Speakers] = {}
        for i, devices in enumerate(worn):
            before = Counter[str]()
            for device in devices:
                for port in self._ports[device.key].values():
                    kind = port.group.lane.kind
                    if kind not in kinds or device.key not in port.group.bank:
                        continue
                    before[kind] += 1
                    if before[kind] == turn + 1:
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
