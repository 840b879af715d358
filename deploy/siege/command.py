"""`femtoward siege`: a real stand is attacked by a seeded script, drains, and is held against an undisturbed replay."""

import contextlib
import logging
import shutil
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from dataflows.couriers.cursors import Cursors
from dataflows.recovery import committed_offset
from dataflows.store import Store
from deploy.problem import Stopped, UserError
from deploy.settings import PARTITION
from deploy.siege.arena import LOOK_EVERY_S, READY_WITHIN_S, SITE, WEBHOOK, Arena, Plan
from deploy.siege.attacks import Attacks, Kill
from deploy.siege.checks import Findings, check
from deploy.siege.chronicle import Chronicle
from deploy.siege.mischief import Mischief
from deploy.siege.racing import Nurse
from deploy.siege.result import SiegeResult, in_words, result_of
from deploy.siege.script import script
from deploy.siege.witness import Witness
from deploy.wiring import door
from device_sim.fleet import who
from ingest.journal import JournalReader, RecordKind

__all__ = ["SiegeOptions", "SiegeResult", "in_words", "run_siege"]

KILLS_A_MINUTE: Final = 3
KILLED: Final = f"status {-signal.SIGKILL}"
SUMMARY_EVERY_S: Final = 10.0
WITNESS_EVERY_S: Final = 1.0
CALM_S: Final = 10.0  # after the attacks: everybody must be there, and reconnected, before the simulator ends
QUIET_S: Final = 4.0  # without a message from the broker: it has nothing left
LATE_S: Final = 30.0  # for attacks whose time has come, and who was to be killed does not run
SIMULATOR_WITHIN_S: Final = 60.0
DRAIN_WITHIN_S: Final = 10.0  # what is promised of every part of a ward
CARRY_WITHIN_S: Final = 300.0
PEERS_S: Final = 15.0  # after a kill: the others of a cluster have ended, and been ended, by then


class SiegeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the siege was asked for."""

    minutes: float = 5.0
    seed: int = 1
    patients: int = 50
    kills: int | None = None  # None: three a minute
    scenario: str = "siege"
    processes: int = 1  # of the flow; several are a cluster
    data_dir: Path | None = None  # None: a temporary folder, removed at the end unless something was wrong


def run_siege(
    options: SiegeOptions, stopping: threading.Event, progress: Callable[[str], None]
) -> tuple[SiegeResult, list[str]]:
    """Besiege a ward; return the result, and in words what was wrong.

    Parameters
    ----------
    options
        How long, and how.
    stopping
        Ends the attacks early; what came until then is checked.
    progress
        Takes a line for each attack, and a summary every ten seconds.

    Raises
    ------
    UserError
        mosquitto is missing, the ward does not start, or the folder cannot be used.
    Stopped
        `stopping` was set before there was anything to check.
    """
    with _folder(options.data_dir) as folder:
        plan = Plan(folder, options.patients, options.seed, options.scenario, processes=options.processes)
        with Arena(plan) as arena, _logged(arena.logs / "siege.log"):
            findings, attacks, crashes, faults = _Siege(options, arena, stopping, progress).run()
        wrong = [*faults, *findings.wrong]
        if crashes:
            wrong = [f"{len(crashes)} programs ended by themselves; the first: {crashes[0]}; logs/ says why", *wrong]
        kept = options.data_dir is not None or bool(wrong)
        if not kept:
            shutil.rmtree(folder, ignore_errors=True)
        return result_of(findings, options.minutes, plan, attacks, folder if kept else None), wrong


class _Siege:
    """One run."""

    def __init__(
        self, options: SiegeOptions, arena: Arena, stopping: threading.Event, progress: Callable[[str], None]
    ) -> None:
        self._options, self._arena, self._stopping, self._progress = options, arena, stopping, progress
        devices = [who(index, SITE).device for index in range(options.patients)]
        self._mischief = Mischief(arena.broker_port, SITE, devices, options.seed)
        self._nurse = Nurse(self._mischief.say, door(arena.settings), options.seed)
        self._chronicle = Chronicle(arena.store, self._nurse.hear)
        self._witness = Witness(arena.journal, arena.folder / "witness")
        self._attacks = Attacks(arena, self._mischief, self._say)
        self._began_s = time.monotonic()
        self._summary_s = self._witness_s = 0.0
        self._crashes: list[str] = []
        self._faults: list[str] = []
        self._killed: Counter[str] = Counter()  # deaths by SIGKILL

    def run(self) -> tuple[Findings, Attacks, list[str], list[str]]:
        self._arena.start(self._say, self._look_at)
        self._chronicle.start()
        self._mischief.start()
        self._nurse.start()
        self._besiege()
        self._drain()
        self._say("checking")
        findings = check(self._arena, self._witness, self._chronicle, self._attacks, self._say, threading.Event())
        return findings, self._attacks, self._crashes, self._faults

    def _besiege(self) -> None:
        options, end_s = self._options, 60.0 * self._options.minutes
        kills = options.kills if options.kills is not None else round(KILLS_A_MINUTE * options.minutes)
        self._began_s = time.monotonic()
        self._attacks.plan(script(options.seed, options.minutes, kills, self._arena.victims))
        while not self._stopping.is_set() and (passed_s := time.monotonic() - self._began_s) < end_s + LATE_S:
            if passed_s >= end_s and self._attacks.over:
                break
            self._attacks.turn()
            self._tend()
        if not self._attacks.done:
            raise Stopped("stopped before the first attack: there is nothing to check")

    def _tend(self) -> None:
        for said in self._arena.tend():
            self._look_at(said)
        if self._arena.supervisor.children["simulator"].process is None:
            raise UserError(f"the simulator ended by itself: {self._arena.logs / 'simulator.log'} says why")
        now = time.monotonic()
        if now >= self._witness_s:
            self._witness_s = now + WITNESS_EVERY_S
            self._witness.look()
        if now >= self._summary_s:
            self._summary_s = now + SUMMARY_EVERY_S
            self._say(self._summary())
        self._stopping.wait(LOOK_EVERY_S)

    def _look_at(self, said: str) -> None:
        """Note what ended by itself: whoever was killed by an attack did not."""
        name = said.partition(" ")[0]
        if died_with_a_peer(name, self._arena.bound, self._attacks.kills, time.monotonic()):
            return
        self._killed[name] += KILLED in said
        if KILLED not in said or not by_attack(name, self._killed[name], self._attacks.kills):
            lines = (self._arena.logs / f"{name}.log").read_text(errors="replace").strip().splitlines()
            self._crashes.append(f"{said}: {lines[-1] if lines else 'its log is empty'}")
            self._say(self._crashes[-1])

    def _drain(self) -> None:
        """Let everybody come back; then end them one after the other, each once it has nothing left to do."""
        self._say("the attacks end")
        self._attacks.end(early=self._stopping.is_set())
        self._nurse.close()
        calm_s = time.monotonic() + CALM_S
        while time.monotonic() < calm_s:
            self._attacks.turn()
            for said in self._arena.tend():
                self._look_at(said)
            self._witness.look()
            self._arena.receiver.closing.wait(LOOK_EVERY_S)
        self._mischief.close()
        self._end("simulator", within_s=SIMULATOR_WITHIN_S)
        self._wait(_Quiet(self._arena.journal), "the broker's queue to empty (see logs/ingest.log)")
        self._end("ingest")
        self._wait(self._worked_off, "the flow to work off the journal (see logs/flow.log)", CARRY_WITHIN_S)
        self._end(*(one for one in self._arena.victims if one.startswith("flow")))
        self._chronicle.close()
        self._say(self._summary())
        self._wait(self._carried, "the couriers to carry the rest (see logs/couriers.log)", CARRY_WITHIN_S)
        self._end("couriers")
        self._attacks.settle()

    def _worked_off(self) -> bool:
        """Whether the flow has come to the end of the journal, to which nothing is added any more."""
        with JournalReader(self._arena.journal) as reader:
            end = reader.end_offset
        return (committed_offset(self._arena.data_dir, PARTITION) or 0) >= end

    def _wait(self, done: Callable[[], bool], what: str, within_s: float = READY_WITHIN_S) -> None:
        """Wait as the arena does; what does not come is a finding, and the rest is checked all the same."""
        try:
            self._arena.wait(done, what, within_s, self._look_at)
        except UserError as error:
            self._faults.append(str(error))
            self._say(str(error))

    def _end(self, *names: str, within_s: float = DRAIN_WITHIN_S) -> None:
        """Drain programs that fall and rise together, which must be there, in time."""
        supervisor, said = self._arena.supervisor, " and ".join(names)
        self._wait(lambda: all(supervisor.children[name].running for name in names), f"{said}, to drain it (see logs/)")
        began_s = time.monotonic()
        for name, status in supervisor.drain(names, within_s, within_s).items():
            if status:
                took_s = time.monotonic() - began_s
                self._faults.append(
                    f"{name} ended with status {status} {took_s:.1f} s after it was asked to drain (need 0 within "
                    f"{within_s:g} s)"
                )
        self._say(f"drained {said} in {time.monotonic() - began_s:.1f} s")
        for name in names:
            supervisor.children.pop(name, None)

    def _carried(self) -> bool:
        """Whether every courier has come to the end of the store, and is sure of what was overtaken on the way."""
        names = [f"webhook-{WEBHOOK}", *(["influx"] if self._arena.influx_gate else [])]
        with (
            Store(self._arena.store, readonly=True) as store,
            closing(Cursors(self._arena.partition_dir / "couriers.sqlite")) as cursors,
        ):
            return not any(
                store.read(cursors.settled(name), 1, _kinds(name)) or cursors.doubt(name) is not None for name in names
            )

    def _summary(self) -> str:
        children = self._arena.supervisor.children
        down = [name for name, child in children.items() if not child.running]
        seen = self._chronicle
        return (
            f"{seen.vitals} vitals rows, {len(seen.alarms)} alarm events, {len(self._arena.receiver.receipts)} webhooks"
            f" came, {self._nurse.said} answers of a nurse, {len(self._attacks.kills)} kills"
            + (f"; down now: {', '.join(down)}" if down else "")
        )

    def _say(self, line: str) -> None:
        self._progress(f"{time.monotonic() - self._began_s:7.1f} s  {line}")


def by_attack(name: str, deaths: int, kills: Sequence[Kill]) -> bool:
    """Whether so many deaths of a program by SIGKILL are ours; else memory ran out, or it hung and was ended."""
    return deaths <= sum(kill.whom == name for kill in kills)


def died_with_a_peer(name: str, bound: Collection[str], kills: Sequence[Kill], now_s: float) -> bool:
    """Whether a process of a cluster ended as it should: one that it works with was killed by an attack just now."""
    return name in bound and any(kill.whom in bound and now_s - kill.at_s <= PEERS_S for kill in kills)


class _Quiet:
    """Says when the journal has taken no message for a while."""

    def __init__(self, journal: Path) -> None:
        self._reader = JournalReader(journal)
        self._next = self._reader.end_offset
        self._since_s = time.monotonic()

    def __call__(self) -> bool:
        while records := self._reader.read(self._next, 1000):
            self._next = records[-1].offset + 1
            if any(record.kind == RecordKind.MESSAGE for record in records):
                self._since_s = time.monotonic()
        return time.monotonic() - self._since_s > QUIET_S


def _kinds(courier: str) -> tuple[str, ...]:
    if courier.startswith("webhook"):
        from dataflows.couriers.webhook import WebhookCourier  # noqa: PLC0415 - brings its client, needed at the end only

        return WebhookCourier.kinds
    from dataflows.couriers.influx import InfluxCourier  # noqa: PLC0415 - as above

    return InfluxCourier.kinds


@contextlib.contextmanager
def _folder(wanted: Path | None) -> Iterator[Path]:
    if wanted is None:
        yield Path(tempfile.mkdtemp(prefix="femtoward-siege-"))
        return
    if wanted.exists() and any(wanted.iterdir()):
        raise UserError(f"{wanted} is not empty: give a new --data-dir, or remove what lies there")
    try:
        wanted.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{wanted} cannot be made ({error.strerror}): give a --data-dir that can be written") from error
    yield wanted.absolute()


@contextlib.contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Let what supervisor and replay have to say go into a file: it is much."""
    handler = logging.FileHandler(path)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
