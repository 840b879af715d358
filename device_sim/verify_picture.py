"""A picture of the report: density of every magnetometer's noise as measured and as declared."""

from collections.abc import Sequence
from pathlib import Path

from device_sim.checked import Check
from device_sim.verify_magnetometers import Curve

_COLUMNS = 3


def draw_report(checks: Sequence[Check], curves: Sequence[Curve], path: Path) -> None:
    """Draw the densities, one panel for each sensor, and how far each figure lies from its declaration.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    # Here only: a simulator that draws nothing need not load it.
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    n_rows = -(-len(curves) // _COLUMNS)
    figure = Figure(figsize=(14.0, 3.2 * n_rows), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(n_rows, _COLUMNS, squeeze=False)
    for panel in panels.flat[len(curves) :]:
        panel.set_axis_off()
    for panel, curve in zip(panels.flat, curves, strict=False):
        panel.loglog(curve.frequency_hz, 1e3 * curve.measured_pt, "o", markersize=3.5, color="#1565c0")
        panel.loglog(curve.frequency_hz, 1e3 * curve.declared_pt, "-", linewidth=1.0, color="#1a1a1a")
        mine = [check for check in checks if check.sensor == curve.sensor]
        panel.set_title(curve.sensor, fontsize=10, loc="left")
        panel.set_title(f"{sum(check.ok for check in mine)} of {len(mine)} figures agree", fontsize=8, loc="right")
        panel.set_xlabel("Hz", fontsize=8)
        panel.set_ylabel("fT / rtHz", fontsize=8)
        panel.tick_params(labelsize=7)
        panel.grid(visible=True, which="both", linewidth=0.3)
    agree = sum(check.ok for check in checks)
    figure.suptitle(
        f"Simulated sensors as measured (dots) and as declared (lines): {agree} of {len(checks)} figures agree",
        fontsize=11,
    )
    figure.savefig(path, dpi=110)
