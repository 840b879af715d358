"""The fleet of a siege, in a process of its own: a simulation whose options stand in a file."""

import os
import sys
from pathlib import Path

import msgspec

from deploy.output import show_json
from deploy.signals import stop_by_thread


def main(path: Path) -> None:
    """Simulate until a signal comes or the siege is gone; the report goes to standard output."""
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    stopping = stop_by_thread(supervised=True)
    # Brings NumPy, whose threads must be born with the signals blocked.
    from device_sim.simulate import SimOptions, run_simulation  # noqa: PLC0415

    options = msgspec.json.decode(path.read_bytes(), type=SimOptions)
    show_json(run_simulation(options, stopping))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
