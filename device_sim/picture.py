"""A picture of a scenario: what the sensors of its patients put out, and what is true of them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import signal

from device_sim.course import heart_bpm, levels
from device_sim.fleet import Fleet, FleetOptions
from device_sim.lanes import Lane, lanes_of
from device_sim.scenario import load_scenario, script_of
from device_sim.truth import BeatLine, TruthLine, VitalLine
from device_sim.witness import STEPS_PER_S, T_START_NS
from ingest.codec import decode_birth, decode_packet
from ingest.packet import Packet, samples
from ingest.profile import Birth

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

MAX_PATIENTS = 6
LONGEST_WAVES_S = 300.0  # beyond it the picture shows the course of the vitals instead of waves
_HEART_BAND_HZ, _BRAIN_BAND_HZ, _LIGHT_BAND_HZ = (0.7, 30.0), (4.0, 30.0), (0.5, 8.0)
_COLOURS = {"N": "#1a1a1a", "V": "#c2185b", "S": "#1565c0"}
_LANE_COLOURS = {"rhythm": "#ef9a9a", "fault": "#b0bec5", "alarm": "#d32f2f", "may": "#ffcc80"}
_OTHER_COLOUR = "#a5d6a7"
_NEAR_A_BEAT_S = 0.03
_LEAST_NAMED_SHARE = 0.02  # of the width, for a name to be written into a bar


class Trace(NamedTuple):
    """Samples of one signal with their times in s, and what they are."""

    name: str
    t_s: Array
    values: Array  # (n_channels, n_samples)


def draw(options: FleetOptions, path: Path) -> None:
    """Run a scenario by itself and draw it, waves and truth, or the course of its vitals if it takes long.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    # Here only: a simulator that draws nothing need not load it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    scenario = load_scenario(options.scenario)
    seconds = options.seconds or scenario.seconds
    n = min(options.patients, MAX_PATIENTS)
    long = seconds > LONGEST_WAVES_S
    heights = [1.6, 1.2, 1.0, 0.6] if long else [2.2, 1.2, 1.6] if n > 1 else [2.4, 1.3, 1.0, 1.2, 2.6]
    figure = Figure(figsize=(14.0, n * sum(heights) * 0.8 + 1.0), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(n * len(heights), 1, sharex=True, squeeze=False, height_ratios=heights * n)
    rows = [list(grid[k * len(heights) : (k + 1) * len(heights), 0]) for k in range(n)]
    if long:
        for index, axes in enumerate(rows):
            _draw_course(axes, options, index, seconds)
    else:
        _draw_waves(rows, options, n, seconds)
    rows[-1][-1].set_xlabel("h" if long else "s")
    _entitle(figure, options, scenario.about)
    figure.savefig(path, dpi=90)


def _entitle(figure: "Figure", options: FleetOptions, about: str) -> None:
    name = Path(options.scenario).stem
    figure.suptitle(f"{name}, seed {options.seed} (simulated; not a medical device)\n{about}", fontsize=11)


def _draw_waves(rows: list[list["Axes"]], options: FleetOptions, n: int, seconds: float) -> None:
    fleet = Fleet(msgspec.structs.replace(options, patients=n, seconds=seconds), T_START_NS)
    births = list(fleet.births)
    payloads: list[list[tuple[Birth, bytes]]] = [[] for _ in range(n)]
    truth: list[TruthLine] = []
    for _ in range(round(seconds * STEPS_PER_S)):
        leaving = fleet.step()
        for device, told in fleet.rebirths():
            renewed = decode_birth(told, births[device].device)
            births[device] = renewed if isinstance(renewed, Birth) else births[device]
        for device, payload in leaving:
            payloads[device].append((births[device], payload))
        truth += fleet.truth_lines()
    truth += fleet.closing_lines()
    for index, axes in enumerate(rows):
        patient = fleet.names[index].patient
        mine = [line for line in truth if line.__class__ is not VitalLine and getattr(line, "patient", "") == patient]
        traces = {trace.name: trace for trace in _traces(fleet, index, payloads[index])}
        _draw_field(axes[0], traces, mine, patient)
        _draw_light(axes[1], traces)
        if len(rows) == 1:
            _draw_motion(axes[2], traces)
            vitals = [line for line in truth if isinstance(line, VitalLine) and line.patient == patient]
            _draw_vitals(axes[3], vitals)
        _draw_lanes(axes[-1], lanes_of(mine, T_START_NS, seconds), seconds)


def _traces(fleet: Fleet, index: int, payloads: Sequence[tuple[Birth, bytes]]) -> Iterator[Trace]:
    """Every stream of a device; holes are NaN."""
    birth = fleet.births[index]
    packets = [decode_packet(payload, birth.device, of) for of, payload in payloads]
    for number, profile in enumerate(birth.streams):
        blocks = [
            block
            for packet in packets
            if isinstance(packet, Packet)
            for block in packet.blocks
            if block.stream == number
        ]
        if not blocks:
            continue
        length = max(block.first_sample for block in blocks) + profile.block_len
        values = np.full((profile.n_channels, length), np.nan)
        for block in blocks:
            values[:, block.first_sample : block.first_sample + profile.block_len] = samples(block, profile)
        t = fleet.phase_ns[index] / 1e9 + np.arange(length) / profile.rate_hz
        yield Trace(profile.kind, t, values)


def _draw_field(axes: "Axes", traces: dict[str, Trace], truth: list[TruthLine], patient: str) -> None:
    trace = traces.get("mcg") or traces.get("meg")
    if trace is None:
        return
    band = _filtered(trace, _HEART_BAND_HZ if trace.name == "mcg" else _BRAIN_BAND_HZ)
    # A cap hears no heart.
    beats = [line for line in truth if isinstance(line, BeatLine) and trace.name == "mcg"]
    best = _best(trace, band, [(line.time_ns - T_START_NS) / 1e9 for line in beats if line.kind == "N"])
    size = _usual_height(band[best], round(1.0 / float(trace.t_s[1] - trace.t_s[0])))
    axes.plot(trace.t_s, band[best], color="#37474f", linewidth=0.6)
    axes.set_ylim(-size, 1.25 * size)
    for kind, colour in _COLOURS.items():
        at = [(line.time_ns - T_START_NS) / 1e9 for line in beats if line.kind == kind]
        if at:
            axes.plot(at, np.full(len(at), 1.12 * size), "v", color=colour, markersize=4, label=f"beat {kind}")
    if beats:
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 0.98), ncols=3, fontsize=7, frameon=False)
    axes.set_ylabel(f"{patient}\nfield, pT", fontsize=8)


def _usual_height(values: Array, per_s: int) -> float:
    """Twice the usual peak of a second: what is far beyond is cut off, so that the heart can be seen beside it."""
    seconds = np.abs(values[: len(values) // per_s * per_s]).reshape(-1, per_s)
    return 2.0 * float(np.nanmedian(np.nanmax(seconds, axis=1))) + 1e-9


def _best(trace: Trace, band: Array, normal_s: list[float]) -> int:
    """Channel that shows the normal beats best, or most where there is none."""
    near = np.zeros(len(trace.t_s), np.bool_)
    for at in normal_s:
        near |= np.abs(trace.t_s - at) < _NEAR_A_BEAT_S
    seen = np.abs(band[:, near] if near.any() else band)
    return int(np.argmax(np.nanpercentile(seen, 90.0, axis=1)))


def _draw_light(axes: "Axes", traces: dict[str, Trace]) -> None:
    trace = traces.get("ppg")
    if trace is None:
        return
    pulse = -_filtered(trace, _LIGHT_BAND_HZ)[2] / np.nanmedian(trace.values[2]) * 100.0
    size = 1.5 * float(np.nanpercentile(np.abs(pulse), 98.0)) + 1e-9
    axes.plot(trace.t_s, pulse, color="#2e7d32", linewidth=0.8)
    axes.set_ylim(-size, size)
    axes.set_ylabel("light taken\nat 525 nm, %", fontsize=8)


def _draw_motion(axes: "Axes", traces: dict[str, Trace]) -> None:
    trace = traces.get("acceleration")
    if trace is None:
        return
    for name, values in zip("xyz", trace.values, strict=True):
        axes.plot(trace.t_s, values, linewidth=0.7, label=name)
    axes.legend(loc="upper right", ncols=3, fontsize=7, framealpha=0.8)
    axes.set_ylabel("m/s2", fontsize=8)


def _draw_vitals(axes: "Axes", vitals: list[VitalLine]) -> None:
    t = np.array([line.second + 1 - T_START_NS / 1e9 for line in vitals])
    for name, colour, values in (
        ("heart rate", "#1a1a1a", [line.heart_rate_bpm for line in vitals]),
        ("pulse rate", "#2e7d32", [line.pulse_rate_bpm for line in vitals]),
        ("SpO2 %", "#1565c0", [line.spo2 for line in vitals]),
        ("breaths", "#ef6c00", [line.breath_rate_bpm for line in vitals]),
    ):
        axes.plot(t, np.array(values, np.float64), color=colour, linewidth=1.2, label=name)
    axes.legend(loc="upper right", ncols=4, fontsize=7, framealpha=0.8)
    axes.set_ylabel("true vitals", fontsize=8)


def _draw_course(axes: list["Axes"], options: FleetOptions, index: int, seconds: float) -> None:
    """Course of the vitals that the script asks for."""
    script = script_of(load_scenario(options.scenario), index)
    t = np.linspace(0.0, seconds, 1500)
    now = levels(script, t)
    for one, name, colour, values in (
        (axes[0], "heart rate, bpm", "#1a1a1a", heart_bpm(script, t)),
        (axes[0], "breaths a minute", "#ef6c00", now.breath_bpm),
        (axes[1], "SpO2, %", "#1565c0", now.spo2),
        (axes[1], "perfusion, %", "#2e7d32", 100.0 * now.perfusion),
        (axes[2], "core, Cel", "#c2185b", now.core_cel),
    ):
        one.plot(t / 3600.0, values, color=colour, linewidth=1.4, label=name)
        one.legend(loc="center left", ncols=2, fontsize=7, framealpha=0.8)
    axes[0].set_ylabel(f"patient {index + 1}", fontsize=8)
    found = [
        Lane(event.what, event.name, start / 3600.0, min(end, seconds) / 3600.0)
        for event, start, end in script.spans(script.patient.events, 0.0, seconds)
    ]
    _draw_lanes(axes[3], found, seconds / 3600.0)


def _draw_lanes(axes: "Axes", lanes: Sequence[Lane], width: float) -> None:
    """One bar per span of truth, kinds below each other; each alarm that is due or may come has a row of its own."""
    alarms = {name for kind, name, _, _ in lanes if kind in ("alarm", "may")}
    titles = [name if kind in ("alarm", "may", "brain") else kind for kind, name, _, _ in lanes]
    kinds = list(dict.fromkeys(titles))
    if not kinds:
        axes.text(0.003 * width, 0.0, "nothing happens", va="center", fontsize=6.5)
    for lane, title in zip(lanes, titles, strict=True):
        row = len(kinds) - 1 - kinds.index(title)
        colour = _LANE_COLOURS.get(lane.kind, _OTHER_COLOUR)
        length = max(lane.to_s - lane.from_s, 0.002 * width)
        axes.barh(row, length, 0.8, lane.from_s, color=colour, edgecolor="white", linewidth=0.5)
        said = {"alarm": "due", "may": "may come"}.get(lane.kind, lane.name)
        if length > _LEAST_NAMED_SHARE * width:
            axes.text(lane.from_s + 0.003 * width, row, said, va="center", fontsize=6.5, clip_on=True)
    kinds = [f"{kind} !" if kind in alarms else kind for kind in kinds]
    axes.set_yticks(range(len(kinds)), kinds[::-1], fontsize=7)
    axes.set_xlim(0.0, width)
    axes.set_ylim(-0.6, max(len(kinds), 1) - 0.4)


def _filtered(trace: Trace, band_hz: tuple[float, float]) -> Array:
    """Band of a trace without delay; what is not there is bridged for the filter and left out again."""
    missing: NDArray[np.bool_] = np.asarray(np.isnan(trace.values).any(axis=0))
    known = np.flatnonzero(~missing)
    whole = np.stack([np.interp(np.arange(len(missing)), known, row[known]) for row in trace.values])
    rate_hz = 1.0 / float(trace.t_s[1] - trace.t_s[0])
    # Steep, so that of the mains nothing is left.
    sos = signal.butter(5, band_hz, "bandpass", fs=rate_hz, output="sos")
    band: Array = signal.sosfiltfilt(sos, whole, padlen=min(round(2.0 * rate_hz), whole.shape[1] - 1))
    band[:, missing] = np.nan
    return band
