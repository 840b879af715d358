"""Models of beats' classes that do not know certain records, so that none scores a record that it was fitted on.

`class_folds.npz` beside this file was made by `deploy.evaluate.fit_classes`, as the shipped model was, which is fitted
on all those records together. A record is known again by a checksum of when its beats are.
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anomaly.beat_classes import BeatClassifier
from anomaly.trees import Trees

FILE = Path(__file__).with_name("class_folds.npz")
SHIPPED = -1  # the fold of a record that the shipped model does not know


class Fold(NamedTuple):
    """Models fitted on the records of all other folds."""

    ventricular: Trees
    supraventricular: Trees


@cache
def fold_of() -> dict[int, int]:
    """Fold of each record, by its checksum."""
    with np.load(FILE) as stored:
        return dict(zip(stored["record"].tolist(), stored["fold"].tolist(), strict=True))


def classifier(rate_hz: float, fold: int) -> BeatClassifier:
    """The flow's classifier, for a record of a fold with the models that do not know it."""
    if fold == SHIPPED:
        return BeatClassifier(rate_hz)
    with np.load(FILE) as stored:
        ventricular, supraventricular = (
            Trees(
                stored[f"{name}_feature"][fold].astype(np.int64),
                stored[f"{name}_threshold"][fold].astype(np.float64),
                stored[f"{name}_value"][fold].astype(np.float64),
                float(stored[f"{name}_start"][fold]),
            )
            for name in Fold._fields
        )
    return BeatClassifier(rate_hz, ventricular=ventricular, supraventricular=supraventricular)


def save(fold_of_record: dict[int, int], folds: list[Fold]) -> None:
    """Write the file."""
    arrays: dict[str, NDArray[np.generic]] = {
        "record": np.array(list(fold_of_record), np.int64),
        "fold": np.array(list(fold_of_record.values()), np.int64),
    }
    for name in Fold._fields:
        trees: list[Trees] = [getattr(fold, name) for fold in folds]
        arrays[f"{name}_feature"] = np.stack([one.feature for one in trees]).astype(np.uint8)
        arrays[f"{name}_threshold"] = np.stack([one.threshold for one in trees]).astype(np.float32)
        arrays[f"{name}_value"] = np.stack([one.value for one in trees]).astype(np.float32)
        arrays[f"{name}_start"] = np.array([one.start for one in trees])
    np.savez_compressed(FILE, **arrays)  # type: ignore[arg-type]  # its last parameter is a flag
