"""Ask a process whether it lives, as a container's health check does every few seconds: `python -m deploy.probe PORT`.

It loads nothing of ours, and little of Python's.
"""

import sys
from http.client import HTTPConnection, HTTPException
from typing import NamedTuple

HOST = "127.0.0.1"
WAIT_S = 4.0


class Answer(NamedTuple):
    """What a health port said."""

    well: bool
    text: str


def ask(port: int, path: str = "/healthz", host: str = HOST) -> Answer | None:
    """Ask a health port; None: nobody answers."""
    connection = HTTPConnection(host, port, timeout=WAIT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return Answer(answer.status == 200, answer.read().decode(errors="replace").strip())
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def main(port: int, path: str = "/healthz") -> int:
    """Print what the process says of itself; 0: it lives."""
    answer = ask(port, path)
    print(answer.text if answer else f"nobody answers at {HOST}:{port}")  # noqa: T201 - what Docker keeps of a check
    return 0 if answer and answer.well else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), *sys.argv[2:3]))
