"""Who wears what, and where: births, statuses and bindings, folded from messages and commands in journal order."""

import zlib
from hashlib import blake2b
from typing import Literal

import msgspec

from ingest.command import Admit, Command, Discharge, SetLimits, Transfer
from ingest.documents import encode_command
from ingest.limits import Own, in_words, refusal
from ingest.packet import BadPacket
from ingest.place import Place
from ingest.profile import Birth, Status

VERSION = 2
MAX_COMMANDS = 4096  # that are remembered, so that one that comes twice is done once
MAX_PATIENTS = 20_000  # that are here at a time


class Wearer(msgspec.Struct, frozen=True, array_like=True):
    """A patient as of now."""

    patient: str
    bed: str  # empty: none
    devices: tuple[str, ...]  # in alphabetical order
    admitted: bool
    revision: int  # of the registry at this change: it grows though a patient was forgotten
    ward: str = ""  # empty: none
    limits: Own = {}  # the patient's own


class Binding(msgspec.Struct, frozen=True, array_like=True):
    """A device that went from one patient to another; None: to or from nobody."""

    device: str
    before: str | None
    after: str | None


class Change(msgspec.Struct, frozen=True, array_like=True):
    """What a message changed; empty if nothing."""

    birth: bool = False  # the device's profile is new
    bindings: tuple[Binding, ...] = ()
    patients: tuple[Wearer, ...] = ()  # as they are now, those that changed


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    """What became of a command."""

    mine: bool  # False: acknowledge, shelve and the like are for the alarms to do
    done: bool
    detail: str
    repeated: bool = False  # the id was seen before: nothing was done now, `done` and `detail` are of the first time
    change: Change = Change()


class _Device(msgspec.Struct, array_like=True):
    birth: Birth | None = None
    status: Status | None = None
    patient: str | None = None
    bound_by: Literal["", "birth", "command"] = ""


class _Patient(msgspec.Struct, array_like=True):
    bed: str = ""
    by_command: bool = False
    revision: int = 0
    devices: tuple[str, ...] = ()
    ward: str = ""
    limits: Own = {}

    @property
    def place(self) -> Place:
        return Place(self.ward, self.bed)


class _Seen(msgspec.Struct, frozen=True, array_like=True):
    digest: bytes
    done: bool
    detail: str


class _Site(msgspec.Struct, array_like=True):
    devices: dict[str, _Device]
    patients: dict[str, _Patient]


class _Body(msgspec.Struct, array_like=True):
    sites: dict[str, _Site]
    commands: dict[str, _Seen]  # by site/id, oldest first
    revision: int
    n_patients: int


class _Saved(msgspec.Struct, array_like=True):
    version: int
    body: bytes  # compressed: births are long and much alike


class _SavedVersion(msgspec.Struct, array_like=True):
    version: int


class Registry:
    """A fold over births, statuses and commands in the order of the journal; the same messages give the same registry.

    Rules
    -----
    - The newest birth is in force, a lower number too: a device that was reset counts anew, and the broker keeps each
      device's order, so an older birth cannot overtake. One that comes again unchanged (every reconnect brings it)
      changes nothing; the same number with other content is refused.
    - A birth's patient is a hint. It binds when it is new, that is, other than the device's last hint, and only if no
      command bound the device. So a discharged patient's device is not bound again by its retained birth.
    - An admission by command outranks hints until the patient is discharged.
    - A bed is one of its ward, and holds one patient at a time; who goes to another ward leaves the bed.
    - A patient's own limits last until the patient is forgotten.
    - A patient who was discharged is forgotten; so is one whom no command admitted, when the last device is gone.
    """

    def __init__(self) -> None:
        self._body = _Body({}, {}, 0, 0)
        self._encoded: bytes | None = None  # until something changes

    def apply_birth(self, site: str, birth: Birth) -> Change | BadPacket:
        """Take a birth into force.

        Examples
        --------
        >>> from ingest.profile import StreamProfile
        >>> ppg = StreamProfile(name="ppg", kind="ppg", sensor="spad", rate_hz=100.0, n_channels=1, unit="{count}",
        ...                     dtype="i4", block_len=25)
        >>> registry = Registry()
        >>> registry.apply_birth("s", Birth(version=1, device="w1", birth=0, streams=(ppg,), patient="p1")).bindings
        (Binding(device='w1', before=None, after='p1'),)
        >>> registry.patient_of("s", "w1")
        'p1'
        """
        entry = self._find(site, birth.device)
        known = entry.birth if entry else None
        if known == birth:
            return Change()
        if known is not None and known.birth == birth.birth:
            return BadPacket(
                "bad-birth",
                f"birth {birth.birth} of device {birth.device!r} came with other content than before "
                f"({_differences(known, birth)}): count the birth number up whenever anything in it changes",
            )
        device = self._device(site, birth.device)
        device.birth = birth
        if birth.patient == (known.patient if known else None) or device.bound_by == "command":
            return Change(birth=True)
        binding, patients = self._bind(site, birth.device, birth.patient, "birth")
        return Change(birth=True, bindings=binding, patients=patients)

    def apply_status(self, site: str, device: str, status: Status) -> bool:
        """Take a status; whether it is new."""
        entry = self._find(site, device)
        if entry is not None and entry.status == status:
            return False
        self._device(site, device).status = status
        return True

    def forget(self, site: str, device: str) -> Change:
        """Forget a device; its patient goes too, unless there is another one or a command admitted the patient."""
        if self._find(site, device) is None:
            return Change()
        bindings, patients = self._bind(site, device, None, "birth")
        del self._site(site).devices[device]
        self._tidy(site)
        return Change(bindings=bindings, patients=patients)

    def apply_command(self, site: str, actor: str, command: Command) -> Outcome:
        """Do a command, once per id; the registry's own are admit, discharge, transfer and set-limits."""
        seen, key = self._body.commands, f"{site}/{command.id}"
        digest = blake2b(encode_command(command), digest_size=8).digest()
        if (first := seen.get(key)) is not None:
            mine = isinstance(command, Admit | Discharge | Transfer | SetLimits)
            if first.digest == digest:
                return Outcome(mine, first.done, first.detail, repeated=True)
            detail = f"id {command.id!r} was used before for another command: give each command an id of its own"
            return Outcome(mine=True, done=False, detail=detail)
        self._encoded = None
        outcome = self._do(site, actor, command)
        seen[key] = _Seen(digest, outcome.done, outcome.detail)
        if len(seen) > MAX_COMMANDS:
            del seen[next(iter(seen))]
        return outcome

    def birth_of(self, site: str, device: str) -> Birth | None:
        """Birth in force."""
        entry = self._find(site, device)
        return entry.birth if entry else None

    def status_of(self, site: str, device: str) -> Status | None:
        """What the device said of itself last."""
        entry = self._find(site, device)
        return entry.status if entry else None

    def patient_of(self, site: str, device: str) -> str | None:
        """The patient who wears a device."""
        entry = self._find(site, device)
        return entry.patient if entry else None

    def admitted(self, site: str, device: str) -> bool:
        """Whether a command bound a device to its patient."""
        entry = self._find(site, device)
        return entry is not None and entry.bound_by == "command"

    def devices(self, site: str) -> tuple[str, ...]:
        """Devices heard of, in alphabetical order."""
        return tuple(sorted(self._body.sites[site].devices)) if site in self._body.sites else ()

    def patients(self, site: str) -> tuple[Wearer, ...]:
        """Patients who are here, in alphabetical order."""
        here = self._body.sites[site].patients if site in self._body.sites else {}
        return tuple(_wearer(name, here[name]) for name in sorted(here))

    def wearer(self, site: str, patient: str) -> Wearer | None:
        """Patient as of now; None of one who is not here."""
        known = self._patient(site, patient)
        return _wearer(patient, known) if known else None

    def sites(self) -> tuple[str, ...]:
        """Sites with a device or a patient, in alphabetical order."""
        return tuple(sorted(self._body.sites))

    def encode(self) -> bytes:
        """Everything that is known, as bytes of a stated version."""
        if self._encoded is None:
            body = zlib.compress(msgspec.msgpack.encode(self._body), 1)
            self._encoded = msgspec.msgpack.encode(_Saved(VERSION, body))
        return self._encoded

    @classmethod
    def decode(cls, data: bytes) -> "Registry":
        """Registry from what `encode` gave.

        Raises
        ------
        ValueError
            If the bytes are of another version, or are none of ours.
        """
        version = msgspec.msgpack.decode(data, type=_SavedVersion).version
        if version != VERSION:
            raise ValueError(f"a registry of version {version} came, need version {VERSION}: fold the journal again")
        registry = cls()
        body = msgspec.msgpack.decode(data, type=_Saved).body
        registry._body, registry._encoded = msgspec.msgpack.decode(zlib.decompress(body), type=_Body), data
        return registry

    def _do(self, site: str, actor: str, command: Command) -> Outcome:
        if isinstance(command, Admit):
            return self._admit(site, actor, command)
        if isinstance(command, Discharge):
            return self._discharge(site, actor, command)
        if isinstance(command, Transfer):
            return self._transfer(site, actor, command)
        if isinstance(command, SetLimits):
            return self._set_limits(site, actor, command)
        return Outcome(mine=False, done=False, detail="")

    def _admit(self, site: str, actor: str, command: Admit) -> Outcome:
        here = self._body.sites.get(site)
        if (here is None or command.patient not in here.patients) and self._body.n_patients >= MAX_PATIENTS:
            return _refused(f"{MAX_PATIENTS} patients are here, no more are taken: discharge those who left")
        known = self._patient(site, command.patient)
        place = (known.place if known else Place()).after(command)
        if refusal := self._occupied(site, place, command.patient):
            return refusal
        bindings, wearers = self._bind(site, command.device, command.patient, "command", place=place)
        moved = f", which {bindings[0].before} wore before" if bindings and bindings[0].before else ""
        unborn = "" if self.birth_of(site, command.device) else "; the device has not been heard of yet"
        detail = f"{actor}: {command.patient} wears {command.device}{moved}{unborn}"
        return Outcome(mine=True, done=True, detail=detail, change=Change(bindings=bindings, patients=wearers))

    def _discharge(self, site: str, actor: str, command: Discharge) -> Outcome:
        patient = self._patient(site, command.patient)
        if patient is None:
            return _refused(f"{command.patient} is not admitted here: nothing to discharge")
        freed = patient.devices
        for name in freed:
            device = self._device(site, name)
            device.patient, device.bound_by = None, ""
        change = Change(
            bindings=tuple(Binding(name, command.patient, None) for name in freed),
            patients=(self._gone(site, command.patient),),
        )
        self._tidy(site)
        detail = f"{actor}: {command.patient} discharged, {', '.join(freed) or 'no device'} freed"
        return Outcome(mine=True, done=True, detail=detail, change=change)

    def _transfer(self, site: str, actor: str, command: Transfer) -> Outcome:
        patient = self._patient(site, command.patient)
        if patient is None:
            return _refused(f"{command.patient} is not admitted here: admit the patient first")
        before, place = patient.place, patient.place.after(command)
        if refusal := self._occupied(site, place, command.patient):
            return refusal
        patient.ward, patient.bed = place
        patients = (self._revised(site, command.patient),) if before != place else ()
        detail = f"{actor}: {command.patient} lies in {place}, before in {before}"
        return Outcome(mine=True, done=True, detail=detail, change=Change(patients=patients))

    def _set_limits(self, site: str, actor: str, command: SetLimits) -> Outcome:
        patient = self._patient(site, command.patient)
        if patient is None:
            return _refused(f"{command.patient} is not admitted here: no limits are kept of who is not")
        if why := refusal(command):
            return _refused(why)
        own = (command.low, command.high)
        news = patient.limits.get(command.vital, (None, None)) != own
        patient.limits = {**patient.limits, command.vital: own}
        patients = (self._revised(site, command.patient),) if news else ()
        detail = f"{actor}: {command.patient} has limits of {in_words(command.vital, own)}"
        return Outcome(mine=True, done=True, detail=detail, change=Change(patients=patients))

    def _occupied(self, site: str, place: Place, patient: str) -> Outcome | None:
        """Refusal if somebody else lies in a bed."""
        here = self._body.sites.get(site)
        for name, entry in here.patients.items() if here and place.bed else ():
            if (entry.ward, entry.bed) == place and name != patient:
                return _refused(f"bed {place} is taken by {name}: transfer or discharge {name} first")
        return None

    def _bind(
        self, site: str, name: str, patient: str | None, by: Literal["birth", "command"], *, place: Place | None = None
    ) -> tuple[tuple[Binding, ...], tuple[Wearer, ...]]:
        """Bind a device to a patient, or to nobody; what changed."""
        device = self._device(site, name)
        before = device.patient
        device.patient, device.bound_by = patient, by if patient else ""
        patients = self._site(site).patients
        changed = []
        if before is not None and before != patient:
            loser = patients[before]
            loser.devices = tuple(other for other in loser.devices if other != name)
            stays = loser.devices or loser.by_command
            changed.append(self._revised(site, before) if stays else self._gone(site, before))
        if patient is not None:
            if patient not in patients:
                self._body.n_patients += 1
            entry = patients.setdefault(patient, _Patient())
            news = before != patient or place not in (None, entry.place)
            entry.by_command = entry.by_command or by == "command"
            entry.ward, entry.bed = entry.place if place is None else place
            entry.devices = tuple(sorted({*entry.devices, name}))
            if news:
                changed.append(self._revised(site, patient))
        bindings = (Binding(name, before, patient),) if before != patient else ()
        return bindings, tuple(changed)

    def _revised(self, site: str, name: str) -> Wearer:
        self._body.revision += 1
        patient = self._site(site).patients[name]
        patient.revision = self._body.revision
        return _wearer(name, patient)

    def _gone(self, site: str, name: str) -> Wearer:
        """Forget a patient who leaves."""
        self._body.revision += 1
        self._body.n_patients -= 1
        del self._site(site).patients[name]
        return Wearer(name, "", (), admitted=False, revision=self._body.revision)

    def _find(self, site: str, device: str) -> _Device | None:
        state = self._body.sites.get(site)
        return state.devices.get(device) if state else None

    def _patient(self, site: str, name: str) -> _Patient | None:
        state = self._body.sites.get(site)
        return state.patients.get(name) if state else None

    def _site(self, site: str) -> _Site:
        return self._body.sites.setdefault(site, _Site({}, {}))

    def _device(self, site: str, device: str) -> _Device:
        """A device that is about to change."""
        self._encoded = None
        return self._site(site).devices.setdefault(device, _Device())

    def _tidy(self, site: str) -> None:
        if not self._site(site).devices and not self._site(site).patients:
            del self._body.sites[site]


def _wearer(name: str, patient: _Patient) -> Wearer:
    return Wearer(name, patient.bed, patient.devices, True, patient.revision, patient.ward, patient.limits)


def _refused(detail: str) -> Outcome:
    return Outcome(mine=True, done=False, detail=detail)


def _differences(known: Birth, birth: Birth) -> str:
    """Names of the fields in which two births differ."""
    return ", ".join(name for name in Birth.__struct_fields__ if getattr(known, name) != getattr(birth, name))
