"""Banks and trees: seats, gathers, scatters and snapshots."""

from typing import NamedTuple

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from dataflows import tree
from dataflows.bank import Bank


class Inner(NamedTuple):
    number: NDArray[np.int64]  # (n,)


class State(NamedTuple):
    level: NDArray[np.float64]  # (n, 2)
    inner: Inner


def states(values: list[int]) -> State:
    of = np.array(values, np.int64)
    return State(np.stack([of * 0.5, of * 2.0], axis=-1).reshape(-1, 2), Inner(of))


def test_a_bank_behaves_as_a_dict_of_rows_whatever_comes_and_goes() -> None:
    @given(st.lists(st.tuples(st.sampled_from("abcdefghijklmnopqrst"), st.integers(0, 99) | st.none()), max_size=60))
    def check(script: list[tuple[str, int | None]]) -> None:
        bank, model = Bank(states([0])), dict[str, int]()
        for key, value in script:
            if value is None:
                bank.unseat(key)
                model.pop(key, None)
            else:
                bank.seat([key], states([value]))
                model[key] = value
        assert sorted(bank.keys) == sorted(model)
        keys = sorted(model)
        if keys:
            assert bank.take(keys).inner.number.tolist() == [model[key] for key in keys]
            copy = Bank(states([0]))
            assert copy.restore(bank.image()) is None
            assert copy.take(keys).level.tolist() == bank.take(keys).level.tolist()

    check()


def test_a_gathered_state_is_a_copy() -> None:
    bank = Bank(states([0]))
    bank.seat(["a", "b"], states([1, 2]))
    taken = bank.take(["a", "b"])
    taken.level[:] = -1.0
    assert bank.take(["b"]).level.tolist() == [[1.0, 4.0]]


def test_a_snapshot_of_another_shape_is_refused_and_seats_nothing() -> None:
    class Other(NamedTuple):
        level: NDArray[np.float64]

    bank = Bank(states([0]))
    bank.seat(["a"], states([1]))
    other: Bank[Other] = Bank(Other(np.zeros((1, 2))))
    problem = other.restore(bank.image())
    assert problem is not None
    assert "2 arrays came" in problem.detail
    assert len(other) == 0


def test_decoding_says_which_array_does_not_fit() -> None:
    problem = tree.decode(Inner(np.zeros(1, np.int64)), tree.encode((np.zeros((3, 4)),)))
    assert isinstance(problem, tree.Mismatch)
    assert "array 0 is <f8 (4,), need <i8 ()" in problem.detail
