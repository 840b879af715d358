"""The compose stack, as far as it can be known without a container engine: pinned, bounded, watched, unprivileged."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from stack_broker import make_secrets

from deploy.cli import app
from deploy.parts import PARTS
from deploy.settings import Settings, parse_settings

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
DRAIN_S = 10
OURS = {*PARTS, "provision", "doctor", "fleet"}
ONCE = {"provision", "doctor"}


class Loader(yaml.SafeLoader):
    """YAML with the one tag of compose's own that we use."""


def _overriding(loader: Loader, node: yaml.SequenceNode) -> list[object]:
    return loader.construct_sequence(node)


Loader.add_constructor("!override", _overriding)


def loaded(name: str) -> dict[str, Any]:
    """A compose file, its aliases and merges resolved."""
    document: dict[str, Any] = yaml.load((DEPLOY / name).read_text(), Loader)  # noqa: S506 - a safe one
    return document


STACK = loaded("compose.yaml")
SERVICES: dict[str, dict[str, Any]] = STACK["services"]
each = pytest.mark.parametrize("name", SERVICES)


def seconds(text: str) -> float:
    assert text.endswith("s")
    return float(text[:-1])


@each
def test_an_image_is_pinned_to_a_version(name: str) -> None:
    image, _, tag = SERVICES[name]["image"].partition(":")
    assert re.fullmatch(r"\d+\.\d+\.\d+", tag), SERVICES[name]["image"]
    assert "." not in image.split("/")[0]  # no host of a registry


@each
def test_a_service_is_nobody_special_and_cannot_become_so(name: str) -> None:
    service = SERVICES[name]
    assert int(service["user"].split(":")[0]) > 0
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert "privileged" not in service


@each
def test_a_service_is_bounded_and_its_log_too(name: str) -> None:
    service = SERVICES[name]
    limits = service["deploy"]["resources"]["limits"]
    assert set(limits) == {"cpus", "memory", "pids"}
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}


@each
def test_a_service_comes_back_and_says_how_it_is(name: str) -> None:
    service = SERVICES[name]
    if name in ONCE:
        assert service["restart"] in {"no", "on-failure:10"}
        assert service["healthcheck"] == {"disable": True}
        return
    assert service["restart"] == "unless-stopped"
    check = service["healthcheck"]
    assert check["test"][0] == "CMD"
    assert seconds(check["timeout"]) < seconds(check["interval"]) <= 30


@each
def test_a_service_has_longer_to_stop_than_it_takes(name: str) -> None:
    assert seconds(SERVICES[name]["stop_grace_period"]) >= 2 * DRAIN_S


@each
def test_what_is_kept_lies_in_named_volumes_and_the_rest_comes_from_files_of_ours(name: str) -> None:
    service = SERVICES[name]
    for volume in service.get("volumes", []):
        assert volume.split(":")[0] in STACK["volumes"]
    for config in service.get("configs", []):
        assert (DEPLOY / STACK["configs"][config["source"]]["file"]).is_file()
    for secret in service.get("secrets", []):
        assert STACK["secrets"][secret]["file"] == f"secrets/{secret}"


@each
def test_no_secret_stands_in_the_environment_or_the_command(name: str) -> None:
    service = SERVICES[name]
    for variable, value in service.get("environment", {}).items():
        if re.search("PASSWORD|TOKEN|SECRET", variable):
            assert variable.endswith("_FILE")
            assert value.startswith("/run/secrets/")
            assert value.removeprefix("/run/secrets/") in service["secrets"]
    for word in service.get("command", []):
        if word.startswith("/run/secrets/"):
            assert word.removeprefix("/run/secrets/") in service["secrets"]
        assert not re.search(r"//[^@]*:[^@]*@", word)  # an address with a password


@each
def test_it_is_waited_for_by_health_and_for_nobody_who_is_not_needed(name: str) -> None:
    wanted = {
        "provision": {"influxdb", "grafana"},
        "ingest": {"mosquitto"},
        "flow": {"ingest"},
        "couriers": {"ingest"},  # not InfluxDB: webhooks go out without it
        "page": {"ingest"},
        "fleet": {"ingest"},
    }
    before = SERVICES[name].get("depends_on", {})
    assert set(before) == wanted.get(name, set())
    assert all(condition == {"condition": "service_healthy"} for condition in before.values())


def test_every_part_of_a_ward_is_there_and_runs_a_command_that_we_have() -> None:
    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    for name in OURS:
        service = SERVICES[name]
        assert service["command"][0] in commands
        assert service["init"] is True
        assert service["image"] == SERVICES["ingest"]["image"]
    for part in PARTS:
        assert SERVICES[part]["command"][-3:] == ["--only", part, "--watch"]


@pytest.fixture(scope="module")
def settings() -> Settings:
    return parse_settings((DEPLOY / "femtoward.compose.toml").read_text())


def test_a_part_is_asked_at_its_own_health_port(settings: Settings) -> None:
    for part in PARTS:
        asked = ["CMD", "python", "-P", "-m", "deploy.probe", str(settings.health.port(part, 0))]
        assert SERVICES[part]["healthcheck"]["test"] == asked


def test_the_settings_name_what_the_stack_has(settings: Settings) -> None:
    assert str(settings.data_dir) == SERVICES["flow"]["volumes"][0].partition(":")[2]
    named = re.findall(r"//([a-z]+)[:/]", (DEPLOY / "femtoward.compose.toml").read_text())
    assert set(named) == {"mosquitto", "influxdb", "grafana"}
    assert settings.influx is not None
    influx = SERVICES["influxdb"]["environment"]
    assert settings.influx.org == influx["DOCKER_INFLUXDB_INIT_ORG"]
    mosquitto = (DEPLOY / "mosquitto" / "mosquitto.conf").read_text()
    assert settings.broker.url == "mqtt://mosquitto:1884"
    assert "\nlistener 1884\n" in mosquitto
    assert f"user {settings.broker.user}\n" in (DEPLOY / "mosquitto" / "acl").read_text()


def test_each_service_gets_the_secrets_that_it_reads_and_no_others(settings: Settings) -> None:
    assert settings.influx is not None
    assert settings.page is not None
    assert settings.grafana is not None
    broker, influx = settings.broker.secret_file, settings.influx.secret_file
    page, grafana = settings.page.secret_file, settings.grafana.secret_file
    wanted = {
        "ingest": {broker},
        "flow": set(),
        "couriers": {influx},
        "page": {page},
        "provision": {influx, grafana},
        "doctor": {broker, influx, page, grafana},
    }
    for name, files in wanted.items():
        assert {f"/run/secrets/{secret}" for secret in SERVICES[name].get("secrets", [])} == files, name


def test_grafana_asks_influxdb_with_a_secret_that_provisioning_makes_and_nobody_is_given(settings: Settings) -> None:
    assert settings.influx is not None
    assert settings.grafana is not None
    kept = settings.grafana.influx_secret_file
    assert kept
    assert kept not in {settings.influx.secret_file, *(f"/run/secrets/{secret}" for secret in STACK["secrets"])}
    for name in ("provision", "doctor"):  # who makes it, and who looks whether it is there
        assert any(kept.startswith(f"{volume.partition(':')[2]}/") for volume in SERVICES[name]["volumes"])
    assert SERVICES["grafana"]["secrets"] == ["grafana_password"]
    assert Path(kept).name not in {partition.name for partition in settings.partitions}


def test_every_secret_is_made_by_the_script(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", str(DEPLOY / "make-secrets.sh")], env={**os.environ, "FEMTOWARD_SECRETS": str(tmp_path)}, check=False
    )
    assert done.returncode == 0
    made = {file.name for file in tmp_path.iterdir()}
    assert {Path(secret["file"]).name for secret in STACK["secrets"].values()} <= made
    ignored = subprocess.run(["git", "check-ignore", "deploy/secrets/influx_token"], cwd=ROOT, check=False)
    assert ignored.returncode == 0


@pytest.mark.parametrize("name", ["opm-.*", ".*", "opm-000[12]", "", "-v", "opm-0001:", "a/b", "x" * 65])
def test_a_login_is_taken_away_by_its_name_and_never_by_a_pattern(tmp_path: Path, name: str) -> None:
    logins = tmp_path / "mosquitto_passwords"
    kept = "opm-0001:$7$a\nopm-00010:$7$b\nxopm-0001:$7$c\n01:$7$d\n1:$7$e\n"
    logins.write_text(kept)
    refused = make_secrets(tmp_path, "--remove", "opm-0001", name)
    assert (refused.returncode, logins.read_text()) == (2, kept), "none is removed when one is refused"
    assert "is no name for a login" in refused.stderr
    assert make_secrets(tmp_path, "--remove", "opm-0001", "1").returncode == 0
    assert logins.read_text() == "opm-00010:$7$b\nxopm-0001:$7$c\n01:$7$d\n"


def test_only_this_host_reaches_a_port_unless_it_is_said_otherwise() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert ports == {
        "mosquitto": ["127.0.0.1:1883:1883"],
        "grafana": ["${FEMTOWARD_LISTEN:-127.0.0.1}:3000:3000"],
        "page": ["${FEMTOWARD_LISTEN:-127.0.0.1}:8080:8080"],
    }
    assert "\nlistener 1883\n" in (DEPLOY / "mosquitto" / "devices.conf").read_text()


def test_with_tls_devices_come_in_encrypted_and_no_other_way() -> None:
    tls = loaded("compose.tls.yaml")
    assert tls["services"]["mosquitto"]["ports"] == ["8883:8883"]
    (file,) = (config["file"] for config in tls["configs"].values())
    listener = (DEPLOY / file).read_text()
    assert re.findall(r"^listener (\d+)", listener, re.MULTILINE) == ["8883"]
    for secret in tls["services"]["mosquitto"]["secrets"]:
        assert f"/run/secrets/{secret}\n" in listener


@pytest.mark.parametrize("files", [("compose.yaml",), ("compose.yaml", "compose.tls.yaml")])
def test_compose_itself_takes_the_files(files: tuple[str, ...]) -> None:
    compose = _compose()
    given = [word for name in files for word in ("--file", str(DEPLOY / name))]
    done = subprocess.run(
        [*compose, *given, "--profile", "*", "config", "--quiet"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def _compose() -> list[str]:
    """Compose's command line, or skip: Docker's client comes without it here and there."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if (
            shutil.which(command[0])
            and subprocess.run([*command, "version"], capture_output=True, check=False).returncode == 0
        ):
            return command
    pytest.skip("neither `docker compose` nor `docker-compose` is installed")


DOCKERFILE = (DEPLOY / "Dockerfile").read_text()


def instructions(name: str) -> list[str]:
    """What follows an instruction of the Dockerfile, continuation lines joined."""
    joined = re.sub(r"\\\n\s*", "", DOCKERFILE)
    return re.findall(rf"^{name} (.*)$", joined, re.MULTILINE)


def test_the_image_is_built_from_pinned_and_hashed_packages_by_no_compiler() -> None:
    bases = instructions("FROM")
    assert len(bases) == 2
    assert all(re.match(r"python:3\.1[12]\.\d+-slim-[a-z]+\b", base) for base in bases)
    assert bases[0].split()[0] == bases[1]
    assert "--require-hashes" in DOCKERFILE
    assert "--only-binary :all:" in DOCKERFILE
    assert not re.search(r"apt|gcc|build-essential|curl", DOCKERFILE.partition("FROM")[2])
    requirements = (ROOT / "requirements.txt").read_text()
    pins = re.findall(r"^[a-z0-9][\w.-]*==", requirements, re.MULTILINE | re.IGNORECASE)
    assert pins
    assert requirements.count("--hash=sha256:") >= len(pins)


def test_the_image_runs_as_nobody_and_can_be_asked() -> None:
    (user,) = instructions("USER")
    assert user == SERVICES["ingest"]["user"]
    assert DOCKERFILE.rindex("USER") > DOCKERFILE.rindex("RUN")
    assert instructions("ENTRYPOINT") == ['["femtoward"]']
    assert len(instructions("HEALTHCHECK")) == 1
    assert f'version="{SERVICES["ingest"]["image"].partition(":")[2]}"' in "".join(instructions("LABEL"))
    assert 'version = "0.1.0"' in (ROOT / "pyproject.toml").read_text()


def test_what_is_copied_into_the_image_is_there_and_is_let_through() -> None:
    let = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    sources = [word for line in instructions("COPY") if "--from" not in line for word in line.split()[:-1]]
    assert sorted(sources) == sorted(let)
    assert all((ROOT / source).exists() for source in sources)
    assert "deploy/secrets" in (ROOT / ".dockerignore").read_text().splitlines()
    packages = re.search(r"^packages = (\[.*\])$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert packages
    assert {name.partition(".")[0] for name in yaml.safe_load(packages[1])} <= set(sources)
