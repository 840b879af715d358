"""`femtoward token`: makes a token of the HTTP API."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from deploy.options import DONE, Config
from deploy.problem import UserError


def token(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is: stands beside what is done with it.")],
    *,
    role: Annotated[
        Literal["view", "acknowledge", "admin"], typer.Option(help="What it may do; each what those before it may.")
    ] = "view",
    config: Config = None,
) -> int:
    """Make a token of the HTTP API."""
    from deploy.api.tokens import make, read_tokens  # noqa: PLC0415
    from deploy.output import progress, show_lines  # noqa: PLC0415
    from deploy.settings import read_settings  # noqa: PLC0415

    api = read_settings(config).api
    text, entry = make(name, role)
    if api is None or not api.tokens_file:
        progress(f"the settings name no api.tokens_file, so put this where api.tokens_env is set:\n{entry}")
    else:
        file = Path(api.tokens_file)
        if file.exists() and file.stat().st_size:
            known = read_tokens("", str(file))
            if any(one.name == name for one in known):
                raise UserError(f"{file} has a token {name!r}: choose another name, or take its entry out of the file")
        _append(file, entry)
        progress(f"{name} may {role}: its hash is in {file}, the token itself is nowhere but here:")
    show_lines([text])
    return DONE


def _append(file: Path, entry: str) -> None:
    """Add to a file that others may not read."""
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640), "a", encoding="utf-8") as kept:
            kept.write(("\n" if kept.tell() else "") + entry)
    except OSError as error:
        raise UserError(f"{file} cannot be written ({error.strerror}): see to its folder and its owner") from error
