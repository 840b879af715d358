"""Walks over states: nested NamedTuples of arrays with one row per device on axis 0."""

from typing import Any, NamedTuple, TypeVar, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")
Leaf = NDArray[Any]
Rows = NDArray[np.int64]


class _Array(msgspec.Struct, frozen=True, array_like=True):
    dtype: str
    shape: tuple[int, ...]
    data: bytes


def leaves(tree: object) -> list[Leaf]:
    """Return the arrays of a tree in order."""
    if isinstance(tree, np.ndarray):
        return [tree]
    return [leaf for branch in cast("tuple[object, ...]", tree) for leaf in leaves(branch)]


def rebuilt(tree: T, arrays: list[Leaf]) -> T:
    """Return a tree of the same shape that holds other arrays; `arrays` is used up from the front."""
    if isinstance(tree, np.ndarray):
        return cast("T", arrays.pop(0))
    branches = [rebuilt(branch, arrays) for branch in cast("tuple[object, ...]", tree)]
    make = getattr(tree, "_make", tuple)  # a NamedTuple makes itself, a plain tuple too
    return cast("T", make(branches))


def take(tree: T, rows: Rows) -> T:
    """Gather rows into a tree of their own."""
    return rebuilt(tree, [leaf[rows] for leaf in leaves(tree)])


def put(tree: object, rows: Rows, part: object) -> None:
    """Scatter rows back in place: the one function that writes to a state."""
    for leaf, new in zip(leaves(tree), leaves(part), strict=True):
        leaf[rows] = new


def grown(tree: T, n_rows: int) -> T:
    """Return a copy with room for `n_rows` rows; new rows are zero."""

    def grow(leaf: Leaf) -> Leaf:
        more = np.zeros((n_rows, *leaf.shape[1:]), leaf.dtype)
        more[: len(leaf)] = leaf
        return more

    return rebuilt(tree, [grow(leaf) for leaf in leaves(tree)])


def encode(tree: object) -> bytes:
    """Turn the arrays of a tree into bytes; their structure is the code's."""
    return msgspec.msgpack.encode([_Array(leaf.dtype.str, leaf.shape, leaf.tobytes()) for leaf in leaves(tree)])


_decoder = msgspec.msgpack.Decoder(list[_Array])


def arrays(data: bytes) -> list[Leaf]:
    """Read encoded arrays, whatever structure they are of."""
    return [np.frombuffer(a.data, a.dtype).reshape(a.shape) for a in _decoder.decode(data)]


class Mismatch(NamedTuple):
    """Why bytes do not fit a structure."""

    detail: str


def decode(template: T, data: bytes) -> T | Mismatch:
    """Fill the structure of `template` with encoded arrays, or say why they do not fit it."""
    arrays = _decoder.decode(data)
    wanted = leaves(template)
    if len(arrays) != len(wanted):
        return Mismatch(f"{len(arrays)} arrays came, the state has {len(wanted)}")
    for i, (array, leaf) in enumerate(zip(arrays, wanted, strict=True)):
        if array.dtype != leaf.dtype.str or array.shape[1:] != leaf.shape[1:]:
            return Mismatch(f"array {i} is {array.dtype} {array.shape[1:]}, need {leaf.dtype.str} {leaf.shape[1:]}")
    return rebuilt(template, [np.frombuffer(a.data, a.dtype).reshape(a.shape).copy() for a in arrays])
