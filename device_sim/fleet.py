"""N simulated patients with their wearables: packets, births and truth, all from a seed."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.random import SeedSequence, default_rng

from device_sim.batch import batches
from device_sim.births import birth_of, renewed
from device_sim.bodies import Body, Chances, chances_of, random_body
from device_sim.breath import Lungs
from device_sim.course import levels
from device_sim.devices import DEVICES
from device_sim.environment import random_grid
from device_sim.faults import Fault
from device_sim.flutter import QUIVERING
from device_sim.heart import Heart
from device_sim.housekeeping import COLD_CEL, WELL, Said, known, status_of
from device_sim.link import Link
from device_sim.moment import Moment, moment_at
from device_sim.physics import CHUNK_S, LOOK_AHEAD_S, LOOK_BACK_S
from device_sim.physiology import Beat, BeatSource
from device_sim.recorded_pulse import load_pulse
from device_sim.recording import TYPICAL_R_PT, RecordedHeart, Recording, load_recording
from device_sim.scenario import load_scenario, script_of
from device_sim.scribe import Scribe
from device_sim.script import Script
from device_sim.standin import placed, with_records
from device_sim.truth import TruthLine, Who
from device_sim.wearable import PACKET_NS, SLOTS_PER_CHUNK
from ingest.documents import encode_birth, encode_status
from ingest.profile import Birth

MAX_PATIENTS = 100_000
# Faults that are felt after their end, and how long.
_AFTERMATH_S = {"off-body": 1000.0, "cell-cooling": 200.0, "reboot": 200.0}
# Neighbours' packets leave as far apart as can be, whatever their number: multiples of the golden ratio.
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0


class FleetOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a fleet is.

    Raises
    ------
    ValueError
        If a number is out of range; the message says what is allowed.
    """

    patients: int = 12
    scenario: str = "ward"  # a built-in name, or the path of a TOML file
    seed: int = 1
    seconds: float = 0.0  # of simulated time; 0: for ever
    site: str = "demo"
    wfdb: tuple[str, ...] = ()  # recorded hearts: paths without extension, or N=PATH for patient N
    pulse: tuple[str, ...] = ()  # recorded pulses, likewise, or tables

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        if not 1 <= self.patients <= MAX_PATIENTS:
            raise ValueError(f"patients={self.patients}: need 1 <= patients <= {MAX_PATIENTS}")
        if not 0 <= self.seed < 1 << 63:
            raise ValueError(f"seed={self.seed}: need 0 <= seed < 2**63")
        if not 0.0 <= self.seconds < 1e9:
            raise ValueError(f"seconds={self.seconds}: need 0 (for ever) <= seconds < 1e9")
        placed("wfdb", self.wfdb, self.patients)
        placed("pulse", self.pulse, self.patients)


def who(index: int, site: str) -> Who:
    """Names of patient `index`, which do not depend on how many there are."""
    number = f"{index + 1:04d}"
    return Who(f"patient-{number}", f"wearable-{number}", f"bed-{number}", site)


def birth_for(script: Script, one: Who, t_start_ns: int) -> Birth:
    """What a patient's device says of itself before a run that begins then."""
    kind, expired = DEVICES[script.patient.device], script.patient.expired
    return birth_of(kind, one.device, one.patient, t_start_ns, expired=expired)


@dataclass
class _Patient:
    """What changes from beat to beat and from packet to packet; what changes from sample to sample are arrays."""

    who: Who
    birth: Birth
    link: Link
    phase_ns: int
    phase_s: float
    script: Script
    eventful: bool  # something is scripted
    lungs: Lungs
    heart: BeatSource
    scribe: Scribe
    recording: Recording | None
    pulse: Recording | None
    said: Said = WELL
    recent: deque[Beat] = field(default_factory=deque)  # whose waves are not over
    untold: deque[Beat] = field(default_factory=deque)  # not yet in the truth


class Fleet:
    """Simulated patients as arrays.

    The same options and start time give the same bytes, and a patient's bytes depend on seed, script and the patient's
    own number only, not on how many others there are.

    Parameters
    ----------
    options
        Who is simulated.
    t_start_ns
        Unix time at which the simulation starts.

    Examples
    --------
    >>> fleet = Fleet(FleetOptions(patients=2, scenario="quiet"), t_start_ns=1_700_000_000_000_000_000)
    >>> [(device, len(payload) > 2000) for device, payload in fleet.step()]
    [(0, True), (1, True)]
    """

    def __init__(self, options: FleetOptions, t_start_ns: int) -> None:
        scenario = load_scenario(options.scenario)
        self._t_start_ns = t_start_ns
        chances = [chances_of(options.seed, index) for index in range(options.patients)]
        hearts, beating = (placed("", given, options.patients) for given in (options.wfdb, options.pulse))
        bodies: list[Body] = []
        self._patients: list[_Patient] = []
        for index, one in enumerate(chances):
            script = script_of(scenario, index)
            script = script._replace(patient=with_records(script.patient, hearts.get(index), beating.get(index)))
            body = random_body(one.body, script, TYPICAL_R_PT if script.patient.record else None)
            bodies.append(body)
            self._patients.append(_patient(index, options, t_start_ns, script, body, one))
        self.names = [patient.who for patient in self._patients]
        self.births = [patient.birth for patient in self._patients]
        self.phase_ns = [patient.phase_ns for patient in self._patients]
        worn_records = [(one.script.patient.record, one.script.patient.pulse_record) for one in self._patients]
        self.records = list(dict.fromkeys(record for two in worn_records for record in two if record))
        self._order = sorted(range(options.patients), key=self.phase_ns.__getitem__)
        grid = random_grid(default_rng(SeedSequence(options.seed, spawn_key=(0,))))
        worn = [patient.script.patient.device for patient in self._patients]
        self._batches = batches(worn, bodies, chances, grid)
        self._seats = {index: (batch, row) for batch in self._batches for row, index in enumerate(batch.members)}
        self._slot = 0
        self._lines: list[TruthLine] = [line for patient in self._patients for line in patient.scribe.opening()]
        self._notes: list[tuple[int, bytes]] = []
        self._statuses: list[tuple[int, bytes]] = []
        self._rebirths: list[tuple[int, bytes]] = []

    def step(self) -> list[tuple[int, bytes]]:
        """Packets of the next 250 ms of all devices, in the order in which they leave.

        The packet of device `i` leaves at ``t_start_ns + phase_ns[i] + PACKET_NS * (steps before + 1)``.
        """
        slot_of_chunk = self._slot % SLOTS_PER_CHUNK
        if slot_of_chunk == 0:
            for batch in self._batches:
                batch.advance(self._moment(batch.members))
        leaving: list[tuple[int, bytes]] = []
        self._notes, self._statuses, self._rebirths = [], [], []
        for index in self._order:
            patient = self._patients[index]
            leaving += [(index, payload) for payload in self._leaving(patient, index, slot_of_chunk)]
            self._tell(patient, index)
        self._slot += 1
        return leaving

    def notes(self) -> list[tuple[int, bytes]]:
        """For the truth topics: devices of the last step in whose packet a heart beat, and the beats as JSON."""
        return self._notes

    def statuses(self) -> list[tuple[int, bytes]]:
        """For the status topics: devices that in the last step had something new to say of themselves, and what."""
        return self._statuses

    def rebirths(self) -> list[tuple[int, bytes]]:
        """For the birth topics, before the packets of the last step: devices that have calibrated themselves."""
        return self._rebirths

    def truth_lines(self) -> list[TruthLine]:
        """Lines of truth since they were last asked for."""
        lines, self._lines = self._lines, []
        return lines

    def closing_lines(self) -> list[TruthLine]:
        """Lines of truth that are left when the run is over."""
        return [*self.truth_lines(), *(line for patient in self._patients for line in patient.scribe.closing())]

    def _moment(self, members: Sequence[int]) -> Moment:
        """Beats and faults of the second that begins now."""
        patients = [self._patients[index] for index in members]
        starts_s = np.array([patient.phase_s for patient in patients]) + self._slot / SLOTS_PER_CHUNK
        now = moment_at(starts_s)
        for row, patient in enumerate(patients):
            start_s = float(starts_s[row])
            end_s = start_s + CHUNK_S
            fresh = patient.heart.advance(end_s + LOOK_AHEAD_S)
            patient.untold.extend(fresh)
            patient.recent.extend(fresh)
            while patient.recent and patient.recent[0].time_s < start_s - LOOK_BACK_S:
                patient.recent.popleft()
            now.beats.extend([(row, beat) for beat in patient.recent])
            if patient.recording:
                now.recorded.append((row, patient.recording, patient.phase_s))
            if patient.pulse:
                now.pulsed.append((row, patient.pulse, patient.phase_s))
            if patient.eventful:
                _happening(now, row, patient, start_s, end_s)
        return now

    def _leaving(self, patient: _Patient, index: int, slot: int) -> list[bytes]:
        """Packets that leave a device now: one, none, or all that were held back."""
        batch, row = self._seats[index]
        packed = batch.packed
        faults: list[Fault] = []
        if patient.eventful:
            start_s = patient.phase_s + self._slot / SLOTS_PER_CHUNK
            faults = patient.script.faults(start_s - CHUNK_S, start_s + CHUNK_S)
        names = patient.link.in_force(self._slot, faults)
        if "calibrating" in patient.said.faults - names:
            now_ns = self._t_start_ns + patient.phase_ns + self._slot * PACKET_NS
            patient.link.birth = renewed(patient.link.birth, now_ns)
            self._rebirths.append((index, encode_birth(patient.link.birth)))
        leaving = patient.link.leaving(self._slot, faults, lambda number: packed.blocks(row, slot, number))
        said = Said(packed.flags(row, slot), known(names), cold=packed.cell_cel(row) < COLD_CEL)
        if said != patient.said:
            patient.said = said
            status = status_of(batch.kind.head, said, packed.coil_pt(row), packed.cell_cel(row))
            self._statuses.append((index, encode_status(status)))
        return leaving

    def _tell(self, patient: _Patient, index: int) -> None:
        """Write down the truth of this slot of a device."""
        to_s = patient.phase_s + (self._slot + 1) / SLOTS_PER_CHUNK
        beats = []
        while patient.untold and patient.untold[0].time_s < to_s:
            beats.append(patient.untold.popleft())
        self._lines += patient.scribe.until(to_s, beats)
        if beats:
            note = {
                "t0_ns": self._t_start_ns + patient.phase_ns + self._slot * PACKET_NS,
                "beats": [{"time_ns": self._t_start_ns + round(b.time_s * 1e9), "class": b.kind} for b in beats],
            }
            self._notes.append((index, msgspec.json.encode(note)))


def _happening(now: Moment, row: int, patient: _Patient, start_s: float, end_s: float) -> None:
    """Add what is scripted for a patient's second to a moment."""
    script = patient.script
    now.faults.extend(
        (row, fault)
        for fault in script.faults(start_s - max(_AFTERMATH_S.values()), end_s)
        if fault.to_s > start_s - max(CHUNK_S, _AFTERMATH_S.get(fault.name, 0.0))
    )
    episodes = script.episodes(start_s - CHUNK_S, end_s)
    now.quivering.extend((row, one) for one in episodes if one.rhythm in QUIVERING)
    spans = script.spans(script.patient.activities, start_s - CHUNK_S, end_s)
    now.activities.extend((row, span) for span in spans)
    now.brains.extend((row, span) for span in script.spans(script.patient.brain, start_s - CHUNK_S, end_s))
    if not script.patient.steady:
        now.breathing.append((row, patient.lungs))
        now.levels.append((row, levels(script, np.array([0.5 * (start_s + end_s)]))))


def _patient(
    index: int, options: FleetOptions, t_start_ns: int, script: Script, body: Body, chances: Chances
) -> _Patient:
    """Put together what one patient carries."""
    one = who(index, options.site)
    phase_ns = int(index * _GOLDEN % 1.0 * PACKET_NS)
    phase_s = phase_ns / 1e9
    birth = birth_for(script, one, t_start_ns)
    lungs = Lungs(script, body.breath)
    recording = load_recording(script.patient.record) if script.patient.record else None
    recorded = RecordedHeart(recording, phase_s) if recording else None
    return _Patient(
        who=one,
        birth=birth,
        link=Link(birth, f"{options.seed}/{index}/{t_start_ns}", t_start_ns + phase_ns, phase_s, chances.link),
        phase_ns=phase_ns,
        phase_s=phase_s,
        script=script,
        eventful=bool(script.patient.events) or not script.patient.steady,
        lungs=lungs,
        heart=recorded or Heart(script, lungs, chances.heart),
        scribe=Scribe(
            one,
            body,
            lungs,
            t_start_ns=t_start_ns,
            phase_s=phase_s,
            end_s=options.seconds or math.inf,
            recorded=recorded,
        ),
        recording=recording,
        pulse=load_pulse(script.patient.pulse_record) if script.patient.pulse_record else None,
    )
