"""Fit the models that tell the class of a beat, and show how they do on records that they were not fitted on.

``python -m deploy.evaluate.fit_classes FOLDER [--write]`` reads annotated WFDB records, runs the flow's kernels over
them (the first lead, the second, and both: a patient may wear either), and boosts small trees (scikit-learn). It prints
EC57 figures for ventricular and supraventricular beats two-fold by record, both ways, and leaving one record out;
``--write`` writes `anomaly/class_model.py` from all records and `deploy/evaluate/class_halves.py` from each half.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from anomaly.beat_classes import BeatClass, BeatClassifier
from anomaly.beat_context import BeatContext
from anomaly.beats import BeatDetector
from anomaly.kernel import Array, BoolArray, IntArray
from anomaly.trees import Trees, as_text
from deploy.evaluate.class_scores import NO_BEAT, Counts, count, fingerprint, labels
from deploy.evaluate.records import Recording, names_of, read
from deploy.evaluate.statistics import share

SEED = 20
PACKET_S = 10.0
DEPTH = 3
N_TREES = 60
RATE = 0.15  # of learning
L2 = 5.0
LEAST_IN_LEAF = 30
N_DRAWN = 24_000  # examples that a model is fitted on
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


def examples(recordings: Sequence[Recording], leads: Sequence[int], wait_s: float) -> Examples:
    """Describe every beat that is found in the leads named."""
    rate_hz = recordings[0].rate_hz
    detector, context = BeatDetector(rate_hz), BeatContext(rate_hz, wait_s)
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
    known, features = (np.concatenate([getattr(part, name) for part in parts]) for name in ("known", "features"))
    order = np.lexsort((at, row))
    row, at, known, features = row[order], at[order], known[order], features[order]
    label, number = np.full(len(row), NO_BEAT), np.zeros(len(row), np.int64)
    for k, recording in enumerate(recordings):
        mine = np.flatnonzero((row == k) & (at < recording.leads.shape[-1]))
        label[mine] = labels(recording, at[mine])
        number[mine] = np.arange(len(mine))
    return Examples(features, row, label, at, number, known)


def joined(parts: Sequence[Examples]) -> Examples:
    """One after the other."""
    return Examples._make(np.concatenate(field) for field in zip(*parts, strict=True))


def fit(drawn: Examples, positive: int, negative: Sequence[int]) -> Trees:
    """Boost trees that tell a label from others.

    Each record's positives together weigh the square root of their number, and so do its negatives, so that no patient
    with thousands of ectopic beats speaks for all.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415 - only for who fits

    use = np.isin(drawn.label, [positive, *negative]) & (drawn.number >= FIRST)
    features, record, true = drawn.features[use], drawn.record[use], drawn.label[use] == positive
    group = 2 * record + true
    weight = 1.0 / np.sqrt(np.bincount(group)[group])
    generator = np.random.default_rng(SEED)
    chosen = generator.choice(len(true), N_DRAWN, p=weight / weight.sum())
    model = HistGradientBoostingClassifier(
        max_iter=N_TREES,
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


def models(drawn: Examples) -> tuple[Trees, Trees]:
    """Ventricular against all others; supraventricular against those that are not ventricular."""
    return (
        fit(drawn, BeatClass.VENTRICULAR, [BeatClass.NORMAL, BeatClass.SUPRAVENTRICULAR, NO_BEAT]),
        fit(drawn, BeatClass.SUPRAVENTRICULAR, [BeatClass.NORMAL]),
    )


def told(pair: tuple[Trees, Trees], seen: Examples, at_least: float) -> IntArray:
    """Labels that models give."""
    v, s = (1.0 / (1.0 + np.exp(-trees.total(seen.features))) for trees in pair)
    ectopic = np.where((1.0 - v) * s >= at_least, BeatClass.SUPRAVENTRICULAR, BeatClass.NORMAL)
    return np.where(seen.known, np.where(v >= at_least, BeatClass.VENTRICULAR, ectopic), BeatClass.UNKNOWN)


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
    halves = [range(0, len(recordings), 2), range(1, len(recordings), 2)]
    ways: dict[str, Sequence[Sequence[int]]] = {"odd and even records": halves}
    if "--each" in arguments:
        ways["one record left out"] = [[k] for k in range(len(recordings))]
    for way, folds in ways.items():
        for leads in ((0,), (0, 1)):
            found = tested(recordings, drawn, per_lead[leads], folds)
            print(in_words(f"{way}, {len(leads)} lead(s)", found))  # noqa: T201 - it is what the script is for
            if "--records" in arguments:
                for name, row in found.items():
                    print(f"    {name} V {tuple(row[0])} S {tuple(row[1])}")  # noqa: T201
    if "--write" in arguments:
        write(recordings, drawn, halves)


def write(recordings: Sequence[Recording], drawn: Examples, halves: Sequence[Sequence[int]]) -> None:
    """Write the modules that hold the models."""
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
    body = (
        '"""The same models fitted on half of the records each, so that none scores a record that it knows."""'
        "\n\nfrom anomaly.trees import from_text\n\n"
    )
    seen = {fingerprint(recordings[k]): half for half, fold in enumerate(halves) for k in fold}
    body += "# Half that a record belongs to, by a checksum of when its beats are.\n"
    body += "HALF_OF = {\n" + "".join(f"    {key:#010x}: {half},\n" for key, half in sorted(seen.items())) + "}\n"
    for half, name in enumerate(("SECOND", "FIRST")):
        keep = ~np.isin(drawn.record, list(halves[half]))
        pair = models(Examples._make(field[keep] for field in drawn))
        body += text_of(f"{name}_VENTRICULAR", pair[0]) + text_of(f"{name}_SUPRAVENTRICULAR", pair[1])
    body += (
        "# Of a record of each half: models of the other one.\n"
        "OTHER_HALF = ((SECOND_VENTRICULAR, SECOND_SUPRAVENTRICULAR), (FIRST_VENTRICULAR, FIRST_SUPRAVENTRICULAR))\n"
    )
    Path("deploy/evaluate/class_halves.py").write_text(body)


if __name__ == "__main__":
    main(sys.argv[1:])
