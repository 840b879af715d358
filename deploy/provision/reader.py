"""Provisioning of one who may only read in InfluxDB, for Grafana: a user in 1.x, an authorisation in 2.x."""

import secrets
from collections.abc import Sequence
from typing import Final

from dataflows.couriers.influx_options import InfluxOptions
from dataflows.couriers.influxql import InfluxQL, QueryRefused, identity, literal, quoted
from dataflows.couriers.secret import read_secret
from deploy.problem import UserError
from deploy.provision.credential import Reader, reader
from deploy.provision.influx import version
from deploy.provision.plan import Action, Step, due
from deploy.settings import Grafana, Influx
from deploy.wiring import influx_options

_USER, _RIGHT, _TOKEN = "user", "right to read", "authorisation"
DESCRIPTION: Final = "femtoward: Grafana reads"


def plan(grafana: Grafana, influx: Influx) -> list[Step]:
    """Compare who may read with who must; nothing is changed.

    Raises
    ------
    UserError
        InfluxDB cannot be asked, or the secret is not there and cannot be made.
    """
    wanted = reader(grafana)
    if wanted is None:
        return []
    options = influx_options(influx)
    stated = version(options)
    match stated.partition(".")[0]:
        case "1":
            users = _Users(options, wanted)
            try:
                return users.plan()
            finally:
                users.close()
        case "2" if wanted.absent:
            said = f"may read {influx.bucket}/...; its token goes into {wanted.file}"
            return [Step(_TOKEN, DESCRIPTION, "create", said)]
        case _ if wanted.absent:
            raise UserError(
                f"{wanted.file} is not there, and InfluxDB {stated} makes no token that may only read: make one by "
                "hand and put it there, or leave out grafana.influx_secret_file"
            )
    return []


def apply(grafana: Grafana, influx: Influx, steps: Sequence[Step]) -> None:
    """Do what a plan says; the databases or buckets are there by now.

    Raises
    ------
    UserError
        InfluxDB refuses, or the secret cannot be kept.
    """
    wanted, todo = reader(grafana), due(steps)
    if wanted is None or not todo:
        return
    options = influx_options(influx)
    if todo[0].what == _TOKEN:
        from deploy.provision.influx2 import Influx2  # noqa: PLC0415 - brings its client

        server = Influx2(options)
        try:
            wanted.keep(lambda: server.authorise(DESCRIPTION))
        finally:
            server.close()
        return
    users = _Users(options, wanted)
    try:
        for step in todo:
            users.do(step)
    finally:
        users.close()


class _Users:
    """Users of an InfluxDB 1.x."""

    def __init__(self, options: InfluxOptions, wanted: Reader) -> None:
        if not wanted.user or wanted.user == options.user:
            raise UserError(
                f"grafana.influx_user is {wanted.user!r}: need the name of a user of InfluxDB that may only read, "
                "other than influx.user; it is made where it is not there"
            )
        try:
            secret = read_secret("influx", options.secret_env, options.secret_file)
        except ValueError as error:
            raise UserError(str(error)) from error
        self._reader, self._database = wanted, options.bucket
        self._influxql = InfluxQL(options, identity(options, secret))

    def plan(self) -> list[Step]:
        name, absent = self._reader.user, self._reader.absent
        try:
            users = [user for found in self._influxql.ask("SHOW USERS") for user in found.records()]
            there = {str(user["user"]): user["admin"] is True for user in users}
            right = self._rights().get(self._database, "") if name in there else ""
        except QueryRefused as error:
            raise UserError(f"{error}; need the rights of an administrator") from error
        if there.get(name):
            raise UserError(f"grafana.influx_user = {name!r} is an administrator of InfluxDB: name one that only reads")
        action: Action = "same" if not absent else "change"
        return [
            Step(
                _USER,
                name,
                action if name in there else "create",
                f"its password goes into {self._reader.file}" if absent else "",
            ),
            Step(
                _RIGHT,
                f"{name} on {self._database}",
                "same" if right == "READ" else "change" if right else "create",
                f"it has {right}" if right else "",
            ),
        ]

    def do(self, step: Step) -> None:
        name = quoted(self._reader.user)
        if step.what == _RIGHT:
            self._tell(f"GRANT READ ON {quoted(self._database)} TO {name}", step)
        elif self._reader.absent:
            self._reader.keep(lambda: self._known_by(name, secrets.token_urlsafe(24), step))
        else:
            self._known_by(name, self._reader.read(), step)

    def close(self) -> None:
        self._influxql.close()

    def _known_by(self, name: str, password: str, step: Step) -> str:
        verb = f"CREATE USER {name} WITH PASSWORD" if step.action == "create" else f"SET PASSWORD FOR {name} ="
        self._tell(f"{verb} {literal(password)}", step, password)
        return password

    def _tell(self, statement: str, step: Step, hidden: str = "") -> None:
        try:
            self._influxql.ask(statement)
        except QueryRefused as error:
            said = str(error).replace(hidden, "***") if hidden else str(error)
            raise UserError(f"{step.what} {step.name}: {said}") from None

    def _rights(self) -> dict[str, str]:
        found = self._influxql.ask(f"SHOW GRANTS FOR {quoted(self._reader.user)}")
        return {str(one["database"]): str(one["privilege"]) for series in found for one in series.records()}
