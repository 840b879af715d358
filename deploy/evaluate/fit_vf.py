"""Fits the weights of `anomaly.ventricular_model`: ``python -m deploy.evaluate.fit_vf OUT.py FOLDER...``.

The folders hold WFDB records with rhythm labels; those that the weights in the repository were made from are the
MIT-BIH Malignant Ventricular Ectopy Database and the MIT-BIH Arrhythmia Database. So that a sensor's noise is not taken
for fibrillation where there are no beats, drawn noise is added to what is neither.
"""

import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from anomaly.kernel import Array, IntArray
from anomaly.logistic import Logistic
from anomaly.ventricular import VentricularDetector
from anomaly.ventricular_features import GRID_HZ, WINDOW_S
from deploy.evaluate.logistic_fit import balanced, fitted
from deploy.evaluate.records import names_of
from deploy.evaluate.request import Request
from deploy.evaluate.ventricular_windows import FIBRILLATION, OUT, TACHYCARDIA, Seconds, read, streamed

SEED = 1  # of the noise
N_NOISES, NOISE_S = 240, 20
TACHYCARDIA_TOO = 0.6  # weight of what is ventricular against the rest: more of it is found, more is wrongly said
THINNED = 5  # of windows without anything ventricular, a record's every fifth is taken: they overlap


class Models(NamedTuple):
    """What the kernel asks of a window."""

    ventricular: Logistic
    fibrillation: Logistic
    disorder: Logistic


def kinds(seconds: Seconds) -> IntArray:
    """Of each window: 2 fibrillation or flutter, 1 tachycardia, 0 neither, -1 not to be used."""
    label = seconds.label
    kind = np.zeros(len(label), np.int64)
    kind[np.isin(label, sorted(OUT | {"mixed"}))] = -1
    kind[np.isin(label, sorted(TACHYCARDIA))] = 1
    kind[np.isin(label, sorted(FIBRILLATION))] = 2
    return kind


def models(records: Sequence[Seconds]) -> Models:
    """Fit to all leads of the windows of records that have one label and a signal."""
    leads, kind, group = [], [], []
    for number, seconds in enumerate(records):
        its = kinds(seconds)
        usable = np.isfinite(seconds.leads[..., 0])
        taken = (its > 0) | ((its == 0) & (np.arange(len(its)) % THINNED == 0))
        row, lead = np.nonzero(usable & taken[:, None])
        leads.append(seconds.leads[row, lead])
        kind.append(its[row])
        group.append(np.full(len(row), number))
    still = noise()
    leads.append(still)
    kind.append(np.zeros(len(still), np.int64))
    group.append(np.full(len(still), len(records)))
    features, label, record = np.concatenate(leads), np.concatenate(kind), np.concatenate(group)
    weight = balanced(record, label)
    apart, ill = label != 1, label != 0
    return Models(
        ventricular=fitted(features, label > 0, weight * np.where(label > 0, TACHYCARDIA_TOO, 1.0)),
        fibrillation=fitted(features[apart], label[apart] == 2, weight[apart]),
        disorder=fitted(features[ill], label[ill] == 2, weight[ill]),
    )


@cache
def noise() -> Array:
    """Features of noise whose power falls with the frequency to some power between 0 and 2, shape (n, n_features)."""
    draw = np.random.default_rng(SEED)
    n = round(NOISE_S * GRID_HZ)
    frequency = np.fft.rfftfreq(n, 1.0 / GRID_HZ)
    steep = draw.uniform(0.0, 2.0, (N_NOISES, 1))
    size = np.maximum(frequency, 0.05) ** (-0.5 * steep) * (frequency > 0.0)
    spectrum = size * (draw.standard_normal(size.shape) + 1j * draw.standard_normal(size.shape))
    x = np.fft.irfft(spectrum, n, axis=-1)[:, None]
    kernel = VentricularDetector(GRID_HZ)
    _, out = kernel.step(kernel.init(x), x)
    last: Array = out.leads[:, NOISE_S - WINDOW_S, 0]
    return last


def as_module(found: Models) -> str:
    """Python that holds the weights."""
    lines = [
        '"""Weights of the ventricular kernel: written by `deploy.evaluate.fit_vf`, not by hand."""',
        "",
        "import numpy as np",
        "",
        "from anomaly.logistic import Logistic",
        "",
        "# fmt: off",
    ]
    for name, model in zip(Models._fields, found, strict=True):
        lines.append(f"{name.upper()} = Logistic(")
        for field in (model.centre, model.scale, model.weights):
            words = [f"{value:.5g}" for value in field]
            rows = [", ".join(words[k : k + 9]) for k in range(0, len(words), 9)]
            lines += ["    np.array([", *(f"        {row}," for row in rows), "    ]),"]
        lines += [f"    {model.bias:.5g},", ")"]
    return "\n".join([*lines, "# fmt: on", ""])


def main(out: Path, folders: Sequence[Path]) -> None:
    """Stream all records and write the module."""
    records = [streamed([read(Request(folder), name) for name in names_of(folder, None)]) for folder in folders]
    out.write_text(as_module(models([seconds for those in records for seconds in those])))


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(word) for word in sys.argv[2:]])
