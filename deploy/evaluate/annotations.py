"""What was found, as WFDB annotation files, so that anyone's matcher can score it: `--annotations DIR`.

A task hands over the marks of a record: beats with the symbol of their class, and notes such as rhythms and alarms,
whose text stands in the auxiliary field (``(AFIB``). They are written as ``DIR/NAME.ftw``: copy them to the
record's folder, or name ``DIR`` in the WFDB path, and run for instance ``bxb -r NAME -a atr ftw``.
"""

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from anomaly.beat_classes import BeatClass
from anomaly.kernel import Array, IntArray
from deploy.evaluate.records import EvaluateError

EXTENSION = "ftw"
SYMBOLS: Mapping[int, str] = {
    BeatClass.UNKNOWN: "Q",
    BeatClass.NORMAL: "N",
    BeatClass.SUPRAVENTRICULAR: "S",
    BeatClass.VENTRICULAR: "V",
    BeatClass.PACED: "/",
}
RHYTHM, COMMENT = "+", '"'  # the symbols of a change of rhythm and of a note, which alarms are


class Mark(NamedTuple):
    """One annotation."""

    at: float  # samples since the record's start
    symbol: str
    text: str = ""


def beats(at: Array, kind: IntArray | None = None) -> list[Mark]:
    """Marks of beats; without classes each is an ordinary beat."""
    symbols = ["N"] * len(at) if kind is None else [SYMBOLS[k] for k in kind]
    return [Mark(float(time), symbol) for time, symbol in zip(at, symbols, strict=True)]


def write(folder: Path, record: str, rate_hz: float, marks: Iterable[Mark]) -> Path:
    """Write the marks of one record in the order of time; those outside of it are left out.

    A record without a mark gets a file that holds one note, because no reader takes an empty one.
    """
    # At one sample a change of rhythm stands in front of the beat.
    ordered = sorted((mark for mark in marks if mark.at >= 0.0), key=lambda mark: (round(mark.at), mark.symbol))
    ordered = ordered or [Mark(1.0, COMMENT, "nothing found")]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            # The writer's own code, not ours, uses what will be gone one day.
            warnings.simplefilter("ignore", DeprecationWarning)
            import numpy as np  # noqa: PLC0415 - beside the slow one
            import wfdb  # noqa: PLC0415 - takes a second: only for who evaluates

            wfdb.wrann(
                record,
                EXTENSION,
                np.array([round(mark.at) for mark in ordered]),
                [mark.symbol for mark in ordered],
                aux_note=[mark.text for mark in ordered],
                fs=rate_hz,
                write_dir=str(folder),
            )
    except OSError as error:
        raise EvaluateError(f"annotations cannot be written to {folder}: {error.strerror or error}") from error
    return folder / f"{record}.{EXTENSION}"
