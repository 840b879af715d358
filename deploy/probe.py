"""Ask a process whether it lives, as a container's health check does every few seconds: `python -m deploy.probe PORT`.

It loads nothing of ours, and little of Python's.
"""

import sys
from http.client import HTTPConnection, HTTPException

HOST = "127.0.0.1"
WAIT_S = 4.0


def main(port: int, path: str = "/healthz") -> int:
    """Print what the process says of itself; 0: it lives."""
    connection = HTTPConnection(HOST, port, timeout=WAIT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        print(answer.read().decode(errors="replace").strip())  # noqa: T201 - this is what Docker keeps of a check
    except (OSError, HTTPException) as error:
        print(f"nobody answers at {HOST}:{port}: {error}")  # noqa: T201 - as above
        return 1
    finally:
        connection.close()
    return 0 if answer.status == 200 else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), *sys.argv[2:3]))
