"""The credential that Grafana asks InfluxDB with, and the file in which one made here is kept.

Grafana sends on whatever somebody asks who may look at a dashboard, as the user of its data source. So that should be
one who may read and nothing else: not the couriers, who write, and not an operator.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from dataflows.couriers.secret import read_secret
from deploy.problem import UserError
from deploy.settings import Grafana, Influx

PENDING = "still to be made"  # in place of a secret in a plan, which never looks at one


class Credential(NamedTuple):
    """Whom InfluxDB takes Grafana for."""

    user: str  # empty: the secret is a token
    secret: str


class Reader(NamedTuple):
    """Where the settings say that the secret of one who may only read is."""

    user: str
    env: str
    file: str

    @property
    def absent(self) -> bool:
        """Whether the file is named and not there, so that it is to be made."""
        return bool(self.file) and not self.env and not Path(self.file).exists()

    def read(self) -> str:
        """Return the secret.

        Raises
        ------
        UserError
            It is not there.
        """
        try:
            return read_secret("grafana, influx_secret", self.env, self.file)
        except ValueError as error:
            raise UserError(str(error)) from error

    def keep(self, make: Callable[[], str]) -> None:
        """Write a new secret into the file, which is made first: nothing is made whose secret could not be kept.

        Raises
        ------
        UserError
            The file cannot be made, or what makes the secret raises it; then there is no file.
        """
        path = Path(self.file)
        try:
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise UserError(
                f"{path} cannot be made ({error.strerror}): let this user write there, or name another file in "
                "grafana.influx_secret_file"
            ) from error
        with os.fdopen(number, "w", encoding="utf-8") as file:
            try:
                file.write(f"{make()}\n")
            except BaseException:
                path.unlink()
                raise


def reader(grafana: Grafana) -> Reader | None:
    """Who may only read, as the settings name it; None: they name nobody."""
    if not grafana.influx_secret_env and not grafana.influx_secret_file:
        return None
    return Reader(grafana.influx_user, grafana.influx_secret_env, grafana.influx_secret_file)


def credential(grafana: Grafana, influx: Influx) -> Credential:
    """Return the reader's credential, or the couriers' own where the settings name no reader.

    Raises
    ------
    UserError
        The secret is not there.
    """
    found = reader(grafana)
    if found is not None:
        return Credential(found.user, PENDING if found.absent else found.read())
    try:
        secret = read_secret("influx", influx.secret_env, influx.secret_file)
    except ValueError as error:
        raise UserError(str(error)) from error
    return Credential(influx.user if influx.api == "v1" else "", secret)
