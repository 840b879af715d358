"""Rows on their way to one receiver: order within a lane, independence between lanes, back-off, lingering."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from outgoing import alarm

from dataflows.couriers.lanes import BackOff, Lanes
from dataflows.store import Stored


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans(), st.integers(1, 40)), max_size=60), st.randoms())
def test_lanes_keep_the_order_of_each_lane_and_lose_nothing(
    script: list[tuple[int, bool, int]], order: random.Random
) -> None:
    lanes = Lanes(lambda row: row.row.key.split("/")[0], 3, BackOff(1.0, 8.0), random_0_1=order.random)
    rows = [Stored(id_, alarm(f"a{lane}", id_)) for id_, (lane, _, _) in enumerate(script, start=1)]
    done: list[Stored] = []
    now_s = 0.0
    waiting = list(rows)
    for _, fails, step in script:
        lanes.add(waiting[:2])
        del waiting[:2]
        now_s += step / 10
        if batch := lanes.next(now_s):
            assert len({row.row.key.split("/")[0] for row in batch}) == 1
            if fails:
                lanes.failed(batch, now_s)
            else:
                lanes.settled(batch)
                done += batch
        open_ids = {row.id for row in rows} - {row.id for row in done} - {row.id for row in waiting}
        assert lanes.lowest_id() == min(open_ids, default=None)
        assert len(lanes) == len(open_ids)
    lanes.add(waiting)
    while batch := lanes.next(now_s := now_s + 100.0):
        lanes.settled(batch)
        done += batch
    assert sorted(done) == rows if not rows else sorted(row.id for row in done) == [row.id for row in rows]
    for lane in range(5):
        ids = [row.id for row in done if row.row.key.startswith(f"a{lane}/")]
        assert ids == sorted(ids)


def test_back_off_doubles_up_to_its_limit_and_honours_what_the_receiver_asks() -> None:
    back_off = BackOff(0.5, 60.0)
    assert [back_off.after(n, None, lambda: 1.0) for n in (1, 2, 3, 8, 9, 5000)] == [0.5, 1.0, 2.0, 60.0, 60.0, 60.0]
    assert back_off.after(1, None, lambda: 0.0) == 0.25
    assert back_off.after(1, 17.0, lambda: 0.0) == 17.0
    with pytest.raises(ValueError, match="0 < first retry"):
        BackOff(2.0, 1.0)


def test_a_lane_that_fails_alone_is_woken_by_the_success_of_others_only_once() -> None:
    lanes = Lanes(lambda row: row.row.key.split("/")[0], 1, BackOff(10.0, 10.0), random_0_1=lambda: 1.0)
    poison = [Stored(1, alarm("a1"))]
    lanes.add(poison)
    lanes.failed(lanes.next(0.0), 0.0)
    assert lanes.next(1.0) == []
    lanes.wake()
    assert lanes.next(1.0) == poison
    lanes.failed(poison, 1.0)
    lanes.wake()
    assert lanes.next(2.0) == []
    assert lanes.next(11.0) == poison


def test_a_lane_that_lingers_goes_when_it_fills_a_batch_or_its_oldest_row_has_waited() -> None:
    lanes = Lanes(lambda _: "", 3, BackOff(10.0, 10.0), linger_s=0.2, random_0_1=lambda: 1.0)
    rows = [Stored(number, alarm(f"a{number}")) for number in range(1, 7)]
    lanes.add(rows[:2], 100.0)
    assert lanes.next(100.1) == []
    assert lanes.next(100.1, at_once=True) == rows[:2]  # there will be no other
    assert lanes.next(100.2) == rows[:2]
    lanes.add(rows[2:3], 100.1)
    assert lanes.next(100.1) == rows[:3]
    lanes.failed(rows[:3], 100.1)
    assert lanes.next(105.0, at_once=True) == []  # it waits for the receiver, not for rows
    assert lanes.next(110.1) == rows[:3]
    lanes.settled(rows[:3])
    lanes.add(rows[3:4], 110.2)
    lanes.add(rows[4:5], 110.35)
    assert lanes.next(110.3) == []
    assert lanes.next(110.4) == rows[3:5]  # the youngest has not, but goes along
