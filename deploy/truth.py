"""What a simulator knew: its truth lines, sorted by what they say."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from deploy.problem import UserError
from device_sim.truth import AlarmLine, BeatLine, FaultLine, PatientLine, TruthLine, read_truth


class Truth(NamedTuple):
    """Truth of one run; times in ns of true time."""

    patients: dict[str, PatientLine]
    beats_ns: dict[str, list[int]]  # per patient, ascending
    faults: dict[str, list[FaultLine]]  # per patient
    alarms: list[AlarmLine]
    recorded: list[str]  # patients whose heart is a recorded one


def truth_at(path: Path) -> Truth:
    """Read a truth file.

    Raises
    ------
    UserError
        The file is not there or not of this form.
    """
    try:
        return gather(read_truth(path))
    except OSError as error:
        raise UserError(f"no truth at {path} ({error.strerror}): need the file that the simulator wrote") from error
    except msgspec.DecodeError as error:
        raise UserError(f"{path} is no truth file ({error}): need the JSON lines that the simulator wrote") from error


def gather(lines: Iterable[TruthLine]) -> Truth:
    """Sort truth lines by what they say."""
    truth = Truth({}, {}, {}, [], [])
    for line in lines:
        match line:
            case PatientLine():
                truth.patients[line.patient] = line
                if line.recorded:
                    truth.recorded.append(line.patient)
            case BeatLine():
                truth.beats_ns.setdefault(line.patient, []).append(line.time_ns)
            case FaultLine():
                truth.faults.setdefault(line.patient, []).append(line)
            case AlarmLine():
                truth.alarms.append(line)
            case _:
                pass
    for beats in truth.beats_ns.values():
        beats.sort()
    return truth
