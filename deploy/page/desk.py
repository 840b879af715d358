"""Acknowledging from the page: by the local door, as the command line does it; the flow says what came of it."""

import asyncio
import time
import uuid
from collections.abc import Callable, Iterable
from typing import NamedTuple

from dataflows.events import Answer
from deploy.alarms import ANSWER_WITHIN_S, NO_ANSWER, leave
from deploy.page.feed import Feed
from deploy.page.messages import Acknowledge, Outcome
from deploy.problem import UserError

WAITING_MOST = 1000  # commands without an answer

Teller = Callable[[Outcome], None]


class _Waiting(NamedTuple):
    request: str
    tell: Teller
    due_s: float


class Desk:
    """Commands that pages have given and the flow has not answered yet.

    Parameters
    ----------
    feed
        Knows which alarms stand, and where.
    now_s
        Clock for how long an answer is waited for.
    """

    def __init__(self, feed: Feed, now_s: Callable[[], float] = time.monotonic) -> None:
        self._feed, self._now_s = feed, now_s
        self._waiting: dict[str, _Waiting] = {}

    async def acknowledge(self, said: Acknowledge, tell: Teller) -> None:
        """Leave the command at the door, and have told what becomes of it."""
        standing = self._feed.standing(said.key, said.alarm)
        if standing is None:
            tell(Outcome(said.request, "refused", "this alarm does not stand any more: it has ended"))
            return
        if len(self._waiting) >= WAITING_MOST:
            tell(
                Outcome(said.request, "refused", f"{WAITING_MOST} commands wait for an answer: see that the flow runs")
            )
            return
        command = uuid.uuid4().hex
        self._waiting[command] = _Waiting(said.request, tell, self._now_s() + ANSWER_WITHIN_S)
        try:
            await asyncio.to_thread(leave, standing.door, command, standing.event, said.actor, said.note)
        except (UserError, OSError) as error:
            self._waiting.pop(command, None)
            tell(Outcome(said.request, "refused", f"ingest cannot be told: {error}"))
            return
        if command in self._waiting:
            tell(Outcome(said.request, "sent", "sent; the flow has not answered yet"))

    def answered(self, answers: Iterable[Answer]) -> None:
        """Tell those who asked what the flow has answered."""
        for answer in answers:
            if waiting := self._waiting.pop(answer.command, None):
                waiting.tell(Outcome(waiting.request, "done" if answer.done else "failed", answer.detail))

    def tend(self) -> None:
        """Tell those who have waited long that there was no answer; the command is kept all the same."""
        now_s = self._now_s()
        for command, waiting in list(self._waiting.items()):
            if now_s < waiting.due_s:
                return  # in the order in which they came
            del self._waiting[command]
            waiting.tell(Outcome(waiting.request, "waiting", NO_ANSWER))
