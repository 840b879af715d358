"""Child processes kept alive: what dies or hangs starts again, later each time; a stop drains them in order."""

import logging
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from deploy.metrics import PART_READY, PART_UP, RESTARTS
from deploy.problem import UserError
from deploy.process import Process
from ingest.beacon import State

LOG = logging.getLogger("femtoward.supervise")

DRAIN_S = 9.5  # all of them together: the promise is 10 s from signal to exit
FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 30.0
SETTLED_S = 15.0  # what has lived this long has started, and its next death counts as the first
BAD_SETTINGS = 2  # an exit status that starting again mends only if somebody puts the settings right
HANGS_S = 30.0  # without a sign of life: killed; twice as long each time, for it may only be slow
MOST_PATIENT = 4  # times
LOADING_S = 120.0  # the same before the first one
AWAY_S = 5.0  # between two looks: then it was we who did not run
FELLOWS_S = 2.0  # for the other processes of a cluster to notice that one is gone


class Program(NamedTuple):
    """What to run; programs are started in the order given and drained in that order too."""

    name: str
    argv: tuple[str, ...]
    once: bool = False  # ends by itself: not started again
    part: str = ""  # programs of one part, side by side in the order, are drained at the same time
    bound: bool = False  # and fall and rise together
    speaks: bool = False  # says how it is: silence means that it hangs


def femtoward(*arguments: str) -> tuple[str, ...]:
    """Command line of our own program, in this interpreter."""
    # -P: a folder named deploy in the working directory must not stand in for ours.
    return (sys.executable, "-P", "-m", "deploy.cli", *arguments)


@dataclass
class Child:
    """One program and the process that runs it now."""

    program: Program
    process: Process | None = None
    started_s: float = 0.0
    wait_s: float = FIRST_WAIT_S
    due_s: float = 0.0
    restarts: int = 0
    deaths: int = 0
    falls: int = 0  # ends in a row, each before it had settled
    hangs: int = 0  # times that it was killed for hanging, since it was last ready
    status: int | None = None  # of a process that has ended; None: one runs, or never did
    last_status: int | None = None  # of the one that died last
    state: State | None = None  # what it said of itself last
    alive_s: float | None = None  # when it last said that it is alive
    doomed_s: float | None = None  # when it is killed, because one that it is bound to has died
    killed: bool = False  # for hanging, or as doomed; it need not have ended yet

    @property
    def running(self) -> bool:
        """A process is there and has not ended."""
        return self.process is not None and self.process.running

    @property
    def ready(self) -> bool:
        """It runs, and says that data flows."""
        return self.running and self.state is not None and self.state.ready


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
    looked_s: float | None = None

    def start(self, name: str) -> None:
        """Start one program."""
        child = self.children.setdefault(name, Child(next(p for p in self.programs if p.name == name)))
        child.process = Process(
            child.program.argv,
            self.log_dir and self.log_dir / f"{name}.log",
            self.output_dir and self.output_dir / f"{name}.out",
        )
        child.started_s = self.monotonic_s()
        child.status = child.state = child.alive_s = child.doomed_s = None
        child.killed = False
        PART_UP.labels(name).set(1)
        RESTARTS.labels(name)  # to be counted from nought, not from the first one
        LOG.info("started %s (pid %d)", name, child.process.pid)

    def start_all(self) -> None:
        """Start every program."""
        for program in self.programs:
            self.start(program.name)

    def tend(self) -> list[str]:
        """Notice what died, kill what hangs, start again what is due; return what died just now, in words.

        Raises
        ------
        UserError
            A program refused to start at the first attempt: its settings must be put right. One that had run before
            takes nobody with it: it is tried again, as somebody may put back what it lacks.
        """
        said = []
        now = self.monotonic_s()
        self._listen(now)
        for child in self.children.values():
            if child.process is not None and not child.running:
                said += self._buried(child, child.process, now)
        for child in self.children.values():
            together = [child, *self._fellows(child)]
            if child.program.once or any(one.process for one in together):
                continue
            if now >= max(one.due_s for one in together):
                for one in together:
                    one.restarts += 1
                    RESTARTS.labels(one.program.name).inc()
                    self.start(one.program.name)
        return said

    def settled(self, name: str) -> bool | None:
        """Whether a program runs well (True) or does not come up again (False); None: too early to say."""
        child = self.children[name]
        if child.process is None:
            return False if child.status == BAD_SETTINGS or child.falls > 1 else None
        return True if child.running and self.monotonic_s() - child.started_s >= SETTLED_S else None

    def drain(
        self, names: Sequence[str] | None = None, within_s: float = DRAIN_S, each_s: float = DRAIN_S
    ) -> dict[str, int]:
        """Ask the programs named to finish, one part after the other; return their exit statuses.

        What has not ended in time is killed, which costs nothing that was acknowledged: the next start goes on from the
        journal.

        Parameters
        ----------
        names
            Programs in order; None: all.
        within_s
            For all of them together (seconds).
        each_s
            Wait so long at most for the end of a part before the next is asked, too (seconds).
        """
        deadline = self.monotonic_s() + within_s
        wanted = names if names is not None else [program.name for program in self.programs]
        running = [child for name in wanted if (child := self.children.get(name)) and child.process is not None]
        for _, part in groupby(running, lambda child: child.program.part or child.program.name):
            asked = [child.process for child in part if child.process is not None]
            for process in asked:
                process.ask_to_end()
            until = min(deadline, self.monotonic_s() + each_s)
            for process in asked:
                process.ended(until - self.monotonic_s())
        for child in running:
            if child.process is not None and not child.process.ended(deadline - self.monotonic_s()):
                said = "%s did not finish in time: killed; it goes on from the journal at its next start"
                LOG.warning(said, child.program.name)
                child.process.kill()
        return {child.program.name: self._ended(child) for child in running}

    def kill(self) -> None:
        """End everything at once."""
        for child in self.children.values():
            if child.process is not None:
                child.process.kill()
                self._gone(child, child.process)

    def _listen(self, now: float) -> None:
        """Hear how the children are, and kill those that hang."""
        away = self.looked_s is not None and now - self.looked_s > AWAY_S
        self.looked_s = now
        for child in self.children.values():
            if child.process is None:
                continue
            heard = child.process.hear()
            if heard is not None:
                child.state = heard
                child.hangs = 0 if heard.ready else child.hangs
                PART_READY.labels(child.program.name).set(heard.ready)
            if (heard is not None and heard.alive) or (away and child.alive_s is not None):
                child.alive_s = now
            if not child.killed and self._hangs(child, now):
                child.killed = True
                child.process.kill()  # buried at a later look: to wait would keep us from the others

    def _hangs(self, child: Child, now: float) -> bool:
        if child.doomed_s is not None and now >= child.doomed_s:
            return True
        if not child.program.speaks:
            return False
        since_s = child.started_s if child.alive_s is None else child.alive_s
        patience_s = (LOADING_S if child.alive_s is None else HANGS_S) * 2.0 ** min(child.hangs, MOST_PATIENT)
        hangs = now - since_s > patience_s
        if hangs:
            child.hangs += 1
            why = child.state.detail if child.state and not child.state.alive else "it says nothing"
            LOG.error(
                "%s hangs (%s): killed after %.0f s without a sign of life", child.program.name, why, now - since_s
            )
        return hangs

    def _buried(self, child: Child, process: Process, now: float) -> list[str]:
        self._gone(child, process)
        name = child.program.name
        if child.program.once and child.status == 0:
            return []
        child.deaths += 1
        child.last_status = child.status
        lived_s = now - child.started_s
        said = f"{name} ended with status {child.status}"
        if child.status == BAD_SETTINGS:
            said = f"{name} refused to start: {self._last_words(name)}"
            alone = child.doomed_s is None
            if child.program.once or (alone and child.restarts == 0 and lived_s < SETTLED_S):
                raise UserError(said)
        child.falls = child.falls + 1 if lived_s < SETTLED_S else 1
        if lived_s >= SETTLED_S:
            child.wait_s = FIRST_WAIT_S
        child.due_s = now + child.wait_s
        if not child.program.once:
            said += f"; starts again in {child.wait_s:g} s"
        child.wait_s = min(2 * child.wait_s, LONGEST_WAIT_S)
        for fellow in self._fellows(child):
            if fellow.process is not None and fellow.doomed_s is None:
                fellow.doomed_s = now + FELLOWS_S
        LOG.warning("%s", said)
        return [said]

    def _fellows(self, child: Child) -> Iterator[Child]:
        """Children that fall and rise with one."""
        for other in self.children.values():
            if child.program.bound and other is not child and other.program.part == child.program.part:
                yield other

    def _last_words(self, name: str) -> str:
        if self.log_dir is None:
            return "its message stands above"
        lines = (self.log_dir / f"{name}.log").read_text(errors="replace").strip().splitlines()
        return lines[-1].removeprefix("femtoward: ") if lines else "it gave no reason"

    def _ended(self, child: Child) -> int:
        """Collect one that was asked to end, and return its status."""
        process = child.process
        if process is not None:
            heard = process.hear()  # its last words count
            self._gone(child, process)
            # In its first moments it could not yet heed the signal, and had nothing to finish.
            if child.program.speaks and child.state is None and heard is None and child.status == -signal.SIGTERM:
                child.status = 0
        return child.status or 0

    def _gone(self, child: Child, process: Process) -> None:
        child.status = process.close()
        child.process = None
        PART_UP.labels(child.program.name).set(0)
        PART_READY.labels(child.program.name).set(0)
