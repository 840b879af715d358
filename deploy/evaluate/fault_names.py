"""By which names the flow tells of faults of a device, when it does, and which name belongs to which fault."""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from dataflows.events import SECOND_NS, AlarmEvent, DeviceStatus
from dataflows.rules import RULES

_SATURATED = ("saturated", "unlocked", "zeroing")
_SENSOR = ("dead-channel", "flicker", "noise", "line", "calibration", "gain")
_MUTE = ("silent", "offline", "lost-contact")
# Told whether there is a heart to be seen, and not of the device.
OF_THE_SIGNAL: Final = frozenset({"poor-signal", "cannot-analyse"})
MUST: Final[Mapping[str, str]] = {
    "saturation": "saturated",
    "lost-lock": "unlocked",
    "stuck": "frozen",
    "noise": "noise",
    "laser-step": "laser-mode",
    "cell-cooling": "cell-cold",
    "heater-line": "line",
    "flicker": "flicker",
    "dead-channel": "dead-channel",
    "gain-step": "gain",
    "wrong-calibration": "calibration",
    "calibrating": "calibrating",
    "expired-calibration": "calibration-expired",
    "off-body": "off-body",
    "reboot": "silent",
    "battery-low": "battery-low",
    "clock-skew": "clock-skew",
    "clock-step": "clock-step",
    "silence": "silent",
    "dead-spot": "silent",
    "packet-loss": "packets-lost",
    "duplication": "packets-doubled",
    "reordering": "packets-swapped",
}
AFTERWARDS: Final[Mapping[str, str]] = {"reboot": "rebooted", "dead-spot": "late-burst"}  # once it is over
# What is true of the device besides, or of what a fault leaves behind.
MAY: Final[Mapping[str, frozenset[str]]] = {
    "saturation": frozenset({"frozen", *_SATURATED, *_SENSOR}),
    "lost-lock": frozenset({"frozen", *_SATURATED, *_SENSOR}),
    "stuck": frozenset({"dead-channel"}),
    "laser-step": frozenset(_SATURATED),
    "cell-cooling": frozenset({*_SATURATED, "gain", "noise", "flicker"}),
    "flicker": frozenset({"noise"}),
    "calibrating": frozenset({*_SATURATED, "line"}),
    "reboot": frozenset({"rebooted", *_MUTE, *_SATURATED, "cell-cold", "gain", "noise", "flicker"}),
    "silence": frozenset(_MUTE),
    "dead-spot": frozenset({"late-burst", "late-data", *_MUTE}),
    "packet-loss": frozenset({"silent"}),
    "clock-skew": frozenset({"clock-step"}),
}


class Told(NamedTuple):
    """A name that was told of a device, or a physiological condition of its wearer."""

    at_ns: int  # arrival of what made the flow tell it
    device: str
    name: str
    physiological: bool = False


class Ear:
    """Hears names out of rows, each once when it comes up."""

    def __init__(self, device_of: dict[str, str]) -> None:
        self._device_of = device_of  # by patient
        self._standing: dict[str, frozenset[str]] = {}

    def hear(self, at_ns: int, row: object) -> Iterator[Told]:
        """Names that a row tells."""
        if isinstance(row, AlarmEvent):
            fresh = row.state == "active" and row.change == "raised" and row.patient in self._device_of
            if fresh and row.condition != "device-fault":  # which repeats what the device's state says by name
                yield Told(at_ns, self._device_of[row.patient], _of_alarm(row), row.category == "physiological")
        elif isinstance(row, DeviceStatus):
            names = frozenset(_of_status(row))
            for name in sorted(names - self._standing.get(row.device, frozenset())):
                yield Told(at_ns, row.device, name)
            self._standing[row.device] = names


def _of_alarm(event: AlarmEvent) -> str:
    reasons = next(rule.reasons for rule in RULES if rule.condition == event.condition)
    if event.condition == "sensor-fault":
        return _SENSOR[reasons.index(event.reason)]
    if event.condition == "saturated":
        return _SATURATED[reasons.index(event.reason)]
    return event.condition


def _of_status(status: DeviceStatus) -> Iterator[str]:
    yield from status.faults.split()
    yield from status.flags.split()
    if status.last_seen_ns and not status.locked:
        yield "unlocked"
    if status.state not in {"online", "unknown", "gone"}:
        yield status.state


AFTERMATH_NS: Final[Mapping[str, int]] = {
    "cell-cooling": 70 * SECOND_NS,
    "reboot": 70 * SECOND_NS,
}
USUAL_AFTERMATH_NS: Final = 40 * SECOND_NS  # what happened is told for half a minute


def explains(fault: str, name: str) -> bool:
    """Whether a fault is what a name says, or has it follow."""
    return name in (MUST[fault], AFTERWARDS.get(fault)) or name in OF_THE_SIGNAL or name in MAY.get(fault, frozenset())
