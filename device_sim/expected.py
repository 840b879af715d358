"""What an expected alarm is, and which ones the scripted faults of a device call for."""

import math
from typing import NamedTuple

from device_sim.faults import MUTE, Fault, warm_up_s
from device_sim.wearable import PACKET_NS

EARLY_S, LATE_S = 0.5, 2.0
# A condition that returns this soon may still be the old alarm.
SAME_EPISODE_S = 30.0
CONTACT_S, CONTACT_EDGE_S = 10.0, 2.0
NOTICED_S = 6.0  # a frozen or saturated sensor is noticed within this time
POOR_S = 12.0
AFTERMATH_S = 15.0  # alarms that a fault explains may come until this long after it

# What must be noticed of a fault and within which time, and what else may be.
_MUST: dict[str, tuple[str, float]] = {
    "saturation": ("saturated", NOTICED_S),
    "stuck": ("frozen", NOTICED_S),
    "lost-lock": ("saturated", NOTICED_S),  # to the ward a sensor without its lock is one that cannot measure
    "noise": ("poor-signal", POOR_S),
    "calibrating": ("saturated", NOTICED_S),  # and so one that listens to its own tones
}
_MAY: dict[str, tuple[str, ...]] = {
    "saturation": ("frozen", "poor-signal", "cannot-analyse", "sensor-fault"),
    "stuck": ("poor-signal", "cannot-analyse", "sensor-fault"),
    "noise": ("cannot-analyse", "sensor-fault"),
    "lost-lock": ("frozen", "poor-signal", "cannot-analyse", "sensor-fault"),
    "laser-step": ("saturated", "poor-signal", "cannot-analyse", "sensor-fault", "device-fault"),
    "cell-cooling": ("saturated", "poor-signal", "cannot-analyse", "asystole", "sensor-fault", "device-fault"),
    "heater-line": ("poor-signal", "cannot-analyse", "sensor-fault", "device-fault"),
    "flicker": ("poor-signal", "cannot-analyse", "sensor-fault"),
    "dead-channel": ("frozen", "poor-signal", "cannot-analyse", "sensor-fault"),
    "gain-step": ("poor-signal", "cannot-analyse", "sensor-fault"),
    "wrong-calibration": ("poor-signal", "cannot-analyse", "sensor-fault"),
    "expired-calibration": ("device-fault",),  # a device says so itself
    "calibrating": ("frozen", "poor-signal", "cannot-analyse", "sensor-fault"),
    "battery-low": ("device-fault",),  # and this
    "clock-skew": ("late-data", "device-fault"),
    "clock-step": ("late-data", "lost-contact", "poor-signal", "cannot-analyse", "device-fault"),
    "packet-loss": ("poor-signal", "cannot-analyse", "lost-contact", "device-fault"),
    "duplication": ("device-fault",),
    "reordering": ("poor-signal", "cannot-analyse", "device-fault"),
    # No heart and no pulse: "asystole or sensor off" is a right answer too.
    "off-body": ("off-body", "asystole", "poor-signal", "cannot-analyse", "temp-low"),
}


class Expected(NamedTuple):
    """An alarm whose onset lies in ``[from_s, to_s]``, in s since the start of the run."""

    condition: str
    from_s: float
    to_s: float
    required: bool
    physiological: bool
    since_s: float  # the evidence begins here
    due: bool = False  # clinically, whether or not the flow knows the condition or a fault of the sensor hides it


def blind_expectations() -> list[Expected]:
    """Alarms that a sensor calls for which cannot work where it is: it is noticed at once, and stays so."""
    rest = [_technical(may, 0.0, math.inf, required=False) for may in ("saturated", *_MAY["saturation"])]
    return [_technical("saturated", -PACKET_NS / 1e9, NOTICED_S, required=True), *rest]


class FaultExpectations:
    """Alarms that a fault of a device calls for.

    Parameters
    ----------
    phase_s
        When the device takes its first sample; its packets follow from there.
    """

    def __init__(self, phase_s: float) -> None:
        self._phase_s = phase_s

    def begun(self, fault: Fault) -> list[Expected]:
        """Expectations of a fault."""
        ended = fault.to_s + AFTERMATH_S
        if fault.name in MUTE:
            # After a restart the sensor has to warm up and to zero itself.
            after = (
                ("saturated", "poor-signal", "cannot-analyse", "sensor-fault", "device-fault")
                if fault.name == "reboot"
                else ()
            )
            ended += warm_up_s(fault) if after else 0.0
            return [
                *self._contact(fault),
                *(_technical(may, fault.from_s, ended, required=False) for may in after),
            ]
        expected = []
        if fault.name in _MUST:
            condition, within_s = _MUST[fault.name]
            required = fault.to_s - fault.from_s >= within_s
            # What a sensor says of itself it says of a whole packet, also of one in which the fault begins.
            first_s = fault.from_s - PACKET_NS / 1e9
            expected.append(_technical(condition, first_s, fault.from_s + within_s, required=required))
        expected += [
            _technical(may, fault.from_s - PACKET_NS / 1e9, ended, required=False) for may in _MAY.get(fault.name, ())
        ]
        return expected

    def _contact(self, fault: Fault) -> list[Expected]:
        first, after = muted_slots(fault, self._phase_s)
        slot_s = PACKET_NS / 1e9
        last_s = self._phase_s + slot_s * first  # the packet before the first muted one leaves here
        gap = self._phase_s + slot_s * (after + 1) - last_s
        if gap < CONTACT_S - CONTACT_EDGE_S:
            return []
        due = last_s + CONTACT_S
        required = gap >= CONTACT_S + CONTACT_EDGE_S
        return [_technical("lost-contact", due - CONTACT_EDGE_S, due + CONTACT_EDGE_S, required=required)]


def muted_slots(fault: Fault, phase_s: float) -> tuple[int, float]:
    """First packet that a mute fault holds back, and the first after it (infinity: none)."""
    slot_s = PACKET_NS / 1e9
    first = max(0, math.floor((fault.from_s - phase_s) / slot_s))
    return first, math.ceil((fault.to_s - phase_s) / slot_s) if fault.to_s < math.inf else math.inf


def _technical(condition: str, from_s: float, to_s: float, *, required: bool) -> Expected:
    return Expected(condition, from_s, to_s, required, physiological=False, since_s=from_s)
