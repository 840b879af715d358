"""Child processes kept alive: what dies starts again, later each time; a stop drains them in order."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple

from deploy.problem import UserError

LOG = logging.getLogger("femtoward.supervise")

ROOT = Path(__file__).resolve().parents[1]
DRAIN_S = 9.5  # all of them together: the promise is 10 s from signal to exit
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
HEALTHY_S = 60.0  # after a life this long, the next death counts as the first
SETTLED_S = 15.0  # what has lived this long has started; the imports of a busy machine take their time
BAD_SETTINGS = 2  # an exit status that starting again mends only if somebody puts the settings right


class Program(NamedTuple):
    """What to run; programs are started in the order given and drained in that order too."""

    name: str
    argv: tuple[str, ...]
    once: bool = False  # ends by itself: not started again


def femtoward(*arguments: str) -> tuple[str, ...]:
    """Command line of our own program, in this interpreter."""
    # -P: a folder named deploy in the working directory must not stand in for ours.
    return (sys.executable, "-P", "-m", "deploy.cli", *arguments)


@dataclass
class Child:
    """One program and the process that runs it now."""

    program: Program
    process: subprocess.Popen[bytes] | None = None
    started_s: float = 0.0
    wait_s: float = FIRST_WAIT_S
    due_s: float = 0.0
    restarts: int = 0
    falls: int = 0  # ends in a row, each before it had settled
    status: int | None = None  # of the process that ended last

    @property
    def running(self) -> bool:
        """A process is there and has not ended."""
        return self.process is not None and self.process.poll() is None


@dataclass
class Supervisor:
    """Children in the order of the data's way.

    Parameters
    ----------
    programs
        What to run.
    log_dir
        Each child's standard error goes to a file here; without it, to ours.
    output_dir
        Each child's standard output goes to ``NAME.out`` here; without it, to our standard error: our own standard
        output belongs to the result.
    monotonic_s
        Clock for the waits between restarts.
    """

    programs: Sequence[Program]
    log_dir: Path | None = None
    output_dir: Path | None = None
    monotonic_s: Callable[[], float] = time.monotonic
    children: dict[str, Child] = field(default_factory=dict)

    def start(self, name: str) -> None:
        """Start one program."""
        child = self.children.setdefault(name, Child(next(p for p in self.programs if p.name == name)))
        # A session of its own: Ctrl-C in the terminal reaches the supervisor alone, which then drains in order.
        # The pipe on standard input closes when the supervisor is gone, however it went.
        with _appended(self.log_dir, f"{name}.log") as log, _appended(self.output_dir, f"{name}.out") as output:
            child.process = subprocess.Popen(  # noqa: S603 - our own program, in this interpreter
                child.program.argv,
                stdin=subprocess.PIPE,
                stdout=output or (log or sys.stderr),
                stderr=log,
                start_new_session=True,
                env=_environment(),
            )
        child.started_s = self.monotonic_s()
        child.status = None
        LOG.info("started %s (pid %d)", name, child.process.pid)

    def start_all(self) -> None:
        """Start every program."""
        for program in self.programs:
            self.start(program.name)

    def tend(self) -> list[str]:
        """Notice what died and start again what is due; return what died just now, in words.

        Raises
        ------
        UserError
            A child refused its settings at its first start: whoever started us is there to put them right. Later,
            nobody may be, and the other programs must go on: it is tried again.
        """
        said = []
        now = self.monotonic_s()
        for name, child in self.children.items():
            if child.process is not None and not child.running:
                said += self._buried(child, now)
            elif child.process is None and not child.program.once and now >= child.due_s:
                child.restarts += 1
                self.start(name)
        return said

    def settled(self, name: str) -> bool | None:
        """Whether a program runs well (True) or does not come up again (False); None: too early to say."""
        child = self.children[name]
        if child.process is None:
            return False if child.status == BAD_SETTINGS or child.falls > 1 else None
        return True if child.running and self.monotonic_s() - child.started_s >= SETTLED_S else None

    def drain(self, names: Sequence[str] | None = None, within_s: float = DRAIN_S) -> dict[str, int]:
        """Ask the programs named to finish, one after the other; return their exit statuses.

        What has not ended in time is killed, which costs nothing that was acknowledged: the next start goes on from the
        journal.
        """
        deadline = self.monotonic_s() + within_s
        statuses = {}
        for name in names if names is not None else [program.name for program in self.programs]:
            child = self.children.get(name)
            if child is None or child.process is None:
                continue
            statuses[name] = self._ended(child, deadline)
        return statuses

    def kill(self) -> None:
        """End everything at once."""
        for child in self.children.values():
            if child.process is not None:
                _kill(child.process)
                child.status = child.process.wait()
                _close(child.process)
                child.process = None

    def _buried(self, child: Child, now: float) -> list[str]:
        assert child.process is not None  # noqa: S101 - for the type checker: the caller looked
        child.status = child.process.returncode
        _close(child.process)
        child.process = None
        name = child.program.name
        if child.program.once and child.status == 0:
            return []
        lived_s = now - child.started_s
        said = f"{name} ended with status {child.status}"
        if child.status == BAD_SETTINGS:
            said = f"{name} refused to start: {self._last_words(name)}"
            if child.program.once or (child.restarts == 0 and lived_s < SETTLED_S):
                raise UserError(said)
        child.falls = child.falls + 1 if lived_s < SETTLED_S else 1
        if lived_s >= HEALTHY_S:
            child.wait_s = FIRST_WAIT_S
        child.due_s = now + child.wait_s
        if not child.program.once:
            said += f"; starts again in {child.wait_s:g} s"
        child.wait_s = min(2 * child.wait_s, LONGEST_WAIT_S)
        LOG.warning("%s", said)
        return [said]

    def _last_words(self, name: str) -> str:
        if self.log_dir is None:
            return "its message stands above"
        lines = (self.log_dir / f"{name}.log").read_text(errors="replace").strip().splitlines()
        return lines[-1].removeprefix("femtoward: ") if lines else "it gave no reason"

    def _ended(self, child: Child, deadline: float) -> int:
        process = child.process
        assert process is not None  # noqa: S101 - for the type checker: the caller looked
        process.terminate()
        try:
            child.status = process.wait(max(deadline - self.monotonic_s(), 0.1))
        except subprocess.TimeoutExpired:
            LOG.warning(
                "%s did not finish in time: killed; it goes on from the journal at its next start", process.args
            )
            _kill(process)
            child.status = process.wait()
        _close(process)
        child.process = None
        return child.status


def _environment() -> dict[str, str]:
    """Environment in which a child finds the same femtoward, installed or not."""
    path = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{path}" if path else str(ROOT)}


@contextmanager
def _appended(folder: Path | None, name: str) -> Iterator[IO[bytes] | None]:
    """A file opened for appending, or None where there is no folder; closed here, the child keeps its own."""
    if folder is None:
        yield None
    else:
        with (folder / name).open("ab") as file:
            yield file


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a child with what it started, such as the broker's own process: each child leads a session."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _close(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
