"""A siege's arena as trials need it: own scenario and settings, no gates where they would blur what is measured."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from deploy.broker import HOST
from deploy.problem import UserError
from deploy.siege.arena import Arena, Plan
from deploy.siege.trials.trial import Tell
from deploy.supervise import Program

LOOK_EVERY_S: Final = 0.02
TELL_EVERY_S: Final = 10.0
MOST_DEATHS: Final = 20  # while something is waited for
Keys = Mapping[str, Mapping[str, object]]  # of the settings file, by section
NOTHING: Final[Keys] = MappingProxyType({})
NOBODY: Final = 0  # patients of a stand to which a trial brings its own devices


class Stand(Arena):
    """Everything real in one folder, led by a trial.

    Parameters
    ----------
    plan
        Whom it serves; with `NOBODY` no simulator runs.
    settings
        More keys for the ward's settings file, by section.
    gated
        Without gates devices and ingest speak to the broker itself: a gate in Python costs time that is not the ward's.
    """

    def __init__(self, plan: Plan, *, settings: Keys = NOTHING, gated: bool = True) -> None:
        self._more = settings
        self._gated = gated
        super().__init__(plan)

    def pid(self, name: str) -> int:
        """Number of the process that runs a program now.

        Raises
        ------
        UserError
            None does.
        """
        child = self.supervisor.children.get(name)
        if child is None or child.process is None:
            raise UserError(f"{name} does not run: {self.logs / name}.log says why")
        return child.process.pid

    def parts(self, *wanted: str) -> list[str]:
        """Programs of the ward that run now, by what their names begin with: flow may be flow-0, flow-1, ..."""
        return [
            name
            for name, child in self.supervisor.children.items()
            if child.process is not None and name.split("-")[0] in wanted
        ]

    def lead(self, seconds: float, look: Callable[[], str] = lambda: "", tell: Tell = lambda _: None) -> None:
        """Keep everything going for some time, looking all the while; what `look` says is told now and then."""
        end = time.monotonic() + seconds
        due = 0.0
        while (now := time.monotonic()) < end:
            for said in self.tend():
                tell(said)
            words = look()
            if words and now >= due:
                due = now + TELL_EVERY_S
                tell(words)
            self.receiver.closing.wait(LOOK_EVERY_S)

    def until(self, done: Callable[[], bool], what: str, within_s: float, tell: Tell = lambda _: None) -> float:
        """Keep everything going until `done`, and return how long that took (s).

        Raises
        ------
        UserError
            It takes too long, or something dies again and again meanwhile.
        """
        begin = time.monotonic()
        due = begin + TELL_EVERY_S
        deaths: list[str] = []
        while not done():
            deaths += self.tend()
            now = time.monotonic()
            if now - begin > within_s or len(deaths) > MOST_DEATHS:
                why = f"; the last that died: {deaths[-1]}" if deaths else ""
                raise UserError(f"waited {now - begin:.0f} s in vain for {what}{why}; everything lies in {self.folder}")
            if now >= due:
                due = now + TELL_EVERY_S
                tell(f"waiting for {what}, {now - begin:.0f} s so far")
            self.receiver.closing.wait(LOOK_EVERY_S)
        return time.monotonic() - begin

    def _simulator(self) -> Program:
        if self.plan.patients == NOBODY:
            return Program("simulator", (sys.executable, "-c", ""), once=True)
        program = super()._simulator()
        if not self._gated:
            self._past_the_gate(Path(program.argv[-1]), self.device_gate.port)
        return program

    def _write_config(self) -> Path:
        path = super()._write_config()
        if not self._gated:
            self._past_the_gate(path, self.ward_gate.port)
        text = path.read_text(encoding="utf-8")
        for section, keys in self._more.items():
            head = f"[{section}]\n"
            if head not in text:
                text += head
            text = text.replace(head, head + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items()))
        path.write_text(text, encoding="utf-8")
        return path

    def _past_the_gate(self, path: Path, port: int) -> None:
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(f"mqtt://{HOST}:{port}", f"mqtt://{HOST}:{self.broker_port}"), encoding="utf-8")
