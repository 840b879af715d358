"""Words, symbols and colours for values: never a colour alone.

Red, yellow and cyan say high, medium and low, as IEC 60601-1-8 has it; `!!!`, `!!` and `!` say the same without them.
"""

from collections.abc import Mapping

from deploy.grafana.model import Mapped, Shown, Step, Thresholds

HIGH, MEDIUM, LOW = "red", "yellow", "#00B8D9"  # Grafana has no name for cyan
GOOD, QUIET, SEEN, LATE = "green", "text", "blue", "purple"
UNSEEN = 4  # from this need on, nobody has acknowledged the worst alarm
NOTHING = "–"  # noqa: RUF001 - an en dash, for what was not measured

NEED = {
    "0": Shown(text="nothing", color=GOOD, index=0),
    "1": Shown(text="low, acknowledged", color=SEEN, index=1),
    "2": Shown(text="medium, acknowledged", color=SEEN, index=2),
    "3": Shown(text="high, acknowledged", color=SEEN, index=3),
    "4": Shown(text="! LOW", color=LOW, index=4),
    "5": Shown(text="!! MEDIUM", color=MEDIUM, index=5),
    "6": Shown(text="!!! HIGH", color=HIGH, index=6),
}
# Beds are told at every change and once an hour, so a need that was told is one of now only where vitals come.
TOLD, UNHEARD = 10.0, 0.5
UNKNOWN = "? unknown"
_HEARD = {f"{TOLD + int(need):g}": shown for need, shown in NEED.items()}
_NOT_HEARD = {
    f"{TOLD + int(need) + UNHEARD:g}": Shown(
        text=UNKNOWN if need == "0" else f"{shown.text} {UNKNOWN}",
        color=shown.color if int(need) >= UNSEEN else LATE,
        index=len(NEED) + int(need),
    )
    for need, shown in NEED.items()
}
NEED_NOW = {
    **_HEARD,
    **_NOT_HEARD,
    f"{-UNHEARD:g}": Shown(text="no bed", color=QUIET, index=2 * len(NEED)),
    "0": Shown(text="no bed", color=QUIET, index=2 * len(NEED) + 1),
}
NEED_TOLD = {
    **NEED,
    "0": Shown(text="nothing told", color=QUIET, index=0),
}  # over time: a bed does not say that it is heard
NEWEST = {
    "4": Shown(text="● now", color=GOOD, index=0),
    "3": Shown(text="~ 10 to 30 s ago", color=MEDIUM, index=1),
    "2": Shown(text="✗ 30 s to 5 min ago", color=HIGH, index=2),
    "1": Shown(text="✗ 5 min to 2 h ago", color=HIGH, index=3),
}
# Alarms told anew: other events of one that stands are no new alarm.
RAISED = "(\"change\" = 'raised' OR \"change\" = 'retriggered')"
PRIORITY = {
    "high": Shown(text="!!! HIGH", color=HIGH, index=0),
    "medium": Shown(text="!! MEDIUM", color=MEDIUM, index=1),
    "low": Shown(text="! LOW", color=LOW, index=2),
}
STATE = {
    "active": Shown(text="● active", color="orange", index=0),
    "acknowledged": Shown(text="✓ acknowledged", color=SEEN, index=1),
    "latched": Shown(text="● over, not seen", color="orange", index=2),
    "shelved": Shown(text="~ shelved", color=SEEN, index=3),
    "ended": Shown(text="○ over", color=GOOD, index=4),
    "retracted": Shown(text="○ taken back", color=GOOD, index=5),
    "missed": Shown(text="✗ missed: came too late", color=LATE, index=6),
}
NEVER = {"0": Shown(text=NOTHING, color=QUIET, index=0)}  # a time that is none
DEVICE = {
    "online": Shown(text="● online", color=GOOD, index=0),
    "offline": Shown(text="✗ offline", color=HIGH, index=1),
    "zeroing": Shown(text="~ zeroing", color=MEDIUM, index=2),
    "calibrating": Shown(text="~ calibrating", color=MEDIUM, index=3),
    "unknown": Shown(text="? unknown", color=LATE, index=4),
    "gone": Shown(text="✗ gone", color=HIGH, index=5),
}
LOCKED = {
    "true": Shown(text="● locked", color=GOOD, index=0),
    "false": Shown(text="✗ NOT LOCKED", color=HIGH, index=1),
}
READY = {
    "0": Shown(text="✗ NO", color=HIGH, index=0),
    "1": Shown(text="● yes", color=GOOD, index=1),
}
DONE = {
    "true": Shown(text="✓ done", color=GOOD, index=0),
    "false": Shown(text="✗ refused", color=HIGH, index=1),
}


def values(shown: Mapping[str, Shown]) -> tuple[Mapped, ...]:
    """Words for each value."""
    return (Mapped(type="value", options=shown),)


def ranges(*bounds: tuple[float | None, float | None, str, str]) -> tuple[Mapped, ...]:
    """Words for ranges: from, to, words, colour."""
    return tuple(
        Mapped(type="range", options={"from": low, "to": high, "result": Shown(text=text, color=color, index=index)})
        for index, (low, high, text, color) in enumerate(bounds)
    )


def patterns(*found: tuple[str, str]) -> tuple[Mapped, ...]:
    """Colours for texts that match; the texts stay."""
    return tuple(
        Mapped(type="regex", options={"pattern": pattern, "result": Shown(color=color, index=index)})
        for index, (pattern, color) in enumerate(found)
    )


def steps(first: str, *more: tuple[float, str]) -> Thresholds:
    """Colours by value, the first one from the beginning."""
    return Thresholds(
        mode="absolute",
        steps=(Step(value=None, color=first), *(Step(value=value, color=color) for value, color in more)),
    )


# The bounds of the live table and of the ward page.
QUALITY = ranges(
    (0.8, 1.0, "✓ good", GOOD),
    (0.5, 0.8, "~ fair", MEDIUM),
    (0.2, 0.5, "✗ poor", "orange"),
    (None, 0.2, "✗ none", HIGH),
)
QUALITY_STEPS = steps(HIGH, (0.2, "orange"), (0.5, MEDIUM), (0.8, GOOD))
WORDS = (
    *patterns((r".*\(seen\)$", SEEN), ("^!!! .*", HIGH), ("^!! .*", MEDIUM), ("^! .*", LOW)),
    Mapped(type="special", options={"match": "empty", "result": Shown(text="none told", color=QUIET, index=4)}),
)
FAULTS = (
    *patterns((".+", "orange")),
    Mapped(type="special", options={"match": "empty", "result": Shown(text="● none", color=GOOD, index=1)}),
)
OUT = "✗ OUT OF BALANCE"
BALANCE = ranges((None, -0.5, OUT, HIGH), (-0.5, 0.5, "✓ balances", GOOD), (0.5, None, OUT, HIGH))
FAILING = ranges((None, 0.5, "● delivers", GOOD), (0.5, None, "✗ FAILING", HIGH))  # how many do not deliver
EXPIRY = ranges((None, -10_000, "not stated", QUIET), (-10_000, 0, "✗ EXPIRED", HIGH))
EXPIRY_STEPS = steps(HIGH, (0.0, MEDIUM), (14.0, GOOD))
