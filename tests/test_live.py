"""The live table: readable without colour, on a small terminal, and never fresh-looking when old."""

import io
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.console import Console

from dataflows.events import (
    WARD,
    AlarmEvent,
    AlarmState,
    Answer,
    Bad,
    Condition,
    DeviceStatus,
    PatientInfo,
    Priority,
    Reading,
    Row,
    Vitals,
    Wave,
)
from dataflows.rules import RULES
from deploy.live import Ward, swings
from deploy.screen import Screen
from deploy.table import BLOCKS, render, summary_line, trace

T0 = 1_700_000_000
NOW_NS = (T0 + 6) * 10**9


def patient(index: int, *, admitted: bool = True, revision: int = 1) -> PatientInfo:
    return PatientInfo("s", f"p{index:03}", f"bed-{index:02}", (f"d{index}",), admitted, revision)


def vitals(index: int, second: int = 5, hr: float = 72.0, quality: float = 1.0) -> Vitals:
    none = Reading()
    return Vitals(
        site="s",
        patient=f"p{index:03}",
        second=T0 + second,
        hr=Reading(hr, 0.4, 0.9),
        rr_interval=none,
        rmssd=none,
        sdnn=none,
        pulse=Reading(71.0, 1.0, 0.9),
        resp=Reading(16.2, 0.6, 0.8),
        temp=none,
        coverage=1.0,
        quality=quality,
        reason="",
        source="mcg",
        settling=False,
        late=False,
    )


def alarm(
    index: int, priority: Priority = "high", state: AlarmState = "active", step: int = 0, subject: str | None = None
) -> AlarmEvent:
    return AlarmEvent(
        site="s",
        id=f"alarm-{index}",
        step=step,
        patient=subject or f"p{index:03}",
        condition="asystole",
        category="physiological",
        priority=priority,
        state=state,
        onset_ns=NOW_NS,
        event_ns=NOW_NS,
        arrival_ns=NOW_NS,
        value=0.0,
        limit=4.0,
        quality=1.0,
        confidence=1.0,
        algorithm="a",
        version="1",
        reason="no heartbeat for 4 s",
        actor="nina" if state == "acknowledged" else "",
    )


def shown(
    ward: Ward, width: int = 80, height: int = 24, now_ns: int = NOW_NS, *, plain_ascii: bool = False
) -> list[str]:
    console = Console(width=width, height=height, file=io.StringIO(), color_system=None, force_terminal=True)
    console.print(render(ward, now_ns=now_ns, size=(width, height), title="femtoward", plain_ascii=plain_ascii))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def ward_of(n: int, *more: Row) -> Ward:
    ward = Ward()
    ward.take([row for i in range(n) for row in (patient(i), vitals(i))])
    ward.take(more)
    return ward


def line_of(lines: list[str], name: str) -> str:
    return next(line for line in lines if line.startswith(name))


def test_the_breath_rate_is_shown_where_there_is_room() -> None:
    assert line_of(shown(ward_of(2), 100), "bed-01").split()[:5] == ["bed-01", "72", "±0.4", "71", "16"]
    assert " RESP " in shown(ward_of(2), 90)[1]
    assert " RESP " not in shown(ward_of(2), 89)[1]


def test_a_bed_shows_rate_uncertainty_pulse_and_quality_in_words() -> None:
    assert line_of(shown(ward_of(2)), "bed-01").split() == ["bed-01", "72", "±0.4", "71", "good", "████", "█"]


def test_a_value_that_could_not_be_measured_is_a_dash() -> None:
    assert " -- " in line_of(shown(ward_of(1, vitals(0, 6, float("nan")))), "bed-00")


def test_priorities_can_be_told_without_colour() -> None:
    lines = shown(
        ward_of(4, alarm(0), alarm(1, "medium"), alarm(2, "low"), alarm(3), alarm(3, state="acknowledged", step=1))
    )
    assert "!!! HIGH asystole" in line_of(lines, "bed-00")
    assert " !! MEDIUM asystole" in line_of(lines, "bed-01")
    assert " ! LOW asystole" in line_of(lines, "bed-02")
    assert "HIGH asystole (see" in line_of(lines, "bed-03")
    assert any("bed-03  HIGH asystole acknowledged by nina: no heartbeat for 4 s" in line for line in lines)


def test_an_alarm_that_ended_leaves_the_table_and_stays_in_the_log() -> None:
    lines = shown(ward_of(1, alarm(0), alarm(0, state="ended", step=1)))
    assert "asystole" not in line_of(lines, "bed-00")
    assert any("HIGH asystole ended" in line for line in lines)


def test_an_older_step_of_an_alarm_does_not_undo_a_newer_one() -> None:
    ward = ward_of(1, alarm(0, state="acknowledged", step=1), alarm(0, step=0))
    assert ward.beds["p000"].alarms["alarm-0"].state == "acknowledged"


@pytest.mark.parametrize(
    ("age_s", "said"), [(9, "stale 9s"), (99, "stale 99s"), (100, "stale 2m"), (10_000, "stale 3h")]
)
def test_an_old_value_says_that_it_is_old(age_s: int, said: str) -> None:
    assert f" {said} " in line_of(shown(ward_of(1), now_ns=NOW_NS + age_s * 10**9), "bed-00")


def demo_ward() -> Ward:
    """Twelve beds with the names of the demo's."""
    ward = ward_of(12)
    ward.take([replace(patient(i, revision=2), bed=f"bed-{i:04}") for i in range(12)])
    return ward


@pytest.mark.parametrize("condition", get_args(Condition))
@pytest.mark.parametrize("state", ["active", "acknowledged"])
def test_any_condition_can_be_read_on_a_small_terminal(condition: Condition, state: AlarmState) -> None:
    ward = demo_ward()
    ward.take([replace(alarm(3, state=state), condition=condition)])
    words = f"!!! HIGH {condition}{' (seen)' if state == 'acknowledged' else ''}"
    assert line_of(shown(ward), "0003").endswith(words.ljust(40))


def test_any_reason_can_be_read_on_a_small_terminal() -> None:
    reasons = [reason for rule in RULES for reason in rule.reasons]
    for reason in reasons:
        ward = demo_ward()
        ward.take([replace(alarm(3), condition="extreme-bradycardia", reason=reason)])
        events = shown(ward)[-2:]
        assert all(word in " ".join(events).split() for word in reason.split()), events


def test_the_first_alarm_moves_no_column() -> None:
    ward = demo_ward()
    before = shown(ward)
    ward.take([replace(alarm(3), condition="extreme-tachycardia"), alarm(4)])
    after = shown(ward)
    assert after[1] == before[1]
    place = before[1].index("ALARMS")
    assert [line[:place] for line in after[2:14]] == [line[:place] for line in before[2:14]]
    assert after[5][place:].startswith("!!! HIGH extreme-tachycardia ")


def test_names_are_whole_where_there_is_room_or_where_they_differ() -> None:
    assert any(line.startswith("bed-0003 ") for line in shown(demo_ward(), 120))
    mixed = demo_ward()
    mixed.take([replace(patient(5, revision=3), bed="icu-0005")])
    lines = shown(mixed)
    assert line_of(lines, "icu-0005")
    assert line_of(lines, "bed-0003")


def test_beds_are_named_with_their_ward_where_there_are_several() -> None:
    mixed = demo_ward()
    mixed.take([replace(patient(i, revision=3), ward="icu" if i else "surgery") for i in range(12)])
    lines = shown(mixed, 120)
    assert line_of(lines, "bed-00 surg")
    assert line_of(lines, "bed-03 icu ")


@pytest.mark.parametrize("n", [0, 1, 12, 40, 200])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (160, 50), (60, 12)])
def test_the_table_fits_any_terminal(n: int, width: int, height: int) -> None:
    lines = shown(
        ward_of(n, *(Bad("s", i, 0, NOW_NS, "t", "undecodable", "x" * 300, 3) for i in range(50))), width, height
    )
    assert len(lines) <= height
    assert max(map(len, lines)) <= width


def test_with_more_beds_than_lines_the_urgent_ones_come_first() -> None:
    lines = shown(ward_of(40, alarm(39), alarm(38, "low")))
    beds = [line[:6] for line in lines if line.startswith("bed-")]
    assert beds[:2] == ["bed-39", "bed-38"]
    assert any("and 25 more beds" in line for line in lines)


def test_the_table_says_where_the_ward_page_is() -> None:
    console = Console(width=80, height=24, file=io.StringIO(), color_system=None, force_terminal=True)
    where = "http://127.0.0.1:8080/"
    console.print(render(ward_of(2), now_ns=NOW_NS, size=(80, 24), title="femtoward", page=where))
    assert isinstance(console.file, io.StringIO)
    assert f"events, newest last (UTC)   page: {where}" in console.file.getvalue()


def test_what_concerns_no_patient_is_shown_for_the_ward() -> None:
    lines = shown(ward_of(1, alarm(7, "medium", subject=WARD)))
    assert any(line.startswith("ward: !! MEDIUM asystole") for line in lines)
    assert not any(line.startswith("ward ") for line in lines)


def test_a_discharged_patient_leaves_the_table() -> None:
    assert not any(line.startswith("bed-00") for line in shown(ward_of(1, patient(0, admitted=False, revision=2))))


def test_what_comes_late_does_not_bring_a_discharged_patient_back() -> None:
    ward = ward_of(1, alarm(0), patient(0, admitted=False, revision=2))
    ward.take([vitals(0, 6), alarm(0, state="ended", step=1), alarm(0)])
    assert not ward.beds
    ward.take([patient(0, revision=3), vitals(0, 7)])
    assert ward.beds["p000"].name == "bed-00"


def test_the_log_tells_of_devices_refusals_and_refused_commands() -> None:
    def status(state: str, revision: int, device: str = "d0") -> DeviceStatus:
        return DeviceStatus("s", device, "p000", "m", True, state, "battery", NOW_NS, 0.0, 0.0, revision)

    ward = Ward()
    said = ward.take(
        [
            status("unknown", 0),
            status("online", 1),
            status("offline", 2),
            status("offline", 3),
            Bad("s", 1, 0, NOW_NS, "t", "undecodable", "came rubbish", 3),
            Answer("s", "c1", "nina", True, "done", NOW_NS),
            Answer("s", "c2", "nina", False, "no such alarm", NOW_NS),
        ]
    )
    assert [remark.text for remark in said] == [
        "refused (undecodable): came rubbish",
        "command of nina not done: no such alarm",
        "device d0 is offline: battery",
    ]
    many = ward.take([status("lost", 4, f"d{i}") for i in range(20)])
    assert [remark.text for remark in many] == ["20 devices are lost: battery"]


def test_a_heart_that_stops_is_drawn_flat() -> None:
    def wave(second: int, peak: float) -> Wave:
        samples = np.full(125, 3.0)
        samples[60] = peak
        return Wave("s", "p000", T0 + second, "mcg", 0.5, "pT", samples.astype("<i2").tobytes())

    beating = ward_of(1, *(wave(s, -900.0) for s in range(4)))
    assert beating.beds["p000"].peak == 451.5
    assert line_of(shown(beating), "bed-00").count("█") == 4 + 4  # four beats, and the bar of the quality
    still = ward_of(1, *(wave(s, -900.0 if s == 0 else 3.0) for s in range(6)))
    assert line_of(shown(still), "bed-00").count("█") == 4


def test_a_terminal_without_block_characters_gets_plain_ones() -> None:
    text = "\n".join(shown(ward_of(3, alarm(1)), plain_ascii=True)).replace("±", "")
    assert text.isascii()


@given(st.lists(st.floats(0.0, 1e6) | st.just(float("nan")), max_size=300), st.floats(0.0, 1e6))
def test_a_trace_has_a_character_for_each_height(heights: list[float], top: float) -> None:
    line = trace(np.array(heights), top)
    assert len(line) in {0, len(heights)}
    assert set(line) <= set(BLOCKS)


@given(st.integers(0, 1000), st.integers(1, 100))
def test_there_is_a_swing_for_each_character_whatever_the_length(n: int, width: int) -> None:
    assert len(swings(np.ones(n), width)) == width


def test_a_slow_wave_swings_little_and_a_beat_shows() -> None:
    wave = 300.0 * np.sin(np.arange(500) / 125.0)
    wave[260] += 500.0
    found = swings(wave, 20)
    assert found.argmax() == 10
    assert np.delete(found, 10).max() < 0.2 * found[10]


def test_output_that_is_no_terminal_gets_lines() -> None:
    lines: list[str] = []
    with Screen(None, lines.append, "simulated sensors; not a medical device") as screen:
        screen.show([patient(0), vitals(0), alarm(0)], NOW_NS)
        screen.show([vitals(0, 6)], NOW_NS + 1)
        screen.trouble(NOW_NS, "flow ended with status -9")
    assert lines == [
        "femtoward: simulated sensors; not a medical device",
        "22:13:26Z  bed-00  HIGH asystole active: no heartbeat for 4 s",
        "22:13:26Z  1 bed, 1 with a heart rate, 72 to 72 bpm; alarms: bed-00 HIGH asystole",
        "22:13:26Z  flow ended with status -9",
    ]
    assert screen.troubles == ["flow ended with status -9"]


def test_the_summary_says_when_there_is_nothing_to_say() -> None:
    assert summary_line(Ward(), NOW_NS) == "22:13:26Z  0 beds, 0 with a heart rate; alarms: none"
