"""Scenarios: who lies in the ward and what happens to whom when, from TOML."""

import hashlib
from functools import lru_cache
from pathlib import Path

import msgspec

from device_sim.events import Event, need
from device_sim.recorded_pulse import pulse_file
from device_sim.refusal import place_of
from device_sim.script import EVENT_LISTS, PatientScript, Script

LIBRARY = Path(__file__).parent / "scenarios"
RECORD_ENDINGS = {".hea": "header", ".atr": "beat annotations: they are the truth"}


class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A ward. Patient `i` of any number of patients follows script ``i % len(patients)``: the share stays the same."""

    about: str
    patients: tuple[PatientScript, ...]
    repeat_s: float = 0.0  # the script begins anew after this time; 0: it runs once
    seed: int = 1  # unless another is asked for
    seconds: float = 60.0  # how long it takes to see what it is about

    def __post_init__(self) -> None:
        """Refuse an empty ward, and events that do not fit into the repeated time."""
        if not self.patients:
            raise ValueError("patients is empty: need at least one [[patients]] table")
        need("repeat_s", self.repeat_s, 0.0, 1e9)
        need("seed", self.seed, 0, 2.0**53)
        need("seconds", self.seconds, 1.0, 1e9)
        if self.repeat_s == 0.0:
            return
        for number, script in enumerate(self.patients):
            for key in EVENT_LISTS:
                events: tuple[Event, ...] = getattr(script, key)
                for place, event in enumerate(events):
                    if event.from_s + max(event.for_s, 0.001) > self.repeat_s:
                        raise ValueError(
                            f"an event at {event.from_s:g} s does not end within repeat_s={self.repeat_s:g} - at "
                            f"`$.patients[{number}].{key}[{place}]`"
                        )


def names() -> list[str]:
    """Names of the built-in scenarios."""
    return sorted(path.stem for path in LIBRARY.glob("*.toml"))


def load_scenario(name: str) -> Scenario:
    """Read a built-in scenario by name, or any other by the path of its TOML file.

    Raises
    ------
    ValueError
        If there is none of that name, or if it holds something that cannot be; the message says what, in which line,
        and what is allowed.
    """
    path = _path(name)
    if not path.is_file():
        raise ValueError(
            f"scenario {name!r} is unknown: allowed are {', '.join(names())}, or the path of a .toml file that exists"
        )
    return _read(path, path.stat().st_mtime_ns)


def scenario_sha256(name: str) -> str:
    """Hash of a scenario's file, as it is now."""
    return hashlib.sha256(_path(name).read_bytes()).hexdigest()


def _path(name: str) -> Path:
    return Path(name) if name.endswith(".toml") else LIBRARY / f"{name}.toml"


@lru_cache(maxsize=64)
def _read(path: Path, _changed_ns: int) -> Scenario:
    content = path.read_bytes()
    try:
        return _with_records(msgspec.toml.decode(content, type=Scenario), path.parent)
    except (msgspec.DecodeError, ValueError) as error:
        where = place_of(str(error), content.decode(errors="replace"))
        raise ValueError(f"scenario {path}{where}: {error}") from error


def _with_records(scenario: Scenario, folder: Path) -> Scenario:
    """Find the records that scripts name beside the scenario's file, and refuse those that are not there."""
    patients = []
    for number, script in enumerate(scenario.patients):
        found = script
        if script.record:
            path = folder / script.record
            for ending in RECORD_ENDINGS:
                _need_file(f"$.patients[{number}].record", script.record, Path(f"{path}{ending}"))
            found = msgspec.structs.replace(found, record=str(path))
        if script.pulse_record:
            path = folder / script.pulse_record
            _need_file(f"$.patients[{number}].pulse_record", script.pulse_record, pulse_file(str(path)))
            found = msgspec.structs.replace(found, pulse_record=str(path))
        patients.append(found)
    return msgspec.structs.replace(scenario, patients=tuple(patients))


def _need_file(where: str, name: str, path: Path) -> None:
    if not path.is_file():
        what = RECORD_ENDINGS.get(path.suffix, "a table of signals")
        raise ValueError(
            f"{where.rpartition('.')[2]}={name!r}: no file {path} ({what}); give the path without extension, from the "
            f"scenario's own folder - at `{where}`"
        )


def script_of(scenario: Scenario, index: int) -> Script:
    """Script of patient `index`."""
    return Script(scenario.patients[index % len(scenario.patients)], scenario.repeat_s)
