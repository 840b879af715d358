"""What a device says of itself in its status: locks, cell temperature, currents of its coils, battery."""

from collections.abc import Collection
from typing import Literal, NamedTuple

from device_sim.devices import Head
from device_sim.faults import BATTERY_LOW_PERCENT, CELL_CEL, FaultName
from ingest.packet import StateFlag
from ingest.profile import Status


class Said(NamedTuple):
    """What a status rests on: a new one is published when this changes."""

    flags: int
    faults: frozenset[FaultName]
    cold: bool  # its cells are colder than they should be


COLD_CEL = CELL_CEL - 2.0
CODES: dict[FaultName, str] = {  # of what it knows to be wrong with itself
    "battery-low": "battery-low",
    "laser-step": "laser-mode",
    "expired-calibration": "calibration-expired",
}
WELL = Said(int(StateFlag.LOCKED), frozenset(), cold=False)


def status_of(head: Head, said: Said, coil_pt: float, cell_cel: float) -> Status:
    """Status of a device.

    Parameters
    ----------
    head
        What it carries.
    said
        Flags of its newest packet, and faults that it knows of itself.
    coil_pt, cell_cel
        Largest field that its coils add, and the temperature of its cells.

    Examples
    --------
    >>> from device_sim.devices import DEVICES
    >>> status_of(DEVICES["reference"].head, WELL, 1850.0, CELL_CEL)
    Status(state='online', reason='locked, cells at 150 Cel, coils up to 1.9 nT', faults=())
    """
    if "reboot" in said.faults:
        return Status(state="offline", reason="restarting")
    heated = head.heated
    cold = ("cell-cold",) if heated and said.cold else ()
    faults = (*(CODES[name] for name in sorted(said.faults & CODES.keys())), *cold)
    words = ["locked" if said.flags & StateFlag.LOCKED else "lock lost"]
    if said.flags & StateFlag.SATURATED:
        words.append("at the end of its range")
    if heated:
        words.append(f"cells at {cell_cel:.0f} Cel" + ("" if not said.cold else f" instead of {CELL_CEL:.0f}"))
    if coil_pt:
        words.append(f"coils up to {coil_pt / 1000.0:.1f} nT")
    if "laser-step" in said.faults:
        words.append("laser in another mode")
    if "expired-calibration" in said.faults:
        words.append("calibration expired")
    if "battery-low" in said.faults:
        words.append(f"battery at {BATTERY_LOW_PERCENT} %")
    if "calibrating" in said.faults:
        return Status(state="calibrating", reason=", ".join(["listens to its own coils", *words]), faults=faults)
    state: Literal["zeroing", "online"] = "zeroing" if said.flags & StateFlag.ZEROING else "online"
    return Status(state=state, reason=", ".join(words), faults=faults)


def known(names: Collection[FaultName]) -> frozenset[FaultName]:
    """Faults that a device knows of itself; the others it can only measure."""
    return frozenset(names) & {
        "reboot",
        "battery-low",
        "laser-step",
        "cell-cooling",
        "calibrating",
        "expired-calibration",
    }
