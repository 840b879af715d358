"""The ward as a live table on a terminal."""

import textwrap
from datetime import UTC, datetime
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dataflows.events import SEEN, WARD, Reading
from dataflows.standing import WORDS, in_words
from deploy.live import PRIORITY, STALE_S, Bed, Remark, Ward, by_need, quality_word, swings

BED_PREFIX = "bed-"
LONGEST_NAME = 12
HEADS = ("BED", "HR bpm", "PULSE", "RESP", "QTc", "PTT", "QUALITY", "WAVE", "ALARMS")
FIXED = (8, 5, 9)  # heart rate, pulse, quality
MORE = (4, 4, 4)  # breath rate, QTc, pulse transit time ...
ROOMY = (90, 104, 109)  # ... and the columns of a terminal from which on each has room
RIGHT = frozenset({"PULSE", "RESP", "QTc", "PTT"})
LEAST_TRACE = 7
WIDEST_ALARM = 40  # "!!! HIGH ventricular-fibrillation (seen)"
BLOCKS = " ▁▂▃▄▅▆▇█"
ASCII_BLOCKS = " ..--==##"


class Columns(NamedTuple):
    """Widths of the table's columns; one space parts them."""

    bed: int
    rate: int
    pulse: int
    breath: int  # 0: there is no room for it; and of the next two
    qtc: int
    transit: int
    quality: int
    trace: int
    alarms: int


def render(
    ward: Ward, *, now_ns: int, size: tuple[int, int], title: str, page: str = "", plain_ascii: bool = False
) -> RenderableType:
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
    page
        Address of the ward page; empty: there is none.
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
        if not cells:
            continue
        justify: Literal["left", "right"] = "right" if head in RIGHT else "left"
        table.add_column(head, no_wrap=True, overflow="ellipsis", width=cells, justify=justify)
    blocks = ASCII_BLOCKS if plain_ascii else BLOCKS
    for bed in beds:
        measured = _cells(bed, now_ns, blocks, columns)
        table.add_row(Text(names[bed.patient].removeprefix(prefix)), *measured, _alarm_cell(bed))
    parts: list[RenderableType] = [Text(title, style="bold", no_wrap=True, overflow="ellipsis"), table]
    if hidden:
        parts.append(Text(f"and {hidden} more beds, none of them more urgent than these", style="dim"))
    if not beds:
        parts.append(Text("waiting for the first packets ...", style="dim"))
    parts.append(_ward_line(ward, page))
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
    alarms = by_need(alarm for bed in ward.beds.values() for alarm in bed.alarms.values())
    said = ", ".join(f"{ward.bed(a.patient).name} {a.priority.upper()} {a.condition}" for a in alarms) or "none"
    spread = f", {min(rates):.0f} to {max(rates):.0f} bpm" if rates else ""
    counted = "1 bed" if len(beds) == 1 else f"{len(beds)} beds"
    return f"{clock(now_ns)}  {counted}, {len(rates)} with a heart rate{spread}; alarms: {said}"


def clock(at_ns: int) -> str:
    """Time of day, UTC."""
    return datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%H:%M:%SZ")


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


def _columns(names: list[str], width: int) -> tuple[Columns, str]:
    """Widths that no alarm changes, and what all names begin with where there is no room for it."""
    longest = min(LONGEST_NAME, max(map(len, names), default=6))
    common = BED_PREFIX if all(name.startswith(BED_PREFIX) for name in names) else ""
    breath, qtc, transit = (cells if width >= least else 0 for cells, least in zip(MORE, ROOMY, strict=True))
    more = (breath, qtc, transit)
    fixed = sum(cells + 1 for cells in (*FIXED, *more) if cells)
    prefix = common if width - fixed - (longest + 1) - (LEAST_TRACE + 1) < WIDEST_ALARM else ""
    name = max(len(HEADS[0]), longest - len(prefix))
    left = width - fixed - (name + 1)
    trace_cells = max(LEAST_TRACE, min((width - 40) // 2, left - 1 - WIDEST_ALARM))
    alarms = max(1, left - 1 - trace_cells)
    return Columns(name, *FIXED[:2], breath, qtc, transit, FIXED[2], trace_cells, alarms), prefix


def _cells(bed: Bed, now_ns: int, blocks: str, columns: Columns) -> list[Text]:
    """What was measured of a bed."""
    more = (columns.breath, columns.qtc, columns.transit)
    width = columns.trace
    if bed.vitals is None:
        dashes = [Text("--")] * (2 + sum(cells > 0 for cells in more))
        return [*dashes, Text("no data", style="dim"), Text("")]
    v = bed.vitals
    age_s = now_ns / 1e9 - (v.second + 1)
    stale = age_s > STALE_S
    rate = "--" if np.isnan(v.hr.value) else f"{v.hr.value:3.0f}"
    if rate != "--" and not np.isnan(v.hr.u):
        rate += f" ±{v.hr.u:.1f}" if v.hr.u < 9.95 else f" ±{v.hr.u:.0f}"
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
        Text(_whole(v.pulse), style=style),
        *(Text(_whole(one), style=style) for one, cells in zip((v.resp, v.qtc, v.transit), more, strict=True) if cells),
        Text(quality, style=style),
        Text(line, style=style or "green"),
    ]


def _whole(reading: Reading) -> str:
    return "--" if np.isnan(reading.value) else f"{reading.value:.0f}"


def _short(age_s: float) -> str:
    """Age in at most three characters."""
    for unit, length in (("s", 1), ("m", 60), ("h", 3600)):
        if age_s < 99.5 * length:
            return f"{age_s / length:.0f}{unit}"
    return "old"


def _alarm_cell(bed: Bed) -> Text:
    cell = Text()
    for alarm in by_need(bed.alarms.values()):
        style = "dim" if alarm.state in SEEN else PRIORITY[alarm.priority]
        cell.append(in_words(alarm.priority, alarm.condition, seen=False), style=style)
        cell.append(f"{WORDS.get(alarm.state, '')} ", style="dim")
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


def _ward_line(ward: Ward, page: str) -> Text:
    """What concerns no single patient, and the line between table and log."""
    line = Text(no_wrap=True, overflow="ellipsis")
    if WARD in ward.beds and ward.beds[WARD].alarms:
        line.append("ward: ").append_text(_alarm_cell(ward.beds[WARD]))
    else:
        line.append("events, newest last (UTC)", style="dim")
    if page:
        line.append(f"   page: {page}", style="dim")
    return line
