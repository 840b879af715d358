"""No sample that is no number gets past Repair, and none that is one is changed."""

from typing import Any

import laws
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from numpy.typing import NDArray
from oracle_vitals import repaired

from anomaly.kernel import Kernel
from anomaly.mains import mains_notch
from anomaly.motion import Motion
from anomaly.pulse import PulseDetector
from anomaly.quality import SignalQuality
from anomaly.reference import ReferenceCanceller
from anomaly.repair import Repair
from anomaly.strip import StripRing

Array = NDArray[np.float64]
REPAIR = Repair()
SAMPLES = st.one_of(st.floats(-1e3, 1e3), st.sampled_from([np.nan, np.inf, -np.inf, 1e13, -1e300, 1e12]))


def holes(seed: int, n: int = 5, n_blocks: int = 4) -> list[Array]:
    rng = np.random.default_rng(seed)
    blocks = []
    for _ in range(n_blocks):
        x = rng.standard_normal((n, 3, 25))
        x[rng.random(x.shape) < 0.2] = np.nan
        x[1] = np.inf
        x[2] = 1.5
        blocks.append(x)
    return blocks


def test_it_keeps_the_laws() -> None:
    blocks = holes(1)
    laws.a_row_alone_equals_the_row_in_a_bank(REPAIR, blocks)
    laws.gathering_rows_between_steps_changes_nothing(REPAIR, blocks)
    laws.a_step_writes_to_no_argument(REPAIR, blocks)
    laws.state_survives_pickling(REPAIR, blocks)


@given(st.lists(SAMPLES, min_size=2, max_size=40), st.data())
def test_any_cut_after_the_first_good_sample_gives_what_a_loop_gives(samples: list[float], data: st.DataObject) -> None:
    first_good = next((i for i, x in enumerate(samples) if abs(x) <= 1e12), 0)
    places = st.integers(first_good + 1, max(len(samples) - 1, first_good + 1))
    edges = [edge for edge in [data.draw(places)] if edge < len(samples)]
    blocks = laws.cut(np.array(samples).reshape(1, 1, -1), edges)
    _, outs = laws.run(REPAIR, blocks)
    assert_array_equal(np.concatenate([out.block for out in outs], axis=-1)[0, 0], repaired(samples))
    assert sum(int(out.n_bad[0]) for out in outs) == sum(not abs(x) <= 1e12 for x in samples)


def test_a_row_of_rubbish_becomes_zeros_and_is_counted() -> None:
    block = np.full((1, 2, 10), np.nan)
    _, out = REPAIR.step(REPAIR.init(block), block)
    assert_array_equal(out.block, np.zeros((1, 2, 10)))
    assert out.n_bad[0] == 20


def test_squares_of_what_passes_are_finite() -> None:
    block = np.array([[[1e300, -1e200, 1e12, 3.0]]])
    _, out = REPAIR.step(REPAIR.init(block), block)
    assert np.isfinite(out.block**4).all()


@pytest.mark.parametrize(
    "kernel",
    [
        mains_notch(500.0),
        ReferenceCanceller(3, 2, 500.0),
        PulseDetector(100.0),
        SignalQuality(500.0, 5000.0),
        Motion(52.0),
        StripRing(500.0),
    ],
    ids=lambda kernel: type(kernel).__name__,
)
def test_whatever_passes_upsets_no_kernel(kernel: Kernel[Any, Any]) -> None:
    rng = np.random.default_rng(0)
    x = np.zeros((6, 5, 500))
    x[1] = 1e12
    x[2] = 1e12 * np.sign(rng.standard_normal((5, 500)))
    x[3] = 1e-300 * rng.standard_normal((5, 500))
    x[4, :, 300:] = -1e12
    x[5] = rng.standard_normal((5, 500))
    x[:, 4] = 0.0
    state, outs = laws.run(kernel, laws.cut(x, range(125, 500, 125)))  # a warning would be an error
    for path, leaf in [*laws.leaves(state), *laws.leaves(tuple(outs))]:
        assert not np.isinf(leaf).any(), path
    alone, _ = laws.run(kernel, laws.cut(x[5:], range(125, 500, 125)))
    laws.same(laws.rows(state, slice(5, 6)), alone)


@pytest.mark.parametrize("limit", [0.0, -1.0, np.inf, np.nan])
def test_a_limit_that_is_none_is_refused(limit: float) -> None:
    with pytest.raises(ValueError, match="need 0 < limit"):
        Repair(limit)
