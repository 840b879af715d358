"""Where the demo shows what goes on: a live table on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live

from dataflows.events import Row
from deploy.live import Remark, Ward
from deploy.table import clock, render, summary_line

SUMMARY_EVERY_NS = 10_000_000_000


class Screen:
    """What the demo says while it runs.

    Parameters
    ----------
    console
        Where a table is drawn; None: lines only.
    write
        Takes a line, where there is no table.
    notice
        What must be said once, visibly.
    """

    def __init__(self, console: Console | None, write: Callable[[str], None], notice: str) -> None:
        self.troubles: list[str] = []
        self.page = ""  # where a browser finds the same
        self._ward = Ward()
        self._notice = notice
        self._write = write
        self._summary_due_ns = 0
        self._console = console
        self._live = (
            Live(console=console, screen=True, auto_refresh=False, vertical_overflow="crop") if console else None
        )

    @classmethod
    def of(cls, *, headless: bool, result_on_stdout: bool, notice: str) -> Self:
        """Table where a person can see it; lines, on standard error if the result goes to standard output."""
        stream = sys.stderr if result_on_stdout else sys.stdout
        drawn = not headless and stream.isatty()

        def write(line: str) -> None:
            stream.write(f"{line}\n")
            stream.flush()

        return cls(Console(file=stream) if drawn else None, write, notice)

    def show(self, rows: list[Row], now_ns: int) -> None:
        """Fold new rows in and show the ward."""
        new = self._ward.take(rows)
        if self._live is None or self._console is None:
            for remark in new:
                self._line(remark)
            if now_ns >= self._summary_due_ns and self._ward.beds:
                self._summary_due_ns = now_ns + SUMMARY_EVERY_NS
                self._write(summary_line(self._ward, now_ns))
            return
        size = self._console.size
        title = f"femtoward  {clock(now_ns)}  {len(self._ward.beds)} beds  ({self._notice}; Ctrl-C ends and sums up)"
        plain = not (self._console.encoding or "").lower().startswith("utf")
        view = render(
            self._ward, now_ns=now_ns, size=(size.width, size.height), title=title, page=self.page, plain_ascii=plain
        )
        self._live.update(view, refresh=True)

    def say(self, now_ns: int, text: str) -> None:
        """Add a line that no row says."""
        remark = self._ward.note(now_ns, text)
        if self._live is None:
            self._line(remark)
        else:
            self.show([], now_ns)

    def trouble(self, now_ns: int, text: str) -> None:
        """Say what must not happen; it is kept for the end."""
        self.troubles.append(text)
        self.say(now_ns, text)

    def __enter__(self) -> Self:
        """Begin to draw."""
        if self._live is None:
            self._write(f"femtoward: {self._notice}")
        else:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the terminal back."""
        if self._live is not None:
            self._live.stop()

    def _line(self, remark: Remark) -> None:
        self._write(f"{clock(remark.at_ns)}  {remark.text}")
