"""`femtoward devices`: which devices there are, how they are, and whether their packets add up."""

import time
from typing import NamedTuple

from dataflows.events import DeviceStatus, Ledger
from dataflows.store import Store
from deploy.problem import UserError

COUNTS = ("published", "stored", "quarantined", "lost", "repeated", "late")


class Device(NamedTuple):
    """One device with its ledger."""

    status: DeviceStatus
    bed: str
    hours: list[Ledger]

    def total(self, count: str) -> int:
        """Sum of one of the ledger's counts over all hours."""
        return sum(getattr(hour, count) for hour in self.hours)


def devices(store: Store) -> list[Device]:
    """Every device that ever spoke, by site and name."""
    patients, hours = store.patients(), store.ledger()
    found = []
    for status in store.devices().values():
        info = patients.get((status.site, status.patient))
        mine = [hour for hour in hours if (hour.site, hour.device) == (status.site, status.device)]
        found.append(Device(status, info.bed if info else "", mine))
    return found


def find(store: Store, name: str) -> Device:
    """Device by name, or by SITE/NAME where two sites have one of that name.

    Raises
    ------
    UserError
        There is none, or more than one.
    """
    known = devices(store)
    found = [d for d in known if name in {d.status.device, f"{d.status.site}/{d.status.device}"}]
    if len(found) > 1:
        sites = ", ".join(d.status.site for d in found)
        raise UserError(f"sites {sites} each have a device {name!r}: say which, as SITE/{name}")
    if not found:
        some = ", ".join(d.status.device for d in known[:10]) or "none at all"
        raise UserError(f"no device {name!r} has spoken; these have: {some}{' ...' if len(known) > 10 else ''}")
    return found[0]


def as_json(device: Device) -> dict[str, object]:
    """Status, bed, and the ledger's sums."""
    status = {name: getattr(device.status, name) for name in device.status.__struct_fields__}
    return {**status, "bed": device.bed, "packets": {count: device.total(count) for count in COUNTS}}


def line(device: Device) -> str:
    """One line for people."""
    s = device.status
    age_s = max(0.0, time.time() - s.last_seen_ns / 1e9)
    whose = f"{device.bed or 'no bed'} ({s.patient})" if s.patient else "nobody's"
    counts = ", ".join(f"{device.total(count)} {count}" for count in COUNTS if device.total(count) or count == "stored")
    return f"{s.device:<16} {s.state:<12} {whose:<24} seen {_ago(age_s):<12} packets: {counts}"


def lines(device: Device) -> list[str]:
    """All that is known of one device."""
    s = device.status
    said = [
        line(device),
        f"  site {s.site}, model {s.model or 'not stated'}{', simulated' if s.simulated else ''}",
        f"  state {s.state}{': ' + s.reason if s.reason else ''}",
        f"  clock corrected by {s.clock_offset_ms:.1f} ms; noise floor {s.noise_floor:g} unit per root Hz",
        "  hour (UTC)        " + " ".join(f"{count:>11}" for count in COUNTS),
    ]
    for hour in device.hours:
        at = time.strftime("%Y-%m-%d %H:00", time.gmtime(hour.hour * 3600))
        said.append(f"  {at}  " + " ".join(f"{getattr(hour, count):>11}" for count in COUNTS))
    return said


def _ago(age_s: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if age_s >= length:
            return f"{age_s / length:.0f} {unit} ago"
    return f"{age_s:.0f} s ago"
