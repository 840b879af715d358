"""The ward page as people see it: many beds at once, dark and light, tablets, and for those who do not see."""

from collections.abc import Iterator
from statistics import median
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # comes without types
from browser import Watched, chromium, looking_at
from pages import Flow, Server, alarm, flow, key, server, vitals
from playwright.sync_api import Browser, expect

pytestmark = pytest.mark.servers

BEDS = 48
FRAMES_PER_S = """
(ms) => new Promise((done) => {
  const begin = performance.now();
  let frames = 0;
  const frame = () => {
    frames += 1;
    const passed = performance.now() - begin;
    if (passed < ms) requestAnimationFrame(frame);
    else done(frames * 1000 / passed);
  };
  requestAnimationFrame(frame);
})
"""
SIZES = {"wide": (1920, 1080), "tablet-landscape": (1024, 768), "tablet-portrait": (768, 1024)}
Scheme = Literal["dark", "light"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    """Forty-eight beds with a bit of everything."""
    with flow(tmp_path_factory.mktemp("ward"), BEDS) as one:
        one.extra[3] = vitals(3, 0, hr=float("nan"), quality=0.9)
        one.extra[11] = vitals(11, 0, quality=0.3, reason="motion")
        one.stopped.add(3)
        one.silent.add(17)
        one.raise_(alarm(3))
        one.raise_(alarm(8, "extreme-tachycardia", reason="heart rate 171 /min over 17 beats"))
        one.raise_(alarm(21, "saturated", "medium", "the sensor is at the end of its range"))
        one.raise_(alarm(11, "poor-signal", "low", "signal quality 0.30: check how the device sits"))
        one.live()
        yield one


@pytest.fixture(scope="module")
def page_server(ward: Flow) -> Iterator[Server]:
    with server(ward.folder, apart=True) as one:
        yield one


def ready(seen: Watched) -> None:
    """Wait until there is something to look at."""
    expect(seen.page.locator("#tiles button")).to_have_count(BEDS)
    seen.tile(key(8)).click()
    expect(seen.page.locator("#scale")).to_contain_text("25 mm/s")


def test_forty_eight_beds_keep_thirty_frames_a_second(browser: Browser, page_server: Server) -> None:
    with looking_at(browser, page_server.url, viewport={"width": 1920, "height": 1080}) as seen:
        ready(seen)
        heard = seen.page.evaluate("performance.now()")
        # The machine is shared, and Chromium draws without a graphics card: other work may starve it for half a minute.
        measured: list[float] = []
        while len(measured) < 5 or (median(measured[-5:]) < 30.0 and len(measured) < 20):
            measured.append(seen.page.evaluate(FRAMES_PER_S, 1500))
        said = ", ".join(f"{rate:.0f}" for rate in measured)
        print(f"frames a second with {BEDS} beds: median {median(measured):.0f} of {said}")  # noqa: T201 - a figure, seen with -s
        assert median(measured[-5:]) >= 30.0, measured
        assert seen.page.evaluate("performance.now()") - heard >= 5 * 1500.0
        expect(seen.tile(key(0)).locator(".quality")).to_have_text("good")  # and data went on flowing


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("what", ["ward", "acknowledge", "keys", "another ward"])
def test_axe_finds_nothing(browser: Browser, page_server: Server, scheme: Scheme, what: str) -> None:
    with looking_at(browser, page_server.url, color_scheme=scheme, reduced_motion="reduce") as seen:
        ready(seen)
        if what == "acknowledge":
            seen.page.keyboard.press("a")
        elif what == "keys":
            seen.page.keyboard.press("?")
        elif what == "another ward":
            seen.page.evaluate("location.hash = '#ward=ward-9'")
            expect(seen.page.locator("#empty")).to_have_text("No bed is in this ward.")
            expect(seen.page.get_by_label("Ward", exact=True)).to_be_visible()
        found = Axe().run(seen.page).response
        assert len(found["passes"]) > 15
        assert [
            (one["id"], one["impact"], [node["html"][:200] for node in one["nodes"]]) for one in found["violations"]
        ] == []


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_nothing_is_cut_off_on_a_tablet_or_a_wall(browser: Browser, page_server: Server, size: tuple[int, int]) -> None:
    with looking_at(browser, page_server.url, viewport={"width": size[0], "height": size[1]}) as seen:
        ready(seen)
        for part in ("body", "main", "header", ".figures", "#alarm-list"):
            wide, room = seen.page.locator(part).first.evaluate("e => [e.scrollWidth, e.clientWidth]")
            assert wide <= room, part
        for tile in seen.page.locator("#tiles button").all()[:8]:
            for part in (".hr", ".bed", ".quality"):
                box = tile.locator(part)
                assert box.evaluate("e => e.scrollWidth <= Math.ceil(e.clientWidth) || !e.clientWidth"), part
