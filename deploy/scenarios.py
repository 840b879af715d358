"""`femtoward simulate` without a broker: the library of scenarios, pictures, the witness, days of vitals."""

import textwrap
import time
from pathlib import Path

import msgspec
import numpy as np

from deploy.problem import UserError
from device_sim.course import DAY_S
from device_sim.days import DayBlock, DayOptions, days
from device_sim.devices import DEVICES
from device_sim.events import ACTIVITIES, BLOODS, BRAINS, BREATHS, COURSES, RHYTHMS
from device_sim.faults import FAULTS
from device_sim.fleet import FleetOptions
from device_sim.picture import MAX_PATIENTS, draw
from device_sim.scenario import load_scenario, names
from device_sim.standin import placed
from device_sim.truth import WitnessLine
from device_sim.witness import differences, options_of, witnessed

WITNESSED_S = 60.0  # unless another time is asked for
WORDS: dict[str, tuple[str, ...]] = {
    "rhythms": RHYTHMS,
    "breaths": BREATHS,
    "blood": BLOODS,
    "activities": ACTIVITIES,
    "courses": COURSES,
    "brain": BRAINS,
    "faults": FAULTS,
    "temperatures": ("core_cel",),  # a number, not a name
    "st": ("st", "t_wave"),
}


class ScenarioRow(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario of the library."""

    name: str
    patients: int
    seconds: float
    devices: tuple[str, ...]
    happens: tuple[str, ...]  # what is scripted, by name
    about: str


class DaysReport(msgspec.Struct, frozen=True, kw_only=True):
    """Days of vitals, and how fast they were made."""

    scenario: str
    seed: int
    patients: int
    days: float
    every_s: float
    rows: int  # patients times times
    seconds: float  # that it took
    times_real_time: float
    path: str | None


class DeviceRow(msgspec.Struct, frozen=True, kw_only=True):
    """One device that a simulated patient can wear."""

    name: str
    model: str
    room: str
    sensor: str
    channels: int
    references: int
    rate_hz: int
    noise_pt: float  # white density, pT / sqrt(Hz)
    bandwidth_hz: float
    range_pt: float
    faults: tuple[str, ...]


class Library(msgspec.Struct, frozen=True, kw_only=True):
    """All that can be simulated, and every word that a scenario may use."""

    scenarios: list[ScenarioRow]
    devices: list[DeviceRow]
    words: dict[str, tuple[str, ...]]  # what may happen, by the list of a script that it stands in


def library() -> Library:
    """Built-in scenarios, devices, and words of a scenario."""
    return Library(scenarios=_scenarios(), devices=_devices(), words=WORDS)


def _scenarios() -> list[ScenarioRow]:
    rows = []
    for name in names():
        scenario = load_scenario(name)
        happens = dict.fromkeys(event.name for script in scenario.patients for event in script.events)
        devices = dict.fromkeys(script.device for script in scenario.patients)
        rows.append(
            ScenarioRow(
                name=name,
                patients=len(scenario.patients),
                seconds=scenario.seconds,
                devices=tuple(devices),
                happens=tuple(happens),
                about=scenario.about,
            )
        )
    return rows


def _devices() -> list[DeviceRow]:
    return [
        DeviceRow(
            name=name,
            model=kind.model,
            room=kind.room,
            sensor=kind.head.sensor,
            channels=kind.head.n_channels,
            references=kind.head.n_all - kind.head.n_channels,
            rate_hz=kind.rate_hz,
            noise_pt=kind.head.noise_pt,
            bandwidth_hz=kind.head.kernel.bandwidth_hz,
            range_pt=kind.head.kernel.range_pt,
            faults=kind.faults,
        )
        for name, kind in DEVICES.items()
    ]


def library_in_words(found: Library) -> list[str]:
    """Tables for people."""
    lines = [f"{'scenario':<26} {'patients':>8} {'seconds':>8}  about"]
    lines += [f"{row.name:<26} {row.patients:>8} {row.seconds:>8g}  {row.about}" for row in found.scenarios]
    lines += ["", f"{'device':<36} {'channels':>8} {'Hz':>5} {'pT/rtHz':>8}  what, where"]
    lines += [
        f"{row.name:<36} {row.channels:>8} {row.rate_hz:>5} {row.noise_pt:>8.3g}  {row.model}, {row.room}"
        for row in found.devices
    ]
    lines += ["", "what may happen in a scenario"]
    for kind, words in found.words.items():
        lines += textwrap.wrap(
            f"{kind:<13} {', '.join(words)}", 118, subsequent_indent=" " * 14, break_on_hyphens=False
        )
    return lines


def picture(path: Path, **run: object) -> int:
    """Draw a scenario; answers how many of its patients are in the picture.

    Raises
    ------
    UserError
        The scenario is refused, or the file cannot be written.
    """
    if path.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise UserError(f"--plot {path}: need a file that ends in .png, .svg or .pdf")
    options = _fleet(**run)
    hearts, pulses = (placed(name, getattr(options, name), options.patients) for name in ("wfdb", "pulse"))
    # Patients beyond the scenario's own differ by their bodies alone, unless a record stands in.
    scripts = len(load_scenario(options.scenario).patients)
    shown = min(options.patients, max(scripts, 1 + max((*hearts, *pulses), default=0)), MAX_PATIENTS)
    seen = {
        name: tuple(f"{index + 1}={record}" for index, record in records.items() if index < shown)
        for name, records in (("wfdb", hearts), ("pulse", pulses))
    }
    try:
        draw(msgspec.structs.replace(options, patients=shown, **seen), path)
    except ValueError as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise UserError(f"--plot {path} cannot be written: {error.strerror or error}") from error
    return shown


def witness(**run: object) -> WitnessLine:
    """Hash of a run; the same on machines of one kind.

    Raises
    ------
    UserError
        What is to be run is refused.
    """
    options = _fleet(**run)
    try:
        return witnessed(msgspec.structs.replace(options, seconds=options.seconds or WITNESSED_S))
    except ValueError as error:
        raise UserError(str(error)) from error


def witness_in_words(line: WitnessLine) -> list[str]:
    """One line for people."""
    what = f"{line.patients} patients of {line.scenario} for {line.seconds:g} s, seed {line.seed}"
    return [f"{line.sha256}  {what}, version {line.version}"]


class AgainReport(msgspec.Struct, frozen=True, kw_only=True):
    """A run that was run again."""

    same: bool
    differences: tuple[str, ...]
    then: WitnessLine
    now: WitnessLine


def run_again(path: Path) -> AgainReport:
    """Run the run of a truth file, or of a witness that was kept as JSON, again from its own start on.

    Raises
    ------
    UserError
        There is no witness in it, or one of a run that cannot be run again.
    """
    then = _witness_in(path)
    try:
        now = witnessed(options_of(then), then.from_ns)
    except (ValueError, OSError) as error:
        raise UserError(f"--from {path}: {error}") from error
    found = differences(then, now)
    return AgainReport(same=not found, differences=tuple(found), then=then, now=now)


def again_in_words(report: AgainReport) -> list[str]:
    """Lines for people."""
    return [*witness_in_words(report.now), *(report.differences or ("the same bytes",))]


def _witness_in(path: Path) -> WitnessLine:
    try:
        content = path.read_bytes().strip()
    except OSError as error:
        raise UserError(f"--from {path} cannot be read: {error.strerror or error}") from error
    for text in (content, content[content.rfind(b"\n") + 1 :]):
        try:
            return msgspec.json.decode(text, type=WitnessLine)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    raise UserError(
        f"--from {path}: no witness in it; need a truth file of a run that came to its end (`--seconds N "
        "--truth FILE`), or what `--witness --json` says"
    )


def make_days(options: DayOptions, path: Path | None) -> DaysReport:
    """Make days of vitals, measure how long that takes, and write them as a NumPy archive if a file is named.

    Raises
    ------
    UserError
        The scenario is refused, or the file cannot be written.
    """
    begin = time.perf_counter()
    kept: list[DayBlock] = []
    rows = 0
    try:
        for block in days(options):
            rows += block.hr.size
            if path is not None:
                kept.append(block)
    except ValueError as error:
        raise UserError(str(error)) from error
    took_s = time.perf_counter() - begin
    if path is not None:
        try:
            _write_days(path, kept)
        except OSError as error:
            raise UserError(f"--vitals {path} cannot be written: {error.strerror or error}") from error
    return DaysReport(
        scenario=options.scenario,
        seed=options.seed,
        patients=options.patients,
        days=options.days,
        every_s=options.every_s,
        rows=rows,
        seconds=took_s,
        times_real_time=options.days * DAY_S / took_s,
        path=str(path) if path else None,
    )


def _write_days(path: Path, blocks: list[DayBlock]) -> None:
    np.savez_compressed(
        path,
        t_s=np.concatenate([block.t_s for block in blocks]),
        hr=np.concatenate([block.hr for block in blocks], axis=1, dtype=np.float32),
        breath=np.concatenate([block.breath for block in blocks], axis=1, dtype=np.float32),
        spo2=np.concatenate([block.spo2 for block in blocks], axis=1, dtype=np.float32),
        skin_cel=np.concatenate([block.skin_cel for block in blocks], axis=1, dtype=np.float32),
        core_cel=np.concatenate([block.core_cel for block in blocks], axis=1, dtype=np.float32),
        moving=np.concatenate([block.moving for block in blocks], axis=1),
        ill=np.concatenate([block.ill for block in blocks], axis=1),
    )


def day_options(**fields: object) -> DayOptions:
    """Options that were checked.

    Raises
    ------
    UserError
        One of them is refused.
    """
    try:
        return msgspec.convert(fields, DayOptions)
    except msgspec.ValidationError as error:
        raise UserError(str(error)) from error


def days_in_words(report: DaysReport) -> list[str]:
    """Lines for people."""
    said = (
        f"{report.days:g} days of {report.patients} patients, every {report.every_s:g} s: {report.rows} rows in "
        f"{report.seconds:.2f} s, {report.times_real_time:,.0f} times real time; simulated"
    )
    return [said, f"vitals in {report.path}"] if report.path else [said]


def _fleet(**run: object) -> FleetOptions:
    try:
        options = msgspec.convert(run, FleetOptions)
        load_scenario(options.scenario)
    except (ValueError, msgspec.ValidationError) as error:
        raise UserError(str(error)) from error
    return options
