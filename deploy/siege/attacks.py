"""Carries out a script against an arena: what begins, and what ends, and when."""

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from deploy.siege.arena import QUOTA_GB, Arena
from deploy.siege.crowd import crowd
from deploy.siege.gate import OPEN, Gate, Order, http_answer
from deploy.siege.mischief import Mischief
from deploy.siege.receiver import TAKEN, Behaviour
from deploy.siege.script import Attack, Kind

BALLAST: Final = "ballast"
GONE: Final = 410
CROWD_WITHIN_S: Final = 30.0
# After one of these, and after a kill of ingest or broker, no data comes, however fast the flow is back.
CUTS_DATA: Final[tuple[Kind, ...]] = ("broker-away", "disk-full")


class Kill(NamedTuple):
    """A program that was killed."""

    whom: str
    at_s: float  # time.monotonic()


class Crowd(NamedTuple):
    """A crowd that came and went."""

    at_s: float  # time.monotonic()
    until_s: float
    clients: int  # that the broker let in


class Attacks:
    """Plays a script on an arena; call `turn` often.

    Parameters
    ----------
    arena
        Who is attacked.
    mischief
        The client of ill will.
    tell
        Takes a line about each attack.

    Attributes
    ----------
    script
        What is to be done.
    kills
        Programs killed so far.
    asked
        Kills begun so far: those of programs that do not run just now are still to come.
    done
        Attacks carried out so far.
    cuts_s
        When something began that keeps data from coming (``time.monotonic()``).
    cuts
        From when to when it was cut off at least (``time.monotonic()``); a kill has no length.
    stops
        Programs stopped and let go on so far.
    crowds
        Those that are over.
    """

    def __init__(self, arena: Arena, mischief: Mischief, tell: Callable[[str], None]) -> None:
        self.kills: list[Kill] = []
        self.done: list[Attack] = []
        self.cuts_s: list[float] = []
        self.cuts: list[tuple[float, float]] = []
        self.crowds: list[Crowd] = []
        self.script: Sequence[Attack] = ()
        self.asked = self.stops = 0
        self._arena, self._mischief, self._tell = arena, mischief, tell
        self._began_s = time.monotonic()
        self._order = itertools.count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._pending: list[str] = []  # to be killed as soon as they run
        self._threads: list[threading.Thread] = []

    @property
    def over(self) -> bool:
        """All of the script was begun, and whoever was to be killed was."""
        return len(self.done) == len(self.script) and not self._pending

    def plan(self, script: Sequence[Attack]) -> None:
        """Begin the script now."""
        self._began_s = time.monotonic()
        self.script = script
        for attack in script:
            self._at(attack.at_s, lambda attack=attack: self._begin(attack))  # type: ignore[misc]  # mypy cannot infer it

    def turn(self) -> None:
        """Do what is due."""
        self._pending = [whom for whom in self._pending if not self._kill(whom)]
        while self._due and self._due[0][0] <= time.monotonic() - self._began_s:
            heapq.heappop(self._due)[2]()

    def end(self, *, early: bool = False) -> None:
        """End at once what goes on; nothing more begins, but `turn` still kills who could not be killed so far.

        `early`: what was not begun is no longer to be done.
        """
        self.script = list(self.done) if early else self.script
        due, self._due = sorted(self._due), []
        for _, _, action in due:
            if getattr(action, "ends", False):
                action()

    def settle(self) -> None:
        """Wait for the crowds to go."""
        for thread in self._threads:
            thread.join(CROWD_WITHIN_S)

    def _at(self, at_s: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._due, (at_s, next(self._order), action))

    def _begin(self, attack: Attack) -> None:
        self.done.append(attack)
        self._tell(str(attack))
        if attack.kind in CUTS_DATA:
            now = time.monotonic()
            self.cuts_s.append(now)
            self.cuts.append((now, now + attack.for_s))
        ending = _Ending(self._do(attack))
        self._at(time.monotonic() - self._began_s + attack.for_s, ending)

    def _do(self, attack: Attack) -> Callable[[], None]:
        """Begin an attack; return what ends it."""
        arena = self._arena
        begin: dict[Kind, Callable[[], Callable[[], None]]] = {
            "kill": lambda: self._kill_once(attack.whom),
            "stop": lambda: self._stop(attack.whom, attack.for_s),
            "broker-away": lambda: self._close(_gates(arena, attack.whom), _order(attack.manner)),
            "influx-away": lambda: self._close([arena.influx_gate], _order(attack.manner)),
            "receiver-away": lambda: self._receive(_behaviour(attack.manner), lambda: None),
            # That the receiver is there again couriers learn after ten minutes only, or when they are started anew.
            "receiver-gone": lambda: self._receive(GONE, lambda: self._kill_once("couriers")),
            "disk-full": self._fill,
            "mischief": lambda: self._mischief.run(self._mischief.packets),
            "clocks": lambda: self._mischief.run(self._mischief.clocks),
            "crowd": lambda: self._crowd(attack.for_s),
        }
        return begin[attack.kind]()

    def _kill_once(self, whom: str) -> Callable[[], None]:
        """Kill a program, as soon as it runs."""
        self.asked += 1
        if not self._kill(whom):
            self._pending.append(whom)
        return _nothing

    def _kill(self, whom: str) -> bool:
        now = time.monotonic()
        if not self._arena.kill(whom):
            return False
        if whom in {"ingest", "broker"}:
            self.cuts_s.append(now)
        if whom in {"ingest", "broker"} or whom.startswith("flow"):
            self.cuts.append((now, now))
        self.kills.append(Kill(whom, now))
        return True

    def _stop(self, whom: str, for_s: float) -> Callable[[], None]:
        """Stop a program for a while; who is dead just now is spared."""
        go_on = self._arena.halt(whom)
        if go_on is None:
            return _nothing
        now = time.monotonic()
        if not whom.startswith("couriers"):
            self.cuts_s.append(now)
        if whom == "ingest":
            self.cuts.append((now, now + for_s))
        self.stops += 1
        return go_on

    def _close(self, gates: Sequence[Gate | None], order: Order) -> Callable[[], None]:
        def obey(order: Order) -> None:
            for gate in gates:
                if gate is not None:
                    gate.obey(order)

        obey(order)
        return lambda: obey(OPEN)

    def _receive(self, behaviour: Behaviour, after: Callable[[], object]) -> Callable[[], None]:
        def take_again() -> None:
            self._arena.receiver.behave(TAKEN)
            after()

        self._arena.receiver.behave(behaviour)
        return take_again

    def _fill(self) -> Callable[[], None]:
        path = self._arena.partition_dir / BALLAST
        with path.open("wb") as file:
            file.truncate(round(QUOTA_GB * 1e9))  # a hole: it counts in full, and takes nothing
        return lambda: path.unlink(missing_ok=True)

    def _crowd(self, for_s: float) -> Callable[[], None]:
        def come() -> None:
            at_s = time.monotonic()
            clients = crowd(self._arena.broker_port, for_s)
            self.crowds.append(Crowd(at_s, time.monotonic(), clients))

        self._threads.append(threading.Thread(target=come, name="crowd", daemon=True))
        self._threads[-1].start()
        return _nothing


class _Ending:
    """What ends an attack; it is done even when the siege ends first."""

    ends = True

    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action

    def __call__(self) -> None:
        self._action()


def _nothing() -> None:
    pass


def _gates(arena: Arena, whom: str) -> Sequence[Gate]:
    """Whose way to the broker is cut."""
    gates = {"devices": [arena.device_gate], "ingest": [arena.ward_gate]}
    return gates.get(whom, [arena.device_gate, arena.ward_gate])


def _order(manner: str) -> Order:
    if manner.isdigit():
        return http_answer(int(manner), retry_after_s=2 if manner == "429" else None)
    return Order(manner)  # type: ignore[arg-type]  # the script knows the gate's manners


def _behaviour(manner: str) -> Behaviour:
    return int(manner) if manner.isdigit() else manner  # type: ignore[return-value]  # as above
