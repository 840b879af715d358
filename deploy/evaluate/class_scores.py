"""Scores of beats' classes against annotations, by the rules of ANSI/AAMI EC57."""

import zlib
from typing import NamedTuple

import numpy as np

from anomaly.beat_classes import BeatClass
from anomaly.kernel import Array, BoolArray, IntArray
from deploy.evaluate.beat_scores import WINDOW_S, counted
from deploy.evaluate.matching import match
from deploy.evaluate.records import Recording

FUSION, UNCOUNTED, NO_BEAT = 10, 11, 12  # beside BeatClass; paced and unclassifiable beats are counted in no class
OF_SYMBOL = {
    **dict.fromkeys("NLRBejn", int(BeatClass.NORMAL)),
    **dict.fromkeys("AaJS", int(BeatClass.SUPRAVENTRICULAR)),
    **dict.fromkeys("VEr", int(BeatClass.VENTRICULAR)),
    "F": FUSION,
    **dict.fromkeys("/fQ?", UNCOUNTED),
}


class Found(NamedTuple):
    """Beats of one record with their classes, by time."""

    at: Array  # samples
    kind: IntArray  # BeatClass
    probability: Array  # of being ventricular; NaN where not told
    delay: Array  # samples from R peak to class


class Counts(NamedTuple):
    """Beats of one class, found and told (tp), not (fn), and told wrongly (fp)."""

    tp: int
    fn: int
    fp: int


def labels(recording: Recording, at: Array) -> IntArray:
    """What each detection is by the annotations: `BeatClass`, `FUSION`, `UNCOUNTED` or `NO_BEAT`."""
    true = _true(recording)
    _, of_found = match(recording.beats, at, WINDOW_S * recording.rate_hz)
    return np.where(of_found >= 0, true[np.maximum(of_found, 0)], NO_BEAT)


def count(recording: Recording, at: Array, kind: IntArray) -> tuple[Counts, Counts]:
    """Count ventricular and supraventricular beats of one record.

    As in EC57: a beat of the class that was not found, or was called anything else, is missed; one that is called so
    but is not, or is no beat at all, is false; a fusion beat called ventricular is neither.
    """
    true = _true(recording)
    of_beat, of_found = match(recording.beats, at, WINDOW_S * recording.rate_hz)
    beats = counted(recording.beats, recording, "all")
    matched = of_found >= 0
    inside = np.where(matched, beats[np.maximum(of_found, 0)], counted(at, recording, "all"))
    label = np.where(matched, true[np.maximum(of_found, 0)], NO_BEAT)
    told = np.where(of_beat >= 0, kind[np.maximum(of_beat, 0)], -1)
    ventricular = _count(
        beats & (true == BeatClass.VENTRICULAR),
        told == BeatClass.VENTRICULAR,
        inside
        & (kind == BeatClass.VENTRICULAR)
        & np.isin(label, [BeatClass.NORMAL, BeatClass.SUPRAVENTRICULAR, NO_BEAT]),
    )
    supraventricular = _count(
        beats & (true == BeatClass.SUPRAVENTRICULAR),
        told == BeatClass.SUPRAVENTRICULAR,
        inside
        & (kind == BeatClass.SUPRAVENTRICULAR)
        & np.isin(label, [BeatClass.NORMAL, BeatClass.VENTRICULAR, FUSION, NO_BEAT]),
    )
    return ventricular, supraventricular


def fingerprint(recording: Recording) -> int:
    """Checksum of when a record's beats are."""
    return zlib.crc32(recording.beats.astype("<i8").tobytes())


def _count(true: BoolArray, told: BoolArray, false: BoolArray) -> Counts:
    return Counts(int((true & told).sum()), int((true & ~told).sum()), int(false.sum()))


def _true(recording: Recording) -> IntArray:
    return np.array([OF_SYMBOL[symbol] for symbol in recording.symbols], np.int64)
