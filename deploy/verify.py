"""`femtoward simulate --verify`: the simulator's sensors as measured, against what they declare."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from deploy.problem import UserError
from device_sim.checked import Check
from device_sim.verify import LEAST_S, verify

HOUR_S = 3600


class CheckRow(msgspec.Struct, frozen=True, kw_only=True):
    """One figure: what was declared, what was measured."""

    sensor: str
    what: str
    unit: str
    declared: float
    measured: float
    within: str
    ok: bool


class VerifyReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was found."""

    ok: bool
    seconds: int  # of signal behind each density
    figures: int
    wrong: int
    checks: tuple[CheckRow, ...]
    path: str | None


def measure(seconds: float, path: Path | None, tell: Callable[[str], None]) -> VerifyReport:
    """Measure everything, and draw it if there is a path.

    Raises
    ------
    UserError
        The time is too short for the lowest frequency, or the picture cannot be written.
    """
    whole = round(seconds) or HOUR_S
    if whole < LEAST_S:
        raise UserError(f"--seconds {seconds:g}: need at least {LEAST_S} for a density at 0.1 Hz, or 0 for an hour")
    found = verify(whole, lambda name: tell(f"measuring {name}"))
    if path is not None:
        from device_sim.verify_picture import draw_report  # noqa: PLC0415

        try:
            draw_report(found.checks, found.curves, path)
        except (OSError, ValueError) as error:
            raise UserError(f"{error}: give a --plot that can be written, ending in .png") from error
    wrong = sum(not check.ok for check in found.checks)
    return VerifyReport(
        ok=not wrong,
        seconds=whole,
        figures=len(found.checks),
        wrong=wrong,
        checks=tuple(_row(check) for check in found.checks),
        path=str(path) if path else None,
    )


def in_words(report: VerifyReport) -> list[str]:
    """Lines for people."""
    lines = [
        f"{'ok   ' if row.ok else 'WRONG'} {row.sensor}: {row.what}: declared {row.declared:.4g}, "
        f"measured {row.measured:.4g} {row.unit} ({row.within})".replace(" ()", "")
        for row in report.checks
    ]
    lines.append(
        f"{report.figures - report.wrong} of {report.figures} figures agree, by {report.seconds} s of signal; "
        "simulated sensors; not a medical device"
    )
    return [*lines, f"picture in {report.path}"] if report.path else lines


def _row(check: Check) -> CheckRow:
    return CheckRow(
        sensor=check.sensor,
        what=check.what,
        unit=check.unit,
        declared=float(check.declared),
        measured=float(check.measured),
        within=check.within,
        ok=bool(check.ok),
    )
