"""`femtoward simulate`: a simulated ward that publishes to a broker, and the files that it leaves for a score."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import msgspec

from dataflows.couriers.secret import read_secret
from deploy.problem import UserError
from device_sim.simulate import Progress, SimOptions, SimReport, run_simulation

TELL_EVERY_S = 10.0


class SimulationFiles(NamedTuple):
    """Where a simulator in another process leaves what it knew and what it did."""

    truth: Path
    output: Path  # its standard output: the report, as JSON

    def report(self) -> SimReport:
        """What it did.

        Raises
        ------
        UserError
            It did not get so far.
        """
        try:
            lines = self.output.read_bytes().strip().splitlines()
            return msgspec.json.decode(lines[-1], type=SimReport)
        except (OSError, IndexError, msgspec.DecodeError) as error:
            raise UserError(
                f"the simulator left no report in {self.output}: it was stopped before its first packet, or "
                f"{self.output.stem}.log beside it says why"
            ) from error


def broker_of(url: str, secret_file: Path | None) -> str:
    """Address of the broker with the user's password, which need not stand in the command line.

    Raises
    ------
    UserError
        The file cannot be read, or the address names no user whose password it could be.
    """
    if secret_file is None:
        return url
    user, at, rest = url.partition("@")
    if not at or user.count(":") != 1:
        raise UserError(
            "--secret-file holds a password: name whose in --broker mqtt://USER@HOST, and no password there"
        )
    try:
        return f"{user}:{quote(read_secret('broker', '', str(secret_file)), safe='')}@{rest}"
    except ValueError as error:
        raise UserError(str(error)) from error


def sim_options(**fields: object) -> SimOptions:
    """Options that were checked, the scenario and the record with them.

    Raises
    ------
    UserError
        The simulator refuses one of them.
    """
    try:
        return msgspec.convert(fields, SimOptions)
    except (ValueError, msgspec.ValidationError) as error:
        raise UserError(str(error)) from error


def arguments(options: SimOptions) -> tuple[str, ...]:
    """Command line that has these options read back in another process."""
    given = [
        ("--broker", options.broker),
        ("--patients", options.patients),
        ("--scenario", options.scenario),
        ("--seed", options.seed),
        ("--seconds", options.seconds),
        ("--site", options.site),
        ("--truth", options.truth),
        *(("--wfdb", record) for record in options.wfdb),
        *(("--pulse", record) for record in options.pulse),
    ]
    return tuple(str(part) for name, value in given if value for part in (name, value))


def simulate(options: SimOptions, stopping: threading.Event, tell: Callable[[str], None]) -> SimReport:
    """Simulate until it is over or `stopping` is set; `tell` takes lines about how far it is.

    Raises
    ------
    UserError
        There is no broker, or the truth cannot be written.
    """
    due_s = 0.0

    def progress(now: Progress) -> None:
        nonlocal due_s
        if now.seconds >= due_s:
            due_s = now.seconds + TELL_EVERY_S
            tell(f"{now.seconds:.0f} s, {now.packets_published} packets published, {now.connected} clients connected")

    try:
        return run_simulation(options, stopping, progress)
    except ConnectionError as error:
        raise UserError(str(error)) from error
    except OSError as error:
        raise UserError(f"{error}: give a --truth that can be written") from error


def in_words(report: SimReport) -> list[str]:
    """Lines for people."""
    said = [
        f"{report.patients} simulated patients for {report.seconds:g} s; simulated sensors; not a medical device",
        f"{report.packets_published} packets published, {report.packets_acknowledged} acknowledged by the broker",
        f"{report.reconnects} reconnects; a packet was {report.late_ms_max:.0f} ms late at the worst",
    ]
    return [*said, f"truth in {report.truth_path}"] if report.truth_path else said
