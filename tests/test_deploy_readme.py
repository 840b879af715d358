"""The page for administrators is true: what it names is there, and its tables are those of the files."""

import re
from pathlib import Path

import pytest
from test_cli import COMMANDS
from test_compose import SERVICES, STACK
from test_systemd import SERVICES as UNITS

from deploy.parts import PARTS
from deploy.settings import Settings, parse_settings

DEPLOY = Path(__file__).parents[1] / "deploy"
README = (DEPLOY / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """Text below a heading, to the next one of its rank."""
    _, _, rest = README.partition(f"\n## {title}\n")
    assert rest, title
    return rest.partition("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """Cells of the tables of a text, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if not set(line) <= set("|-")]


def code(cell: str) -> list[str]:
    """What stands in a cell as code."""
    return re.findall(r"`([^`]+)`", cell)


def test_every_command_exists() -> None:
    said = set(re.findall(r"femtoward ([a-z]+)[ `]", README)) - {"is", "to", "femtoward"}
    assert said
    assert said <= COMMANDS


@pytest.mark.parametrize("text", re.findall(r"```toml\n(.*?)```", README, re.DOTALL))
def test_its_settings_are_settings(text: str) -> None:
    parse_settings(text)


def test_every_file_and_heading_that_it_points_at_exists() -> None:
    headings = {
        re.sub(r"[^a-z0-9 -]", "", line.lower()).replace(" ", "-")
        for line in re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^):]+)\)", README):
        if target.startswith("#"):
            assert target[1:] in headings, target
        else:
            assert (DEPLOY / target).exists(), target


def test_the_table_of_services_is_that_of_compose() -> None:
    table = rows(section("Compose"))[1:]
    named = [name for row in table for name in code(row[0])]
    assert sorted(named) == sorted(SERVICES)
    for row in table:
        for volume in code(row[3]):
            assert volume in STACK["volumes"]


def test_every_secret_is_in_its_table() -> None:
    named = {name for row in rows(section("Secrets"))[1:] for name in code(row[0])}
    made = {Path(secret["file"]).name for secret in STACK["secrets"].values()}
    assert named == made | {"health_password"}  # which only mosquitto_sub holds on


def test_the_health_ports_are_those_of_the_settings() -> None:
    ports = {
        row[0].strip("`").removeprefix("femtoward "): row[1].split(",")[0] for row in rows(section("Watching it"))[1:]
    }
    health = Settings().health
    assert ports == {name: str(getattr(health, name)) for name in ("run", *PARTS)}


def test_the_units_that_it_enables_are_there() -> None:
    enabled = re.findall(
        r"femtoward-[a-z]+(?:@\w+)?", section("Systemd").partition("systemctl enable")[2].partition("```")[0]
    )
    assert {re.sub(r"@\w+", "@", name) + ".service" for name in enabled} == set(UNITS)


def test_the_paths_to_change_for_a_host_stand_in_the_brokers_files() -> None:
    files = "".join(file.read_text() for file in (DEPLOY / "mosquitto").glob("*.conf"))
    table = next(part for part in section("Systemd").split("\n\n") if "on a Debian host" in part)
    cells = [code(row[0])[0] for row in rows(table)[1:]]
    assert len(cells) == 5
    for cell in cells:
        assert cell in files
