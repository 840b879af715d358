"""`femtoward devices`: which devices there are, how they are, whether their packets add up, and what was refused."""

import math
import time
from typing import NamedTuple

from dataflows.ailments import in_words
from dataflows.events import SECOND_NS, DeviceStatus, Ledger
from dataflows.store import Store
from dataflows.totals import NO_DEVICE
from deploy import refusals
from deploy.problem import UserError
from deploy.refusals import Refusals

COUNTS = ("published", "stored", "quarantined", "lost", "away", "repeated", "late")


class Device(NamedTuple):
    """One device with its ledger and its refused messages."""

    status: DeviceStatus
    bed: str
    hours: list[Ledger]
    refused: Refusals

    def total(self, count: str) -> int:
        """Sum of one of the ledger's counts over all hours."""
        return sum(getattr(hour, count) for hour in self.hours)


class Devices(NamedTuple):
    """All that has sent something, by site and name."""

    known: list[Device]
    strangers: list[Refusals]  # names without a birth, of which everything was refused; what names no device comes last


def devices(store: Store) -> Devices:
    """Every device that ever spoke, and every name that tried to."""
    patients, refused = store.patients(), refusals.refusals(store)
    hours: dict[tuple[str, str], list[Ledger]] = {}
    for hour in store.ledger():
        hours.setdefault((hour.site, hour.device), []).append(hour)
    known = []
    for place, status in store.devices().items():
        info = patients.get((status.site, status.patient))
        of = refused.pop(place, None) or refusals.nothing(*place)
        known.append(Device(status, info.bed if info else "", hours.get(place, []), of))
    return Devices(known, sorted(refused.values(), key=lambda of: (of.device == NO_DEVICE, of.site, of.device)))


def find(store: Store, name: str) -> Device | Refusals:
    """Device by name, or by SITE/NAME where two sites have one of that name; or what was refused of that name.

    Raises
    ------
    UserError
        There is none, or more than one.
    """
    known, strangers = devices(store)
    everyone: list[Device | Refusals] = [*known, *strangers]
    found = [one for one in everyone if name in _names(one)]
    if len(found) > 1:
        sites = ", ".join(_place(d)[0] for d in found)
        raise UserError(f"sites {sites} each have a device {name!r}: say which, as SITE/{name}")
    if not found:
        some = ", ".join(d.status.device for d in known[:10]) or "none at all"
        raise UserError(f"no device {name!r} has spoken; these have: {some}{' ...' if len(known) > 10 else ''}")
    return found[0]


def _place(one: Device | Refusals) -> tuple[str, str]:
    return (one.site, one.device) if isinstance(one, Refusals) else (one.status.site, one.status.device)


def _names(one: Device | Refusals) -> set[str]:
    site, device = _place(one)
    return {device, f"{site}/{device}"}


def as_json(one: Device | Refusals) -> dict[str, object]:
    """Status, bed, the ledger's sums, and what was refused; of a stranger, what was refused."""
    if isinstance(one, Refusals):
        return {"site": one.site, "device": one.device, "refused": refusals.as_json(one)}
    status = {name: getattr(one.status, name) for name in one.status.__struct_fields__}
    packets = {count: one.total(count) for count in COUNTS}
    return {**status, "bed": one.bed, "packets": packets, "refused": refusals.as_json(one.refused)}


def listed(found: Devices) -> list[str]:
    """A line for each device, each stranger, and what names no device."""
    return [line(one) for one in found.known] + [_stranger(one) for one in found.strangers]


def line(device: Device) -> str:
    """One line for people."""
    s = device.status
    age_s = max(0.0, time.time() - s.last_seen_ns / 1e9)
    whose = f"{device.bed or 'no bed'} ({s.patient})" if s.patient else "nobody's"
    counts = ", ".join(f"{device.total(count)} {count}" for count in COUNTS if device.total(count) or count == "stored")
    refused = f"{device.refused.total} refused"
    wrong = f"; {in_words(s.faults)}" if s.faults else ""
    return f"{s.device:<16} {s.state:<12} {whose:<24} seen {_ago(age_s):<12} {refused:<12} packets: {counts}{wrong}"


def lines(device: Device | Refusals) -> list[str]:
    """All that is known of one device, or of a name that never was one."""
    if isinstance(device, Refusals):
        return [_stranger(device), *refusals.lines(device)]
    s = device.status
    said = [
        line(device),
        f"  site {s.site}, model {s.model or 'not stated'}{', simulated' if s.simulated else ''}",
        f"  state {s.state}{': ' + s.reason if s.reason else ''}",
        f"  {_sensors(s)}",
        f"  wrong: {in_words(s.faults) or 'nothing that is known'}",
        f"  clock corrected by {s.clock_offset_ms:.1f} ms; noise floor {s.noise_floor:g} {s.noise_unit}{_declared(s)}",
        f"  ageing {_ageing(s)}",
        f"  calibration {_calibrated(s)}",
        f"  {_causes(device)}",
        "  hour (UTC)        " + " ".join(f"{count:>11}" for count in COUNTS),
    ]
    for hour in device.hours:
        at = time.strftime("%Y-%m-%d %H:00", time.gmtime(hour.hour * 3600))
        said.append(f"  {at}  " + " ".join(f"{getattr(hour, count):>11}" for count in COUNTS))
    said.append(f"  refused messages: {device.refused.total or 'none'}")
    return said + refusals.lines(device.refused)


def _sensors(status: DeviceStatus) -> str:
    locked = "all locked" if status.locked else "not all locked"
    return f"sensors {locked}{', ' + status.flags.replace(' ', ', ') if status.flags else ''}"


def _declared(status: DeviceStatus) -> str:
    return f", declared {status.declared_noise_floor:g}" if math.isfinite(status.declared_noise_floor) else ""


def _ageing(status: DeviceStatus) -> str:
    if not math.isfinite(status.ageing):
        return "not known yet"
    return f"its noise floor grows by {status.ageing:+.2f} % a day, u {status.ageing_u:.2f} %"


def _calibrated(status: DeviceStatus) -> str:
    if not status.calibration_expiry_ns:
        return "not stated"
    return time.strftime("holds until %Y-%m-%d %H:%M", time.gmtime(status.calibration_expiry_ns // SECOND_NS)) + " UTC"


def _causes(device: Device) -> str:
    lost, away = device.total("lost"), device.total("away")
    if not lost:
        return "lost packets: none"
    never = f"{lost - away} never came (the device or the network; nobody knows which)"
    return f"lost packets: {away} while ingest or the broker was away, {never}"


def _stranger(of: Refusals) -> str:
    where = "" if of.device == NO_DEVICE else f" of site {of.site} has no birth in force;"
    return f"{of.device:<16}{where} {of.total} messages were refused: {refusals.in_short(of)}"


def _ago(age_s: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if age_s >= length:
            return f"{age_s / length:.0f} {unit} ago"
    return f"{age_s:.0f} s ago"
