"""Alarms of bedside monitors with their truth, and the signals before them."""

import csv
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, cast

import numpy as np

from anomaly.judgement import ARRHYTHMIAS, Arrhythmia
from anomaly.kernel import Array, BoolArray, IntArray
from deploy.evaluate.records import EvaluateError

TRUTH = "ALARMS.csv"
ALARM_S = 300.0  # the alarm came at 5:00: nothing later is looked at
BEFORE_S = 300.0
NAMES: Final[dict[str, Arrhythmia]] = {
    "Asystole": "asystole",
    "Bradycardia": "extreme-bradycardia",
    "Tachycardia": "extreme-tachycardia",
    "Ventricular_Flutter_Fib": "ventricular-fibrillation",
    "Ventricular_Tachycardia": "ventricular-tachycardia",
}
PULSES: Final = ("PLETH", "ABP")  # light and pressure


class Alarm(NamedTuple):
    """One alarm of a monitor."""

    record: str
    condition: Arrhythmia
    true: bool


class Bedside(NamedTuple):
    """Signals of one record up to its alarm."""

    rate_hz: float
    leads: Array  # (n_leads, n_samples), mV; NaN where a sample is missing
    pulses: dict[str, Array]  # of PULSES, those that are there; (n_samples,)


def alarms_of(folder: Path, records: Sequence[str] | None) -> tuple[Alarm, ...]:
    """The alarms of a folder by its ALARMS.csv, or those of them that are named; `EvaluateError` if there are none."""
    path = folder / TRUTH
    if not path.is_file():
        raise EvaluateError(f"there is no {path}: give a folder with {TRUTH} (record, alarm, true_alarm) and records")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = {}
    for row in rows:
        name, alarm, true = (row.get(key) or "" for key in ("record", "alarm", "true_alarm"))
        if alarm not in NAMES or true not in {"0", "1"}:
            raise EvaluateError(
                f"{path} says {row}: need record, alarm (one of {', '.join(NAMES)}) and true_alarm (0 or 1)"
            )
        found[name] = Alarm(name, NAMES[alarm], true == "1")
    wanted = tuple(found) if records is None else tuple(dict.fromkeys(records))
    for name in wanted:
        if name not in found:
            raise EvaluateError(f"there is no record {name!r} in {path}: there are {', '.join(found)}")
    if not wanted:
        raise EvaluateError(f"{path} names no record: need a line for each, with record, alarm and true_alarm")
    return tuple(found[name] for name in wanted)


def read(folder: Path, name: str) -> Bedside:
    """Signals of a record up to 5:00; `EvaluateError` if it is damaged or has no ECG lead."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            import wfdb  # noqa: PLC0415 - takes a second: only for who evaluates

            record = wfdb.rdrecord(str(folder / name))
        rate_hz = float(record.fs)
        signal = np.asarray(record.p_signal, np.float64)[: round(ALARM_S * rate_hz)].T
        kinds = list(zip(cast("list[str]", record.sig_name), cast("list[str]", record.units), strict=True))
    except (OSError, ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise EvaluateError(f"record {name} in {folder} cannot be read ({error}): fetch it again") from error
    leads = [k for k, (_, unit) in enumerate(kinds) if unit == "mV"]
    if not leads:
        raise EvaluateError(f"record {name} in {folder} has no lead in mV, but {kinds}: leave it out (--records)")
    return Bedside(
        rate_hz=rate_hz,
        leads=np.ascontiguousarray(signal[leads]),
        pulses={kind: signal[k] for k, (kind, _) in enumerate(kinds) if kind in PULSES},
    )


def is_ventricular(alarms: Sequence[Alarm]) -> BoolArray:
    """Whether each alarm is of the ventricles."""
    return np.array([alarm.condition.startswith("ventricular") for alarm in alarms], np.bool_)


def truth_of(alarms: Sequence[Alarm]) -> tuple[IntArray, BoolArray]:
    """Index into `ARRHYTHMIAS` of each alarm, and whether it is true."""
    kind = np.array([ARRHYTHMIAS.index(alarm.condition) for alarm in alarms], np.int64)
    return kind, np.array([alarm.true for alarm in alarms], np.bool_)
