"""`femtoward alarms what-if`: a journal worked through again with other limits or delays, and what that does to alarms.

The same fold and the same shard as in the flow, without its store; with nothing changed, the alarms are those of the
run itself. An event is labelled where somebody marked its alarm true, or where the simulator's truth explains it. It is
missed where no alarm of its patient and condition is raised within the life that its alarm had.
"""

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from dataflows.burden import Life, lives
from dataflows.events import SECOND_NS, AlarmEvent, Condition
from dataflows.fold import Fold
from dataflows.shard import Shard
from deploy.other_limits import Change, delays_of, in_force
from deploy.problem import Stopped
from deploy.replay import journal_at
from deploy.truth import Truth
from ingest.journal import JournalReader

BATCH: Final = 512  # records
MOST_SAID: Final = 3  # conditions in one sentence
EDGE_NS: Final = 60 * SECOND_NS  # an alarm with another limit may begin so much later than its event's was over


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """Alarms of one condition, as they were and as they would have been."""

    condition: str  # empty: of any
    before: int
    after: int
    fewer: float  # share
    labelled: int
    missed: int
    false_gone: int  # marked false by people, and not raised any more


class WhatIf(msgspec.Struct, frozen=True, kw_only=True):
    """What other limits do."""

    journal: str
    limits: tuple[str, ...]
    delays: tuple[str, ...]
    says: str
    total: Compared
    by_condition: tuple[Compared, ...]
    missed: tuple[str, ...]  # labelled events that no alarm tells of any more
    wall_s: float


def what_if(
    journal: Path,
    limits: Sequence[Change],
    delays: Sequence[Change],
    truth: Truth | None,
    tell: Callable[[str], None],
    stopping: threading.Event,
) -> WhatIf:
    """Play a journal twice, as it was and with other limits, and compare.

    Raises
    ------
    UserError
        There is no journal, or it does not begin at its beginning.
    Stopped
        `stopping` was set.
    """
    began = time.monotonic()
    source = journal_at(journal)
    before = lives(play(source, (), (), lambda said: tell(f"as it was: {said}"), stopping))
    after = lives(play(source, limits, delays, lambda said: tell(f"what if: {said}"), stopping))
    labelled = [life for life in before if life.raised_ns and _is_labelled(life, truth)]
    missed = [life for life in labelled if not _told(life, after)]
    gone = [life for life in before if life.raised_ns and life.mark == "false" and not _told(life, after)]
    counted = [Counter(life.condition for life in one if life.raised_ns) for one in (before, after)]
    parts = tuple(_compared(name, counted, labelled, missed, gone) for name in sorted({*counted[0], *counted[1]}))
    total = _compared("", counted, labelled, missed, gone)
    return WhatIf(
        journal=str(source),
        limits=tuple(map(str, limits)),
        delays=tuple(map(str, delays)),
        says=_says([*limits, *delays], total, parts),
        total=total,
        by_condition=parts,
        missed=tuple(f"{life.condition} of {life.patient} at {life.onset_ns}" for life in missed),
        wall_s=round(time.monotonic() - began, 3),
    )


def play(
    journal: Path,
    limits: Sequence[Change],
    delays: Sequence[Change],
    tell: Callable[[str], None],
    stopping: threading.Event,
) -> list[AlarmEvent]:
    """Alarm events that a journal gives with other limits and delays."""
    fold, found = Fold(1), list[AlarmEvent]()
    shard = Shard(limits=in_force(limits), delay_ns=delays_of(delays))
    with JournalReader(journal) as reader:
        offset, end, said_s = reader.first_offset, reader.end_offset, time.monotonic()
        while records := reader.read(offset, min(BATCH, end - offset)) if offset < end else []:
            offset += len(records)
            folded = fold.feed(records)
            items = [content for where, content in folded if where is not None]
            rows = [*(content for where, content in folded if where is None), *shard.feed(items)]  # type: ignore[arg-type]  # what has a shard is an item
            found += [row for row in rows if isinstance(row, AlarmEvent)]
            if stopping.is_set():
                raise Stopped("stopped before the end of the journal: nothing can be said")
            if time.monotonic() - said_s >= 1.0:
                said_s = time.monotonic()
                tell(f"{offset} of {end} records")
    return found


def lines(found: WhatIf) -> Iterator[str]:
    """The comparison for people."""
    yield found.says
    yield ""
    yield f"{'condition':<28}{'before':>8}{'after':>8}{'fewer':>9}{'labelled':>10}{'missed':>8}{'false gone':>12}"
    for one in (*found.by_condition, found.total):
        yield (
            f"{one.condition or 'all':<28}{one.before:>8}{one.after:>8}{_percent(one.fewer):>9}"
            f"{one.labelled:>10}{one.missed:>8}{one.false_gone:>12}"
        )
    yield from (f"missed: {one}" for one in found.missed)


def _is_labelled(life: Life, truth: Truth | None) -> bool:
    if life.mark == "true":
        return True
    return truth is not None and any(
        (line.required or line.due)
        and line.patient == life.patient
        and line.condition == life.condition
        and line.from_ns <= life.onset_ns <= line.to_ns
        for line in truth.alarms
    )


def _told(life: Life, after: Sequence[Life]) -> bool:
    """Whether an alarm of the same patient and condition is raised within the life that one had."""
    end_ns = (life.ended_ns or math.inf) + EDGE_NS
    return any(
        other.raised_ns and life.raised_ns - EDGE_NS <= other.raised_ns <= end_ns
        for other in after
        if (other.site, other.patient, other.condition) == (life.site, life.patient, life.condition)
    )


def _compared(
    name: str,
    counted: Sequence[Counter[Condition]],
    labelled: Sequence[Life],
    missed: Sequence[Life],
    gone: Sequence[Life],
) -> Compared:
    before, after = (sum(n for condition, n in one.items() if name in ("", condition)) for one in counted)

    def of(found: Sequence[Life]) -> int:
        return sum(name in ("", life.condition) for life in found)

    return Compared(
        condition=name,
        before=before,
        after=after,
        fewer=(before - after) / before if before else math.nan,
        labelled=of(labelled),
        missed=of(missed),
        false_gone=of(gone),
    )


def _says(changes: Sequence[Change], total: Compared, parts: Sequence[Compared]) -> str:
    what = ", ".join(map(str, changes)) or "nothing changed"
    moved = [part for part in parts if part.before != part.after]
    each = [_fewer(part, f" alarms of {part.condition}") for part in moved if len(moved) <= MOST_SAID]
    if not total.labelled:
        missed = "no event is labelled, so nobody knows what is missed"
    elif total.missed:
        missed = f"{total.missed} of the {total.labelled} labelled events missed"
    else:
        missed = f"none of the {total.labelled} labelled events missed"
    return f"{what}: {', '.join([*each, _fewer(total, ' of all alarms')])}; {missed}"


def _fewer(part: Compared, of: str) -> str:
    return f"{_percent(abs(part.fewer))} {'more' if part.after > part.before else 'fewer'}{of}"


def _percent(share: float) -> str:
    return f"{100.0 * share:.0f} %" if math.isfinite(share) else "-"
