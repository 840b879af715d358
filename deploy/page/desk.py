"""Commands on alarms, by the local door as the command line leaves them; the flow says what came of each."""

import asyncio
import math
import time
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from dataflows.events import Answer
from deploy.alarms import ANSWER_WITHIN_S, NO_ANSWER
from deploy.commands import leave_command
from deploy.page.messages import OutcomeState
from deploy.problem import UserError
from ingest.command import Command

WAITING_MOST = 1000  # commands without an answer

Teller = Callable[[OutcomeState, str], None]


class Errand(NamedTuple):
    """A command, whose it is, and the door behind which the flow is that does it."""

    door: Path
    site: str
    actor: str
    command: Command


class _Waiting(NamedTuple):
    tell: Teller
    due_s: float


class Desk:
    """Commands that have been given and that the flow has not answered yet.

    Parameters
    ----------
    now_s
        Clock for how long an answer is waited for.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._waiting: dict[str, list[_Waiting]] = {}  # by command

    async def give(self, errand: Errand, tell: Teller) -> None:
        """Leave a command at the door, and have told what becomes of it."""
        if sum(map(len, self._waiting.values())) >= WAITING_MOST:
            tell("refused", f"{WAITING_MOST} commands wait for an answer: see that the flow runs")
            return
        id_, waiting = errand.command.id, _Waiting(tell, self._now_s() + ANSWER_WITHIN_S)
        self._waiting.setdefault(id_, []).append(waiting)
        try:
            await asyncio.to_thread(leave_command, *errand)
        except UserError as error:
            if waiting in (others := self._waiting.get(id_, [])):
                others.remove(waiting)
            tell("refused", f"ingest cannot be told: {error}")
            return
        if waiting in self._waiting.get(id_, ()):
            tell("sent", "sent; the flow has not answered yet")

    def answered(self, answers: Iterable[Answer]) -> None:
        """Tell those who asked what the flow has answered."""
        for answer in answers:
            for waiting in self._waiting.pop(answer.command, ()):
                waiting.tell("done" if answer.done else "failed", answer.detail)

    def tend(self) -> None:
        """Tell those who have waited long that there was no answer; the command is kept all the same."""
        self._let_go(self._now_s())

    def close(self) -> None:
        """Tell all who wait that there was no answer yet."""
        self._let_go(math.inf)

    def _let_go(self, now_s: float) -> None:
        for command, waiting in list(self._waiting.items()):
            if waiting and now_s < waiting[-1].due_s:
                return  # in the order in which they came
            del self._waiting[command]
            for one in waiting:
                one.tell("waiting", NO_ANSWER)


def new_id() -> str:
    """Id of a command that nobody has given before."""
    return uuid.uuid4().hex
