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
