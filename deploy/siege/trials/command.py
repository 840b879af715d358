"""Which trials there are, and running one from the command line."""

import argparse
import dataclasses
import importlib
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from deploy.options import BAD_USAGE, DONE, FOUND_WRONG, STOPPED
from deploy.output import progress, show_json, show_lines
from deploy.problem import UserError
from deploy.siege.trials.trial import Outcome, Tell, Trial

# Each in a module of its own, loaded where it runs.
TRIALS: Final[dict[str, tuple[str, str]]] = {
    "restart": ("restart", "Restart"),
    "influx-away": ("influx_away", "InfluxAway"),
    "broker-away": ("broker_away", "BrokerAway"),
    "idle": ("idle", "Idle"),
    "flood": ("flood", "Flood"),
    "soak": ("soak", "Soak"),
    "cluster": ("cluster", "Cluster"),
    "clocks": ("clocks", "Clocks"),
    "sizes": ("sizes", "Sizes"),
    "paging": ("paging", "Paging"),
}


def trial(name: str, **given: float | None) -> Trial:
    """Make a trial with its defaults but for what is given.

    Raises
    ------
    UserError
        There is no trial of that name, or it refuses what is given.
    """
    if name not in TRIALS:
        raise UserError(f"--trial {name!r}: need one of {', '.join(TRIALS)}")
    module, kind = TRIALS[name]
    made: Callable[..., Trial] = getattr(importlib.import_module(f"deploy.siege.trials.{module}"), kind)
    try:
        return made(**{key: value for key, value in given.items() if value is not None})
    except ValueError as error:
        raise UserError(f"--trial {name}: {error}") from error


def run_trial(one: Trial, folder: Path | None, tell: Tell) -> Outcome:
    """Run a trial in an empty folder; without one, in a temporary folder that stays only if something was wrong.

    Raises
    ------
    UserError
        The folder is not empty, a server is missing, or the ward does not get where it can be measured.
    """
    if folder is None:
        made = Path(tempfile.mkdtemp(prefix="femtoward-trial-"))
        outcome = one.run(made, tell)
        if outcome.wrong:
            tell(f"everything lies in {made}")
        else:
            shutil.rmtree(made, ignore_errors=True)
        return outcome
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty: give a new folder, or remove what lies there")
    folder.mkdir(parents=True, exist_ok=True)
    return one.run(folder, tell)


def show(outcome: Outcome, *, as_json: bool) -> int:
    """Print what a trial measured, and return the exit status."""
    for said in outcome.wrong:
        progress(f"wrong: {said}")
    if as_json:
        show_json(outcome.figures)
    else:
        names = list(outcome.figures.__struct_fields__)
        show_lines(f"{name:<28}{_in_words(getattr(outcome.figures, name))}" for name in names)
    return FOUND_WRONG if outcome.wrong else DONE


def main() -> int:
    """Run the trial that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m deploy.siege.trials", description="Measure one promise.")
    parser.add_argument("name", choices=TRIALS)
    parser.add_argument("--patients", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--folder", type=Path, help="an empty folder that is kept (default: a temporary one)")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # else what it started would outlive it
    try:
        one = trial(given.name, patients=given.patients, seconds=given.seconds, seed=given.seed)
        progress(f"{given.name}: {dataclasses.asdict(one)}")  # type: ignore[call-overload]  # every trial is a dataclass
        return show(run_trial(one, given.folder, progress), as_json=given.json)
    except UserError as error:
        progress(f"femtoward: {error}")
        return BAD_USAGE
    except KeyboardInterrupt:
        progress("femtoward: stopped")
        return STOPPED


def _in_words(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return str(value)
