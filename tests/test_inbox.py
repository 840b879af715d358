"""The inbox: bounded, in order, and news get through where messages must wait."""

import time

import pytest

from ingest import inbox as inbox_module
from ingest.inbox import Arrival, Inbox
from ingest.segments import RecordKind


def message(number: int) -> Arrival:
    return Arrival(RecordKind.MESSAGE, "t", b"%d" % number, 1, number)


def news(number: int) -> Arrival:
    return Arrival(RecordKind.LINK, "", b"%d" % number)


def test_messages_and_news_come_out_in_the_order_they_came_in() -> None:
    inbox = Inbox(10, 1000, 100, 0.0)
    mixed = [message(1), news(2), message(3), news(4)]
    for arrival in mixed:
        inbox.tell(arrival) if arrival.kind is RecordKind.LINK else inbox.put(arrival)
    assert inbox.take(0.0) == mixed
    assert inbox.take_news(0.0) == []


def test_news_can_be_taken_alone_and_the_messages_stay_in_order() -> None:
    inbox = Inbox(10, 1000, 100, 0.0)
    inbox.put(message(1))
    assert inbox.take_news(time.monotonic() + 0.01) == []
    inbox.tell(news(2))
    inbox.put(message(3))
    assert inbox.take_news(time.monotonic() + 60.0) == [news(2)]
    assert inbox.take(0.0) == [message(1), message(3)]
    assert len(inbox) == 0


def test_of_too_many_news_the_oldest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_module, "MAX_NEWS", 3)
    inbox = Inbox(10, 1000, 100, 0.0)
    inbox.put(message(0))
    for number in range(1, 6):
        inbox.tell(news(number))
    assert inbox.take(0.0) == [message(0), news(3), news(4), news(5)]
    inbox.tell(news(6))
    assert inbox.take_news(0.0) == [news(6)]
