"""Who is here: which devices are known, who wears them, which of them are parked, forgotten or flooding."""

from collections.abc import Iterable

from msgspec.structs import replace

from dataflows import pacing
from dataflows.ailments import PASSING, SILENT_NS, in_words
from dataflows.census import MAX_DEVICES, Census
from dataflows.device import HOUR_NS, DeviceLog
from dataflows.events import SECOND_NS, DeviceStatus, PatientInfo
from dataflows.hush import Hush, Told
from dataflows.items import (
    WARD_KEY,
    Ailing,
    Bind,
    Flooded,
    Limited,
    Park,
    Placed,
    Unbind,
    Where,
    name_of,
    site_of,
)
from dataflows.outbox import Outbox
from dataflows.pacing import SINCE_NS, Credit
from dataflows.waking import Now
from ingest.packet import BadPacket
from ingest.profile import Birth, Status
from ingest.registry import Change, Registry, Wearer

FLOOD_OVER_NS = 10 * SECOND_NS  # no message too many for so long: the flood is over
SPARED_AT_ONCE = 16  # devices that a command bound, and that are passed over when one must be forgotten
FORGOTTEN_AT_ONCE = 256


class Presence:
    """Registry and census of a partition, kept in step, and what the shards and the store are told of them."""

    def __init__(self, n_shards: int) -> None:
        self.registry = Registry()
        self.census = Census()
        self.outbox = Outbox(n_shards, self._at_once)
        self.flooding: dict[str, str] = {}  # device that floods -> patient who was told
        self.hush = Hush()
        self.now = Now(0, 0, ())  # of the record at hand
        self._revision = 0  # of the rows that it makes: offsets grow, whoever is forgotten and comes back
        self._tell: dict[str, None] = {}  # devices whose status is to be told after it

    def begin(self, now: Now, offset: int) -> None:
        """Take up a record."""
        self.now, self._revision = now, offset + 1

    def finish(self) -> None:
        """Tell the devices of which something changed in this record."""
        told, self._tell = self._tell, {}
        for key in told:
            if key in self.census:
                log, (birth, status, patient) = self.census.look(key), self._whole(key)
                row = log.status(*_parts(key), birth, status, patient, self.now, self._revision)
                self.outbox.row(row)
                self._ails(log, row)

    def heard(self, key: str) -> DeviceLog:
        """Return the log of a device that sent something, ready for it."""
        log, woke = self.census.heard(key, self.now, spoke=True)
        if woke:
            self._bind(key)
        for done in log.turn_hour(*_parts(key), self.now, self._revision):
            self.outbox.row(done)
        return log

    def born(self, site: str, birth: Birth) -> BadPacket | None:
        """Take a birth into force, or say why not."""
        key = f"{site}/{birth.device}"
        if full := self.room_for(key):
            return full
        change = self.registry.apply_birth(site, birth)
        if isinstance(change, BadPacket):
            return change
        if change.birth:
            self.census.heard(key, self.now)[0].reborn(birth)
            self._tell[key] = None
            self.bindings(site, change)
            if birth.device not in {binding.device for binding in change.bindings}:
                self._bind(key)  # the same patient, another profile
        return None

    def said(self, site: str, device: str, status: Status) -> BadPacket | None:
        """Take a device's status, or say why not."""
        key = f"{site}/{device}"
        if full := self.room_for(key):
            return full
        if self.registry.apply_status(site, device, status):
            if key not in self.census:
                self.census.heard(key, self.now)
            self._tell[key] = None
        return None

    def admitted(self, site: str, device: str, change: Change) -> None:
        """A command bound a device, which may never have been heard of."""
        _, woke = self.census.heard(f"{site}/{device}", self.now)
        if woke and not change.bindings:
            self._bind(f"{site}/{device}")

    def bindings(self, site: str, change: Change, left: str = "") -> None:
        """Tell the shards who wears what from now on, and the store who is where."""
        for who in change.patients:
            self._place(site, who)
        for binding in change.bindings:
            device, before, after = binding.device, binding.before, binding.after
            key = f"{site}/{device}"
            if (log := self.census.awake(key)) is not None:
                log.wear.moved()
            if before is not None:
                self._flood_over(key)
                self._well(key, before)
                patient = f"{site}/{before}"
                reason = f"{device} was taken off {before}" if after is None else f"{device} went to {after}"
                self.outbox.of_device(patient, Unbind(key, patient, self.now.arrival_ns, left or reason))
            if after is not None:
                self._bind(key)
            self._tell[key] = None
        for who in change.patients:
            self.outbox.row(PatientInfo(site, who.patient, who.bed, who.devices, who.admitted, who.revision, who.ward))

    def tell_shards(self, *, anew: bool) -> None:
        """Tell every shard its beds and devices again, after a restart; those that know them change nothing.

        Parameters
        ----------
        anew
            It is not known which of them flooded: what was told of floods is over.
        """
        for site in self.registry.sites():
            for who in self.registry.patients(site):
                self._place(site, who)
            for name in self.registry.devices(site):
                key = f"{site}/{name}"
                if key not in self.census:  # the snapshot of its log could not be read
                    log, birth = self.census.heard(key, self.now)[0], self.registry.birth_of(site, name)
                    log.queue = Credit(SINCE_NS, self.now.arrival_ns)  # nor for how long it was silent
                    if birth is not None:
                        log.reborn(birth)
                if not self.census.awake(key):
                    self._park(key, self.census.look(key))
                elif bind := self._binding(key):
                    self.outbox.renew(bind)
                if anew:
                    self._no_flood(key, self.registry.patient_of(site, name))
        for key, patient in self.flooding.items():
            self._tell_flood(key, patient, self.census.look(key).flood)
        self._tell_hush(self.hush.again())

    def _no_flood(self, key: str, patient: str | None) -> None:
        for whose in (WARD_KEY, *([f"{site_of(key)}/{patient}"] if patient else [])):
            self.outbox.to(whose, Flooded(whose, key, 0, self.now.arrival_ns))

    def room_for(self, key: str) -> BadPacket | None:
        """Make room for a device, if it is new, or say that there is none."""
        if key in self.census or len(self.census) < MAX_DEVICES:
            return None
        for _ in range(SPARED_AT_ONCE):
            longest = self.census.longest_silent(self.now.awake_ns)
            if longest is None:
                break
            if not self.registry.admitted(*_parts(longest)):
                self.forget(longest, f"more than {MAX_DEVICES} devices came, and it was silent for longest")
                return None
            self.census.spare(longest, self.now.awake_ns)
        return BadPacket(
            "too-many-devices",
            f"{MAX_DEVICES} devices are known and none can be forgotten, {name_of(key)!r} would be one more: clear the "
            "retained births of devices that are gone",
        )

    def forget(self, key: str, why: str) -> None:
        """Let a device go: off its patient, out of every list."""
        self._flood_over(key)
        log = self.census.look(key)
        self._tell_ledgers(key, log)
        birth, *_ = self._whole(key)
        status = log.status(*_parts(key), birth, None, "", self.now, self._revision)
        self.outbox.row(replace(status, state="gone", reason=why))
        self.bindings(site_of(key), self.registry.forget(*_parts(key)), f"{name_of(key)} left: {why}")
        self.census.forget(key, self.now.arrival_ns // HOUR_NS)

    def told_at_once(self, key: str, log: DeviceLog) -> None:
        """Tell what has just come to be wrong with a device; the rest waits for its turn."""
        if log.ailments.news:
            self._tell[key] = None

    def tick(self) -> None:
        """Let floods end, say who has fallen silent, and park who has been so for long."""
        for key, log in self.census.speaking:
            if self.now.awake_ns - log.heard_ns < SILENT_NS:  # and so those after it
                break
            if log.falls_silent(self.now.awake_ns):
                self._tell[key] = None
        for key in list(self.flooding):
            if self.now.arrival_ns - self.census.look(key).flooded_ns >= FLOOD_OVER_NS:
                self._flood_over(key)
        for key in self.census.silent(self.now.awake_ns):
            if self.outbox.pacing.waits(key):  # it is not silent: what it sent is still on its way
                continue
            log = self.census.look(key)
            self._tell_ledgers(key, log)
            self.census.park(key, self.now.arrival_ns // HOUR_NS)
            self._park(key, log)
        heard = ((key, log.heard_ns) for key, log in self.census.speaking)
        self._tell_hush(self.hush.step(self.now, heard, self._heard_ns, self._where))

    def tell_changed(self) -> None:
        """Tell what changed of devices and ledgers."""
        for key, log in self.census.speaking:
            self._tell_ledgers(key, log)

    def forget_overdue(self) -> None:
        """Forget who has been silent for a day."""
        self.census.turn_hour(self.now.arrival_ns // HOUR_NS)
        for _ in range(FORGOTTEN_AT_ONCE):
            key = self.census.overdue(self.now.awake_ns)
            if key is None:
                return
            if self.registry.admitted(*_parts(key)):
                self.census.spare(key, self.now.awake_ns)
            else:
                self.forget(key, "it was silent for a day")

    def flood(self, key: str, log: DeviceLog) -> None:
        """Say that a device floods, when it begins to."""
        if log.flooded_ns and key not in self.flooding:
            patient = self.registry.patient_of(*_parts(key))
            self.flooding[key] = f"{site_of(key)}/{patient}" if patient else WARD_KEY
            self._tell_flood(key, self.flooding[key], log.flood)

    def _tell_hush(self, told: Iterable[Told]) -> None:
        for one in told:
            self.outbox.hush(*one, self.now.arrival_ns)

    def _heard_ns(self, key: str) -> int | None:
        log = self.census.awake(key)
        return log.heard_ns if log else None if key in self.census else -1

    def _where(self, key: str) -> Where | None:
        site, name = _parts(key)
        patient = self.registry.patient_of(site, name)
        who = self.registry.wearer(site, patient) if patient else None
        return Where(site, who.ward) if who else None

    def _tell_ledgers(self, key: str, log: DeviceLog) -> None:
        if log.untold:
            for ledger in log.ledgers(*_parts(key), self._revision):
                self.outbox.row(ledger)
            self._tell[key] = None

    def _flood_over(self, key: str) -> None:
        patient, log = self.flooding.pop(key, None), self.census.awake(key)
        if patient is not None and log is not None:
            log.flood = log.flooded_ns = 0
            self._tell_flood(key, patient, 0)

    def _tell_flood(self, key: str, patient: str, packets: int) -> None:
        self.outbox.to(patient, Flooded(patient, key, packets, self.now.arrival_ns))
        self._tell[key] = None

    def _ails(self, log: DeviceLog, row: DeviceStatus) -> None:
        """Tell a device's wearer's nurse what is wrong with it, as long as that lasts; and once that it is over."""
        before, log.grave = log.grave, " ".join(name for name in row.faults.split() if name not in PASSING)
        if row.patient and (before or log.grave):
            self._tell_ailing(row.site, row.patient)

    def _well(self, key: str, patient: str) -> None:
        """Take a device off its wearer with all that is wrong with it."""
        log = self.census.awake(key)
        if log is not None and log.grave:
            log.grave = ""
            self._tell_ailing(site_of(key), patient)

    def _tell_ailing(self, site: str, patient: str) -> None:
        who = self.registry.wearer(site, patient)
        worn = who.devices if who else ()
        logs = [(name, self.census.awake(f"{site}/{name}")) for name in worn]
        words = "; ".join(f"{name}: {in_words(log.grave)}" for name, log in logs if log and log.grave)
        self.outbox.to(f"{site}/{patient}", Ailing(f"{site}/{patient}", words, self.now.arrival_ns))

    def _place(self, site: str, who: Wearer) -> None:
        """Tell the shard of a patient where that one lies, and what limits that one has."""
        patient = f"{site}/{who.patient}"
        self.outbox.to(patient, Placed(patient, who.ward, who.bed, who.admitted, self.now.arrival_ns))
        if who.limits:
            self.outbox.to(patient, Limited(patient, who.limits, self.now.arrival_ns))

    def _bind(self, key: str) -> None:
        """Tell the shard of its patient that a device is worn, if it is, and has a birth."""
        if bind := self._binding(key):
            self.outbox.of_device(bind.patient, bind)

    def _binding(self, key: str) -> Bind | None:
        birth, _, patient = self._whole(key)
        if birth is None or not patient:
            return None
        return Bind(key, f"{site_of(key)}/{patient}", birth, self.now.arrival_ns, self.now.awake_ns)

    def _park(self, key: str, log: DeviceLog) -> None:
        birth, _, patient = self._whole(key)
        if birth is not None and patient:
            patient = f"{site_of(key)}/{patient}"
            self.outbox.to(patient, Park(key, patient, log.last_seen_ns, self.now.arrival_ns))

    def _whole(self, key: str) -> tuple[Birth | None, Status | None, str]:
        """Birth, status and patient of a device, as far as there are any."""
        place = _parts(key)
        return self.registry.birth_of(*place), self.registry.status_of(*place), self.registry.patient_of(*place) or ""

    def _at_once(self, key: str) -> int:
        log = self.census.awake(key)
        return pacing.at_once(log.packet_ns, log.credit, flooding=log.flooded_ns > 0) if log else pacing.AT_ONCE


def _parts(key: str) -> tuple[str, str]:
    site, _, name = key.partition("/")
    return site, name
