"""A recorded ECG as a patient's heart: its samples drive the field, its annotations are the true beats."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from device_sim.events import RhythmName
from device_sim.physiology import Beat, BeatClass
from device_sim.script import Episode
from device_sim.wearable import FIELD_RATE_HZ

Array = NDArray[np.float64]

TYPICAL_R_PT = 50.0
# Beat annotations of PhysioNet's MIT format and the class each falls into by EC57.
_CLASS: dict[str, BeatClass] = {
    **dict.fromkeys("NLRBejf/nQ?", "N"),
    **dict.fromkeys("AaJS", "S"),
    **dict.fromkeys("VErF", "V"),
}
# Rhythm notes of the same format that have a name here. Any other is "recorded": nobody invents one.
_RHYTHM: dict[str, RhythmName] = {
    "(N": "sinus",
    "(NSR": "sinus",
    "(SBR": "bradycardia",
    "(AFIB": "atrial-fibrillation",
    "(AFL": "atrial-flutter",
    "(B": "bigeminy",
    "(VT": "ventricular-tachycardia",
    "(VFL": "ventricular-fibrillation",
    "(VF": "ventricular-fibrillation",
    "(VFIB": "ventricular-fibrillation",
    "(ASYS": "asystole",
}
_FLUTTER_WAVE = "!"
_R_WITHIN_S, _LEVEL_WITHIN_S = 0.08, 0.4


@dataclass(frozen=True)
class Recording:
    """One lead of a record, in units of its typical R peak, and its beats. It repeats when it is over.

    Parameters
    ----------
    name
        Where it came from.
    wave : ndarray, shape (n_samples,)
        At 500 Hz.
    beats_s : ndarray, shape (n_beats,)
        Annotated beats.
    kinds
        Their classes.
    episodes
        Annotated rhythms: name, beginning and end in s. Where there is none, nobody said what the rhythm is.
    """

    name: str
    wave: Array
    beats_s: Array
    kinds: tuple[BeatClass, ...]
    episodes: tuple[tuple[RhythmName, float, float], ...] = ()

    @property
    def seconds(self) -> float:
        """Length."""
        return len(self.wave) / FIELD_RATE_HZ

    def at(self, t_s: Array) -> Array:
        """Wave at any times; straight between samples, which on the sample times themselves is exact."""
        at = np.maximum(t_s, 0.0) * FIELD_RATE_HZ
        wave: Array = np.interp(at % len(self.wave), np.arange(len(self.wave)), self.wave)
        return wave


class RecordedHeart:
    """Beats of a recording that begins at `origin_s`."""

    def __init__(self, recording: Recording, origin_s: float) -> None:
        self._recording = recording
        self._origin_s = origin_s
        self._next = 0
        self._last_s = origin_s

    def advance(self, until_s: float) -> list[Beat]:
        """Beats up to and including `until_s` that were not returned before, in order."""
        record = self._recording
        beats: list[Beat] = []
        while True:
            turn, index = divmod(self._next, len(record.beats_s))
            time_s = self._origin_s + turn * record.seconds + float(record.beats_s[index])
            if time_s > until_s:
                return beats
            beats.append(Beat(time_s, record.kinds[index], time_s - self._last_s, atrial=True))
            self._last_s = time_s
            self._next += 1

    def episodes(self, from_s: float, to_s: float) -> list[Episode]:
        """Annotated rhythms that touch ``[from_s, to_s)``, in order."""
        record = self._recording
        if not record.episodes:
            return []
        first, last = (int((at_s - self._origin_s) // record.seconds) for at_s in (from_s, to_s))
        laid_out = (
            Episode(name, start_s, end_s, 0.0)
            for turn in range(max(0, first), last + 1)
            for name, begins_s, ends_s in record.episodes
            for start_s, end_s in [(self._at_s(turn, begins_s), self._at_s(turn, ends_s))]
            if start_s < to_s and from_s < end_s
        )
        return list(laid_out)

    def _at_s(self, turn: int, at_s: float) -> float:
        return self._origin_s + turn * self._recording.seconds + at_s


@lru_cache(maxsize=8)
def load_recording(record: str) -> Recording:
    """Read lead 0 and the `.atr` annotations of a WFDB record.

    Parameters
    ----------
    record
        Path without extension.

    Raises
    ------
    ValueError
        If a file is missing or holds no beat; the message names the file looked for.
    """
    for ending, what in ((".hea", "header"), (".atr", "beat annotations: they are the truth")):
        if not Path(record + ending).is_file():
            raise ValueError(f"record {record!r}: no file {record + ending} ({what}); give the path without extension")
    try:
        raw, rate_hz, notes = _read(record)
    except (OSError, ValueError, IndexError) as error:
        raise ValueError(f"record {record!r} cannot be read: {error}") from error
    beats = [(at, _CLASS[symbol]) for at, symbol, _ in notes if symbol in _CLASS]
    if not beats:
        raise ValueError(f"record {record!r}: {record}.atr holds no beat annotation")
    wave = _in_r_peaks(raw, np.array([at for at, _ in beats]), rate_hz)
    ratio = Fraction(FIELD_RATE_HZ / rate_hz).limit_denominator(1000)
    wave = signal.resample_poly(wave, ratio.numerator, ratio.denominator)
    times_s = np.array([at / rate_hz for at, _ in beats])
    rhythms = tuple(_episodes([(at / rate_hz, symbol, text) for at, symbol, text in notes], len(wave) / FIELD_RATE_HZ))
    return Recording(record, wave, times_s, tuple(kind for _, kind in beats), rhythms)


def _episodes(notes: list[tuple[float, str, str]], end_s: float) -> Iterator[tuple[RhythmName, float, float]]:
    """Rhythms out of all annotations: a note holds until the next, fibrillation from `[` to `]` goes before it."""
    noted: RhythmName | None = None
    fibrillating = ""  # what began it
    now, since_s = noted, 0.0
    for at_s, symbol, text in [*notes, (end_s, "", "")]:
        if symbol == "+":
            noted = _RHYTHM.get(text)
        elif symbol == "[" or (symbol == _FLUTTER_WAVE and not fibrillating):
            fibrillating = symbol
        elif symbol == "]" or (symbol in _CLASS and fibrillating == _FLUTTER_WAVE):
            fibrillating = ""
        rhythm: RhythmName | None = "ventricular-fibrillation" if fibrillating else noted
        if rhythm == now and symbol:
            continue
        if now and at_s > since_s:
            yield now, since_s, min(at_s, end_s)
        now, since_s = rhythm, at_s


def _in_r_peaks(wave: Array, beats: NDArray[np.int64], rate_hz: float) -> Array:
    """Take off the level and divide by the median height of the R peaks; gaps in the record become the level."""
    wave = np.nan_to_num(wave - np.nanmedian(wave))
    near, far = round(_R_WITHIN_S * rate_hz), round(_LEVEL_WITHIN_S * rate_hz)
    heights = [
        np.max(np.abs(wave[max(0, at - near) : at + near + 1] - np.median(wave[max(0, at - far) : at + far + 1])))
        for at in beats
        if at < len(wave)
    ]
    typical = float(np.median(heights)) if heights else 0.0
    if not typical > 0.0:
        raise ValueError("lead 0 is flat at its annotated beats: take another record")
    return wave / typical


def _read(record: str) -> tuple[Array, float, list[tuple[int, str, str]]]:
    """Lead 0, its rate, and all annotations as sample, symbol and text."""
    # wfdb brings pandas, which takes a second to import, and uses it in ways that pandas warns of.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import wfdb  # noqa: PLC0415  # only where a record is asked for

        lead = wfdb.rdrecord(record, channels=[0])
        notes = wfdb.rdann(record, "atr")
    texts = notes.aux_note or [""] * len(notes.sample)
    samples = [
        (int(at), str(symbol), str(text).rstrip("\0 "))
        for at, symbol, text in zip(notes.sample, notes.symbol, texts, strict=True)
    ]
    return np.asarray(lead.p_signal[:, 0], np.float64), float(lead.fs), samples
