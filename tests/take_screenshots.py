"""Pictures of the ward page, to be looked at: `make screenshots` writes them to a folder that git ignores.

Twelve beds and forty-eight, dark and light, on a wall, on both sides of a tablet, and with what is seldom seen.
"""

import sys
import tempfile
from pathlib import Path
from typing import Literal

from browser import Watched, chromium, looking_at
from pages import Flow, alarm, flow, key, server, vitals
from playwright.sync_api import expect
from servers import eventually

WALL, LANDSCAPE, PORTRAIT = (1920, 1080), (1024, 768), (768, 1024)
Theme = Literal["dark", "light"]


def scene(ward: Flow) -> None:
    """Let happen a bit of everything."""
    ward.extra[3] = vitals(3, 0, hr=float("nan"), quality=0.9)
    ward.extra[11] = vitals(11, 0, quality=0.3, reason="motion")
    ward.extra[6] = vitals(6, 0, hr=171.0)
    ward.stopped.add(3)
    ward.silent.add(7)
    ward.raise_(alarm(3))
    ward.raise_(alarm(6, "extreme-tachycardia", reason="heart rate 171 /min over 17 beats"))
    ward.raise_(alarm(8, "saturated", "medium", "the sensor is at the end of its range"))
    ward.raise_(alarm(11, "poor-signal", "low", "signal quality 0.30: check how the device sits"))
    ward.live()


def acknowledged(seen: Watched, ward: Flow) -> None:
    """Have one alarm taken care of."""
    seen.row("alarm-6-extreme-tachycardia").locator(".ack").click()
    seen.page.get_by_label("Your name").fill("nina")
    seen.page.get_by_label("Note").fill("on my way")
    seen.page.keyboard.press("Enter")

    def done() -> bool:
        ward.answer()
        return "acknowledged" in (seen.tile(key(6)).get_attribute("class") or "")

    eventually(done, what="the alarm to be acknowledged")


def main(folder: Path) -> None:
    """Take them all."""
    folder.mkdir(parents=True, exist_ok=True)
    with chromium() as browser, tempfile.TemporaryDirectory() as data:
        for beds in (12, 48):
            with flow(Path(data) / str(beds), beds) as ward, server(ward.folder, apart=True) as page_server:
                scene(ward)
                given = {"viewport": {"width": WALL[0], "height": WALL[1]}, "color_scheme": "dark"}
                with looking_at(browser, page_server.url, **given) as seen:
                    expect(seen.tile(key(7)).locator(".quality")).to_contain_text("stale", timeout=30_000)
                    seen.turn_sound_on()
                    seen.tile(key(6)).click()
                    acknowledged(seen, ward)
                    seen.page.wait_for_timeout(18_000)  # until the trace has gone all the way
                    for name, (width, height) in (("wall", WALL), ("landscape", LANDSCAPE), ("portrait", PORTRAIT)):
                        seen.page.set_viewport_size({"width": width, "height": height})
                        for theme in ("dark", "light"):
                            seen.page.emulate_media(color_scheme=theme)
                            seen.page.wait_for_timeout(300)
                            seen.page.screenshot(path=folder / f"{beds}-beds-{name}-{theme}.png")
                    if beds == 12:
                        seen.page.keyboard.press("?")
                        seen.page.screenshot(path=folder / "help.png")
                        seen.page.keyboard.press("Escape")
                        seen.row("alarm-3-asystole").locator(".ack").click()
                        seen.page.screenshot(path=folder / "acknowledge.png")
                        seen.page.keyboard.press("Escape")
                        page_server.kill()
                        expect(seen.page.locator("#lost")).to_be_visible()
                        seen.page.screenshot(path=folder / "lost-contact.png")
                        seen.complaints.clear()  # the browser's, of a server that is gone
    sys.stdout.write(f"the pictures are in {folder}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "screenshots"))
