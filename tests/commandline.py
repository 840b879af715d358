"""The command line, run in this process by tests."""

import json
import sys
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from deploy import cli, signals


class Outcome(NamedTuple):
    """What a command printed and how it ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - a test looks into it
        """The one JSON object on standard output."""
        return json.loads(self.out)


Run = Callable[..., Outcome]


def command_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs `femtoward` with arguments."""
    # Blocking signals is for processes of their own.
    monkeypatch.setattr(signals, "stop_by_thread", lambda **_: threading.Event())
    monkeypatch.setattr(signals, "stop_by_handler", threading.Event)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "1")

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["femtoward", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        printed = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return Outcome(end.value.code, printed.out, printed.err)

    return run


def refused(outcome: Outcome, *said: str) -> None:
    """One line on standard error, nothing on standard output, status 2."""
    assert outcome.status == 2
    assert outcome.out == ""
    assert outcome.err.startswith("femtoward: ")
    assert outcome.err.count("\n") == 1, outcome.err
    for words in said:
        assert words in outcome.err
