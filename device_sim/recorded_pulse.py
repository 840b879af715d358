"""A recorded plethysmogram as the pulse in a patient's light, from a WFDB record or a table of its signals."""

import gzip
import warnings
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from device_sim.recording import Recording
from device_sim.wearable import FIELD_RATE_HZ

Array = NDArray[np.float64]

_TABLES = (".csv", ".csv.gz")  # as BIDMC has them: a line of names, the time in s first
_LEAST_LINES = 3


def pulse_file(record: str) -> Path:
    """File that a recorded pulse needs: the table itself, or the header of a WFDB record."""
    return Path(record if record.endswith(_TABLES) else f"{record}.hea")


@lru_cache(maxsize=8)
def load_pulse(record: str) -> Recording:
    """Read a plethysmogram: the signal that is named PLETH, or the first.

    The wave is 0 between the pulses and 1 at the top of a usual one.

    Parameters
    ----------
    record
        Path of a WFDB record without extension, or of a table (.csv, .csv.gz) with the time in s in its first column.

    Raises
    ------
    ValueError
        If the file is missing or flat; the message names the file looked for.
    """
    if not pulse_file(record).is_file():
        raise ValueError(
            f"record {record!r}: no file {pulse_file(record)} (header); give a record's path without extension, or a "
            "table (.csv, .csv.gz)"
        )
    try:
        raw, rate_hz = _read_table(Path(record)) if record.endswith(_TABLES) else _read_record(record)
    except (OSError, ValueError, IndexError) as error:
        raise ValueError(f"record {record!r} cannot be read: {error}") from error
    raw = np.nan_to_num(raw, nan=float(np.nanmedian(raw)))
    low, high = np.percentile(raw, [5.0, 95.0])
    if not high > low:
        raise ValueError(f"record {record!r}: its plethysmogram is flat: take another record")
    ratio = Fraction(FIELD_RATE_HZ / rate_hz).limit_denominator(1000)
    wave = signal.resample_poly((raw - low) / (high - low), ratio.numerator, ratio.denominator, padtype="line")
    return Recording(record, wave, np.zeros(0), ())


def _read_record(record: str) -> tuple[Array, float]:
    """Plethysmogram and its rate."""
    # wfdb brings pandas, which takes a second to import, and uses it in ways that pandas warns of.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import wfdb  # noqa: PLC0415  # only where a record is asked for

        whole = wfdb.rdrecord(record)
    channel = _channel([str(name) for name in whole.sig_name])
    return np.asarray(whole.p_signal[:, channel], np.float64), float(whole.fs)


def _read_table(path: Path) -> tuple[Array, float]:
    """Plethysmogram and its rate, by the mean step of the time."""
    content = path.read_bytes()
    lines = (gzip.decompress(content) if path.suffix == ".gz" else content).decode().splitlines()
    names = lines[0].split(",")
    channel = 1 + _channel(names[1:])
    if len(lines) < _LEAST_LINES:
        raise ValueError(f"need a line of names and two of numbers, found {len(lines)} lines")
    values = np.loadtxt(lines[1:], delimiter=",", usecols=(0, channel), ndmin=2)
    if not values[-1, 0] > values[0, 0]:
        raise ValueError("need times in s that rise in its first column")
    return values[:, 1], (len(values) - 1) / float(values[-1, 0] - values[0, 0])


def _channel(names: list[str]) -> int:
    plain = [name.upper().strip(", ") for name in names]
    return plain.index("PLETH") if "PLETH" in plain else 0
