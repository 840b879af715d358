"""The files made of all this: dashboards as JSON, and what Grafana reads at its start as YAML.

``make dashboards``, or ``python -m deploy.grafana.files``, writes them anew; a test holds them equal.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from deploy.grafana.alarms import alarms
from deploy.grafana.board import FOLDER, FOLDER_UID
from deploy.grafana.contact import PLACEHOLDER, contact_point
from deploy.grafana.datasource import influx_source
from deploy.grafana.devices import devices
from deploy.grafana.model import Dashboard
from deploy.grafana.patient import patient
from deploy.grafana.pipeline import pipeline
from deploy.grafana.rules import CONTACT, EVERY, GROUP, rules
from deploy.grafana.ward import ward

HERE = Path(__file__).parent
BOARDS: tuple[Callable[[], Dashboard], ...] = (ward, patient, alarms, devices, pipeline)
DASHBOARDS = "/var/lib/grafana/dashboards/femtoward"  # where the container has them
# Rules are read before dashboards, and would make the dashboards' folder under another uid.
RULES_FOLDER = f"{FOLDER} alerts"
INFLUX_URL = "http://influxdb:8086"  # as it is called in compose.yaml
TOKEN = "$__file{/run/secrets/grafana_influx_token}"  # noqa: S105 - Grafana reads it from there
ONLY_READ = "# Put a token there that may only read: whoever may look at a dashboard can ask anything with it.\n"
_HEAD = "# Made by `make dashboards` from deploy/grafana/{module}.py: change that, not this.\n"


def dashboards() -> dict[str, str]:
    """JSON text of each dashboard by its uid."""
    boards = [build() for build in BOARDS]
    return {board.uid: pretty(msgspec.to_builtins(board)) for board in boards}


def contents() -> dict[Path, str]:
    """Text of every file, by its path from here."""
    boards = {Path("dashboards") / f"{uid}.json": text for uid, text in dashboards().items()}
    return {**boards, **{Path("provisioning") / path: text for path, text in _provisioning().items()}}


def write() -> list[Path]:
    """Write those that differ; returns them."""
    changed = []
    for path, text in contents().items():
        file = HERE / path
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


def pretty(value: object) -> str:
    """JSON that a difference can be read in."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _provisioning() -> dict[Path, str]:
    source = msgspec.to_builtins(influx_source(INFLUX_URL, "femtoward", token=TOKEN))
    provider = {
        "name": "femtoward",
        "orgId": 1,
        "type": "file",
        "folder": FOLDER,
        "folderUid": FOLDER_UID,
        "allowUiUpdates": False,
        "options": {"path": DASHBOARDS},
    }
    group = {
        "orgId": 1,
        "name": GROUP,
        "folder": RULES_FOLDER,
        "interval": EVERY,
        "rules": [{**msgspec.to_builtins(rule), "notification_settings": {"receiver": CONTACT}} for rule in rules()],
    }
    point = msgspec.to_builtins(contact_point(PLACEHOLDER))
    contact = {"orgId": 1, "name": point.pop("name"), "receivers": [point]}
    return {
        Path("datasources/femtoward.yaml"): _yaml("datasource", {"apiVersion": 1, "datasources": [source]}, ONLY_READ),
        Path("dashboards/femtoward.yaml"): _yaml("files", {"apiVersion": 1, "providers": [provider]}),
        Path("alerting/rules.yaml"): _yaml("rules", {"apiVersion": 1, "groups": [group]}),
        Path("alerting/contact-point.yaml"): _yaml(
            "contact",
            {"apiVersion": 1, "contactPoints": [contact]},
            f"# Put your own address in place of {PLACEHOLDER}.\n",
        ),
    }


def _yaml(module: str, content: Mapping[str, object], note: str = "") -> str:
    import yaml  # noqa: PLC0415 - only who makes these files needs it

    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    return _HEAD.format(module=module) + note + text


if __name__ == "__main__":
    for path in write():
        print(f"written: {path}")  # noqa: T201 - says what it did
