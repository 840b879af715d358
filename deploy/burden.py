"""`femtoward alarms report`: the burden of alarms out of a ward's stores, in words and as a picture."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from dataflows.burden import Burden, Count, Life, burden, exposure_ns, lives
from dataflows.events import SECOND_NS, AlarmEvent, BedState
from dataflows.store import Store
from deploy.problem import UserError

READ_ROWS = 2_000
COLOURS = {"high": "#c4162a", "medium": "#e0b400", "low": "#1f9ed1"}


class Ledger:
    """Alarms and beds of several stores, read once."""

    def __init__(self) -> None:
        self.events: list[AlarmEvent] = []
        self.beds: list[BedState] = []
        self.newest_ns = 0

    def read(self, store: Store) -> None:
        """Take in what a store holds; strips are left behind."""
        after = 0
        while rows := store.read(after, READ_ROWS, (AlarmEvent.kind, BedState.kind)):
            after = rows[-1].id
            for _, row in rows:
                if isinstance(row, AlarmEvent):
                    self.events.append(replace(row, strip=b""))
                elif isinstance(row, BedState):
                    self.beds.append(row)
        seconds = [(row.second + 1) * SECOND_NS for row in store.latest_vitals().values()]
        arrivals = [event.arrival_ns for event in self.events] + [bed.at_ns + 1 for bed in self.beds]
        self.newest_ns = max([self.newest_ns, *seconds, *arrivals])

    def report(self, since_s: int | None, until_s: int | None) -> Burden:
        """Burden of a time; by default from the first row to the newest."""
        to_ns = self.newest_ns + 1 if until_s is None else until_s * SECOND_NS
        times = [bed.at_ns for bed in self.beds] + [event.arrival_ns for event in self.events]
        from_ns = min(times, default=to_ns) if since_s is None else since_s * SECOND_NS
        end_ns = min(to_ns, self.newest_ns)  # nobody was watched later than that
        return burden(self.lives(), from_ns, to_ns, exposure_ns(self.beds, from_ns, end_ns))

    def lives(self) -> list[Life]:
        """What became of each alarm."""
        return lives(self.events)


def lines(found: Burden) -> Iterator[str]:
    """The report for people."""
    yield f"alarms from {_when(found.from_ns)} to {_when(found.to_ns)}, {found.patient_days:.2f} patient-days"
    yield ""
    head = ("raised", "a day", "acknowl.", "p50", "p90", "repeats", "escal.", "missed", "false")
    yield f"{'condition':<27}{'priority':<9}" + "".join(f"{name:>10}" for name in head)
    for count in (*found.by_condition, *found.by_priority, found.total):
        if count.raised or count.missed or count is found.total:
            yield _line(count)
    yield ""
    yield f"floods (10 alarms within 10 min on one ward): {len(found.floods) or 'none'}"
    for flood in found.floods:
        where = flood.ward or "ward not known"
        yield f"  {flood.site} {where}: {flood.alarms} alarms from {_when(flood.from_ns)} to {_when(flood.to_ns)}"
    yield (
        "a day: raised per patient and day; p50, p90: seconds until acknowledged; repeats: of the same patient and "
        "condition within 10 min; false: share of those that people marked"
    )


def plot(found: Burden, path: Path) -> None:
    """Draw alarms per patient-day by condition and priority, and the time until they were acknowledged.

    Raises
    ------
    UserError
        The file cannot be written, or is no picture's.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - slow, and only for pictures
    from matplotlib.figure import Figure  # noqa: PLC0415

    if path.suffix.lower() not in {".png", ".svg", ".pdf"}:
        raise UserError(f"--plot {path}: need a file that ends in .png, .svg or .pdf")
    shown = [count for count in found.by_condition if count.raised][::-1]
    figure = Figure(figsize=(11.0, 1.6 + 0.34 * max(len(shown), 3)), layout="constrained")
    FigureCanvasAgg(figure)
    often, waited = figure.subplots(1, 2, sharey=True)
    names = [f"{count.condition} ({count.priority})" for count in shown]
    colours = [COLOURS[count.priority] for count in shown]
    days = found.patient_days
    often.barh(names, [count.per_patient_day if days else count.raised for count in shown], color=colours)
    often.set_xlabel("alarms per patient-day" if days else "alarms")
    waited.barh(names, [count.acknowledged_s_p50 for count in shown], color=colours)
    waited.set_xlabel("median seconds until acknowledged")
    figure.suptitle(f"{found.total.raised} alarms in {days:.2f} patient-days, {len(found.floods)} floods")
    try:
        figure.savefig(path, dpi=100)
    except OSError as error:
        raise UserError(f"--plot {path} cannot be written: {error.strerror or error}") from error


def _line(count: Count) -> str:
    cells = (
        f"{count.raised}",
        _number(count.per_patient_day, "{:.2f}"),
        _number(100.0 * count.acknowledged, "{:.0f} %"),
        _number(count.acknowledged_s_p50, "{:.0f} s"),
        _number(count.acknowledged_s_p90, "{:.0f} s"),
        f"{count.repeats}",
        f"{count.escalated}",
        f"{count.missed}",
        _number(100.0 * count.false_share, "{:.0f} %"),
    )
    return f"{count.condition or 'all':<27}{count.priority or '':<9}" + "".join(f"{cell:>10}" for cell in cells)


def _number(value: float, form: str) -> str:
    return form.format(value) if math.isfinite(value) else "-"


def _when(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
