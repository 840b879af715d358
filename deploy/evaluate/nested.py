"""Nested cross-validation by record: what is fitted and what is chosen never saw the record that it is tried on."""

import re
from collections.abc import Callable, Sequence

import numpy as np

from anomaly.kernel import Array, IntArray

FOLDS = 10
INNER_FOLDS = 5
NEAR = 4  # numbers of records so near to each other are taken to be of one patient


def patients_of(names: Sequence[str]) -> IntArray:
    """Number of the patient whom each record may be of.

    Names are a letter, a number and more: the letter is the alarm's, and neighbouring numbers are often of one patient,
    whatever the letter.

    Examples
    --------
    >>> patients_of(["a442s", "v446l", "a443l", "a460s", "x"]).tolist()
    [1, 1, 1, 2, 0]
    """
    number = [int("".join(re.findall(r"\d+", name)) or -NEAR - 1) for name in names]
    order = np.argsort(number, kind="stable")
    steps = np.diff(np.array(number)[order], prepend=number[order[0]]) > NEAR
    patient = np.zeros(len(names), np.int64)
    patient[order] = np.cumsum(steps)
    return patient


def folds(strata: IntArray, patients: IntArray, n_folds: int, seed: int) -> IntArray:
    """Fold of each record: records of one patient together, each stratum spread evenly.

    Patients are dealt out in a random order, each to the fold that holds the fewest records of his strata, and among
    those the fewest records.
    """
    generator = np.random.default_rng(seed)
    counts = np.zeros((n_folds, int(strata.max()) + 1))
    fold = np.zeros(len(strata), np.int64)
    for patient in generator.permutation(np.unique(patients)):
        mine = np.flatnonzero(patients == patient)
        load = counts[:, strata[mine]].sum(axis=-1) + 1e-3 * counts.sum(axis=-1)
        chosen = int(np.argmin(load))
        fold[mine] = chosen
        np.add.at(counts[chosen], strata[mine], 1.0)
    return fold


def nested(
    strata: IntArray,
    patients: IntArray,
    n_choices: int,
    predict: Callable[[int, IntArray, IntArray], Array],
    cost: Callable[[Array, IntArray], float],
    seed: int = 0,
) -> tuple[Array, IntArray]:
    """Out-of-fold prediction of every record, with the choice made inside each outer fold.

    Parameters
    ----------
    strata, patients : ndarray of int, shape (n_records,)
        See `folds`.
    n_choices
        How many settings there are to choose from; of equally good ones the first is taken.
    predict
        ``predict(choice, train, test)`` fits on the records `train` and returns what it says of the records `test`.
    cost
        ``cost(predicted, records)``: less is better.
    seed
        Of the folds.

    Returns
    -------
    predicted : ndarray, shape (n_records,)
        By a fit that has not seen the record or one of its patient.
    choice : ndarray of int, shape (n_records,)
        The setting that the records of the other folds chose.
    """
    outer = folds(strata, patients, FOLDS, seed)
    predicted, choice = np.zeros(len(strata)), np.zeros(len(strata), np.int64)
    for k in np.unique(outer):
        train, test = np.flatnonzero(outer != k), np.flatnonzero(outer == k)
        if len(train) == 0:
            train = test[:0]
        chosen = choose(strata, patients, train, n_choices, predict, cost, seed)
        predicted[test], choice[test] = predict(chosen, train, test), chosen
    return predicted, choice


def choose(
    strata: IntArray,
    patients: IntArray,
    records: IntArray,
    n_choices: int,
    predict: Callable[[int, IntArray, IntArray], Array],
    cost: Callable[[Array, IntArray], float],
    seed: int = 0,
) -> int:
    """The setting that does best in a cross-validation over some records."""
    if n_choices == 1 or len(records) == 0:
        return 0
    inner = folds(strata[records], patients[records], INNER_FOLDS, seed + 1)
    costs = []
    for choice in range(n_choices):
        told = np.zeros(len(records))
        for k in np.unique(inner):
            told[inner == k] = predict(choice, records[inner != k], records[inner == k])
        costs.append(cost(told, records))
    return int(np.argmin(costs))
