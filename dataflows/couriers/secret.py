"""Secrets: from an environment variable or a file that the options name, never from the options themselves."""

import os
from pathlib import Path


def read_secret(owner: str, env: str, file: str) -> str:
    """Return the text of the one place that is named, stripped; empty when none is named.

    Raises
    ------
    ValueError
        Both are named, or the one that is named is missing or empty. The message never holds the secret.
    """
    if env and file:
        raise ValueError(f"{owner}: both the variable {env} and the file {file} are named for the secret, need one")
    if env:
        text = os.environ.get(env, "").strip()
        if not text:
            raise ValueError(f"{owner}: the environment variable {env} is not set or empty: put the secret there")
        return text
    if file:
        try:
            text = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{owner}: the secret cannot be read from {file} ({type(error).__name__})") from error
        if not text:
            raise ValueError(f"{owner}: the file {file} is empty: put the secret there")
        return text
    return ""
