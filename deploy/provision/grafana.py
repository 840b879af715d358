"""Grafana's part of `femtoward provision`: folder, data source, dashboards, contact point, alert rules."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import msgspec

from dataflows.couriers.secret import read_secret
from deploy.grafana import rules
from deploy.grafana.board import FOLDER, FOLDER_UID
from deploy.grafana.contact import ContactPoint, contact_point
from deploy.grafana.datasource import InfluxSource, influx_source
from deploy.grafana.files import BOARDS
from deploy.problem import UserError
from deploy.provision.difference import differences, in_words
from deploy.provision.grafana_api import Document, GrafanaDoor
from deploy.provision.plan import Step
from deploy.settings import Grafana, Influx

RULES = "/v1/provisioning/alert-rules"
CONTACTS = "/v1/provisioning/contact-points"
OWN = {"id", "version"}  # what Grafana counts by itself in a dashboard


class Found(NamedTuple):
    """One thing looked at."""

    step: Step
    present: Document | None  # as Grafana has it


class Thing(Protocol):
    """One thing that Grafana must have."""

    def look(self, door: GrafanaDoor) -> Found:
        """Compare what is there with what must be."""
        ...

    def do(self, door: GrafanaDoor, present: Document | None) -> None:
        """Make it, or change what is there."""
        ...


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
    try:
        secret = read_secret("influx", influx.secret_env, influx.secret_file)
    except ValueError as error:
        raise UserError(str(error)) from error
    url = grafana.influx_url or influx.url
    if influx.api == "v2":
        return influx_source(url, influx.bucket, token=secret)
    return influx_source(url, influx.bucket, user=influx.user, password=secret)


class Folder:
    """The one folder of dashboards and rules."""

    def look(self, door: GrafanaDoor) -> Found:
        """Compare."""
        present = door.get(f"/folders/{FOLDER_UID}")
        return Found(_step("folder", FOLDER, present, list(differences({"title": FOLDER}, present or {}))), present)

    def do(self, door: GrafanaDoor, present: Document | None) -> None:
        """Make or rename it."""
        if present is None:
            door.post("/folders", {"uid": FOLDER_UID, "title": FOLDER})
        else:
            door.put(f"/folders/{FOLDER_UID}", {"title": FOLDER, "version": present.get("version")})


class Source:
    """The data source."""

    def __init__(self, wanted: InfluxSource, *, secrets: bool) -> None:
        self._wanted, self._secrets = wanted, secrets

    def look(self, door: GrafanaDoor) -> Found:
        """Compare all but the secrets; of these Grafana says only that it has them."""
        present = door.get(f"/datasources/uid/{self._wanted.uid}")
        shown = msgspec.to_builtins(self._wanted)
        del shown["secureJsonData"]
        found = list(differences(shown, present or {}))
        kept = (present or {}).get("secureJsonFields")
        held = sorted(name for name, there in kept.items() if there) if isinstance(kept, dict) else []
        found += [f"{name} is missing" for name in self._wanted.secure_json_data.names() if name not in held]
        if self._secrets and not found:
            found.append("its secrets are written again")
        step = _step("data source", self._wanted.name, present, found)
        if step.action == "change" and present and present.get("readOnly"):
            raise UserError(
                f"the data source {self._wanted.name} comes from a provisioning file of Grafana and differs "
                f"({in_words(found)}): correct that file, or remove it and run this again"
            )
        return Found(step, present)

    def do(self, door: GrafanaDoor, present: Document | None) -> None:
        """Make or change it."""
        body = msgspec.to_builtins(self._wanted)
        if present is None:
            door.post("/datasources", body)
        else:
            door.put(f"/datasources/uid/{self._wanted.uid}", {**body, "version": present.get("version")})


class Board:
    """One dashboard.

    Grafana may keep it in another form than it was given (newer versions do), so that what it shows says little of
    what it was given. Each version that we write therefore says in its message what it was made from.
    """

    def __init__(self, wanted: Document) -> None:
        self._wanted, self._uid = wanted, str(wanted["uid"])
        self._message = f"femtoward provision {hashlib.sha256(msgspec.json.encode(wanted)).hexdigest()[:16]}"

    def look(self, door: GrafanaDoor) -> Found:
        """Compare with what it holds or, where that differs, with what its newest version was made from."""
        answer = door.get(f"/dashboards/uid/{self._uid}")
        meta, board = (_part(answer, "meta"), _part(answer, "dashboard")) if answer else ({}, {})
        found = list(differences(self._wanted, {key: board[key] for key in board.keys() - OWN}, whole=True))
        if answer and found and self._newest(door) == self._message:
            found = []
        if answer and meta.get("folderUid") != FOLDER_UID:
            found.append(f"it lies in the folder {meta.get('folderUid')!r}")
        step = _step("dashboard", self._uid, answer, found)
        if step.action == "change" and meta.get("provisioned"):
            raise UserError(
                f"the dashboard {self._uid} comes from a provisioning file of Grafana and differs ({in_words(found)}): "
                "update that file, or remove it and run this again"
            )
        return Found(step, board if answer else None)

    def do(self, door: GrafanaDoor, present: Document | None) -> None:
        """Make it, or change the version that was looked at and no other."""
        known = {key: present[key] for key in OWN & present.keys()} if present else {"id": None}
        body: Document = {
            "dashboard": {**self._wanted, **known},
            "folderUid": FOLDER_UID,
            "message": self._message,
            "overwrite": False,
        }
        door.post("/dashboards/db", body)

    def _newest(self, door: GrafanaDoor) -> object:
        newest = door.get_list(f"/dashboards/uid/{self._uid}/versions?limit=1")
        return newest[0].get("message") if newest else None


class Contact:
    """Whom Grafana tells."""

    def __init__(self, wanted: ContactPoint) -> None:
        self._wanted = wanted

    def look(self, door: GrafanaDoor) -> Found:
        """Compare; contact points are asked for by their name."""
        listed = door.get_list(f"{CONTACTS}?name={self._wanted.name}")
        present = next((one for one in listed if one.get("uid") == self._wanted.uid), None)
        found = list(differences(msgspec.to_builtins(self._wanted), present or {}))
        return Found(_step("contact point", self._wanted.name, present, found), present)

    def do(self, door: GrafanaDoor, present: Document | None) -> None:
        """Make or change it."""
        body = msgspec.to_builtins(self._wanted)
        if present is None:
            door.post(CONTACTS, body)
        else:
            door.put(f"{CONTACTS}/{self._wanted.uid}", body)


class AlertRule:
    """One rule on the pipeline."""

    def __init__(self, wanted: Document) -> None:
        self._wanted, self._uid = wanted, str(wanted["uid"])

    def look(self, door: GrafanaDoor) -> Found:
        """Compare."""
        present = door.get(f"{RULES}/{self._uid}")
        found = list(differences(self._wanted, present or {}))
        return Found(_step("alert rule", self._uid, present, found), present)

    def do(self, door: GrafanaDoor, present: Document | None) -> None:
        """Make or change it."""
        if present is None:
            door.post(RULES, self._wanted)
        else:
            door.put(f"{RULES}/{self._uid}", self._wanted)


def _step(what: str, name: str, present: Document | None, found: Sequence[str]) -> Step:
    if present is None:
        return Step(what, name, "create")
    return Step(what, name, "change", in_words(found)) if found else Step(what, name, "same")


def _part(answer: Document, name: str) -> Document:
    part = answer.get(name)
    if not isinstance(part, dict):
        raise UserError(f"Grafana's answer has no {name}: is it Grafana 11 or newer?")
    return part
