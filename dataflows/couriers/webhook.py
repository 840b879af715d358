"""Carries alarm events to one webhook receiver, signed as Standard Webhooks (https://www.standardwebhooks.com) has it.

After an outage what still stands goes first, high before low, and what is over goes last; the events of one alarm stay
in order and none is left out. An event that is not its alarm's newest any more says so: by a header to programs, whose
body stays what it was, and in words to people.
"""

import re
import time
from collections.abc import Callable, Sequence
from typing import Final, get_args
from urllib.parse import urlsplit

import msgspec

from dataflows.couriers import bodies
from dataflows.couriers.bodies import OVER, Body, Detail, Template, message_id
from dataflows.couriers.cursors import Refused
from dataflows.couriers.delivery import DeliveryFailed, ReceiverGone
from dataflows.couriers.duty import Duty, span_of
from dataflows.couriers.links import Links
from dataflows.couriers.post import Poster
from dataflows.couriers.retry_after import retry_after_s
from dataflows.couriers.signing import read_keys, sign
from dataflows.events import AlarmEvent, Condition, Priority
from dataflows.store import Stored

DAY_S: Final = 86_400.0
NEVER_QUIET: Final[frozenset[Condition]] = frozenset(
    {"asystole", "ventricular-fibrillation", "ventricular-tachycardia"}
)
_RANKS: Final[dict[Priority, int]] = {"high": 0, "medium": 1, "low": 2}
_NOT_OF_ROW: Final = frozenset({408, 425, 429})  # of 4xx, those that say nothing against what was sent


class WebhookOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One receiver of alarm events."""

    name: str  # names the cursor: must not change between starts
    url: str
    secret_env: str = ""  # variable that holds one or more whsec_<base64>, parted by spaces; the newest first
    secret_file: str = ""  # or the file that does
    priorities: tuple[Priority, ...] = get_args(Priority)
    template: Template = "json"
    detail: Detail = "minimal"  # full: bed, ward, what people wrote and the strip, too
    rung: int = 0  # of the escalation ladder, from which on it is told
    team: str = ""  # on duty by its shifts; empty: always
    quiet: str = ""  # HH:MM-HH:MM, in which only a high priority is told
    allow_local: bool = False  # deliver to this machine or its link, too
    timeout_s: float = 5.0  # for the whole of a delivery
    give_up_s: float = DAY_S  # of failing; a high priority is not given up before a day, whatever stands here

    def __post_init__(self) -> None:
        """Check once."""
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", self.name):
            raise ValueError(f"webhook: name is {self.name!r}, need 1 to 64 of A-Z a-z 0-9 _ -")
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.password:
            raise ValueError(
                f"webhook {self.name}: url must be https://host/path (or http://), without user or password"
            )
        if not self.priorities or self.timeout_s <= 0 or self.give_up_s < 0 or self.rung < 0:
            raise ValueError(f"webhook {self.name}: need a priority, timeout_s > 0, give_up_s >= 0 and rung >= 0")
        if self.quiet:
            span_of(self.quiet)

    def wants(self, event: AlarmEvent) -> bool:
        """Whether an event is the receiver's business, as far as the event itself says."""
        return event.priority in self.priorities and event.level >= self.rung and not event.within


class WebhookCourier:
    """A courier (see `carrier.Courier`) for one receiver: one event at a time, in order for each alarm.

    Parameters
    ----------
    options
        The receiver.
    now_s
        Wall clock for the signed time of each attempt.
    duty
        When its team is on duty, and when it wants to be left alone.
    links
        What makes links by which an alarm can be answered; None: there are none.

    Raises
    ------
    ValueError
        No secret, or a malformed one; or the receiver is on this machine and that is not allowed.
    """

    kinds = (AlarmEvent.kind,)
    revised = ()
    batch = 1
    linger_s = hold_s = 0.0

    def __init__(
        self,
        options: WebhookOptions,
        now_s: Callable[[], float] = time.time,
        duty: Duty | None = None,
        links: Links | None = None,
    ) -> None:
        self.name = f"webhook-{options.name}"
        self.receiver = options.name
        self._options, self._now_s, self._links = options, now_s, links
        self._duty = duty or Duty.of(options.quiet)
        self._keys = read_keys(f"webhook {options.name}", options.secret_env, options.secret_file)
        self._poster = Poster(
            f"webhook {options.name}", options.url, options.timeout_s, allow_local=options.allow_local
        )
        self._newest: dict[str, AlarmEvent] = {}  # of each alarm that has not been told to its end, by lane

    def lane(self, row: Stored) -> str:
        """An alarm's events stay in order."""
        return f"{row.row.site}/{row.row.id}" if isinstance(row.row, AlarmEvent) else ""

    def wants(self, row: Stored) -> bool:
        """Whether an event is the receiver's business; what follows on an event that it was told is so in any case."""
        return isinstance(row.row, AlarmEvent) and self._options.wants(row.row)

    def due_ns(self, row: Stored, now_ns: int) -> int:
        """Until when an event waits for the receiver's team or the end of quiet hours, wall clock; 0: it does not."""
        event = row.row
        if not isinstance(event, AlarmEvent):
            return 0
        lane = self.lane(row)
        if lane not in self._newest or event.step >= self._newest[lane].step:
            self._newest[lane] = event
        loud = event.priority == "high" or event.condition in NEVER_QUIET
        return self._duty.due_ns(now_ns, loud=loud)

    def rank(self, row: Stored) -> int:
        """Alarms that stand go before those that are over, and those of a higher priority before the others."""
        newest = self._newest.get(self.lane(row))
        if not isinstance(row.row, AlarmEvent) or (newest is not None and newest.state in OVER):
            return len(_RANKS)
        return _RANKS[(newest or row.row).priority]

    def give_up_s(self, row: Stored) -> float:
        """What the options say, but never less than a day for a high priority."""
        is_high = isinstance(row.row, AlarmEvent) and row.row.priority == "high"
        return max(self._options.give_up_s, DAY_S) if is_high else self._options.give_up_s

    def deliver(self, rows: Sequence[Stored]) -> list[Refused]:
        """Post an event and wait for 2xx; several at once are over, and summed up."""
        events = [stored.row for stored in rows if isinstance(stored.row, AlarmEvent)]
        if len(events) > 1:
            ids = "_".join(message_id(event) for event in (events[0], events[-1]))
            self._post(f"passed_{len(events)}_{ids}", bodies.summary(events, self._options.template))
        for event in events if len(events) == 1 else ():
            try:
                body = self._body(event)
            except LookupError as error:  # no code for what it says: by no later attempt either
                return [Refused(rows[0], str(error))]
            self._post(message_id(event), body, self._since(event))
        for event in events:
            lane = f"{event.site}/{event.id}"
            if event.state in OVER and lane in self._newest and self._newest[lane].step <= event.step:
                del self._newest[lane]
        return []

    def close(self) -> None:
        """Nothing is kept open between events."""

    def _body(self, event: AlarmEvent) -> Body:
        link = self._links.url(self.receiver, event) if self._links else ""
        return bodies.body_of(event, self._options.template, self._options.detail, link, self._since(event))

    def _since(self, event: AlarmEvent) -> str:
        """What became of the alarm since, in one word; empty: it is as the event says."""
        newest = self._newest.get(f"{event.site}/{event.id}", event)
        if newest.step <= event.step:
            return ""
        return newest.state if newest.state != event.state else newest.change

    def _post(self, id_: str, body: Body, since: str = "") -> None:
        now_s = int(self._now_s())
        headers = {
            "Content-Type": body.content_type,
            "User-Agent": "femtoward",
            "Connection": "close",
            "webhook-id": id_,
            "webhook-timestamp": str(now_s),
            "webhook-signature": " ".join(sign(key, id_, now_s, body.content) for key in self._keys),
        }
        if since:
            headers["femtoward-superseded"] = since
        status, retry_after = self._poster.post(body.content, headers)
        host = self._poster.host
        if status == 410:
            raise ReceiverGone(f"{host} answers 410 Gone: it wants no more events; remove it, if that stays so")
        if not 200 <= status < 300:
            hint = " (redirects are not followed: correct the url)" if 300 <= status < 400 else ""
            raise DeliveryFailed(
                f"{host} answers {status}{hint}",
                retry_after_s(retry_after),
                of_row=400 <= status < 500 and status not in _NOT_OF_ROW,
            )
