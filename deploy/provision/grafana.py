"""Grafana's part of `femtoward provision`: folder, data source, dashboards, contact point, alert rules."""

from collections.abc import Iterator, Sequence

import msgspec

from deploy.grafana import rules
from deploy.grafana.contact import contact_point
from deploy.grafana.datasource import InfluxSource, influx_source
from deploy.grafana.files import BOARDS
from deploy.provision.credential import credential
from deploy.provision.grafana_api import GrafanaDoor
from deploy.provision.grafana_things import AlertRule, Board, Contact, Folder, Source, Thing
from deploy.provision.plan import Step
from deploy.settings import Grafana, Influx


def plan(grafana: Grafana, influx: Influx, *, secrets: bool = False) -> list[Step]:
    """Compare a Grafana with what it must have; nothing is changed.

    Parameters
    ----------
    grafana, influx
        Settings of both.
    secrets
        Write the secrets again: Grafana never shows those that it has.

    Raises
    ------
    UserError
        It cannot be asked.
    """
    door = GrafanaDoor(grafana)
    try:
        return [thing.look(door).step for thing in _things(grafana, influx, secrets=secrets)]
    finally:
        door.close()


def apply(grafana: Grafana, influx: Influx, steps: Sequence[Step], *, secrets: bool = False) -> None:
    """Do what a plan says, in its order.

    Raises
    ------
    UserError
        Grafana refuses a step; those before it are done, and a new plan shows what is left.
    Conflict
        Someone else changed the same thing meanwhile.
    """
    due = {(step.what, step.name) for step in steps if step.action != "same"}
    if not due:
        return
    door = GrafanaDoor(grafana)
    try:
        for thing in _things(grafana, influx, secrets=secrets):
            step, present = thing.look(door)
            if (step.what, step.name) in due and step.action != "same":
                thing.do(door, present)
    finally:
        door.close()


def _things(grafana: Grafana, influx: Influx, *, secrets: bool) -> Iterator[Thing]:
    yield Folder()
    yield Source(_source(grafana, influx), secrets=secrets)
    for build in BOARDS:
        yield Board(msgspec.to_builtins(build()))
    if grafana.contact:
        yield Contact(contact_point(grafana.contact))
    for rule in rules.rules():
        told = {"notification_settings": {"receiver": rules.CONTACT}} if grafana.contact else {}
        yield AlertRule({**msgspec.to_builtins(rule), **rules.place(), **told})


def _source(grafana: Grafana, influx: Influx) -> InfluxSource:
    user, secret = credential(grafana, influx)
    url = grafana.influx_url or influx.url
    if user or influx.api == "v1":
        return influx_source(url, influx.bucket, user=user, password=secret)
    return influx_source(url, influx.bucket, token=secret)
