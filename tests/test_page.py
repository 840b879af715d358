"""The ward page in a real browser: it shows the store's numbers, sounds, acknowledges, and says when it is blind."""

import math
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import chromium, looking_at
from msgspec.structs import replace
from pages import Flow, Server, alarm, ended, flow, key, patient, server, vitals
from playwright.sync_api import Browser, expect
from servers import eventually

from ingest.command import Acknowledge

TOKEN = "a-token-of-this-ward-0123456789"  # noqa: S105 - opens nothing but a test's own server

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as one:
        yield one


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Flow]:
    with flow(tmp_path, 6) as one:
        yield one


@pytest.fixture
def page_server(ward: Flow) -> Iterator[Server]:
    with server(ward.folder) as one:
        yield one


def test_tiles_show_the_numbers_of_the_store(browser: Browser, ward: Flow, page_server: Server) -> None:
    now_s = int(time.time())
    ward.put(vitals(1, now_s, hr=math.nan, quality=0.1), vitals(2, now_s, quality=0.6))
    with looking_at(browser, page_server.url) as seen:
        for (_, name), row in ward.store.latest_vitals().items():
            tile = seen.tile(f"main/north/{name}")
            expect(tile.locator(".hr")).to_have_text("--" if math.isnan(row.hr.value) else f"{row.hr.value:.0f}")
            expect(tile.locator(".u")).to_have_text("" if math.isnan(row.hr.value) else f"±{row.hr.u:.1f}")
            expect(tile.locator(".more b").first).to_have_text(f"{row.pulse.value:.0f}")
            expect(tile.locator(".more b").last).to_have_text(f"{row.temp.value:.1f}")
        expect(seen.tile(key(0)).locator(".bed")).to_have_text("bed-00")
        expect(seen.page.locator("#notice")).to_have_text("Simulated sensors; not a medical device")
        ward.put(vitals(3, now_s + 1, hr=143.4))
        expect(seen.tile(key(3)).locator(".hr")).to_have_text("143")
        ward.put(patient(5, admitted=False, revision=2))
        expect(seen.tile(key(5))).to_have_count(0)


def test_a_heart_rate_is_trusted_by_its_own_quality_and_the_lead_is_judged_apart(
    browser: Browser, ward: Flow, page_server: Server
) -> None:
    now_s = int(time.time()) + 5  # nothing grows old here
    ward.put(
        vitals(0, now_s, quality=0.1, reason="saturated"),  # the optical sensor measures it all the same
        vitals(1, now_s, hr=math.nan, quality=0.9),
        replace(vitals(2, now_s), settling=True),
    )
    with looking_at(browser, page_server.url) as seen:
        for index, word in enumerate(("good", "good", "settling")):
            expect(seen.tile(key(index)).locator(".quality")).to_have_text(word)
        seen.tile(key(0)).click()
        expect(seen.page.locator("#chosen-state")).to_have_text("signal none (saturated), heart rate from mcg+ppg")


def test_beds_of_several_wards_are_told_apart_wherever_they_are_named(
    browser: Browser, ward: Flow, page_server: Server
) -> None:
    with looking_at(browser, page_server.url) as seen:
        expect(seen.tile(key(2)).locator(".bed")).to_have_text("bed-02")
        ward.put(*(replace(patient(index, revision=2), ward=f"ward-{index % 2}") for index in range(ward.beds)))
        expect(seen.tile(key(2)).locator(".bed")).to_have_text("bed-02 · ward-0")
        event = ward.raise_(alarm(3))
        expect(seen.row(event.id).locator(".where")).to_have_text("bed-03 · ward-1")
        seen.row(event.id).locator(".ack").click()
        expect(seen.page.locator("#act-what")).to_have_text("!!! HIGH asystole · bed-03 · ward-1")


def test_a_screen_shows_its_ward_and_counts_the_open_alarms_of_others(
    browser: Browser, ward: Flow, page_server: Server
) -> None:
    ward.live()
    ward.put(*(replace(patient(index, revision=2), ward=f"ward-{index % 2}") for index in range(ward.beds)))
    other, own = ward.raise_(alarm(3)), ward.raise_(alarm(2, "poor-signal", "low"))
    ward.raise_(alarm(5, "saturated", "medium"))
    with looking_at(browser, page_server.url) as seen:
        tiles, elsewhere = seen.page.locator("#tiles button"), seen.page.locator("#elsewhere")
        expect(tiles).to_have_count(6)
        expect(elsewhere).to_be_hidden()
        seen.turn_sound_on()
        expect(seen.page.locator("html")).to_have_attribute("data-sounding", "high")
        seen.page.keyboard.press("w")
        expect(seen.page.get_by_label("Ward", exact=True)).to_be_focused()
        seen.page.keyboard.press("ArrowDown")  # "all", "ward-0", "ward-1"
        for _ in range(2):
            expect(tiles).to_have_count(3)
            expect(seen.page.locator("#count")).to_have_text("3 of 6 beds")
            expect(elsewhere).to_have_text("2 open in other wards, the worst: !!! HIGH asystole")
            expect(seen.row(own.id)).to_be_visible()
            expect(seen.row(other.id)).to_have_count(0)
            expect(seen.page.locator("html")).to_have_attribute("data-sounding", "low")
            expect(seen.page.locator("#chosen-name")).to_have_text("bed-02 · ward-0 · p02")
            assert seen.page.url.endswith("#ward=ward-0")
            seen.page.goto("about:blank")
            seen.page.goto(page_server.url)  # it is kept, with or without the address
        seen.complaints.clear()  # Chromium's, that sound has to wait for a touch
        ward.put(replace(patient(3, revision=3), ward="ward-0"))
        expect(seen.row(other.id)).to_be_visible()
        seen.page.get_by_label("Ward", exact=True).select_option("all")
        expect(tiles).to_have_count(6)
        expect(elsewhere).to_be_hidden()


def test_old_values_are_greyed_and_say_their_age(browser: Browser, ward: Flow, page_server: Server) -> None:
    ward.silent.add(2)
    ward.live()
    with looking_at(browser, page_server.url) as seen:
        tile = seen.tile(key(2))
        expect(tile.locator(".quality")).to_have_text(re.compile(r"stale \d+ s"))
        expect(tile).to_contain_class("calm stale")
        expect(seen.tile(key(1)).locator(".quality")).to_have_text("good")


def test_an_asystole_turns_its_tile_and_sounds_within_a_second(
    browser: Browser, ward: Flow, page_server: Server
) -> None:
    ward.live()
    with looking_at(browser, page_server.url) as seen:
        seen.turn_sound_on()
        event = ward.raise_(alarm(4))
        eventually(seen.bursts, what="the alarm signal")
        [burst, *_] = seen.bursts()
        assert (burst["priority"], burst["pulses"], burst["alarms"]) == ("high", 10, [event.id])
        assert burst["atMs"] - event.event_ns / 1e6 <= 1000.0
        tile = seen.tile(key(4))
        expect(tile).to_contain_class("high active")
        expect(tile.locator(".band")).to_have_text("!!! HIGH asystole")
        expect(seen.page.locator("#tiles button").first).to_have_attribute("data-key", key(4))
        expect(seen.page.locator("#say-now")).to_have_text("high alarm, bed-04: asystole, no heartbeat for 4 s")
        ward.put(ended(event))
        expect(tile).to_contain_class("calm")
        expect(seen.page.locator("html")).to_have_attribute("data-sounding", "none")


def test_the_worst_alarm_is_heard_and_each_priority_has_its_pulses(
    browser: Browser, ward: Flow, page_server: Server
) -> None:
    with looking_at(browser, page_server.url) as seen:
        expect(seen.page.locator("#sound")).to_have_text("Sound is off: turn on")
        low = ward.raise_(alarm(0, "poor-signal", "low"))
        expect(seen.row(low.id)).to_be_visible()
        assert seen.bursts() == []
        seen.turn_sound_on()
        expect(seen.page.locator("#sound")).to_have_text("Sound is on")
        for index, priority in ((1, "medium"), (2, "high")):
            ward.raise_(alarm(index, "saturated", priority))  # type: ignore[arg-type]  # a priority
            eventually(lambda: seen.bursts()[-1]["priority"] == priority, what="the alarm signal")  # noqa: B023 - now
        heard = [(burst["priority"], burst["pulses"]) for burst in seen.bursts()]
        assert heard == [("low", 2), ("medium", 3), ("high", 10)]
        seen.page.keyboard.press("s")
        expect(seen.page.locator("html")).to_have_attribute("data-sound", "off")


def test_acknowledging_by_mouse_shows_only_what_the_flow_has_done(
    browser: Browser, ward: Flow, page_server: Server
) -> None:
    event = ward.raise_(alarm(1))
    with looking_at(browser, page_server.url) as seen:
        row = seen.row(event.id)
        row.get_by_role("button", name="Acknowledge asystole of bed-01").click()
        expect(seen.page.locator("#act-what")).to_have_text("!!! HIGH asystole · bed-01")
        seen.page.get_by_label("Your name").fill("nina k")
        seen.page.get_by_label("Note").fill("leads off, on my way")
        seen.page.get_by_role("button", name="Acknowledge", exact=True).last.click()
        expect(row.locator(".state")).to_have_text("sent; waiting for the flow …")
        expect(seen.tile(key(1))).to_contain_class("high active")  # nothing has been done yet
        ward.answer()
        expect(row.locator(".state")).to_have_text("seen by nina-k: leads off, on my way")
        expect(seen.tile(key(1))).to_contain_class("high acknowledged")
        expect(seen.page.locator("html")).to_have_attribute("data-sounding", "none")


def test_alarms_are_shelved_marked_and_spoken_of_and_every_state_is_told_in_words(
    browser: Browser, ward: Flow, page_server: Server
) -> None:
    event, latched = ward.raise_(alarm(1)), ward.raise_(replace(alarm(3), state="latched", change="latched"))
    with looking_at(browser, page_server.url) as seen:
        expect(seen.row(latched.id).locator(".mark")).to_have_text("!!! HIGH asystole (over, not seen)")
        expect(seen.tile(key(3)).locator(".band")).to_have_text("!!! HIGH asystole (over, not seen)")

        def do(deed: str, button: str, note: str = "") -> None:
            seen.page.locator(f'[data-alarm="{event.id}"] .more').click()
            seen.page.locator("fieldset span").get_by_text(deed, exact=True).click()
            expect(seen.page.locator("#act-minutes")).to_have_value("2")  # an asystole is not shelved for longer
            seen.page.get_by_label("Your name").fill("ana")
            seen.page.get_by_label("Note").fill(note)
            seen.page.locator("#act").get_by_role("button", name=button, exact=True).click()
            eventually(done, what="the flow to be asked")

        def done() -> bool:
            before = ward.standing[event.id]
            ward.answer()
            return ward.standing[event.id] != before

        def told(text: str | re.Pattern[str]) -> None:
            expect(seen.page.get_by_text(text)).to_be_visible()

        do("Shelve", "Shelve", "electrode changed")
        told(re.compile(r"shelved until \d\d:\d\dZ by ana: electrode changed"))
        expect(seen.row(event.id).locator(".mark")).to_have_text(re.compile("!!! HIGH asystole .shelved until"))
        expect(seen.tile(key(1))).to_contain_class("high shelved")
        expect(seen.row(event.id).locator(".ack")).to_be_hidden()
        do("Unshelve", "Unshelve")
        expect(seen.tile(key(1))).to_contain_class("high active")
        do("Comment", "Comment", "a lead was off")
        told("ana: a lead was off")
        ward.raise_(replace(ward.standing[event.id], step=9, state="ended", change="ended", note="", actor=""))
        expect(seen.row(event.id)).to_have_count(0)
        seen.page.locator("#over summary").click()
        do("Was false", "Mark as false")
        told("over; marked false by ana")


def test_acknowledging_by_keyboard_needs_no_mouse(browser: Browser, ward: Flow, page_server: Server) -> None:
    event = ward.raise_(alarm(2))
    ward.raise_(alarm(4, "extreme-tachycardia"))
    with looking_at(browser, page_server.url) as seen:
        expect(seen.page.locator("#tiles button").nth(1)).to_have_attribute("data-key", key(4))
        press = seen.page.keyboard.press
        press("ArrowRight")
        expect(seen.tile(key(2))).to_be_focused()
        press("ArrowRight")
        expect(seen.tile(key(4))).to_be_focused()
        press("ArrowLeft")
        press("Enter")
        expect(seen.tile(key(2))).to_have_attribute("aria-current", "true")
        expect(seen.page.locator("#chosen-name")).to_have_text("bed-02 · p02")
        press("a")
        expect(seen.page.get_by_label("Your name")).to_be_focused()
        seen.page.keyboard.type("ana")
        press("Enter")
        expect(seen.row(event.id).locator(".state")).to_have_text("sent; waiting for the flow …")
        [(actor, command)] = ward.commands()
        assert isinstance(command, Acknowledge)
        assert (actor, command.patient, command.alarm, command.note) == ("ana", "p02", event.id, "")
        press("?")
        expect(seen.page.locator("#keys")).to_be_visible()
        press("Escape")
        expect(seen.page.locator("#keys")).to_be_hidden()


def test_what_the_flow_does_not_do_is_said(browser: Browser, ward: Flow, page_server: Server) -> None:
    event = ward.raise_(alarm(1))
    with looking_at(browser, page_server.url) as seen:
        expect(seen.row(event.id)).to_be_visible()
        seen.page.keyboard.press("a")
        seen.page.get_by_label("Your name").fill("ana")
        seen.page.keyboard.press("Enter")
        expect(seen.row(event.id).locator(".state")).to_have_text("sent; waiting for the flow …")
        ward.answer(done=False, detail="it ended or never was")
        expect(seen.row(event.id).locator(".state")).to_have_text("not done: it ended or never was")
        expect(seen.row(event.id).locator(".ack")).to_be_visible()


def test_a_killed_server_is_said_within_five_seconds_and_the_page_recovers_by_itself(
    browser: Browser, ward: Flow
) -> None:
    ward.live()
    with server(ward.folder, apart=True) as page_server, looking_at(browser, page_server.url) as seen:
        seen.turn_sound_on()
        asked = seen.row(ward.raise_(alarm(2)).id)
        asked.locator(".ack").click()
        seen.page.get_by_label("Your name").fill("ana")
        seen.page.keyboard.press("Enter")
        expect(asked.locator(".state")).to_have_text("sent; waiting for the flow …")
        expect(seen.page.locator("#lost")).to_be_hidden()
        page_server.kill()
        seen.page.wait_for_selector("#lost:not([hidden])", timeout=5000)
        expect(seen.page.locator("#lost")).to_contain_text("Lost contact with femtoward since")
        eventually(lambda: "page-lost-contact" in seen.bursts()[-1]["alarms"], what="the page to sound by itself")
        event = ward.raise_(alarm(3))  # nobody is told meanwhile
        page_server.start()
        expect(seen.page.locator("#lost")).to_be_hidden()
        expect(asked.locator(".state")).to_contain_text("the contact was lost before the flow answered")
        expect(asked.locator(".ack")).to_be_visible()
        expect(seen.row(event.id)).to_be_visible()
        expect(seen.page.locator("html")).to_have_attribute("data-sounding", "high")
        # That nobody answered is the browser's own complaint.
        seen.complaints[:] = [said for said in seen.complaints if "ERR_CONNECTION_REFUSED" not in said]


def test_a_partition_of_which_nothing_comes_is_said_and_heard_whatever_comes_of_others(
    browser: Browser, tmp_path: Path
) -> None:
    partitions = "".join(f'[[partition]]\nname = "{name}"\nsites = ["{name}"]\n' for name in ("east", "west"))
    with (
        flow(tmp_path, 2, "east") as east,
        flow(tmp_path, 2, "west", age_s=600) as west,
        server(tmp_path, partitions) as one,
        looking_at(browser, one.url) as seen,
    ):
        east.live()
        east.raise_(alarm(1, "lost-contact", "low"))  # explains nothing of west
        seen.turn_sound_on()
        trouble = seen.page.locator("#trouble")
        expect(trouble).to_have_text("No bed of partition west is being watched: nothing from it for 10 min")
        eventually(lambda: seen.bursts() and "page-nothing-from-west" in seen.bursts()[-1]["alarms"])
        west.beat(int(time.time()))
        expect(trouble).to_be_hidden()


def test_of_alarms_that_are_as_bad_the_one_that_began_first_comes_first(
    browser: Browser, ward: Flow, page_server: Server
) -> None:
    late, early = ward.raise_(alarm(1)), alarm(4, "extreme-tachycardia")
    ward.raise_(replace(early, onset_ns=late.onset_ns - 9 * 10**9))
    ward.raise_(replace(alarm(4), onset_ns=late.onset_ns + 10**9))
    with looking_at(browser, page_server.url) as seen:
        rows = seen.page.locator("#alarm-list > li")
        expect(rows.nth(0)).to_have_attribute("data-alarm", early.id)
        expect(rows.nth(1)).to_have_attribute("data-alarm", late.id)
        expect(seen.tile(key(4)).locator(".worst")).to_have_text("!!! HIGH extreme-tachycardia")


def test_a_page_that_was_on_and_is_loaded_again_is_on_after_any_touch(
    browser: Browser, ward: Flow, page_server: Server
) -> None:
    ward.live()
    with looking_at(browser, page_server.url) as seen:
        seen.turn_sound_on()
        seen.page.reload()
        seen.tile(key(1)).click()
        expect(seen.page.locator("html")).to_have_attribute("data-sound", "on")
        seen.page.click("#sound")
        expect(seen.page.locator("html")).to_have_attribute("data-sound", "off")
        seen.complaints.clear()  # Chromium's, that it had to wait for the touch


def test_where_a_token_is_wanted_it_is_given_once(browser: Browser, ward: Flow, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    with server(ward.folder, f'secret_file = "{file}"\n') as one, looking_at(browser, one.url) as seen:
        for given, said in (("not the right one", "That is not the token."), (TOKEN, "")):
            seen.page.get_by_label("Access token of this ward").fill(given)
            seen.page.get_by_role("button", name="Enter").click()
            if said:
                expect(seen.page.get_by_role("alert")).to_have_text(said)
        expect(seen.tile(key(0))).to_be_visible()
        seen.page.reload()
        expect(seen.tile(key(0))).to_be_visible()


def test_the_waveform_of_the_chosen_bed_runs_and_a_missing_one_is_said(
    browser: Browser, ward: Flow, page_server: Server
) -> None:
    ward.live()
    with looking_at(browser, page_server.url) as seen:
        seen.tile(key(0)).click()
        expect(seen.page.locator("#scale")).to_have_text(re.compile(r"mcg · 25 mm/s · 10 mm = \d+ pT"))
        expect(seen.page.locator("#trace")).to_have_attribute("aria-label", "Waveform of bed-00, running")
        drawn = "document.getElementById('trace').toDataURL()"
        first = seen.page.evaluate(drawn)
        eventually(lambda: seen.page.evaluate(drawn) != first, what="the trace to move")
        ward.silent.add(0)
        expect(seen.page.locator("#no-wave")).to_contain_text("no waveform for")
