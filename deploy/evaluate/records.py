"""Annotated recordings in WFDB files: which there are, and the first lead with its beats."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from anomaly.kernel import Array

BEAT_SYMBOLS = frozenset("NLRBAaJSVrFejnE/fQ?")
PACED_SYMBOL = "/"


class EvaluateError(ValueError):
    """What was asked for cannot be evaluated; the message says what to do."""


class Recording(NamedTuple):
    """First lead of a record with its annotated beats; times in samples."""

    name: str
    rate_hz: float
    signal: Array  # (n_samples,)
    beats: Array  # (n_beats,)
    fibrillation: Array  # (n_segments, 2)
    paced: bool


def names_of(folder: Path, records: Sequence[str] | None) -> tuple[str, ...]:
    """The annotated records of a folder, or those of them that are named; `EvaluateError` if there are none."""
    if not folder.is_dir():
        raise EvaluateError(
            f"there is no folder {folder}: give the folder that holds the WFDB records (.hea, .dat, .atr)"
        )
    present = sorted(path.stem for path in folder.glob("*.hea"))
    annotated = tuple(name for name in present if (folder / f"{name}.atr").is_file())
    if not annotated:
        raise EvaluateError(
            f"{folder} holds no WFDB record with annotations: need NAME.hea beside NAME.atr, found {present[:5]}"
        )
    if records is None:
        return annotated
    if not records:
        raise EvaluateError(f"no record was named: leave the names out for all {len(annotated)} of {folder}")
    for name in records:
        if name not in annotated:
            raise EvaluateError(
                f"there is no annotated record {name!r} in {folder}: need {name}.hea and {name}.atr; "
                f"there are {', '.join(annotated)}"
            )
    return tuple(dict.fromkeys(records))


def read(folder: Path, name: str) -> Recording:
    """One record's first lead and beats; `EvaluateError` if it is damaged or has no beats."""
    path = str(folder / name)
    try:
        with warnings.catch_warnings():
            # The reader's own code, not ours, uses what will be gone one day.
            warnings.simplefilter("ignore", DeprecationWarning)
            import wfdb  # noqa: PLC0415 - takes a second: only for who evaluates

            record = wfdb.rdrecord(path, channels=[0])
            annotation = wfdb.rdann(path, "atr")
    except (OSError, ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        # What wfdb raises on a damaged file depends on where the damage is.
        raise EvaluateError(
            f"record {name} in {folder} cannot be read ({error}): fetch {name}.hea, .dat and .atr again"
        ) from error
    rate_hz = float(record.fs)
    symbols = np.array(annotation.symbol, dtype="U8")
    sample = np.asarray(annotation.sample, np.float64)
    beat = np.isin(symbols, list(BEAT_SYMBOLS))
    if not beat.any():
        raise EvaluateError(f"record {name} in {folder} has no beat annotations: leave it out (records=...)")
    return Recording(
        name=name,
        rate_hz=rate_hz,
        signal=_without_holes(np.asarray(record.p_signal, np.float64)[:, 0]),
        beats=np.sort(sample[beat]),
        fibrillation=np.array(list(_segments(annotation.symbol, sample, len(record.p_signal)))).reshape(-1, 2),
        paced=bool((symbols == PACED_SYMBOL).any()),
    )


def _segments(symbols: Sequence[str], sample: Array, n_samples: int) -> Iterator[tuple[float, float]]:
    """Ventricular flutter and fibrillation: from ``[`` to ``]`` or the end."""
    start: float | None = None
    for symbol, at in zip(symbols, sample, strict=True):
        if symbol == "[" and start is None:
            start = float(at)
        elif symbol == "]" and start is not None:
            yield start, float(at)
            start = None
    if start is not None:
        yield start, float(n_samples)


def _without_holes(x: Array) -> Array:
    """Missing samples take the value before them, as in the flow."""
    good = np.isfinite(x)
    if good.all():
        return x
    if not good.any():
        return np.zeros_like(x)
    index = np.maximum.accumulate(np.where(good, np.arange(len(x)), 0))
    return x[np.where(good[index], index, good.argmax())]
