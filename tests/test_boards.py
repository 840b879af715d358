"""The dashboards as documents: Grafana's own types, the schema of what they ask, what every panel owes its reader."""

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from board_queries import ALL, Asked, boards, filled, other_queries, panel_queries, panels
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import alerting
from grafana_foundation_sdk.models import dashboard as sdk

from deploy.grafana import files, rules
from deploy.grafana.board import FOLDER_UID, PAGES
from deploy.grafana.contact import contact_point
from deploy.grafana.influxql import Query, names_in, select, tag_values
from deploy.grafana.layout import Shelf, stacked
from deploy.grafana.measurements import MEASUREMENTS
from deploy.grafana.words import HIGH, LOW, MEDIUM

BOARDS = boards()
PANELS = [(board["uid"], panel) for board in BOARDS for panel in panels(board)]
DEPRECATED = {"graph", "singlestat", "table-old", "grafana-piechart-panel", "heatmap-new", "gettingstarted"}
# Its types know marks of Grafana's own data source only, and no holes in a state timeline; the plugins know both.
UNKNOWN_TO_THEM = (
    r"\.annotations\.list\[\d+\]\.target\.\w+ is gone"
    r"|\.panels\[\d+\]\.fieldConfig\.defaults\.custom\.insertNulls is gone"
)
CONTENTS = files.contents()


def named(case: tuple[str, dict[str, Any]]) -> str:
    return f"{case[0]} / {case[1]['title']} / {case[1]['id']}"


@pytest.mark.parametrize("path", CONTENTS, ids=str)
def test_the_files_are_those_that_the_python_makes(path: Path) -> None:
    file = files.HERE / path
    assert file.exists(), f"{path} is missing: run `make dashboards`"
    assert file.read_text(encoding="utf-8") == CONTENTS[path], f"{path} is not up to date: run `make dashboards`"


def test_there_is_no_file_that_nothing_makes() -> None:
    there = {path.relative_to(files.HERE) for path in files.HERE.glob("*/**/*") if path.suffix in {".json", ".yaml"}}
    assert there == set(CONTENTS)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board["uid"])
def test_nothing_is_lost_or_changed_on_the_way_through_grafanas_own_types(board: dict[str, Any]) -> None:
    register_default_plugins()
    board = copy.deepcopy(board)
    for panel in panels(board):
        if panel["datasource"]["uid"] == "-- Mixed --":
            del panel["datasource"]  # else it takes the queries for some that only a data source of that name has
    through = plain(sdk.Dashboard.from_json(board))
    assert [said for said in lost(board, through) if not re.fullmatch(UNKNOWN_TO_THEM, said)] == []


def test_rules_and_contact_points_pass_through_grafanas_own_types_too() -> None:
    register_default_plugins()
    for rule in rules.rules():
        ours = {**msgspec.to_builtins(rule), **rules.place(), "notification_settings": {"receiver": rules.CONTACT}}
        assert list(lost(plain(ours), plain(alerting.Rule.from_json(plain(ours))))) == []
    for to in ("ops@clinic.example", "https://clinic.example/hook"):
        point = plain(msgspec.to_builtins(contact_point(to)))
        assert list(lost(point, plain(alerting.ContactPoint.from_json(point)))) == []


def plain(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """As it looks once it was sent."""
    return json.loads(json.dumps(value, cls=JSONEncoder))


def lost(ours: Any, theirs: Any, at: str = "") -> Iterator[str]:  # noqa: ANN401 - any JSON
    """Where something of ours did not come back as it was; defaults that were added are none of ours."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key, value in ours.items():
            yield from lost(value, theirs[key], f"{at}.{key}") if key in theirs else [f"{at}.{key} is gone"]
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from lost(one, other, f"{at}[{index}]")
    elif ours != theirs:
        yield f"{at}: {ours!r} became {theirs!r}"


def test_uids_are_fixed_and_links_lead_to_dashboards_that_exist() -> None:
    assert [board["uid"] for board in BOARDS] == [
        "femtoward-ward",
        "femtoward-patient",
        "femtoward-alarms",
        "femtoward-devices",
        "femtoward-pipeline",
    ]
    for uid in re.findall(r"/d/([a-z-]+)", json.dumps(BOARDS)):
        assert uid in PAGES
    assert all(len(uid) <= 40 for uid in [*PAGES, FOLDER_UID, *(rule.uid for rule in rules.rules())])


@pytest.mark.parametrize("case", PANELS, ids=named)
def test_every_panel_says_what_it_shows_in_which_unit_and_why_it_may_be_empty(case: tuple[str, dict[str, Any]]) -> None:
    _, panel = case
    assert panel["type"] not in DEPRECATED
    assert len(panel["description"]) > 20
    assert len(panel["fieldConfig"]["defaults"]["noValue"]) > 15
    units = {panel["fieldConfig"]["defaults"].get("unit")} | {
        change["value"]
        for override in panel["fieldConfig"]["overrides"]
        for change in override["properties"]
        if change["id"] == "unit"
    }
    assert units - {None} or panel["title"] in {"Most frequent", "Commands"}  # counts and words
    assert panel["datasource"]["uid"] in {"femtoward-influx", "-- Mixed --"}


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board["uid"])
def test_panels_neither_overlap_nor_get_too_narrow_for_a_tablet(board: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["w"] >= 6
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, f"{panel['title']} lies over another"
        taken |= cells
    numbers = [panel["id"] for panel in panels(board)] + [row["id"] for row in board["panels"] if row["type"] == "row"]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("case", PANELS, ids=named)
def test_columns_that_are_renamed_hidden_or_sorted_by_exist(case: tuple[str, dict[str, Any]]) -> None:
    _, panel = case
    there = {"Time", "Value"}
    for target in panel["targets"]:
        query = target.get("query", "")
        there |= set(re.findall(r'AS "([^"]+)"', query)) | names_in(query) | {target.get("alias", "")}
    for change in panel.get("transformations", []):
        options = change["options"]
        there |= set(options.get("renameByName", {}).values())
        used = {*options.get("excludeByName", {}), *options.get("renameByName", {}), *options.get("indexByName", {})}
        used |= {sort["field"] for sort in options.get("sort", [])} | set(options.get("fields", []))
        assert used <= there, f"{used - there} are no columns"
    for override in panel["fieldConfig"]["overrides"]:
        options = override["matcher"]["options"]
        names = {options} if override["matcher"]["id"] == "byName" else set()
        names |= set(options["names"]) if override["matcher"]["id"] == "byNames" else set()
        assert names <= there, f"{names - there} are no columns"


def test_no_vital_stands_without_its_quality_near_it() -> None:
    """In the same panel, or in one beside it."""
    for board in BOARDS:
        for panel in panels(board):
            asked = names_in(" ".join(target.get("query", "") for target in panel["targets"]))
            if asked & {"vitals", "vitals_1m", "vitals_1h"} and asked & {"hr", "pulse", "temp", "rmssd", "sdnn"}:
                beside = [other for other in panels(board) if other["gridPos"]["y"] == panel["gridPos"]["y"]]
                near = " ".join(target["query"] for other in beside for target in other["targets"])
                assert any("quality" in name for name in names_in(near)), panel["title"]


def test_no_colour_of_an_alarm_stands_alone() -> None:
    """Red, yellow and cyan always come with words or a symbol."""

    def shown(value: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - any JSON
        if isinstance(value, dict):
            if "index" in value and value.get("color") in {HIGH, MEDIUM, LOW}:
                yield value
            for key, part in value.items():
                if isinstance(part, dict) and key == "options" and "pattern" in part:
                    alarming = part["result"]["color"] in {HIGH, MEDIUM, LOW}
                    assert not alarming or part["pattern"].startswith("^!")  # what it colours begins with its symbol
                else:
                    yield from shown(part)
        elif isinstance(value, list):
            for part in value:
                yield from shown(part)

    found = list(shown(BOARDS))
    assert found
    assert all(re.match(r"[!✗~]", one["text"]) for one in found), found


def test_no_background_is_painted_that_one_theme_could_not_show() -> None:
    colours = set(re.findall(r"#[0-9A-Fa-f]{3,8}\b", json.dumps(BOARDS)))
    assert colours <= {LOW}
    assert all("style" not in board for board in BOARDS)


@pytest.mark.parametrize("asked", [*panel_queries(), *other_queries()], ids=lambda asked: asked.name)
def test_every_name_in_every_query_stands_in_the_schema(asked: Asked) -> None:
    sources = re.findall(r'FROM "(\w+)"\."(\w+)"', asked.query)
    assert sources
    known = set(re.findall(r'AS "([^"]+)"', asked.query))
    for policy, measurement in sources:
        assert MEASUREMENTS[measurement].retention == policy
        known |= {policy, measurement, *MEASUREMENTS[measurement].tags, *MEASUREMENTS[measurement].fields}
    assert names_in(asked.query) <= known
    assert filled(asked, {}, 0, 1)


def test_choices_stand_in_chains_and_all_takes_in_what_lacks_the_tag() -> None:
    for board in BOARDS:
        for variable in board["templating"]["list"]:
            chosen = (board["uid"], variable["name"])
            single = chosen in {("femtoward-patient", "site"), ("femtoward-patient", "patient")}
            one_at_first = single or chosen == ("femtoward-ward", "ward")
            assert variable["multi"] is not single
            assert variable["includeAll"] is not one_at_first
            assert variable.get("allValue", "") == ("" if one_at_first else ALL)
    patient = BOARDS[1]["templating"]["list"][2]["query"]
    assert 'AND "site" =~ /^$site$/ AND "ward" =~ /^$ward$/ GROUP BY "patient"' in patient


def test_what_does_not_exist_cannot_be_asked() -> None:
    with pytest.raises(ValueError, match="there is no measurement 'vital'"):
        select("vital", {"hr": '"hr"'})
    with pytest.raises(ValueError, match="vitals has no 'heart'"):
        select("vitals", {"hr": '"hr"'}, where=['"heart" > 1'])
    with pytest.raises(ValueError, match="vitals has no 'device'"):
        select("vitals", {"hr": '"hr"'}, by=["device"])
    with pytest.raises(ValueError, match="vitals has no tag 'hr'"):
        tag_values("hr", "vitals", "coverage", span="")
    with pytest.raises(ValueError, match="the inner query has no 'pulse'"):
        select(Query("SELECT 1", ("hr",), ()), {"x": '"pulse"'})


def test_a_shelf_takes_as_many_panels_as_divide_it() -> None:
    with pytest.raises(ValueError, match="5 panels side by side in 24 columns"):
        stacked([Shelf(4, (None,) * 5)])  # type: ignore[arg-type]  # it does not come to looking at them


def test_alert_rules_say_what_to_do_and_can_stand_in_a_provisioning_file() -> None:
    for path, text in CONTENTS.items():
        if path.parts[0] == "provisioning":
            assert yaml.safe_load(text)["apiVersion"] == 1
        if "alerting" in path.parts:
            assert "$" not in text, "a provisioning file puts the environment in place of $NAME"
    for rule in rules.rules():
        assert len(rule.annotations["summary"]) > 20
        assert len(rule.annotations["description"]) > 20
        assert [step.ref_id for step in rule.data] == ["A", "B", rule.condition]
