"""The ward as a live table, folded from the rows of the store; nothing here reads a clock or a file."""

import textwrap
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dataflows.events import WARD, AlarmEvent, Answer, Bad, DeviceStatus, PatientInfo, Priority, Row, Vitals, Wave
from dataflows.standing import in_words

# Red, yellow and cyan as IEC 60601-1-8 has them; the word and the number of marks say the same without colour.
PRIORITY: dict[Priority, str] = {"high": "bold white on red", "medium": "bold black on yellow", "low": "bold cyan"}
ORDER = {"high": 0, "medium": 1, "low": 2}
STALE_S = 3.0
WAVE_S = 4
WAVE_HZ = 125
SWINGS_PER_S = 5
HISTORY = 60  # heart rates kept for a bed without a waveform
LOG_LINES = 200
MANY = 3  # devices that change alike are said in one line beyond this
PEAK_DECAY = 0.97  # per second: a heart that stops shows as a flat line, not as noise drawn large
BED_PREFIX = "bed-"
LONGEST_NAME = 12
HEADS = ("BED", "HR bpm", "PULSE", "QUALITY", f"LAST {WAVE_S} s", "ALARMS")
FIXED = (8, 5, 9)  # heart rate, pulse, quality
LEAST_TRACE = 12
WIDEST_ALARM = 35  # "!!! HIGH extreme-bradycardia (seen)"
BLOCKS = " ▁▂▃▄▅▆▇█"
ASCII_BLOCKS = " ..--==##"


class Remark(NamedTuple):
    """One line of the log."""

    at_ns: int
    text: str
    style: str = ""


class Columns(NamedTuple):
    """Widths of the table's columns; one space parts them."""

    bed: int
    rate: int
    pulse: int
    quality: int
    trace: int
    alarms: int


@dataclass
class Bed:
    """What is shown of one patient."""

    patient: str
    ward: str = ""
    bed: str = ""
    vitals: Vitals | None = None
    rates: deque[float] = field(default_factory=lambda: deque(maxlen=HISTORY))
    wave: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    peak: float = 0.0
    alarms: dict[str, AlarmEvent] = field(default_factory=dict)  # active or acknowledged, by id

    @property
    def name(self) -> str:
        """Bed, or the patient where no bed is known."""
        return self.bed or self.patient

    @property
    def urgency(self) -> int:
        """0 for a high alarm that nobody has acknowledged, up to 6 for none."""
        return min((ORDER[a.priority] + 3 * (a.state == "acknowledged") for a in self.alarms.values()), default=6)


@dataclass
class Ward:
    """Beds and log as of the rows taken so far."""

    beds: dict[str, Bed] = field(default_factory=dict)
    log: deque[Remark] = field(default_factory=lambda: deque(maxlen=LOG_LINES))
    n_rows: int = 0
    _devices: dict[str, str] = field(default_factory=dict)

    def take(self, rows: Iterable[Row]) -> list[Remark]:
        """Fold rows in; return what is new in the log."""
        new: list[Remark] = []
        changed: list[DeviceStatus] = []
        for row in rows:
            self.n_rows += 1
            match row:
                case Vitals():
                    self._vitals(row)
                case Wave():
                    self._wave(row)
                case AlarmEvent():
                    new.append(self._alarm(row))
                case PatientInfo():
                    bed = self.bed(row.patient)
                    bed.ward, bed.bed = row.ward, row.bed
                    if not row.admitted:
                        del self.beds[row.patient]
                case DeviceStatus():
                    changed += self._device(row)
                case Bad():
                    times = f" x{row.count}" if row.count > 1 else ""
                    new.append(Remark(row.arrival_ns, f"refused ({row.reason}{times}): {row.detail}", "dim"))
                case Answer(done=False):
                    new.append(Remark(row.arrival_ns, f"command of {row.actor} not done{_because(row.detail)}"))
                case _:
                    pass
        new += _of_devices(changed)
        self.log.extend(new)
        return new

    def bed(self, patient: str) -> Bed:
        """Bed of a patient, made where there is none yet."""
        return self.beds.setdefault(patient, Bed(patient))

    def names(self) -> dict[str, str]:
        """What the bed of each patient is called: with its ward, where there are several."""
        beds = [bed for bed in self.beds.values() if bed.patient != WARD]
        several = len({bed.ward for bed in beds}) > 1
        return {bed.patient: f"{bed.name} {bed.ward}".rstrip() if several else bed.name for bed in beds}

    def note(self, at_ns: int, text: str) -> Remark:
        """Add a line that no row says."""
        remark = Remark(at_ns, text, "bold")
        self.log.append(remark)
        return remark

    def in_order(self, limit: int) -> list[Bed]:
        """Beds by name; where they are more than `limit`, those that need someone come first."""
        beds = sorted((bed for bed in self.beds.values() if bed.patient != WARD), key=lambda bed: bed.name)
        return beds if len(beds) <= limit else sorted(beds, key=lambda bed: bed.urgency)[:limit]

    def _vitals(self, row: Vitals) -> None:
        bed = self.bed(row.patient)
        if bed.vitals is None or row.second > bed.vitals.second:
            bed.vitals = row
            bed.rates.append(row.hr.value)

    def _wave(self, row: Wave) -> None:
        bed = self.bed(row.patient)
        second = np.frombuffer(row.samples, "<i2") * row.scale
        bed.wave = np.concatenate([bed.wave, second])[-WAVE_S * WAVE_HZ :]
        bed.peak = max(bed.peak * PEAK_DECAY, float(swings(second, SWINGS_PER_S).max()))

    def _device(self, row: DeviceStatus) -> list[DeviceStatus]:
        state = "online" if row.state == "unknown" else row.state  # unknown: not heard of yet, no news
        if self._devices.get(row.device, "online") == state:
            return []
        self._devices[row.device] = state
        return [row]

    def _alarm(self, event: AlarmEvent) -> Remark:
        bed = self.bed(event.patient)
        known = bed.alarms.get(event.id)
        if event.state in {"ended", "missed"}:
            bed.alarms.pop(event.id, None)
        elif known is None or event.step > known.step:
            bed.alarms[event.id] = event
        by = f" by {event.actor}" if event.actor else ""
        style = PRIORITY[event.priority] if event.state == "active" else ""
        said = f"{event.priority.upper()} {event.condition} {event.state}{by}{_because(event.reason)}"
        return Remark(event.event_ns, f"{bed.name}  {said}", style)


def render(ward: Ward, *, now_ns: int, size: tuple[int, int], title: str, plain_ascii: bool = False) -> RenderableType:
    """Return the whole screen.

    Parameters
    ----------
    ward
        What to show.
    now_ns
        The time now: values older than 3 s are greyed and say so.
    size
        Columns and lines of the terminal.
    title
        The first line.
    plain_ascii
        The terminal cannot show block characters.
    """
    width, height = size
    room = max(3, height - 9)  # title, heads, rule and five lines of log
    beds = ward.in_order(room)
    hidden = len(ward.beds) - (WARD in ward.beds) - len(beds)
    names = ward.names()
    columns, prefix = _columns(list(names.values()), width)
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for head, cells in zip(HEADS, columns, strict=True):
        justify: Literal["left", "right"] = "right" if head == "PULSE" else "left"
        table.add_column(head, no_wrap=True, overflow="ellipsis", width=cells, justify=justify)
    blocks = ASCII_BLOCKS if plain_ascii else BLOCKS
    for bed in beds:
        table.add_row(
            Text(names[bed.patient].removeprefix(prefix)), *_cells(bed, now_ns, blocks, columns.trace), _alarm_cell(bed)
        )
    parts: list[RenderableType] = [Text(title, style="bold", no_wrap=True, overflow="ellipsis"), table]
    if hidden:
        parts.append(Text(f"and {hidden} more beds, none of them more urgent than these", style="dim"))
    if not beds:
        parts.append(Text("waiting for the first packets ...", style="dim"))
    parts.append(_ward_line(ward))
    lines = max(3, height - 5 - max(len(beds), 1) - bool(hidden))
    entries: list[Text] = []
    for remark in reversed(ward.log):
        entry = _entry(remark, width)
        if len(entries) + len(entry) > lines:
            break
        entries = entry + entries
    parts += entries
    return Group(*parts)


def summary_line(ward: Ward, now_ns: int) -> str:
    """One line for the whole ward, for output that is no terminal."""
    beds = [bed for bed in ward.beds.values() if bed.vitals is not None]
    rates = [bed.vitals.hr.value for bed in beds if bed.vitals and not np.isnan(bed.vitals.hr.value)]
    alarms = sorted((a for bed in ward.beds.values() for a in bed.alarms.values()), key=lambda a: ORDER[a.priority])
    said = ", ".join(f"{ward.bed(a.patient).name} {a.priority.upper()} {a.condition}" for a in alarms) or "none"
    spread = f", {min(rates):.0f} to {max(rates):.0f} bpm" if rates else ""
    counted = "1 bed" if len(beds) == 1 else f"{len(beds)} beds"
    return f"{clock(now_ns)}  {counted}, {len(rates)} with a heart rate{spread}; alarms: {said}"


def clock(at_ns: int) -> str:
    """Time of day, UTC."""
    return datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%H:%M:%SZ")


def swings(wave: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """How far the wave goes up and down in each of `width` parts: what is slow, such as breathing, hardly shows.

    Parameters
    ----------
    wave : ndarray, shape (n_samples,)
        Finite values.
    """
    edges = np.linspace(0, len(wave), width + 1).astype(int)
    return np.array([np.ptp(wave[a:b]) if b > a else 0.0 for a, b in pairwise(edges)])


def trace(heights: NDArray[np.float64], top: float, blocks: str = BLOCKS) -> str:
    """Line with one character for each height.

    Parameters
    ----------
    heights : ndarray, shape (n,)
        Not negative; NaN draws nothing.
    top
        What fills a character.
    """
    if not top > 0.0:
        return ""
    steps = np.nan_to_num(np.minimum(heights, top) / top) * (len(blocks) - 1)
    return "".join(blocks[round(step)] for step in steps)


def quality_word(vitals: Vitals) -> str:
    """Quality in a word that needs no legend."""
    if vitals.settling:
        return "settling"
    bounds = ((0.8, "good"), (0.5, "fair"), (0.2, "poor"), (-1.0, "none"))
    return next(word for bound, word in bounds if vitals.quality >= bound)


def _columns(names: list[str], width: int) -> tuple[Columns, str]:
    """Widths that no alarm changes, and what all names begin with where there is no room for it."""
    longest = min(LONGEST_NAME, max(map(len, names), default=6))
    common = BED_PREFIX if all(name.startswith(BED_PREFIX) for name in names) else ""
    fixed = sum(cells + 1 for cells in FIXED)
    prefix = common if width - fixed - (longest + 1) - (LEAST_TRACE + 1) < WIDEST_ALARM else ""
    name = max(len(HEADS[0]), longest - len(prefix))
    left = width - fixed - (name + 1)
    trace_cells = max(LEAST_TRACE, min((width - 40) // 2, left - 1 - WIDEST_ALARM))
    return Columns(name, *FIXED, trace_cells, max(1, left - 1 - trace_cells)), prefix


def _cells(bed: Bed, now_ns: int, blocks: str, width: int) -> list[Text]:
    """What was measured of a bed."""
    if bed.vitals is None:
        return [Text("--"), Text("--"), Text("no data", style="dim"), Text("")]
    v = bed.vitals
    age_s = now_ns / 1e9 - (v.second + 1)
    stale = age_s > STALE_S
    rate = "--" if np.isnan(v.hr.value) else f"{v.hr.value:3.0f}"
    if rate != "--" and not np.isnan(v.hr.u):
        rate += f" ±{v.hr.u:.1f}" if v.hr.u < 9.95 else f" ±{v.hr.u:.0f}"
    pulse = "--" if np.isnan(v.pulse.value) else f"{v.pulse.value:.0f}"
    bar = blocks[-1] * round(4 * v.quality)
    quality = f"stale {_short(age_s)}" if stale else f"{quality_word(v):<4} {bar}"[: FIXED[-1]]
    if len(bed.wave):
        line = trace(swings(bed.wave, width), bed.peak, blocks)
    else:
        rates = np.array(bed.rates)[-width:]
        line = trace(rates, float(np.nanmax(rates, initial=0.0)), blocks)
    style = "dim" if stale else ""
    return [
        Text(rate, style=style or "bold"),
        Text(pulse, style=style),
        Text(quality, style=style),
        Text(line, style=style or "green"),
    ]


def _short(age_s: float) -> str:
    """Age in at most three characters."""
    for unit, length in (("s", 1), ("m", 60), ("h", 3600)):
        if age_s < 99.5 * length:
            return f"{age_s / length:.0f}{unit}"
    return "old"


def _alarm_cell(bed: Bed) -> Text:
    cell = Text()
    for alarm in sorted(bed.alarms.values(), key=lambda a: (a.state == "acknowledged", ORDER[a.priority], a.onset_ns)):
        style, seen = PRIORITY[alarm.priority], alarm.state == "acknowledged"
        cell.append(in_words(alarm.priority, alarm.condition, seen=False), style="dim" if seen else style)
        cell.append(" (seen) " if seen else " ", style="dim")
    cell.rstrip()
    return cell


def _entry(remark: Remark, width: int) -> list[Text]:
    """An event in at most two lines, so that its reason can be read on a small terminal."""
    said = f"{clock(remark.at_ns)}  {remark.text}"
    if len(said) <= width:
        return [Text(said, style=remark.style)]
    first, *rest = textwrap.wrap(said, width, subsequent_indent=" " * 11) or [""]
    second = "  ".join([rest[0], *(line.strip() for line in rest[1:])]) if rest else ""
    return [Text(line, style=remark.style, no_wrap=True, overflow="ellipsis") for line in (first, second)]


def _ward_line(ward: Ward) -> Text:
    """What concerns no single patient, and the line between table and log."""
    line = Text(no_wrap=True, overflow="ellipsis")
    if WARD in ward.beds and ward.beds[WARD].alarms:
        line.append("ward: ").append_text(_alarm_cell(ward.beds[WARD]))
    else:
        line.append("events, newest last (UTC)", style="dim")
    return line


def _of_devices(changed: list[DeviceStatus]) -> list[Remark]:
    """A line for each device, or one for many that came or went together."""
    together: dict[tuple[str, str], list[DeviceStatus]] = {}
    for row in changed:
        together.setdefault((row.state, row.reason), []).append(row)
    said = []
    for (state, reason), rows in together.items():
        if len(rows) > MANY:
            text = f"{len(rows)} devices are {state}{_because(reason)}"
            said.append(Remark(max(row.last_seen_ns for row in rows), text))
        else:
            said += [Remark(r.last_seen_ns, f"device {r.device} is {state}{_because(reason)}") for r in rows]
    return said


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""
