"""The dashboards against the TypeScript types of Grafana's frontend; only where there are node and npm."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.grafana import files

PACKAGES = {"@grafana/schema": "12.3.3", "typescript": "5.9.3"}
# A string enum of TypeScript takes none of its own values, so they are compared by value; and what a query holds
# besides its letter is its plugin's own affair.
HEAD = """
import type { Dashboard } from '@grafana/schema';
type Plain<T> = T extends string ? `${T}` : T extends (infer U)[] ? Plain<U>[]
  : T extends { refId: string } ? { [K in keyof T]: Plain<T[K]> } & { [more: string]: unknown }
  : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
"""
STRICT = ("--noEmit", "--strict", "--skipLibCheck", "--moduleResolution", "bundler", "--module", "esnext")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the compiler and the types in it, or skip."""
    folder = tmp_path_factory.mktemp("types")
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("needs node and npm: the types of grafana-foundation-sdk are checked in any case")
    (folder / "package.json").write_text(json.dumps({"private": True, "dependencies": PACKAGES}))
    install = [
        npm,
        "install",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--prefer-offline",
        "--fetch-retries=0",
        "--silent",
    ]
    try:
        subprocess.run(install, cwd=folder, check=True, capture_output=True, timeout=60)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        pytest.skip(f"npm does not get {PACKAGES} within a minute: no registry here?")
    return folder


def checked(project: Path, name: str, *boards: str) -> str:
    """What the compiler says of dashboards."""
    said = [f"export const board{number}: Plain<Dashboard> = {text};" for number, text in enumerate(boards)]
    (project / f"{name}.ts").write_text("\n".join([HEAD, *said]))
    command = [str(project / "node_modules" / ".bin" / "tsc"), *STRICT, f"{name}.ts"]
    return subprocess.run(command, cwd=project, check=False, capture_output=True, text=True, timeout=120).stdout


def test_every_dashboard_is_one_to_grafanas_frontend(project: Path) -> None:
    assert checked(project, "boards", *files.dashboards().values()) == ""


def test_what_is_none_is_found(project: Path) -> None:
    board = files.dashboards()["femtoward-pipeline"]
    assert "TS2322" in checked(project, "word", board.replace('"mode": "absolute"', '"mode": "abs"'))
    assert "TS2353" in checked(project, "key", board.replace('"graphTooltip"', '"toolTip"'))
