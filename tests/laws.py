"""The laws that every kernel keeps: rows are independent, cuts change nothing, steps are pure, state survives."""

import pickle
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from anomaly.kernel import Kernel

Tree = Any  # an array or a NamedTuple of trees
BANK_SIZES = (2, 3, 17, 64, 257)


def leaves(tree: Tree, path: str = "") -> Iterator[tuple[str, NDArray[Any]]]:
    """Arrays of a nested NamedTuple with their names."""
    if isinstance(tree, tuple):
        names = getattr(tree, "_fields", range(len(tree)))
        for name, branch in zip(names, tree, strict=True):
            yield from leaves(branch, f"{path}.{name}")
    else:
        assert isinstance(tree, np.ndarray), f"{path} is a {type(tree).__name__}, need an array"
        yield path, tree


def same(a: Tree, b: Tree) -> None:
    """Two trees are equal to the bit, NaN at the same places."""
    for (path, x), (_, y) in zip(leaves(a), leaves(b), strict=True):
        assert x.dtype == y.dtype, path
        assert_array_equal(x, y, err_msg=path)


def rows(tree: Tree, index: NDArray[np.int64] | slice) -> Tree:
    """The rows named, of every array."""
    if isinstance(tree, tuple):
        return (
            type(tree)(*(rows(branch, index) for branch in tree))
            if hasattr(tree, "_fields")
            else tuple(rows(branch, index) for branch in tree)
        )
    return tree[index].copy()


def run(kernel: Kernel[Any, Any], blocks: Sequence[NDArray[np.float64]]) -> tuple[Tree, list[Tree]]:
    """Final state and every output of a kernel over blocks of shape (n_devices, n_channels, n_samples)."""
    state, outputs = kernel.init(blocks[0]), []
    for block in blocks:
        state, out = kernel.step(state, block)
        outputs.append(out)
    return state, outputs


def a_row_alone_equals_the_row_in_a_bank(
    kernel: Kernel[Any, Any], blocks: Sequence[NDArray[np.float64]], sizes: Sequence[int] = BANK_SIZES
) -> None:
    """Feed row 0 of `blocks` alone and in banks of other rows (repeated as needed, row 0 at several places)."""
    alone_state, alone = run(kernel, [block[:1].copy() for block in blocks])
    for n in sizes:
        index = np.arange(n) % len(blocks[0])
        where = n // 2
        index[where] = 0
        state, outputs = run(kernel, [np.ascontiguousarray(block[index]) for block in blocks])
        same(rows(state, slice(where, where + 1)), alone_state)
        for out, expected in zip(outputs, alone, strict=True):
            same(rows(out, slice(where, where + 1)), expected)


def gathering_rows_between_steps_changes_nothing(
    kernel: Kernel[Any, Any], blocks: Sequence[NDArray[np.float64]]
) -> None:
    """Odd and even rows stepped apart, as in a bank where some devices spoke, equal all rows stepped at once."""
    whole, _ = run(kernel, blocks)
    for start in (0, 1):
        index = np.arange(start, len(blocks[0]), 2)
        if len(index):
            part, _ = run(kernel, [np.ascontiguousarray(block[index]) for block in blocks])
            same(part, rows(whole, index))


def a_step_writes_to_no_argument(kernel: Kernel[Any, Any], blocks: Sequence[NDArray[np.float64]]) -> None:
    """Freeze every argument: a write raises."""
    state = kernel.init(blocks[0])
    for block in blocks:
        frozen = block.copy()
        frozen.setflags(write=False)
        for _, leaf in leaves(state):
            leaf.setflags(write=False)
        state, _ = kernel.step(state, frozen)


def state_survives_pickling(kernel: Kernel[Any, Any], blocks: Sequence[NDArray[np.float64]]) -> None:
    """A state that was encoded and decoded in the middle goes on the same."""
    half = len(blocks) // 2
    state, _ = run(kernel, blocks[:half])
    restored = pickle.loads(pickle.dumps(state))  # noqa: S301 - our own bytes
    for block in blocks[half:]:
        state, out = kernel.step(state, block)
        restored, again = kernel.step(restored, block)
        same(again, out)
    same(restored, state)


def cut(signal: NDArray[np.float64], edges: Sequence[int]) -> list[NDArray[np.float64]]:
    """Blocks of a signal cut at the sample numbers named."""
    ends = [0, *edges, signal.shape[-1]]
    return [np.ascontiguousarray(signal[..., a:b]) for a, b in pairwise(ends)]
