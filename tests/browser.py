"""A real browser for tests: Debian's Chromium, headless, driven by Playwright."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from conftest import program
from playwright.sync_api import Browser, Page, expect, sync_playwright
from servers import answers, eventually

# Told to the test by the page whenever a burst of the alarm signal is really played.
LISTEN = """
window.bursts = [];
document.addEventListener("femtoward:sound", (event) => window.bursts.push(event.detail));
"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start and stop a Chromium around a block; skips where there is none."""
    path = program("chromium")
    # Root has no sandbox to give up; a container has no sound card, and little shared memory.
    flags = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Watched:
    """A page of the ward, and what it complained of."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def tile(self, key: str) -> Any:  # noqa: ANN401 - Playwright's locator
        return self.page.locator(f'#tiles button[data-key="{key}"]')

    def row(self, alarm: str) -> Any:  # noqa: ANN401 - Playwright's locator
        return self.page.locator(f'#alarm-list [data-alarm="{alarm}"]')

    def turn_sound_on(self) -> None:
        self.page.click("#sound")
        expect(self.page.locator("html")).to_have_attribute("data-sound", "on")

    def bursts(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.page.evaluate("window.bursts")
        return found


@contextmanager
def looking_at(browser: Browser, url: str, **options: Any) -> Iterator[Watched]:  # noqa: ANN401 - handed on
    """Open the ward page in a context of its own; it must have complained of nothing at the end."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
    context.set_default_timeout(20_000)
    context.add_init_script(LISTEN)
    page = context.new_page()
    watched = Watched(page)
    page.on("console", lambda said: watched.complaints.append(said.text) if said.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: watched.complaints.append(str(error)))
    eventually(lambda: answers(urlsplit(url).port or 0), what="the page to be served")
    page.goto(url)
    try:
        yield watched
        assert watched.complaints == []
    finally:
        context.close()
