"""What a task of `femtoward evaluate` is asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Tell = Callable[[str], None]  # told in words what is being done


@dataclass(frozen=True)
class Request:
    """A folder of recorded signals, and which of them."""

    folder: Path
    records: tuple[str, ...] | None = None  # all that are annotated
    leads: int = 1  # how many of each record, from the first
    noise: Path | None = None  # a record of noise to be added, its path without suffix
    snr_db: float = 6.0
    seed: int = 0  # of where in the noise a record begins
    annotations: Path | None = None  # folder for what was found, as WFDB annotation files
    without: tuple[str, ...] = ()  # scored once more without these
