"""Recordings with rhythm labels, streamed through the ventricular kernel: what it saw of each second, and its label."""

import warnings
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anomaly.kernel import Array, BoolArray
from anomaly.ventricular import N_JOINED, VentricularDetector
from anomaly.ventricular_features import GRID_HZ, WINDOW_S
from deploy.evaluate import records
from deploy.evaluate.noise import add, read_noise
from deploy.evaluate.records import EvaluateError, without_holes
from deploy.evaluate.request import Request

Words = NDArray[np.str_]
PACKET_S = 0.25
LONG_S = WINDOW_S + N_JOINED - 1  # what a decision looks back on
FIBRILLATION = frozenset({"VF", "VFIB", "VFL"})
TACHYCARDIA = frozenset({"VT"})
OUT = frozenset({"NOISE", "ASYS", ""})  # ASYS is scored alone


class Seconds(NamedTuple):
    """The decisions of the kernel on one record."""

    name: str
    seconds: float  # length of the record
    at_s: Array  # (n,) end of the window
    label: Words  # (n,) the one rhythm of the whole window; "mixed" where there are several, "" where none
    touched: BoolArray  # (n,) ventricular fibrillation, flutter or tachycardia in a part of the window
    leads: Array  # (n, n_channels, n_features)
    ventricular: Array  # (n,) as the flow's own model says
    fibrillation: Array  # (n,)
    disorder: Array  # (n,)


class Labelled(NamedTuple):
    """All leads of a record, and its rhythm changes."""

    name: str
    rate_hz: float
    signal: Array  # (n_channels, n_samples)
    since: Array  # (n_changes,) samples
    rhythm: Words  # (n_changes,)


def read(request: Request, name: str) -> Labelled:
    """One record and its rhythm labels, in noise if asked for; `EvaluateError` if it is damaged or has none."""
    folder = request.folder
    path = str(folder / name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            import wfdb  # noqa: PLC0415 - takes a second: only for who evaluates

            record = wfdb.rdrecord(path)
            annotation = wfdb.rdann(path, "atr")
    except (OSError, ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise EvaluateError(
            f"record {name} in {folder} cannot be read ({error}): fetch {name}.hea, .dat and .atr again"
        ) from error
    changes = [
        (float(at), note.rstrip("\0").removeprefix("("))
        for at, note in zip(annotation.sample, annotation.aux_note, strict=True)
        if note.startswith("(")
    ]
    if not changes:
        raise EvaluateError(f"record {name} in {folder} has no rhythm labels: leave it out (records=...)")
    if request.noise is None:
        leads = np.stack([without_holes(lead) for lead in np.asarray(record.p_signal, np.float64).T])
    else:
        noise = read_noise(request.noise, request.snr_db, request.seed)
        leads = add(noise, records.read(folder, name, record.n_sig)).leads
    return Labelled(
        name,
        float(record.fs),
        leads,
        np.array([at for at, _ in changes]),
        np.array([rhythm for _, rhythm in changes], dtype="U8"),
    )


def streamed(recordings: Sequence[Labelled]) -> list[Seconds]:
    """What the kernel decides on records, those of one rate and number of leads in one bank, by packets of 250 ms."""
    found: dict[str, Seconds] = {}
    for rate_hz, channels in sorted({(record.rate_hz, len(record.signal)) for record in recordings}):
        bank = [record for record in recordings if (record.rate_hz, len(record.signal)) == (rate_hz, channels)]
        found |= {record.name: seconds for record, seconds in zip(bank, _decisions(bank, rate_hz), strict=True)}
    return [found[record.name] for record in recordings]


def _decisions(recordings: Sequence[Labelled], rate_hz: float) -> Iterator[Seconds]:
    packet = max(1, round(PACKET_S * rate_hz))
    try:
        kernel = VentricularDetector(rate_hz)
    except ValueError as error:
        raise EvaluateError(f"the records are sampled at {rate_hz:g} Hz: {error}") from error
    n_packets = -(-max(record.signal.shape[1] for record in recordings) // packet)
    state = kernel.init(_packet(recordings, 0, packet))
    parts = []
    for k in range(n_packets):
        state, out = kernel.step(state, _packet(recordings, k * packet, packet))
        row, slot = np.nonzero(np.isfinite(out.at))
        parts.append((row, *(field[row, slot] for field in out)))
    row, at, ventricular, fibrillation, disorder, _, _, _, leads = (
        np.concatenate(part) for part in zip(*parts, strict=True)
    )
    for number, record in enumerate(recordings):
        mine = (row == number) & (at < record.signal.shape[1]) & (at >= LONG_S * rate_hz - rate_hz / GRID_HZ)
        yield Seconds(
            record.name,
            record.signal.shape[1] / rate_hz,
            at[mine] / rate_hz,
            *labels(record, at[mine]),
            leads[mine],
            ventricular[mine],
            fibrillation[mine],
            disorder[mine],
        )


def labels(record: Labelled, at: Array) -> tuple[Words, BoolArray]:
    """Label of the windows that end at samples `at`, and whether any part of them is ventricular."""
    first = np.searchsorted(record.since, at - LONG_S * record.rate_hz, side="right") - 1
    last = np.searchsorted(record.since, at, side="right") - 1
    names = np.append(record.rhythm, "")  # before the first label there is none
    ventricular = np.isin(record.rhythm, sorted(FIBRILLATION | TACHYCARDIA))
    # More such labels have begun by its end than had been over before it began.
    through = np.append(0, np.cumsum(ventricular))
    return np.where(first == last, names[last], "mixed"), through[last + 1] > through[np.maximum(first, 0)]


def _packet(recordings: Sequence[Labelled], start: int, n_samples: int) -> Array:
    """One packet of each record; one that has ended is held at its last value."""
    place = np.arange(start, start + n_samples)
    return np.stack([record.signal[:, np.minimum(place, record.signal.shape[1] - 1)] for record in recordings])
