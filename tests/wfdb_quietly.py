"""Write records for tests with wfdb, whose import warns of pandas' future."""

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import wfdb


def write(
    folder: Path,
    name: str,
    lead: NDArray[np.float64],
    beats: NDArray[np.int64],
    symbols: list[str],
    rate_hz: int = 360,
    texts: list[str] | None = None,
) -> None:
    """Write a record of one lead with its beat annotations (`.atr`)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wfdb.wrsamp(
            name,
            fs=rate_hz,
            units=["mV"],
            sig_name=["MLII"],
            p_signal=lead[:, None],
            fmt=["16"],
            write_dir=str(folder),
        )
        wfdb.wrann(name, "atr", beats, symbol=symbols, aux_note=texts, write_dir=str(folder))
