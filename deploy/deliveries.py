"""`femtoward alarms receipts` and `resend`: what became of each alarm event at each receiver, and sending it again."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import msgspec

from dataflows.couriers.bodies import rfc3339
from dataflows.couriers.cursors import Cursors, DeadLetter
from dataflows.couriers.receipts import receipts
from dataflows.couriers.webhook import WebhookOptions
from dataflows.events import AlarmEvent
from dataflows.store import Store
from deploy.alarms import find
from deploy.problem import UserError
from deploy.rooms import reading
from deploy.settings import Settings
from deploy.wiring import named, webhook_options

PAGE: Final = 1000
State = Literal["waiting", "held", "delivered", "refused"]


class Delivery(msgspec.Struct, frozen=True):
    """One event at one receiver."""

    receiver: str
    site: str
    alarm: str
    step: int
    state: State
    times: dict[str, str]  # queued, delivered, seen, accepted, and what was done by a link
    detail: str = ""


def deliveries(settings: Settings, alarm: str | None) -> list[Delivery]:
    """What became of every event of one alarm, or of all, at every receiver; oldest first.

    Raises
    ------
    UserError
        There is no such alarm, or more than one.
    """
    path = _couriers(settings)
    with reading(settings) as store:
        id_ = None if alarm is None else find(store, alarm).id
        found = [*_told(path, id_), *(_untold(settings, path, store, id_) if path.exists() else ())]
    return sorted(found, key=lambda one: (one.times.get("queued", ""), one.alarm, one.step, one.receiver))


def line(one: Delivery) -> str:
    """One line for people."""
    times = "  ".join(f"{what} {when[11:23]}" for what, when in one.times.items())
    detail = f"  ({one.detail})" if one.detail else ""
    return f"{one.alarm}/{one.step}  {one.receiver:<16} {one.state:<9}  {times}{detail}"


def resend(settings: Settings, receiver: str | None, alarms: Sequence[str]) -> dict[str, int]:
    """Ask the couriers to send events again: of the alarms named the newest and those not taken, or all not taken.

    Returns
    -------
    dict
        How many events, by receiver.

    Raises
    ------
    UserError
        There is no such alarm or receiver, or it cannot be asked for now.
    """
    names = [webhook.name for webhook in settings.webhook]
    if receiver is not None and receiver not in names:
        raise UserError(f"--receiver {receiver!r}: the settings name {', '.join(names) or 'no receiver'}")
    asked: dict[str, int] = {}
    path = _couriers(settings)
    if not path.exists():
        raise UserError(f"{path} is not there yet: the couriers have carried nothing (`femtoward run`)")
    with reading(settings) as store, closing(Cursors(path)) as cursors:
        ids = {find(store, alarm).id for alarm in alarms}
        newest = {stored.id for id_ in ids if (stored := store.newest_of(id_)) is not None}
        for name in names if receiver is None else [receiver]:
            courier = f"webhook-{name}"
            rows = newest | {
                letter.row_id for letter in cursors.dead_letters(courier) if not ids or _alarm_of(letter) in ids
            }
            if rows and not cursors.send_again(courier, rows):
                raise UserError("the disk is full: make room, and try again")
            if rows:
                asked[name] = len(rows)
    return asked


def _couriers(settings: Settings) -> Path:
    return settings.folder(named(settings, None).name) / "couriers.sqlite"


def _told(path: Path, alarm: str | None) -> Iterator[Delivery]:
    events: dict[tuple[str, str, str, int], dict[str, str]] = {}
    for one in receipts(path, alarm):
        events.setdefault((one.receiver, one.site, one.alarm, one.step), {})[one.what] = rfc3339(one.at_ns)
    for (receiver, site, id_, step), times in events.items():
        if "delivered" in times:
            yield Delivery(receiver, site, id_, step, "delivered", times)


def _untold(settings: Settings, path: Path, store: Store, alarm: str | None) -> Iterator[Delivery]:
    with closing(Cursors(path)) as cursors:
        for options in webhook_options(settings):
            courier = f"webhook-{options.name}"
            for letter in cursors.dead_letters(courier):
                id_, _, step = letter.key.rpartition("/")
                if alarm in {None, id_}:
                    times = {"refused": rfc3339(letter.at_ns)}
                    yield Delivery(options.name, letter.site, id_, int(step), "refused", times, letter.reason)
            for held in cursors.held(courier).values():
                until = datetime.fromtimestamp(held.due_ns / 1e9, UTC).strftime("until %Y-%m-%d %H:%M UTC")
                for stored in store.read(held.row_id - 1, 1, (AlarmEvent.kind,), held.row_id):
                    yield from _of(options, stored.row, alarm, "held", until)
            yield from _waiting(cursors, store, options, alarm)


def _waiting(cursors: Cursors, store: Store, options: WebhookOptions, alarm: str | None) -> Iterator[Delivery]:
    """Events that the courier has not come to, or could not deliver yet."""
    courier = f"webhook-{options.name}"
    head, ahead = cursors.settled(courier), cursors.ahead(courier)
    held = {one.row_id for one in cursors.held(courier).values()}
    while rows := store.read(head, PAGE, (AlarmEvent.kind,)):
        head = rows[-1].id
        for stored in rows:
            if stored.id not in ahead and stored.id not in held:
                yield from _of(options, stored.row, alarm, "waiting")


def _of(options: WebhookOptions, row: object, alarm: str | None, state: State, detail: str = "") -> Iterator[Delivery]:
    if isinstance(row, AlarmEvent) and alarm in {None, row.id} and options.wants(row):
        times = {"queued": rfc3339(row.arrival_ns)}
        yield Delivery(options.name, row.site, row.id, row.step, state, times, detail)


def _alarm_of(letter: DeadLetter) -> str:
    return letter.key.rpartition("/")[0]
