"""What must have happened for a siege to show anything: attacks that came to nothing prove nothing."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from deploy.siege.attacks import Crowd, Kill
from deploy.siege.crowd import CLIENTS
from deploy.siege.script import Attack

EVENTS_AFTER_S: Final = 120.0  # a shorter run may be over before the first scripted event is
FULL_AFTER_S: Final = 4.0  # ingest looks once a second, if it was not killed a moment ago
BROKER_BACK_S: Final = 5.0
BLIND_S: Final = 0.25  # after a kill: what is read so soon was committed before it


class Played(NamedTuple):
    """What was to be done, and what was; times are ``time.monotonic()``."""

    script: Sequence[Attack]
    done: Sequence[Attack]
    asked: int  # kills begun
    kills: Sequence[Kill]
    crowds: Sequence[Crowd]
    vitals_s: Sequence[float]  # when new vitals rows were seen, ascending


class Figures(NamedTuple):
    """How much came of it."""

    seconds: float
    published: int
    acknowledged: int  # different packets
    events_expected: int
    full: int  # times that ingest took nothing in because the disk was full


def floors(played: Played, figures: Figures) -> list[str]:
    """What was too little, in words."""
    return [*_attacks(played, figures.full), *_figures(figures)]


def _figures(figures: Figures) -> list[str]:
    wrong = []
    if not figures.acknowledged or figures.acknowledged < figures.published:
        wrong.append(f"the broker acknowledged {figures.acknowledged} of {figures.published} packets")
    if figures.seconds > EVENTS_AFTER_S and not figures.events_expected:
        wrong.append(f"no scripted event was to be found in {figures.seconds:.0f} s: nothing was tried")
    return wrong


def _attacks(played: Played, full: int) -> list[str]:
    wrong = []
    if len(played.done) < len(played.script):
        wrong.append(f"only {len(played.done)} of {len(played.script)} attacks were begun")
    if len(played.kills) < played.asked:
        wrong.append(f"only {len(played.kills)} of {played.asked} kills were done: the others found nobody alive")
    if any(one.kind == "disk-full" and one.for_s >= FULL_AFTER_S for one in played.done) and not full:
        wrong.append("the disk was filled, and ingest never said that it takes nothing in")
    wanted = sum(one.kind == "crowd" for one in played.done)
    if len(played.crowds) < wanted:
        wrong.append(f"only {len(played.crowds)} of {wanted} crowds came and went")
    small = [one.clients for one in played.crowds if one.clients < CLIENTS and not _broker_fell(played.kills, one)]
    if small:
        wrong.append(f"the broker let in {min(small)} of a crowd of {CLIENTS}, and was not killed meanwhile")
    last_s = max((kill.at_s for kill in played.kills if kill.whom.startswith("flow")), default=None)
    if last_s is not None and not any(seen_s > last_s + BLIND_S for seen_s in played.vitals_s[-1:]):
        wrong.append("no vitals row came after the last kill of the flow")
    return wrong


def _broker_fell(kills: Sequence[Kill], crowd: Crowd) -> bool:
    return any(kill.whom == "broker" and crowd.at_s - BROKER_BACK_S < kill.at_s < crowd.until_s for kill in kills)
