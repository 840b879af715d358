"""Fit the probability of atrial fibrillation: ``python -m deploy.evaluate.fit_af MITDB CINC2017``.

Prints what half of the records teach about the other half, both ways, over several splits, then fits all of them and
writes `anomaly/fibrillation_model.py`. A strip gives one example, at its end; a record one every few seconds, weighed
so that all records together do not drown the strips. Noisy strips teach nothing, nor do flutter and the half minutes
that hold two rhythms.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

import anomaly.fibrillation_model
from anomaly.fibrillation import LIMIT, held
from anomaly.irregularity import SPAN_NS, Irregularity, irregularity
from anomaly.kernel import Array, BoolArray
from dataflows.cardiac_second import AS_OF_LAG_NS, SETTLE_NS
from deploy.evaluate.af import AF, FLUTTER
from deploy.evaluate.rhythms import Rhythm, records_of, strips
from deploy.evaluate.streamed import lane_of, seconds

SPLITS: Final = 8  # seeds 0 to 7
EVERY_S: Final = 2  # a second of a record that is looked at
TAUGHT_S: Final = 6  # and one that is learned from
RECORD_WEIGHT: Final = 0.09  # of one such second beside a strip
AF_WEIGHT: Final = 2.2  # an example of fibrillation weighs as much as so many others
RIDGE: Final = 5.0  # on the weights of standardised features


class Examples(NamedTuple):
    """Half minutes of beats, shape (n,) each but for the features."""

    record: NDArray[np.str_]
    label: NDArray[np.str_]  # of a strip; "" for a second of a record
    features: Array  # (n, n_features)
    is_af: BoolArray
    mixed: BoolArray  # of two rhythms, or flutter: nothing to learn from
    flutter: BoolArray
    taught: BoolArray  # by its second


def examples(recordings: Sequence[Rhythm], *, short: bool) -> Examples:
    """Stream recordings of one rate and take the features of their half minutes."""
    lane = lane_of(recordings[0].rate_hz)
    parts = []
    ends = np.array([recording.n_seconds for recording in recordings])
    names = [recording.each_second() for recording in recordings]
    for moment in seconds(lane, [recording.signal for recording in recordings]):
        now = np.flatnonzero(ends == moment.second if short else ends * (moment.second % EVERY_S == 0) >= moment.second)
        if not len(now):
            continue
        as_of = np.minimum(moment.end_ns, moment.state.end_ns) - AS_OF_LAG_NS
        found = np.stack(irregularity(moment.state.ring, as_of, moment.state.start_ns + SETTLE_NS), axis=-1)
        for k in now.tolist():
            past = names[k][max(moment.second - SPAN_NS // 1_000_000_000, 0) : moment.second]
            share = float(np.mean(past == ("A" if short else AF)))
            parts.append(
                (
                    recordings[k].name,
                    names[k][0] if short else "",
                    found[k],
                    past[-1] == ("A" if short else AF),
                    0.05 < share < 0.9 or bool((past == FLUTTER).any()),
                    past[-1] == FLUTTER,
                    short or moment.second % TAUGHT_S == 0,
                )
            )
    return Examples(*(np.array(column) for column in zip(*parts, strict=True)))


def fit(x: Array, y: BoolArray, weight: Array) -> Array:
    """Ridge logistic regression by Newton's method: offset, then a weight for each feature as it is."""
    mean = np.average(x, axis=0, weights=weight)
    spread = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weight)) + 1e-9
    z = np.concatenate([np.ones((len(x), 1)), (x - mean) / spread], axis=1)
    ridge = np.diag([1e-6, *([RIDGE] * x.shape[1])])
    b = np.zeros(z.shape[1])
    for _ in range(30):
        p = 1.0 / (1.0 + np.exp(-z @ b))
        step = np.linalg.solve(
            (z * (weight * p * (1.0 - p))[:, None]).T @ z + ridge, z.T @ (weight * (p - y)) + ridge @ b
        )
        b = b - step
        if np.abs(step).max() < 1e-8:
            break
    slope = b[1:] / spread
    return np.concatenate([[b[0] - (slope * mean).sum()], slope])


def told(b: Array, x: Array) -> BoolArray:
    """Whether fibrillation is said."""
    said: BoolArray = b[0] + (x * b[1:]).sum(axis=-1) >= np.log(LIMIT / (1.0 - LIMIT))
    return said


def halves(records: NDArray[np.str_], kind: NDArray[np.str_], seed: int) -> NDArray[np.int64]:
    """Half (0 or 1) of each record of a list, each kind of record cut in two by itself."""
    generator = np.random.default_rng(seed)
    half = np.zeros(len(records), np.int64)
    for one in np.unique(kind):
        index = np.flatnonzero(kind == one)
        half[generator.permutation(index)] = np.arange(len(index)) % 2
    return half


def main(arguments: Sequence[str]) -> None:
    """Fit, report and write."""
    mitdb, cinc = (Path(argument) for argument in arguments)
    long, short = examples(records_of(mitdb, None), short=False), examples(strips(cinc, None), short=True)
    every = Examples(*(np.concatenate(pair) for pair in zip(short, long, strict=True)))
    x = np.stack([held(name, every.features[:, k]) for k, name in enumerate(Irregularity._fields)], axis=-1)
    known = np.count_nonzero(np.isnan(x), axis=-1) == 0
    x = np.nan_to_num(x)
    is_strip = every.label != ""
    taught = known & every.taught & ~every.mixed & (every.label != "~")
    weight = np.where(is_strip, 1.0, RECORD_WEIGHT) * np.where(every.is_af, AF_WEIGHT, 1.0)

    records = np.unique(every.record)
    kind = np.array([_kind(every, record) for record in records])
    scores = []
    for seed in range(SPLITS):
        half = halves(records, kind, seed)[np.searchsorted(records, every.record)]
        said = np.zeros(len(x), np.bool_)
        for k in (0, 1):
            mine = taught & (half != k)
            said[half == k] = told(fit(x[mine], every.is_af[mine], weight[mine]), x[half == k])
        scores.append(_scores(every, said, known))
    print("two-fold by record, mean of", SPLITS, "splits, percent:")  # noqa: T201 - a script
    for name, value in zip(_NAMES, 100.0 * np.mean(scores, axis=0), strict=True):
        print(f"  {name} {value:.1f}")  # noqa: T201 - a script
    b = fit(x[taught], every.is_af[taught], weight[taught])
    for name, value in zip(_NAMES, _scores(every, told(b, x), known), strict=True):
        print(f"  fitted on all: {name} {100.0 * value:.1f}")  # noqa: T201 - a script
    path = Path(anomaly.fibrillation_model.__file__)
    rows = "".join(f'    "{name}": {value:.6g},\n' for name, value in zip(Irregularity._fields, b[1:], strict=True))
    head = path.read_text(encoding="utf-8").split("OFFSET", maxsplit=1)[0]
    path.write_text(f"{head}OFFSET: Final = {b[0]:.6g}\nWEIGHTS: Final = {{\n{rows}}}\n", encoding="utf-8")


_NAMES: Final = ("strips Se", "Sp normal", "Sp other", "Sp noisy", "records Se", "Sp", "flutter")


def _scores(every: Examples, said: BoolArray, known: BoolArray) -> list[float]:
    """As the task scores: what is not known is wrong in a strip, and not said of a record."""
    no = known & ~said
    strip = [float(np.mean(no[every.label == label])) for label in ("N", "O", "~")]
    long = every.label == ""
    rest, af = long & ~every.is_af & ~every.flutter, long & every.is_af
    return [
        float(np.mean((known & said)[every.label == "A"])),
        *strip,
        float(np.mean((known & said)[af])),
        1.0 - float(np.mean((known & said)[rest])),
        float(np.mean((known & said)[long & every.flutter])),
    ]


def _kind(every: Examples, record: str) -> str:
    mine = every.record == record
    return str(every.label[mine][0]) or ("with AF" if every.is_af[mine].any() else "without")


if __name__ == "__main__":
    main(sys.argv[1:])
