"""The picture of the table of alarms: ``python -m dataflows.alarm_picture`` writes ``dataflows/ALARMS.md`` anew."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from dataflows.alarm_table import STATE, TABLE, Event, Move, Phase
from dataflows.priorities import HIDES, LADDER_S, MAX_AGE_S, PRIORITY, SHELF_LATCHING_S, STEPS
from dataflows.rules import RULES

PAGE: Final = Path(__file__).with_name("ALARMS.md")
_SAYS: Final[dict[Event, str]] = {
    Event.BEGINS: "true, but not for its delay, or something worse hides it",
    Event.HOLDS: "true for its delay",
    Event.RECURS: "the same, soon after the last alarm of its kind",
    Event.HOLDS_LATE: "the same, by evidence older than 30 s",
    Event.ABATES: "not true, but not for its clear time",
    Event.OVER: "not true for its clear time",
    Event.OVER_LATCHING: "the same, of a condition that latches",
    Event.OVER_LATE: "the same, by evidence older than 30 s",
    Event.REFUTED: "the same, and it never was: later evidence shows it",
    Event.WORSENS: "true, and of a higher priority than before",
    Event.ACKNOWLEDGE: "command: acknowledge",
    Event.SHELVE: "command: shelve",
    Event.UNSHELVE: "command: unshelve",
    Event.COMMENT: "command: comment",
    Event.MARK: "command: mark true or false",
    Event.EXPIRES: "its time on the shelf is over",
    Event.EXPIRES_UNSEEN: "the same, of one that latches and came true on the shelf",
    Event.CLIMBS: "nobody has answered for so long",
    Event.AGES: "acknowledged, and still true, for so long",
    Event.LEAVES: "the patient is discharged",
}


def page() -> str:
    """The whole page, as Markdown with one Mermaid picture."""
    return "\n".join((*_head(), *_picture(), *_pairs(), *_rules(), ""))


def _head() -> Iterator[str]:
    yield "# The life of an alarm"
    yield ""
    yield "Written by `python -m dataflows.alarm_picture` from `dataflows/alarm_table.py`, which the flow looks up;"
    yield "a test holds the two together. Of each patient's condition there is one alarm at a time."
    yield ""


def _picture() -> Iterator[str]:
    between: dict[tuple[Phase, Phase], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for (phase, event), move in TABLE.items():
        if move.to != phase:
            between[phase, move.to][move.change or "not told"].append(_name(event))
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield "    direction LR"
    yield f"    [*] --> {Phase.CLEAR.name}"
    for (phase, to), changes in sorted(between.items()):
        said = "; ".join(f"{', '.join(events)} ({change})" for change, events in changes.items())
        yield f"    {phase.name} --> {to.name}: {said}"
    yield "```"
    yield ""


def _pairs() -> Iterator[str]:
    yield f"## All {len(TABLE)} pairs of state and event"
    yield ""
    yield "In a cell stands the next state, and in brackets what is told; a number stands for why nothing happens."
    yield ""
    whys = list(dict.fromkeys(move.why for move in TABLE.values() if move.why))
    yield f"| event | what it means | {' | '.join(_name(phase) for phase in Phase)} |"
    yield f"|{'---|' * (len(Phase) + 2)}"
    for event in Event:
        if event != Event.NOTHING:
            cells = (_cell(TABLE[phase, event], whys) for phase in Phase)
            yield f"| `{_name(event)}` | {_SAYS[event]} | {' | '.join(cells)} |"
    yield ""
    yield from (f"{number}. {why}" for number, why in enumerate(whys, 1))
    yield ""
    told = ", ".join(f"{_name(phase)} as `{state}`" for phase, state in STATE.items())
    yield f"States are told so: {told}; the others are not told."
    yield ""


def _cell(move: Move, whys: list[str]) -> str:
    if move.why:
        return str(whys.index(move.why) + 1)
    return f"**{_name(move.to)}**" + (f" ({move.change})" if move.change else "")


def _rules() -> Iterator[str]:
    yield "## Rules"
    yield ""
    yield "| condition | kind | if nobody answers | priority | rises | delay | clear | latches | same within | hides |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for rule in RULES:
        steps = "; ".join(
            f"{step.priority}{f' after {step.after_s:g} s' if step.after_s else ''}"
            f"{f' from {step.least:g} on' if step.least > -float('inf') else ''}"
            f"{f' down from {step.most:g}' if step.most < float('inf') else ''}"
            for step in STEPS.get(rule.condition, ())
        )
        yield (
            f"| {rule.condition} | {rule.category} | {rule.risk.severity}, {rule.risk.haste} | {rule.priority} "
            f"| {steps} "
            f"| {rule.delay_s:g} s | {rule.clear_s:g} s | {'yes' if rule.latches else ''} "
            f"| {f'{rule.gap_s:g} s' if rule.gap_s else ''} | {', '.join(HIDES.get(rule.condition, ()))} |"
        )
    yield ""
    yield "| if nobody answers | immediate | prompt | delayed |"
    yield "|---|---|---|---|"
    for severity in dict.fromkeys(risk.severity for risk in PRIORITY):
        yield f"| {severity} | {' | '.join(word for risk, word in PRIORITY.items() if risk.severity == severity)} |"
    yield ""
    yield "| priority | climbs when not answered for | told again when acknowledged and still true for |"
    yield "|---|---|---|"
    for priority, rungs in LADDER_S.items():
        yield f"| {priority} | {', '.join(f'{s:g} s' for s in rungs) or 'never'} | {MAX_AGE_S[priority]:g} s |"
    yield ""
    yield f"What latches can be shelved for {SHELF_LATCHING_S} s at most."


def _name(of: Phase | Event) -> str:
    return of.name.lower().replace("_", " ")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
