"""A whole run as one hash: whoever has the same scenario, seed and version gets the same bytes."""

import hashlib
from importlib.metadata import PackageNotFoundError, version

from device_sim.fleet import Fleet, FleetOptions
from device_sim.truth import TruthLine, WitnessLine, encode_line
from ingest.documents import encode_birth

T_START_NS = 1_700_000_000_000_000_000  # when runs begin that nobody waits for
STEPS_PER_S = 4


class Witness:
    """Takes in what a run makes, in its order.

    Parameters
    ----------
    scenario, seed, t_start_ns
        What is run, and when it starts.
    """

    def __init__(self, scenario: str, seed: int, t_start_ns: int) -> None:
        self._scenario = scenario
        self._seed = seed
        self._t_start_ns = t_start_ns
        self._hash = hashlib.sha256()

    def packets(self, leaving: list[tuple[int, bytes]]) -> None:
        """Take in what leaves the devices."""
        for device, payload in leaving:
            self._hash.update(b"%d %d " % (device, len(payload)))
            self._hash.update(payload)

    def lines(self, lines: list[TruthLine]) -> None:
        """Take in truth."""
        for line in lines:
            self._hash.update(encode_line(line))

    def line(self) -> WitnessLine:
        """What is witnessed so far."""
        return WitnessLine(
            scenario=self._scenario,
            seed=self._seed,
            version=_version(),
            from_ns=self._t_start_ns,
            sha256=self._hash.hexdigest(),
        )


def witnessed(options: FleetOptions) -> WitnessLine:
    """Run a fleet by itself from a fixed time on, as fast as it goes, and hash its births, packets and truth."""
    fleet, witness = Fleet(options, T_START_NS), Witness(options.scenario, options.seed, T_START_NS)
    witness.packets(list(enumerate(encode_birth(birth) for birth in fleet.births)))
    for _ in range(round(options.seconds * STEPS_PER_S)):
        witness.packets(fleet.step())
        witness.lines(fleet.truth_lines())
    witness.lines(fleet.closing_lines())
    return witness.line()


def _version() -> str:
    try:
        return version("femtoward")
    except PackageNotFoundError:
        return "source"
