"""Tapes played through the fold and its shards, and what came of them."""

from collections import defaultdict
from collections.abc import Sequence
from typing import TypeVar

import msgspec
import numpy as np
from wire import SECOND_NS, T0_NS, Tape, beating, birth_of, packets, played

from dataflows.events import AlarmEvent
from dataflows.fold import Fold
from dataflows.items import Item
from dataflows.roll_call import RollCall
from dataflows.shard import Row, Shard

T = TypeVar("T")
S0 = T0_NS // SECOND_NS


def items_of(tape: Tape, n_shards: int = 1) -> dict[int, list[Item]]:
    items: dict[int, list[Item]] = defaultdict(list)
    for shard, content in Fold(n_shards).feed(tape.records):
        if shard is not None:
            items[shard].append(content)  # type: ignore[arg-type]  # what has a shard is an item
    return items


def rows_of(tape: Tape, n_shards: int = 1) -> list[Row]:
    return [row for items in items_of(tape, n_shards).values() for row in Shard().feed(items)]


def of(kind: type[T], rows: Sequence[Row]) -> list[T]:
    return [row for row in rows if isinstance(row, kind)]


def told(rows: Sequence[Row], condition: str | None = None) -> list[tuple[str, str]]:
    return [(e.condition, e.state) for e in of(AlarmEvent, rows) if condition in (None, e.condition)]


def canonical(rows: Sequence[Row]) -> list[bytes]:
    return sorted(msgspec.msgpack.encode((row.kind, row)) for row in rows if not isinstance(row, RollCall))


def one_patient(signal: np.ndarray[tuple[int], np.dtype[np.float64]], **how: int) -> Tape:
    tape = Tape()
    tape.birth(birth_of("w1", "p1"))
    return played(tape, [packets("w1", signal, **how)])  # type: ignore[arg-type]


def ward_tape(n_patients: int = 6, seconds: float = 22.0) -> Tape:
    tape = Tape()
    for i in range(n_patients):
        tape.birth(birth_of(f"w{i}", f"p{i}"))
    pauses = {1: [(10.0, 18.0)], 2: [(12.0, 16.5)]}
    streams = [packets(f"w{i}", beating(seconds, 55.0 + 9 * i, pauses.get(i, []), seed=i)) for i in range(n_patients)]
    del streams[3][40:60]  # a hole of 5 s
    del streams[4][30:]  # lost for good
    played(tape, streams)
    tape.ticks(12.0)
    return tape
