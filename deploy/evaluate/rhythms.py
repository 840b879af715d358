"""Recordings whose rhythm is known: WFDB records with rhythm marks, and the short strips of PhysioNet/CinC 2017."""

import csv
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import io

from anomaly.kernel import Array
from deploy.evaluate.records import EvaluateError, names_of, read

REFERENCE = "REFERENCE.csv"  # record, label
STRIP_HZ = 300.0  # of every strip of CinC 2017
STRIP_PER_MV = 1000.0
LABELS = ("N", "A", "O", "~")


class Rhythm(NamedTuple):
    """One lead with its rhythm."""

    name: str
    rate_hz: float
    signal: Array  # (n_samples,)
    at: NDArray[np.int64]  # (n_marks,) sample from which on a rhythm holds, ascending
    rhythm: tuple[str, ...]  # its name, as "AFIB" or "N"; of a strip: its label

    @property
    def n_seconds(self) -> int:
        """Whole seconds."""
        return int(len(self.signal) / self.rate_hz)

    def each_second(self) -> NDArray[np.str_]:
        """The rhythm in the middle of each second, shape (n_seconds,); before the first mark that of the first."""
        middle = (np.arange(self.n_seconds) + 0.5) * self.rate_hz
        index = np.maximum(np.searchsorted(self.at, middle, side="right") - 1, 0)
        names: NDArray[np.str_] = np.array(self.rhythm)[index]
        return names


def are_strips(folder: Path) -> bool:
    """Whether a folder holds labelled strips, and not records with marks."""
    return (folder / REFERENCE).is_file()


def strips(folder: Path, records: Sequence[str] | None) -> list[Rhythm]:
    """Labelled strips of a folder, or those that are named."""
    labels = _labels(folder / REFERENCE)
    wanted = list(labels) if records is None else list(dict.fromkeys(records))
    for name in wanted:
        if name not in labels:
            raise EvaluateError(f"there is no strip {name!r} in {folder / REFERENCE}: it names {len(labels)} others")
    if not wanted:
        raise EvaluateError(f"no strip was named: leave the names out for all {len(labels)} of {folder}")
    return [_strip(folder, name, labels[name]) for name in wanted]


def records_of(folder: Path, records: Sequence[str] | None) -> list[Rhythm]:
    """Records with rhythm marks of a folder, or those that are named."""
    return [_record(folder, name) for name in names_of(folder, records)]


def _labels(path: Path) -> dict[str, str]:
    with path.open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.reader(lines) if len(row) >= 2]
    labels = {row[0].strip(): row[1].strip() for row in rows if row[1].strip() in LABELS}
    if not labels:
        raise EvaluateError(f"{path} names no strip: need lines of a record and one of {', '.join(LABELS)}")
    return labels


def _strip(folder: Path, name: str, label: str) -> Rhythm:
    path = folder / f"{name}.mat"
    try:
        values = np.asarray(io.loadmat(str(path))["val"], np.float64)
    except (OSError, ValueError, KeyError, TypeError, NotImplementedError) as error:
        raise EvaluateError(f"strip {path} cannot be read ({error}): fetch it again") from error
    if values.ndim != 2 or values.shape[1] < STRIP_HZ:
        raise EvaluateError(f"strip {path} has shape {values.shape}, need one lead of a second or more")
    return Rhythm(name, STRIP_HZ, np.nan_to_num(values[0]) / STRIP_PER_MV, np.zeros(1, np.int64), (label,))


def _record(folder: Path, name: str) -> Rhythm:
    recording = read(folder, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import wfdb  # noqa: PLC0415 - takes a second: only for who evaluates

        annotation = wfdb.rdann(str(folder / name), "atr")
    marks = [
        (int(at), note.strip("\0 ").removeprefix("("))
        for at, note in zip(annotation.sample, annotation.aux_note, strict=True)
        if note.startswith("(")
    ]
    if not marks:
        raise EvaluateError(f"record {name} in {folder} has no rhythm marks: leave it out (records=...)")
    at, rhythm = zip(*marks, strict=True)
    return Rhythm(name, recording.rate_hz, recording.signal, np.array(at, np.int64), rhythm)
