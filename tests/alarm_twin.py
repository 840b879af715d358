"""A slow twin of the banked alarms: one condition of one patient at a time, in plain Python, by the same table."""

from dataclasses import dataclass, field

from dataflows.alarm_table import STATE, TABLE, Event, Phase
from dataflows.alarms import CONTINUITY_NS, FALSE, REFUTED, STALE_NS, TRUE, UNKNOWN, event_of
from dataflows.events import SECOND_NS
from dataflows.priorities import HIDES, LADDER_S, MAX_AGE_S, PRIORITIES, RANK, STEPS
from dataflows.rules import RULES, Rule

OPEN = {Phase.CLEAR, Phase.PENDING, Phase.LATCHED, Phase.RESTING, Phase.ENDED, Phase.RETRACTED}
BEFORE = {Phase.CLEAR, Phase.PENDING, Phase.ENDED, Phase.RETRACTED}
SHELF = {Phase.SHELVED, Phase.RESTING}
CLOSED = {Phase.ENDED, Phase.RETRACTED}
OVER = {Event.OVER, Event.OVER_LATCHING, Event.OVER_LATE, Event.REFUTED}


@dataclass
class Cell:
    """One condition of one patient."""

    rule: Rule
    phase: Phase = Phase.CLEAR
    onset: int = 0
    seen_true: int = 0
    over: int = 0
    ended: int = 0
    step: int = 0
    begun: int = 0
    first: int = 0
    episode: int = 0
    occurrences: int = 0
    since: int = 0
    until: int = 0
    rank: int = 0
    level: int = 0
    mark: int = 0
    closed: Phase = Phase.CLEAR

    def signalled(self) -> bool:
        return self.phase in {Phase.ACTIVE, Phase.ACKNOWLEDGED} and not self.over


def ns(seconds: float) -> int:
    return round(seconds * SECOND_NS)


@dataclass
class Twin:
    """All conditions of one patient."""

    cells: list[Cell] = field(default_factory=lambda: [Cell(rule) for rule in RULES])
    told: list[tuple[object, ...]] = field(default_factory=list)

    def observe(self, truth: list[int], onset: list[int], value: list[float], now: int, arrival: int) -> None:
        stale = arrival - now > STALE_NS
        ripe, rank = [], []
        for cell, true, begins, measured in zip(self.cells, truth, onset, value, strict=True):
            if cell.phase in OPEN and true == TRUE and (not cell.begun or now - cell.seen_true > CONTINUITY_NS):
                cell.begun = max(begins, cell.ended + 1)
            if cell.phase in OPEN and true in {FALSE, REFUTED}:
                cell.begun = 0
            ripe.append(true == TRUE and now - cell.begun >= ns(cell.rule.delay_s))
            if true == TRUE:
                cell.over, cell.seen_true = 0, now
            elif true != UNKNOWN and cell.phase not in OPEN and (not stale or cell.phase == Phase.MISSED):
                cell.over = cell.over or now
            steps = STEPS.get(cell.rule.condition, ()) if true == TRUE else ()
            met = [
                RANK[one.priority]
                for one in steps
                if now - cell.begun >= ns(one.after_s)
                and (one.least == -float("inf") or measured >= one.least)
                and (one.most == float("inf") or measured <= one.most)
            ]
            rank.append(max([RANK[cell.rule.priority], *met]))
        pages = (OPEN - {Phase.RESTING}) | {Phase.MISSED}
        hiders = {
            cell.rule.condition
            for cell, is_ripe in zip(self.cells, ripe, strict=True)
            if cell.signalled() or (is_ripe and not stale and cell.phase in pages)
        }
        events = []
        for cell, true, is_ripe, its_rank in zip(self.cells, truth, ripe, rank, strict=True):
            hidden = any(cell.rule.condition in HIDES.get(hider, ()) for hider in hiders)
            gap = ns(cell.rule.gap_s) if cell.rule.gap_s else -1
            events.append(
                event_of(
                    true,
                    held=is_ripe and not hidden,
                    recurs=cell.closed == Phase.ENDED and cell.begun - cell.ended <= gap,
                    stale=stale,
                    done=cell.over > 0
                    and true != TRUE
                    and now - cell.over >= ns(cell.rule.clear_s)
                    and true != UNKNOWN
                    and (not stale or cell.phase == Phase.MISSED),
                    rises=cell.phase in {Phase.ACTIVE, Phase.ACKNOWLEDGED, Phase.SHELVED}
                    and its_rank > cell.rank
                    and not hidden,
                    latches=cell.rule.latches,
                )
            )
        for cell, event, its_rank in zip(self.cells, events, rank, strict=True):
            self.happen(cell, event, now, arrival, its_rank)

    def tick(self, arrival: int) -> None:
        hiders = {cell.rule.condition for cell in self.cells if cell.signalled()}
        events = []
        for cell in self.cells:
            event, waited = Event.NOTHING, arrival - cell.since
            rungs = LADDER_S[PRIORITIES[cell.rank]]
            hidden = any(cell.rule.condition in HIDES.get(hider, ()) for hider in hiders)
            if cell.phase in SHELF and cell.until <= arrival:
                unseen = cell.rule.latches and cell.occurrences and cell.onset >= cell.since
                event = Event.EXPIRES_UNSEEN if unseen else Event.EXPIRES
            elif cell.phase in {Phase.ACTIVE, Phase.LATCHED} and cell.level < len(rungs) and not hidden:
                event = Event.CLIMBS if waited >= ns(rungs[cell.level]) else event
            elif cell.phase == Phase.ACKNOWLEDGED and not cell.over:
                event = Event.AGES if waited >= ns(MAX_AGE_S[PRIORITIES[cell.rank]]) else event
            events.append(event)
        for cell, event in zip(self.cells, events, strict=True):
            self.happen(cell, event, arrival, arrival, RANK[cell.rule.priority])

    def happen(  # noqa: C901, PLR0912 - it is the slow, plain one
        self, cell: Cell, event: Event, now: int, arrival: int, rank: int, until: int = 0, mark: int = 0
    ) -> None:
        """Let one event happen."""
        if not event:
            return
        move, was = TABLE[cell.phase, event], cell.phase
        if move.to == was and move.change is None:
            return
        named = was in BEFORE and move.change in {"raised", "missed", "shelved"}
        again = move.change == "retriggered" and event != Event.AGES
        if event in OVER and was not in OPEN:
            cell.ended, over = now, True
        else:
            over = False
        if named:
            first = max(arrival, cell.ended + 1) if move.change == "shelved" else cell.begun
            near = cell.first > 0 and first - cell.ended <= ns(cell.rule.episode_s)
            cell.episode = (cell.episode or cell.first) if near else 0
            cell.first, cell.step, cell.level, cell.mark = first, 0, 0, 0
            cell.onset, cell.occurrences = first, 0 if move.change == "shelved" else 1
        elif again:
            cell.onset, cell.occurrences = cell.begun, cell.occurrences + 1
        if move.to == Phase.ACTIVE and was != Phase.ACTIVE:
            cell.level = 0
        if event == Event.CLIMBS:
            cell.level += 1
        if event == Event.MARK:
            cell.mark = mark
        if (named or move.change in {"raised", "worsened"} or again) and not {move.to, was} <= SHELF:
            cell.rank = rank
        on = move.to == was or {move.to, was} <= SHELF or (was, move.to) == (Phase.ACTIVE, Phase.LATCHED)
        cell.since = cell.since if on else arrival
        if again and {move.to, was} <= SHELF:
            cell.since = min(cell.since, cell.onset)
        cell.until = until if move.change == "shelved" else cell.until if move.to in SHELF else 0
        if was == Phase.RESTING and move.to in CLOSED:
            cell.ended = max(cell.ended, cell.onset)
        if move.to in CLOSED:
            cell.closed = move.to
        elif move.to in STATE:
            cell.closed = Phase.CLEAR
        elif was == Phase.MISSED:
            cell.closed = Phase.MISSED
        if move.to in OPEN:
            cell.over = 0
        if over:
            cell.begun = 0
        cell.phase = move.to
        if move.change is not None:
            state = STATE.get(move.to, "")
            numbers = (cell.step, cell.first, cell.occurrences, cell.level, cell.until)
            self.told.append((cell.rule.condition, state, move.change, *numbers))
            cell.step += 1
