"""Recordings of breath in BIDMC's CSV files: light, ECG and the breaths that two annotators marked."""

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from anomaly.kernel import Array
from deploy.evaluate.records import EvaluateError

SIGNALS, BREATHS = "_Signals.csv", "_Breaths.csv"
LIGHT, ECG, TIME = "PLETH", "II", "Time [s]"


class BreathRecording(NamedTuple):
    """One recording."""

    name: str
    rate_hz: float
    light: Array  # (n_samples,) photoplethysmogram, rising with the blood in the tissue, about 0 to 1
    ecg: Array  # (n_samples,) lead II, mV
    breaths_s: tuple[Array, Array]  # by annotator, seconds since the first sample, ascending


def names_of(folder: Path, records: Sequence[str] | None) -> tuple[str, ...]:
    """The recordings of a folder, or those of them that are named; `EvaluateError` if there are none."""
    if not folder.is_dir():
        raise EvaluateError(f"there is no folder {folder}: give the folder that holds NAME{SIGNALS} and NAME{BREATHS}")
    whole = [path for path in folder.iterdir() if path.name.removesuffix(".gz").endswith(SIGNALS)]
    present = sorted({path.name.removesuffix(".gz").removesuffix(SIGNALS) for path in whole})
    marked = tuple(name for name in present if _path(folder, name + BREATHS) is not None)
    if not marked:
        raise EvaluateError(
            f"{folder} holds no recording with marked breaths: need NAME{SIGNALS} beside NAME{BREATHS} (or both with "
            f".gz), found {present[:5]}"
        )
    if records is None:
        return marked
    if not records:
        raise EvaluateError(f"no record was named: leave the names out for all {len(marked)} of {folder}")
    for name in records:
        if name not in marked:
            raise EvaluateError(
                f"there is no recording {name!r} with marked breaths in {folder}; there are {', '.join(marked)}"
            )
    return tuple(dict.fromkeys(records))


def read(folder: Path, name: str) -> BreathRecording:
    """One recording; `EvaluateError` if a file is damaged or a signal is missing."""
    header, values = _table(folder, name + SIGNALS)
    columns = dict(zip(header, values.T, strict=True))
    missing = [column for column in (TIME, LIGHT, ECG) if column not in columns]
    if missing or len(values) < 2:
        raise EvaluateError(f"{name}{SIGNALS} in {folder} lacks {', '.join(missing) or 'samples'}: it has {header}")
    time_s = columns[TIME]
    rate_hz = (len(time_s) - 1) / float(time_s[-1] - time_s[0]) if time_s[-1] > time_s[0] else 0.0
    if not 0.0 < rate_hz < 1e5:
        raise EvaluateError(f"{name}{SIGNALS} in {folder} has times from {time_s[0]} to {time_s[-1]} s: fetch it again")
    rate_hz = round(rate_hz, 2)
    _, marks = _table(folder, name + BREATHS)
    if marks.shape[1] != 2:
        raise EvaluateError(f"{name}{BREATHS} in {folder} has {marks.shape[1]} columns: need one of each annotator")
    return BreathRecording(
        name=name,
        rate_hz=rate_hz,
        light=columns[LIGHT],
        ecg=columns[ECG],
        breaths_s=(_seconds(marks[:, 0], rate_hz), _seconds(marks[:, 1], rate_hz)),
    )


def _seconds(samples: Array, rate_hz: float) -> Array:
    return np.sort(samples[np.isfinite(samples)]) / rate_hz


def _path(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _table(folder: Path, name: str) -> tuple[list[str], Array]:
    """Header and numbers of a CSV file; an empty cell is NaN."""
    path = _path(folder, name)
    if path is None:
        raise EvaluateError(f"there is no {name} or {name}.gz in {folder}")
    try:
        octets = path.read_bytes()
        text = (gzip.decompress(octets) if path.suffix == ".gz" else octets).decode()
        head, *lines = text.splitlines()
        header = [column.strip() for column in head.split(",")]
        values = np.genfromtxt(lines, delimiter=",", dtype=np.float64).reshape(len(lines), -1)
    except (OSError, EOFError, ValueError) as error:
        raise EvaluateError(f"{path} cannot be read ({error}): fetch it again") from error
    # A header may hold commas in its words; numbers do not.
    if values.shape[1] == 0:
        raise EvaluateError(f"{path} holds no numbers: fetch it again")
    return (header if len(header) == values.shape[1] else [head]), values
