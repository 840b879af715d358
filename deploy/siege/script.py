"""Who is attacked when, and how: a pure function of a seed."""

import random
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple

Kind = Literal[
    "kill",  # SIGKILL of `whom` and all that it started
    "stop",  # SIGSTOP of `whom`, and SIGCONT after a while
    "broker-away",  # the way of `whom` to the broker: shut, hang or half
    "influx-away",  # InfluxDB: 500, 429, hang, half, deaf, shut
    "receiver-away",  # the receiver of webhooks: 500, 429, hang, slow, close, down
    "receiver-gone",  # it answers 410; the couriers are killed after it
    "disk-full",
    "mischief",  # packets repeated, out of order and late; garbage
    "clocks",  # devices whose clocks step
    "crowd",  # a thousand clients at once
]
EVERY_S: Final = 60.0  # all kinds but kills come once in this time at least
QUIET_S: Final = 8.0  # at the beginning: something must run before it can be killed
LEAST_BETWEEN_S: Final = 2.0  # between kills of one program: it takes as long to be started again

BROKER_MANNERS: Final = ("shut", "hang", "half")
INFLUX_MANNERS: Final = ("500", "429", "hang", "half", "deaf", "shut")
RECEIVER_MANNERS: Final = ("500", "429", "hang", "slow", "close", "down")
# In this order, again and again, so that a short siege has them all.
AROUND: Final[tuple[Kind, ...]] = (
    "mischief",
    "influx-away",
    "stop",
    "receiver-away",
    "clocks",
    "broker-away",
    "crowd",
    "receiver-gone",
    "disk-full",
)
OURS: Final = ("ingest", "flow", "couriers")  # what can be stopped: a broker or an InfluxDB that hangs comes anyhow
WAYS: Final = ("devices", "ingest", "both")
LASTING_S: Final[dict[Kind, tuple[float, float]]] = {  # shortest, longest
    "stop": (2.0, 8.0),  # longer, and it would be taken for dead
    "broker-away": (5.0, 30.0),
    "influx-away": (5.0, 25.0),
    "receiver-away": (5.0, 15.0),
    "receiver-gone": (3.0, 6.0),
    "disk-full": (4.0, 12.0),
    "mischief": (10.0, 20.0),
    "clocks": (15.0, 40.0),
    "crowd": (2.0, 4.0),
}


class Attack(NamedTuple):
    """One thing that is done to the ward."""

    at_s: float  # since the siege began
    kind: Kind
    whom: str = ""
    manner: str = ""
    for_s: float = 0.0

    def __str__(self) -> str:
        """Return it in words, for the progress."""
        lasting = f" for {self.for_s:.0f} s" if self.for_s else ""
        return " ".join(part for part in (self.kind, self.whom, self.manner) if part) + lasting


def script(seed: int, minutes: float, kills: int, victims: Sequence[str]) -> list[Attack]:
    """Attacks of a siege in order.

    Parameters
    ----------
    seed
        Same seed, same attacks.
    minutes
        How long it lasts; the last attacks end within it.
    kills
        How many programs are killed, each of `victims` in turn, at random times.
    victims
        What can be killed.

    Examples
    --------
    >>> [attack.kind for attack in script(1, 1.0, 2, ("flow",))][:2] == ["kill", "kill"]
    False
    >>> sum(attack.kind == "kill" for attack in script(1, 20.0, 60, ("flow", "ingest", "couriers")))
    60
    """
    rng = random.Random(seed)  # noqa: S311 - a script, no secret
    end_s = 60.0 * minutes
    attacks = _kills(rng, end_s, kills, victims) + _others(rng, end_s, victims)
    return sorted(attacks)


def _kills(rng: random.Random, end_s: float, kills: int, victims: Sequence[str]) -> list[Attack]:
    """Kills at random times, everybody as often as the others."""
    order: list[str] = []
    while len(order) < kills:
        order += rng.sample(list(victims), len(victims))
    begin_s = min(QUIET_S, end_s / 4)
    times = sorted(rng.uniform(begin_s, max(end_s - 1.0, begin_s)) for _ in range(kills))
    found: list[Attack] = []
    last: dict[str, float] = {}
    for at_s, whom in zip(times, order, strict=False):
        # Whoever was killed a moment ago must be there again to be killed.
        due_s = max(at_s, last.get(whom, -LEAST_BETWEEN_S) + LEAST_BETWEEN_S)
        last[whom] = due_s
        found.append(Attack(due_s, "kill", whom))
    return found


def _others(rng: random.Random, end_s: float, victims: Sequence[str]) -> list[Attack]:
    """All other kinds in turn, each in every way that it has."""
    ours = [name for name in victims if name.startswith(OURS)]
    there = {"influx-away": "influx" in victims, "stop": bool(ours)}
    kinds = [kind for kind in AROUND if there.get(kind, True)]
    step_s = min(EVERY_S, end_s) / len(kinds)
    manners: dict[Kind, Iterator[str]] = {
        "broker-away": _endless(rng, BROKER_MANNERS),
        "influx-away": _endless(rng, INFLUX_MANNERS),
        "receiver-away": _endless(rng, RECEIVER_MANNERS),
    }
    ways = _endless(rng, WAYS)
    stopped = _endless(rng, ours)
    found: list[Attack] = []
    first_s = min(QUIET_S, end_s / 8)
    for count in range(int((end_s - first_s) / step_s)):
        kind = kinds[count % len(kinds)]
        begin_s = first_s + count * step_s + rng.uniform(0.0, step_s / 2)
        for_s = min(rng.uniform(*LASTING_S[kind]), end_s - begin_s)
        whom = next(ways) if kind == "broker-away" else next(stopped) if kind == "stop" else ""
        manner = next(manners[kind]) if kind in manners else ""
        found.append(Attack(begin_s, kind, whom, manner, for_s))
    return found


def _endless(rng: random.Random, of: Sequence[str]) -> Iterator[str]:
    """All in any order, then all in another."""
    while True:
        yield from rng.sample(list(of), len(of))
