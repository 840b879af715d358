"""Scenarios that trials write for themselves."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Episode(NamedTuple):
    """A rhythm of one patient, in s since the start of the run."""

    rhythm: str
    from_s: float
    to_s: float
    rate_bpm: float = 0.0  # 0: as the rhythm has it
    ramp_s: float = 4.0


def write_scenario(path: Path, about: str, patients: Sequence[Sequence[Episode]], repeat_s: float = 0.0) -> str:
    """Write a scenario of some patients, each with its episodes, and return its name for a simulator."""
    lines = [f'about = "{about}"', f"repeat_s = {repeat_s:.1f}"]
    for number, episodes in enumerate(patients):
        lines += ["", "[[patients]]", f"rate_bpm = {62.0 + number % 9 * 3.0}"]
        told = [
            f'{{ rhythm = "{one.rhythm}", from_s = {one.from_s:.3f}, for_s = {one.to_s - one.from_s:.3f}, '
            f"rate_bpm = {one.rate_bpm:.1f}, ramp_s = {one.ramp_s:.1f} }}"
            for one in episodes
        ]
        if told:
            lines.append(f"rhythms = [{', '.join(told)}]")
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return str(path)
