"""Fit the models that tell the class of a beat, and show how they do on records that they were not fitted on.

``python -m deploy.evaluate.fit_classes FOLDER [--halves] [--records] [--write]`` reads annotated WFDB records, runs the
flow's kernels over them (the first lead, the second, and both: a patient may wear either), and boosts small trees
(scikit-learn). It prints EC57 figures for ventricular and supraventricular beats of records in six folds, each judged
by models fitted on the other five, and of two halves, both ways. ``--write`` writes `anomaly/class_model.py`, fitted on
all records, and the models of the folds, `deploy/evaluate/class_folds.npz`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from anomaly.beat_classes import BeatClass, BeatClassifier
from anomaly.beat_context import BeatContext
from anomaly.beat_shapes import KIND_KNOWN, KIND_SHARE, MOST_ODDS, SLOWEST
from anomaly.beats import BeatDetector
from anomaly.class_model import VENTRICULAR
from anomaly.kernel import Array, BoolArray, IntArray
from anomaly.trees import Trees, as_text
from deploy.evaluate.class_folds import Fold, save
from deploy.evaluate.class_scores import NO_BEAT, Counts, count, fingerprint, labels
from deploy.evaluate.records import Recording, names_of, read
from deploy.evaluate.statistics import share

SEED = 20
PACKET_S = 10.0
DEPTH = 4
N_TREES = 80
RATE = 0.12  # of learning
L2 = 5.0
LEAST_IN_LEAF = 30
N_FOLDS = 6
N_DRAWN = 40_000  # examples that a model is fitted on
EVENNESS = 0.4  # 0: each beat weighs the same; 1: each record does
FIRST = 6  # beats of a record that show nothing yet
WIDTH = 116  # of a line of the files that are written


class Examples(NamedTuple):
    """Beats of all records with what is known of them."""

    features: Array  # (n, len(FEATURES))
    record: IntArray  # (n,)
    label: IntArray  # (n,) as `class_scores.labels` has it
    at: Array  # (n,)
    number: IntArray  # (n,) of the beat in its record
    known: BoolArray
    kind: IntArray
    had: Array


def examples(recordings: Sequence[Recording], leads: Sequence[int], wait_s: float) -> Examples:
    """Describe every beat that is found in the leads named."""
    rate_hz = recordings[0].rate_hz
    detector, context = BeatDetector(rate_hz), BeatContext(rate_hz, wait_s, VENTRICULAR)
    packet = round(PACKET_S * rate_hz)
    n_packets = max(one.leads.shape[-1] for one in recordings) // packet + 2
    bank = np.stack(
        [
            np.pad(one.leads[leads], ((0, 0), (0, n_packets * packet - one.leads.shape[-1])), mode="edge")
            for one in recordings
        ]
    )
    beats, state = detector.init(bank[..., :packet]), context.init(bank[..., :packet])
    parts = []
    for k in range(n_packets):
        block = np.ascontiguousarray(bank[..., k * packet : (k + 1) * packet])
        beats, found = detector.step(beats, block)
        state, due = context.step(state, block, found.at, found.decided)
        parts.append(due)
    row, at = (np.concatenate([getattr(part, name) for part in parts]) for name in ("row", "at"))
    order = np.lexsort((at, row))
    row, at = row[order], at[order]
    known, features, kind, had = (
        np.concatenate([getattr(part, name) for part in parts])[order] for name in ("known", "features", "kind", "had")
    )
    label, number = np.full(len(row), NO_BEAT), np.zeros(len(row), np.int64)
    for k, recording in enumerate(recordings):
        mine = np.flatnonzero((row == k) & (at < recording.leads.shape[-1]))
        label[mine] = labels(recording, at[mine])
        number[mine] = np.arange(len(mine))
    return Examples(features, row, label, at, number, known, kind, had)


def joined(parts: Sequence[Examples]) -> Examples:
    """One after the other."""
    return Examples._make(np.concatenate(field) for field in zip(*parts, strict=True))


def fit(drawn: Examples, positive: int, negative: Sequence[int], n_trees: int) -> Trees:
    """Boost trees that tell a label from others.

    A record's positives weigh less each the more of them there are, and so do its negatives, so that no patient with
    thousands of ectopic beats speaks for all.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415 - only for who fits

    use = np.isin(drawn.label, [positive, *negative]) & (drawn.number >= FIRST)
    features, record, true = drawn.features[use], drawn.record[use], drawn.label[use] == positive
    group = 2 * record + true
    weight = np.bincount(group)[group] ** -EVENNESS
    generator = np.random.default_rng(SEED)
    chosen = generator.choice(len(true), N_DRAWN, p=weight / weight.sum())
    model = HistGradientBoostingClassifier(
        max_iter=n_trees,
        max_depth=DEPTH,
        max_leaf_nodes=2**DEPTH,
        learning_rate=RATE,
        l2_regularization=L2,
        min_samples_leaf=LEAST_IN_LEAF,
        early_stopping=False,
        random_state=SEED,
    ).fit(features[chosen], true[chosen])
    trees = [_complete(predictor[0].nodes) for predictor in model._predictors]  # noqa: SLF001 - there is no other way
    feature, threshold, value = (np.array(field) for field in zip(*trees, strict=True))
    return Trees(feature, threshold, value, float(np.ravel(model._baseline_prediction)[0]))  # noqa: SLF001


def _complete(nodes: Any) -> tuple[list[int], list[float], list[float]]:  # noqa: ANN401 - scikit-learn's own
    """Arrays of one tree; a leaf above the last level goes on to the left."""
    feature, threshold, value = [0] * (2**DEPTH - 1), [np.inf] * (2**DEPTH - 1), [0.0] * 2**DEPTH
    places = {0: 0}
    for place in range(2 ** (DEPTH + 1) - 1):
        if place not in places:
            continue
        node = nodes[places[place]]
        if place >= 2**DEPTH - 1:
            value[place - 2**DEPTH + 1] = float(node["value"])
        elif node["is_leaf"]:
            places[2 * place + 1] = places[place]
        else:
            feature[place], threshold[place] = int(node["feature_idx"]), float(node["num_threshold"])
            places[2 * place + 1], places[2 * place + 2] = int(node["left"]), int(node["right"])
    return feature, threshold, value


def models(drawn: Examples) -> Fold:
    """Ventricular against all others; supraventricular against those that are not ventricular."""
    return Fold(
        fit(drawn, BeatClass.VENTRICULAR, [BeatClass.NORMAL, BeatClass.SUPRAVENTRICULAR, NO_BEAT], N_TREES),
        fit(drawn, BeatClass.SUPRAVENTRICULAR, [BeatClass.NORMAL], N_TREES // 2),
    )


def told(pair: Fold, seen: Examples, at_least: float) -> IntArray:
    """Labels that models give."""
    odds = agreed(seen, pair.ventricular.total(seen.features)), pair.supraventricular.total(seen.features)
    v, s = (1.0 / (1.0 + np.exp(-one)) for one in odds)
    ectopic = np.where((1.0 - v) * s >= at_least, BeatClass.SUPRAVENTRICULAR, BeatClass.NORMAL)
    return np.where(seen.known, np.where(v >= at_least, BeatClass.VENTRICULAR, ectopic), BeatClass.UNKNOWN)


def agreed(seen: Examples, alone: Array) -> Array:
    """Log odds of the beats of one record in which each beat's kind has its say, as `beat_shapes.agreed` does it."""
    alone = np.clip(alone, -MOST_ODDS, MOST_ODDS)
    mean: dict[int, float] = {}
    result = np.empty(len(alone))
    for k, (own, kind, n) in enumerate(zip(alone, seen.kind, seen.had, strict=True)):
        before = mean.get(int(kind), 0.0) if n > 0.0 else 0.0
        share_of_kind = KIND_SHARE * min(n / KIND_KNOWN, 1.0)
        mean[int(kind)] = before + (own - before) / min(n + 1.0, SLOWEST)
        result[k] = (1.0 - share_of_kind) * own + share_of_kind * before
    return result


def tested(
    recordings: Sequence[Recording], drawn: Examples, seen: Examples, folds: Sequence[Sequence[int]]
) -> dict[str, tuple[Counts, Counts]]:
    """Counts of each record, judged by models that were fitted on the records of the other folds."""
    result = {}
    for fold in folds:
        keep = ~np.isin(drawn.record, fold)
        pair = models(Examples._make(field[keep] for field in drawn))
        for k in fold:
            mine = (seen.record == k) & (seen.at < recordings[k].leads.shape[-1])
            part = Examples._make(field[mine] for field in seen)
            kinds = told(pair, part, BeatClassifier(recordings[k].rate_hz).at_least)
            result[recordings[k].name] = count(recordings[k], part.at, kinds)
    return result


def in_words(name: str, found: dict[str, tuple[Counts, Counts]]) -> str:
    """Figures of a way of testing."""
    total = np.sum([[*v, *s] for v, s in found.values()], axis=0)
    words = [
        f"{title} Se {100 * share(tp, tp + fn):.2f} +P {100 * share(tp, tp + fp):.2f} "
        f"F1 {100 * share(2 * tp, 2 * tp + fn + fp):.2f} ({tp:.0f}/{fn:.0f}/{fp:.0f})"
        for title, (tp, fn, fp) in (("V", total[:3]), ("S", total[3:]))
    ]
    return f"{name:<44}" + "   ".join(words)


def text_of(name: str, trees: Trees) -> str:
    """An assignment, as the files that are written hold it."""
    return f'{name} = from_text(\n    """{as_text(trees)}""",\n    {DEPTH},\n)\n'


def main(arguments: Sequence[str]) -> None:
    """Fit, test, print and perhaps write."""
    folder = Path(arguments[0])
    recordings = [one for one in (read(folder, name, 2) for name in names_of(folder, None)) if not one.paced]
    wait_s = BeatClassifier(recordings[0].rate_hz).wait_s
    per_lead = {leads: examples(recordings, list(leads), wait_s) for leads in ((0,), (1,), (0, 1))}
    drawn = joined(list(per_lead.values()))
    folds = [range(k, len(recordings), N_FOLDS) for k in range(N_FOLDS)]
    ways: dict[str, Sequence[Sequence[int]]] = {f"{N_FOLDS} folds": folds}
    if "--halves" in arguments:
        ways["odd and even records"] = [range(k, len(recordings), 2) for k in range(2)]
    if "--each" in arguments:
        ways["one record left out"] = [[k] for k in range(len(recordings))]
    for way, parts in ways.items():
        for leads in ((0,), (0, 1)):
            found = tested(recordings, drawn, per_lead[leads], parts)
            print(in_words(f"{way}, {len(leads)} lead(s)", found))  # noqa: T201 - it is what the script is for
            if "--records" in arguments:
                for name, row in found.items():
                    print(f"    {name} V {tuple(row[0])} S {tuple(row[1])}")  # noqa: T201
    if "--write" in arguments:
        write(recordings, drawn, folds)


def write(recordings: Sequence[Recording], drawn: Examples, folds: Sequence[Sequence[int]]) -> None:
    """Write the module and the file that hold the models."""
    ventricular, supraventricular = models(drawn)
    head = (
        '"""Boosted trees that tell ventricular and supraventricular beats, as `deploy.evaluate.fit_classes` made them'
        '."""\n\n'
    )
    Path("anomaly/class_model.py").write_text(
        head
        + "from anomaly.trees import from_text\n\n"
        + text_of("VENTRICULAR", ventricular)
        + text_of("SUPRAVENTRICULAR", supraventricular)
    )
    known = {fingerprint(recordings[k]): number for number, fold in enumerate(folds) for k in fold}
    others = [Examples._make(field[~np.isin(drawn.record, list(fold))] for field in drawn) for fold in folds]
    save(known, [models(other) for other in others])


if __name__ == "__main__":
    main(sys.argv[1:])
