"""The result of a command: one JSON object on standard output, or lines for people."""

from collections.abc import Iterable, Mapping

import msgspec
import typer


def show_json(result: Mapping[str, object] | msgspec.Struct) -> None:
    """Print one JSON object; NaN becomes null."""
    typer.echo(msgspec.json.encode(result).decode())


def show_lines(lines: Iterable[str]) -> None:
    """Print lines on standard output."""
    for line in lines:
        typer.echo(line)


def progress(line: str) -> None:
    """Print what is going on on standard error: standard output belongs to the result."""
    typer.echo(line, err=True)
