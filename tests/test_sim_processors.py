"""Samples are the same within one least significant bit on another processor, as far as one machine can show it.

Another processor differs in the code that NumPy, OpenBLAS and the C library choose for it: how wide its vectors are,
whether products and sums are fused, in which order a sum is taken. All three can be told here to do without what this
processor has, so that the code of an older one runs; and samples that were made on some machine are kept as a golden
recording, which every machine that runs these tests must meet. What neither can show is a processor of another family,
and a count of photons whose expected number differs in its last bit may be drawn otherwise: once in some 10^13 draws.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sim_samples import counts_of

Counts = dict[str, NDArray[np.int64]]

HERE = Path(__file__).parent
GOLDEN = HERE / "golden" / "samples.json"
SECONDS = 3
EVERY = {
    "mcg": 83,
    "meg": 167,
    "reference": 83,
    "ppg": 47,
    "acceleration": 23,
    "temperature": 1,
}  # samples that are kept


def older() -> dict[str, str]:
    """Environment in which the code for an older processor of the same family runs."""
    known = np._core._multiarray_umath  # type: ignore[attr-defined]
    features = [name for name in known.__cpu_dispatch__ if known.__cpu_features__.get(name)]
    return {
        "NPY_DISABLE_CPU_FEATURES": " ".join(features),
        "OPENBLAS_CORETYPE": "Prescott",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-AVX,-FMA,-AVX512F,-AVX2_Usable,-AVX_Usable,-FMA_Usable",
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture(scope="module")
def here() -> Counts:
    return counts_of(SECONDS)


def test_the_code_of_an_older_processor_gives_the_same_samples_within_one_count(here: Counts, tmp_path: Path) -> None:
    path = tmp_path / "older.npz"
    subprocess.run(
        [sys.executable, "-W", "ignore", HERE / "sim_samples.py", path, str(SECONDS)],
        env={**os.environ, **older()},
        check=True,
    )
    with np.load(path) as there:
        assert sorted(there.files) == sorted(here)
        off = {name: int(np.abs(there[name] - here[name]).max()) for name in here}
    assert max(off.values()) <= 1, {name: most for name, most in off.items() if most > 1}


def test_sums_in_another_order_and_functions_that_round_otherwise_move_no_sample_by_more_than_one_count(
    here: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)

    def shaken(name: str) -> None:
        exact = getattr(np, name)

        def rounded(*args: object, **kwargs: object) -> object:
            value = exact(*args, **kwargs)
            if not isinstance(value, np.ndarray) or value.dtype != np.float64 or "out" in kwargs:
                return value
            # Two units in the last place, either way: more than any library in use is off.
            return value * (1.0 + 2.0**-52 * rng.integers(-2, 3, value.shape))

        monkeypatch.setattr(np, name, rounded)

    for name in ("sin", "cos", "exp", "sqrt", "matmul", "einsum", "sum", "cross"):
        shaken(name)
    there = counts_of(SECONDS)
    monkeypatch.undo()
    off = {name: int(np.abs(there[name] - here[name]).max()) for name in here}
    assert max(off.values()) <= 1, {name: most for name, most in off.items() if most > 1}
    changed = sum(int(np.count_nonzero(there[name] - here[name])) for name in here)
    assert changed < 1e-3 * sum(values.size for values in here.values())


def test_samples_are_those_that_were_made_on_another_machine_within_one_count(
    here: Counts, request: pytest.FixtureRequest
) -> None:
    kept = {name: values[:, :: EVERY[name.rsplit("/", 1)[1]]].tolist() for name, values in here.items()}
    if request.config.getoption("--write-golden"):
        lines = [f"{json.dumps(name)}: {json.dumps(values)}" for name, values in kept.items()]
        GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    golden = json.loads(GOLDEN.read_text())
    assert sorted(golden) == sorted(kept)
    off = {name: int(np.abs(np.array(golden[name]) - np.array(kept[name])).max()) for name in kept}
    assert max(off.values()) <= 1, (
        f"{ {name: most for name, most in off.items() if most > 1} }: if the physics has been changed on purpose, run "
        "this test with --write-golden and say so"
    )
