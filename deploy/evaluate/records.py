"""Annotated recordings in WFDB files: which there are, and their leads with their beats."""

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anomaly.kernel import Array

BEAT_SYMBOLS = frozenset("NLRBAaJSVrFejnE/fQ?")
PACED_SYMBOL = "/"
STRESSED = "Created by `nst'"  # the comment in the header of what the Noise Stress Test's program has made
CLEAN_S, NOISY_S = 300.0, 120.0  # its protocol: noise for two minutes of every four, after five minutes without


class EvaluateError(ValueError):
    """What was asked for cannot be evaluated; the message says what to do."""


class Recording(NamedTuple):
    """Leads of a record with its annotated beats; times in samples."""

    name: str
    rate_hz: float
    leads: Array  # (n_leads, n_samples)
    beats: Array  # (n_beats,)
    symbols: NDArray[np.str_]  # (n_beats,) annotation code of each
    fibrillation: Array  # (n_segments, 2)
    noisy: Array  # (n_segments, 2) where the Noise Stress Test's protocol adds noise; none in an ordinary record
    paced: bool

    @property
    def signal(self) -> Array:
        """First lead, shape ``(n_samples,)``."""
        first: Array = self.leads[0]
        return first


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


def read(folder: Path, name: str, n_leads: int = 1) -> Recording:
    """One record's first leads and beats; `EvaluateError` if it is damaged, or has no beats or too few leads."""
    path = str(folder / name)
    try:
        with warnings.catch_warnings():
            # The reader's own code, not ours, uses what will be gone one day.
            warnings.simplefilter("ignore", DeprecationWarning)
            import wfdb  # noqa: PLC0415 - takes a second: only for who evaluates

            n_present = wfdb.rdheader(path).n_sig
            record = wfdb.rdrecord(path, channels=list(range(min(n_leads, n_present))))
            annotation = wfdb.rdann(path, "atr")
    except (OSError, ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        # What wfdb raises on a damaged file depends on where the damage is.
        raise EvaluateError(
            f"record {name} in {folder} cannot be read ({error}): fetch {name}.hea, .dat and .atr again"
        ) from error
    if n_present < n_leads:
        raise EvaluateError(f"record {name} in {folder} has {n_present} lead, need {n_leads}: ask for the first only")
    rate_hz = float(record.fs)
    symbols = np.array(annotation.symbol, dtype="U8")
    sample = np.asarray(annotation.sample, np.float64)
    beat = np.flatnonzero(np.isin(symbols, list(BEAT_SYMBOLS)))
    beat = beat[np.argsort(sample[beat], kind="stable")]
    if not len(beat):
        raise EvaluateError(f"record {name} in {folder} has no beat annotations: leave it out (records=...)")
    return Recording(
        name=name,
        rate_hz=rate_hz,
        leads=np.stack([without_holes(lead) for lead in np.asarray(record.p_signal, np.float64).T]),
        beats=sample[beat],
        symbols=symbols[beat],
        fibrillation=np.array(list(_segments(annotation.symbol, sample, len(record.p_signal)))).reshape(-1, 2),
        noisy=(
            stressed(rate_hz, len(record.p_signal))
            if any(comment.strip().startswith(STRESSED) for comment in record.comments)
            else np.zeros((0, 2))
        ),
        paced=bool((symbols == PACED_SYMBOL).any()),
    )


def stressed(rate_hz: float, n_samples: int) -> Array:
    """Segments to which the Noise Stress Test's protocol adds noise, samples, shape ``(n_segments, 2)``.

    Examples
    --------
    >>> stressed(1.0, 500).tolist()
    [[300.0, 420.0]]
    """
    start = np.arange(CLEAN_S * rate_hz, n_samples, 2.0 * NOISY_S * rate_hz)
    return np.stack([start, np.minimum(start + NOISY_S * rate_hz, n_samples)], axis=-1)


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


def without_holes(x: Array) -> Array:
    """Missing samples take the value before them, as in the flow."""
    good = np.isfinite(x)
    if good.all():
        return x
    if not good.any():
        return np.zeros_like(x)
    index = np.maximum.accumulate(np.where(good, np.arange(len(x)), 0))
    return x[np.where(good[index], index, good.argmax())]
