"""A whole run as one hash: whoever has the same scenario, seed and version gets the same bytes."""

import hashlib
from importlib.metadata import PackageNotFoundError, version

from device_sim.fleet import Fleet, FleetOptions
from device_sim.scenario import scenario_sha256
from device_sim.standin import records_sha256
from device_sim.truth import TruthLine, WitnessLine, encode_line
from ingest.documents import encode_birth

T_START_NS = 1_700_000_000_000_000_000  # when runs begin that nobody waits for
STEPS_PER_S = 4


class Witness:
    """Takes in what a run makes, in its order: births first, then packets and truth step by step.

    Parameters
    ----------
    options
        What is run.
    fleet
        Who runs; nothing has left it yet.
    t_start_ns
        When it starts.
    """

    def __init__(self, options: FleetOptions, fleet: Fleet, t_start_ns: int) -> None:
        self._options = options
        self._t_start_ns = t_start_ns
        self._hash = hashlib.sha256()
        # Now: what is read later may have been changed since.
        self._scenario = scenario_sha256(options.scenario)
        self._records = records_sha256(fleet.records)
        self.packets(list(enumerate(encode_birth(birth) for birth in fleet.births)))

    def packets(self, leaving: list[tuple[int, bytes]]) -> None:
        """Take in what leaves the devices: births that are said anew, then packets."""
        for device, payload in leaving:
            self._hash.update(b"%d %d " % (device, len(payload)))
            self._hash.update(payload)

    def lines(self, lines: list[TruthLine]) -> None:
        """Take in truth."""
        for line in lines:
            self._hash.update(encode_line(line))

    def line(self, *, whole: bool = True) -> WitnessLine:
        """What is witnessed so far; `whole`: the run went on to its end."""
        options = self._options
        return WitnessLine(
            scenario=options.scenario,
            scenario_sha256=self._scenario,
            patients=options.patients,
            seconds=options.seconds,
            seed=options.seed,
            site=options.site,
            wfdb=options.wfdb,
            pulse=options.pulse,
            records_sha256=self._records,
            version=_version(),
            from_ns=self._t_start_ns,
            whole=whole,
            sha256=self._hash.hexdigest(),
        )


def witnessed(options: FleetOptions, from_ns: int = T_START_NS) -> WitnessLine:
    """Run a fleet by itself from a fixed time on, as fast as it goes, and hash its births, packets and truth."""
    fleet = Fleet(options, from_ns)
    witness = Witness(options, fleet, from_ns)
    for _ in range(round(options.seconds * STEPS_PER_S)):
        leaving = fleet.step()
        witness.packets([*fleet.rebirths(), *leaving])
        witness.lines(fleet.truth_lines())
    witness.lines(fleet.closing_lines())
    return witness.line()


def options_of(line: WitnessLine) -> FleetOptions:
    """What was run.

    Raises
    ------
    ValueError
        If that cannot be run again: it was stopped, or its witness does not say enough.
    """
    if not line.whole or not line.seconds or not line.patients:
        raise ValueError(
            "the run of this witness was stopped before its end, or had none: only a whole run can be run again; "
            "give it --seconds"
        )
    return FleetOptions(
        patients=line.patients,
        scenario=line.scenario,
        seed=line.seed,
        seconds=line.seconds,
        site=line.site,
        wfdb=line.wfdb,
        pulse=line.pulse,
    )


def differences(then: WitnessLine, now: WitnessLine) -> list[str]:
    """In what two runs that should be one differ, causes first; empty: they are the same to the byte."""
    causes = [
        (then.scenario_sha256 == now.scenario_sha256, f"the scenario {then.scenario!r} is not what it was"),
        (then.records_sha256 == now.records_sha256, "the records are not what they were"),
        (then.version == now.version, f"version {then.version!r} made it, this is {now.version!r}"),
        (then.sha256 == now.sha256, f"the bytes differ: {then.sha256} then, {now.sha256} now"),
    ]
    return [said for same, said in causes if not same]


def _version() -> str:
    try:
        return version("femtoward")
    except PackageNotFoundError:
        return "source"
