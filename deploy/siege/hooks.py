"""The webhooks that were taken against the alarm events of a store: each once, none too few, none that never was."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from dataflows.couriers.bodies import message, message_id
from dataflows.events import AlarmEvent
from deploy.siege.receiver import Receipt


class HooksCheck(NamedTuple):
    """What a receiver that keeps ids has seen.

    It shows an event when the id is new, and passes over one that it has taken before. So what came ``again`` with the
    same body does no harm. ``repeated`` counts what such a receiver would show twice, or could not show rightly: an id
    that it had taken, with another body.
    """

    taken: int  # different ids
    again: int
    repeated: int
    missing: list[str]
    missing_high: int
    wrong: list[str]


def check_hooks(receipts: Sequence[Receipt], bodies: dict[str, bytes], events: Iterable[AlarmEvent]) -> HooksCheck:
    """Compare receipts with the events that should have been carried, which are all."""
    wanted = {message_id(event): event for event in events}
    taken = [receipt for receipt in receipts if receipt.taken]
    first: dict[str, bytes] = {}
    for receipt in taken:
        first.setdefault(receipt.id, receipt.digest)
    changed = [receipt.id for receipt in taken if receipt.digest != first[receipt.id]]
    missing = [id_ for id_ in wanted if id_ not in first]
    strangers = [id_ for id_ in first if id_ not in wanted]
    unlike = [id_ for id_ in first if id_ in wanted and bodies[id_] != msgspec.json.encode(message(wanted[id_]))]
    unsigned = sum(not receipt.verified for receipt in receipts)
    wrong = _said(missing, "alarm events never reached the webhook")
    wrong += _said(changed, "webhooks came again with another body")
    wrong += _said(strangers, "webhooks tell of an alarm event that the replay does not have")
    wrong += _said(unlike, "webhooks say another thing than the alarm event")
    wrong += _said(_disordered(taken), "alarms were told out of order")
    wrong += [f"{unsigned} webhooks had no right signature"] if unsigned else []
    return HooksCheck(
        taken=len(first),
        again=len(taken) - len(first) - len(changed),
        repeated=len(changed),
        missing=missing,
        missing_high=sum(wanted[id_].priority == "high" for id_ in missing),
        wrong=wrong,
    )


def _disordered(taken: Sequence[Receipt]) -> list[str]:
    """Alarms whose events were not first taken in the order of their steps."""
    last: Counter[str] = Counter()
    seen: set[str] = set()
    found = []
    for receipt in taken:
        if receipt.id in seen:
            continue
        seen.add(receipt.id)
        alarm, _, step = receipt.id.rpartition("_")
        if int(step) < last[alarm]:
            found.append(alarm)
        last[alarm] = int(step)
    return found


def _said(ids: list[str], what: str) -> list[str]:
    return [f"{len(ids)} {what}; the first: {ids[0]}"] if ids else []
