"""The things that Grafana must have, each with how to look at it and how to make or change it."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from deploy.grafana import rules
from deploy.grafana.board import FOLDER, FOLDER_UID
from deploy.grafana.contact import ContactPoint
from deploy.grafana.datasource import InfluxSource
from deploy.problem import UserError
from deploy.provision.difference import differences, in_words
from deploy.provision.grafana_api import Document, GrafanaDoor
from deploy.provision.plan import Step

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
        secret = (present or {}).get("secureJsonFields")
        held = [name for name, there in secret.items() if there] if isinstance(secret, dict) else []
        found += [f"{name} is missing" for name in self._wanted.secure_json_data.names() if name not in held]
        if self._secrets and not found:
            found.append("its secrets are written again")
        kept = bool(present and present.get("readOnly"))
        return Found(_step("data source", self._wanted.name, present, found, of_a_file=kept), present)

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
        step = _step("dashboard", self._uid, answer, found, of_a_file=bool(meta.get("provisioned")))
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
        kept = _of_a_file(present)
        return Found(_step("contact point", self._wanted.name, present, found, of_a_file=kept), present)

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
        kept = _of_a_file(present)
        wanted = {name: value for name, value in self._wanted.items() if not kept or name not in rules.place()}
        found = list(differences(wanted, present or {}))
        told = (present or {}).get("notification_settings")
        ours = isinstance(told, dict) and told.get("receiver") == rules.CONTACT
        if ours and "notification_settings" not in wanted and not kept:
            found.append(f"it tells the contact point {rules.CONTACT}, and the settings name no contact")
        return Found(_step("alert rule", self._uid, present, found, of_a_file=kept), present)

    def do(self, door: GrafanaDoor, present: Document | None) -> None:
        """Make or change it."""
        if present is None:
            door.post(RULES, self._wanted)
        else:
            door.put(f"{RULES}/{self._uid}", self._wanted)


def _step(what: str, name: str, present: Document | None, found: Sequence[str], *, of_a_file: bool = False) -> Step:
    if present is None:
        return Step(what, name, "create")
    if found and of_a_file:
        said = f"left to the provisioning file of Grafana that it comes from, which differs: {in_words(found)}"
        return Step(what, name, "same", said)
    return Step(what, name, "change", in_words(found)) if found else Step(what, name, "same")


def _of_a_file(present: Document | None) -> bool:
    return present is not None and present.get("provenance") == "file"


def _part(answer: Document, name: str) -> Document:
    part = answer.get(name)
    if not isinstance(part, dict):
        raise UserError(f"Grafana's answer has no {name}: is it Grafana 11 or newer?")
    return part
