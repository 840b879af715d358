"""One line of what was measured against what was declared."""

from typing import NamedTuple


class Check(NamedTuple):
    """A figure that a sensor declares, the same as it was measured, and whether they agree."""

    sensor: str
    what: str
    unit: str
    declared: float
    measured: float
    within: str  # in words
    ok: bool


def near(sensor: str, what: str, unit: str, declared: float, measured: float, *, by: float) -> Check:
    """Agreement to within `by`, in the unit."""
    return Check(sensor, what, unit, declared, measured, f"{by:g} {unit}".strip(), abs(measured - declared) <= by)


def close(sensor: str, what: str, unit: str, declared: float, measured: float, *, share: float) -> Check:
    """Agreement to within a share of what was declared."""
    ok = abs(measured - declared) <= share * abs(declared)
    return Check(sensor, what, unit, declared, measured, f"{100.0 * share:g} %", ok)


def at_least(sensor: str, what: str, unit: str, least: float, measured: float) -> Check:
    """No less than the figure."""
    return Check(sensor, what, unit, least, measured, "no less", measured >= least)


def at_most(sensor: str, what: str, unit: str, most: float, measured: float) -> Check:
    """No more than the figure."""
    return Check(sensor, what, unit, most, measured, "no more", measured <= most)
