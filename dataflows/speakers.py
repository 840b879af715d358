"""Who speaks for a patient with several devices: for the body the one that can, of the sensors each for itself."""

import numpy as np

from anomaly.quality import Reason
from dataflows.estimates import BoolArray, Cardiac, Estimate, IntArray, Optical, Sensors, Thermal
from dataflows.fusion import POOR_QUALITY

ABSENT, HINDERED, ABLE = 0, 1, 2


def standing(estimate: Estimate) -> IntArray:
    """How well a device can speak for the body, shape (n,): `ABSENT`, `HINDERED`, or `ABLE`."""
    able = estimate.present.copy()
    if isinstance(estimate, Cardiac):
        able &= ~_fault(estimate) & (estimate.frozen_ns == 0) & (estimate.quality >= POOR_QUALITY)
    elif isinstance(estimate, Optical):
        able &= estimate.quality >= POOR_QUALITY
    elif isinstance(estimate, Thermal):
        able &= np.isfinite(estimate.temp)
    return estimate.present.astype(np.int64) + able


def sensors_of(heart: Cardiac) -> Sensors:
    """What is wrong with the sensors of a heart's signal; what has a name already is not told by another one."""
    fault = _fault(heart)
    frozen_ns = np.where(fault, 0, heart.frozen_ns)
    sound = heart.present & ~heart.settling & ~fault & (frozen_ns == 0)
    return Sensors(
        present=heart.present,
        fault=fault,
        fault_why=np.select([heart.zeroing, heart.unlocked], [2, 1], 0),
        fault_ns=heart.fault_ns,
        frozen_ns=frozen_ns,
        named=heart.sensor_fault,
        named_ns=heart.sensor_fault_ns,
        judged=heart.present & ~heart.settling,
        poor=sound & (heart.quality < POOR_QUALITY),
        quality=heart.quality,
        void=heart.reason == Reason.NOT_FINITE,
    )


def together(one: Sensors, other: Sensors) -> Sensors:
    """What is wrong with the sensors of two devices; of the same trouble the first one's is told."""

    def told(which: BoolArray, *names: str) -> dict[str, object]:
        return {name: np.where(which, getattr(other, name), getattr(one, name)) for name in names}

    worse = ~one.poor & (other.poor | (other.judged & (~one.judged | (other.quality < one.quality))))
    fields = {
        "present": one.present | other.present,
        "fault": one.fault | other.fault,
        "judged": one.judged | other.judged,
        "poor": one.poor | other.poor,
        **told(~one.fault & other.fault, "fault_why", "fault_ns"),
        **told(one.frozen_ns == 0, "frozen_ns"),
        **told((one.named <= 0) & (other.named > one.named), "named", "named_ns"),
        **told(worse, "quality", "void"),
    }
    return Sensors(**fields)  # type: ignore[arg-type]  # each field is one of its own kind


def _fault(heart: Cardiac) -> BoolArray:
    return heart.saturated | heart.unlocked | heart.zeroing
