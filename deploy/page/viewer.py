"""One page that looks at the ward: its WebSocket, what it was told, and what it may be told next.

A page answers every message, and at most a few are under way to it: one that is slow gets fewer and newer pictures, and
one that takes nothing in for five seconds is left. So nothing piles up here, whatever lies between.
"""

import asyncio
import time
from collections import deque
from typing import Final

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from deploy.live import STALE_S
from deploy.page.desk import Desk, Errand, new_id
from deploy.page.feed import Feed
from deploy.page.messages import (
    Changes,
    Choose,
    OfAlarm,
    Outcome,
    OutcomeState,
    Seen,
    Snapshot,
    command_of,
    decode,
    encode,
)

HEARTBEAT_S: Final = 0.5  # a page that hears nothing for 3 s says so
UNDER_WAY: Final = 3  # messages that it has not answered
DEAF_S: Final = 5.0  # it has said itself by then that it lost contact
MESSAGES_PER_S: Final = 40.0  # from a page; it has ten things to say in a second at most
BURST: Final = 80.0
OUTCOMES_MOST: Final = 32
NS_MS: Final = 1_000_000
TOO_MUCH, TRY_LATER = 1008, 1013  # WebSocket close codes


class Viewer:
    """One connection.

    Parameters
    ----------
    socket
        Not accepted yet.
    feed
        What there is to see.
    desk
        Takes what a page has to say of alarms.
    edition
        Of the page that is served now.
    """

    def __init__(self, socket: WebSocket, feed: Feed, desk: Desk, edition: str) -> None:
        self._socket, self._feed, self._desk, self._edition = socket, feed, desk, edition
        self._left = False
        self._n = 0  # of the newest message to it
        self._seen = 0  # the newest that it has answered
        self._answered = asyncio.Event()
        self._version = 0  # of the feed that it knows
        self._chosen = ""
        self._second = 0  # newest one of the waveform that it has
        self._outcomes: deque[Outcome] = deque(maxlen=OUTCOMES_MOST)
        self._woken = asyncio.Event()  # there is something for it alone

    async def serve(self) -> None:
        """Tell it of the ward until it goes, or has to."""
        await self._socket.accept()
        both = [asyncio.create_task(self._tell()), asyncio.create_task(self._hear())]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            ended = await asyncio.gather(*both, return_exceptions=True)
        for error in ended:
            # A page that is gone, or cannot be reached, is no fault of ours.
            if isinstance(error, Exception) and not isinstance(error, (WebSocketDisconnect, TimeoutError)):
                raise error

    async def _tell(self) -> None:
        feed = self._feed
        self._version = feed.version
        await self._send(
            Snapshot(self._next(), _now_ms(), self._edition, STALE_S, feed.trouble, feed.silent, feed.tiles())
        )
        while True:
            await self._something_new()
            if not await self._has_room():
                await self._leave(TRY_LATER, f"it took nothing in for {DEAF_S:g} s")
                return
            await self._send(self._changes())

    async def _something_new(self) -> None:
        """Wait for news of the ward or for this page, or until it is time for a sign of life."""
        self._woken.clear()
        if self._outcomes:
            return
        news = asyncio.create_task(self._feed.changed(self._version, HEARTBEAT_S))
        woken = asyncio.create_task(self._woken.wait())
        try:
            await asyncio.wait((news, woken), return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
            woken.cancel()

    async def _has_room(self) -> bool:
        """Wait until few messages are under way; False if it has been deaf for too long."""
        deadline = time.monotonic() + DEAF_S
        while self._n - self._seen >= UNDER_WAY:
            self._answered.clear()
            try:
                await asyncio.wait_for(self._answered.wait(), deadline - time.monotonic())
            except TimeoutError:
                return False
        return True

    def _changes(self) -> Changes:
        feed, since = self._feed, self._version
        self._version = feed.version
        seconds = feed.seconds(self._chosen, self._second) if self._chosen else ()
        if seconds:
            self._second = seconds[-1].second
        outcomes = tuple(self._outcomes)
        self._outcomes.clear()
        return Changes(
            n=self._next(),
            now_ms=_now_ms(),
            trouble=feed.trouble,
            silent=feed.silent,
            tiles=feed.tiles(since),
            gone=feed.gone(since),
            seconds=seconds,
            outcomes=outcomes,
        )

    async def _hear(self) -> None:
        allowed, heard_s = BURST, time.monotonic()
        while True:
            text = await self._socket.receive()
            if text["type"] == "websocket.disconnect":
                return
            now_s = time.monotonic()
            allowed, heard_s = min(BURST, allowed + (now_s - heard_s) * MESSAGES_PER_S) - 1.0, now_s
            if allowed < 0.0:
                await self._leave(TOO_MUCH, "it says more than a page has to say")
                return
            await self._heard(text.get("text"))

    async def _heard(self, text: str | None) -> None:
        try:
            if text is None:
                raise ValueError("bytes came, need JSON as text")  # noqa: TRY301 - refused as what cannot be read is
            said = decode(text)
        except ValueError as error:
            self._outcome(Outcome("", "refused", f"not understood: {error}"))
            return
        match said:
            case Seen():
                self._seen = max(self._seen, min(said.n, self._n))
                self._answered.set()
            case Choose():
                self._chosen, self._second = said.key, 0
                self._woken.set()
            case _:
                await self._do(said)

    async def _do(self, said: OfAlarm) -> None:
        """Have done what somebody says of an alarm."""

        def tell(state: OutcomeState, detail: str) -> None:
            self._outcome(Outcome(said.request, state, detail))

        known = self._feed.known(said.key, said.alarm)
        if known is None:
            tell("refused", "this alarm is not known here: it was over long ago, or never was")
            return
        door, event = known
        command = command_of(said, new_id(), event.patient, event.condition)
        await self._desk.give(Errand(door, event.site, said.actor, command), tell)

    def _outcome(self, outcome: Outcome) -> None:
        self._outcomes.append(outcome)
        self._woken.set()

    def _next(self) -> int:
        self._n += 1
        return self._n

    async def _send(self, message: Snapshot | Changes) -> None:
        if self._left:
            raise WebSocketDisconnect(TOO_MUCH)
        await asyncio.wait_for(self._socket.send_text(encode(message)), DEAF_S)

    async def _leave(self, code: int, reason: str) -> None:
        if not self._left and self._socket.application_state == WebSocketState.CONNECTED:
            self._left = True
            await asyncio.wait_for(self._socket.close(code, reason), 1.0)


def _now_ms() -> int:
    return time.time_ns() // NS_MS
