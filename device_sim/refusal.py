"""The line of a TOML text that a refusal is about: the decoder says where in the tree, but not where in the file."""

import re

_PATH = re.compile(r"`\$([^`]*)`\s*$")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_HEADER = re.compile(r"^\s*(\[\[?)\s*([\w.\-]+)\s*\]")


def place_of(message: str, text: str) -> str:
    r"""Line that a refusal points to, as `` line 3``; empty if it points nowhere.

    Parameters
    ----------
    message
        Refusal of a decoder, which may end in a path such as ```$.patients[0].rhythms[1]```.
    text
        What was decoded.

    Examples
    --------
    >>> place_of("rate_bpm=-3.0: need more - at `$.patients[1]`", "[[patients]]\n[[patients]]\nrate_bpm = -3.0\n")
    ' line 3'
    """
    if "line" in message and "column" in message:
        return ""  # the text itself is no TOML: the decoder says the line
    lines = text.splitlines()
    path = _PATH.search(message)
    steps = [(name, int(number or 0)) for name, number in _STEP.findall(path[1])] if path else []
    span = _narrowed(lines, steps)
    for word in _words(message):
        for number in range(*span):
            if re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", _code(lines[number])):
                return f" line {number + 1}"
    return f" line {span[0] + 1}" if path and span[0] < len(lines) else ""


def _words(message: str) -> list[str]:
    """What the message names, the most telling first."""
    quoted = re.findall(r"'([^']+)'|`([\w-]+)`", message)
    keys = re.findall(r"\b(\w+)=", message)
    lists = re.findall(r"^(\w+): events", message)
    return [*(a or b for a, b in quoted), *keys, *lists]


def _narrowed(lines: list[str], steps: list[tuple[str, int]]) -> tuple[int, int]:
    """First line of what a path leads to, and the line after it."""
    start, stop = 0, len(lines)
    table = ""
    for place, (name, _) in enumerate(steps):
        if not name:
            continue
        number = steps[place + 1][1] if place + 1 < len(steps) and not steps[place + 1][0] else 0
        table = f"{table}.{name}" if table else name
        headers = [at for at in range(start, stop) if _is_header(lines[at], table)]
        if number < len(headers):
            start = headers[number]
            stop = next((at for at in range(start + 1, stop) if _leaves(lines[at], table)), stop)
            continue
        keys = [at for at in range(start, stop) if re.match(rf"\s*{name}\s*=", lines[at])]
        if keys:
            start, stop = _element(lines, keys[0], stop, number)
    return start, stop


def _is_header(line: str, table: str) -> bool:
    header = _HEADER.match(line)
    return bool(header and header[2] == table)


def _leaves(line: str, table: str) -> bool:
    """Whether a header begins something that does not belong to a table."""
    header = _HEADER.match(line)
    return bool(header and not header[2].startswith(f"{table}."))


def _element(lines: list[str], first: int, stop: int, number: int) -> tuple[int, int]:
    """Lines of the inline table `number` of the array that begins in line `first`."""
    seen = -1
    for at in range(first, stop):
        seen += _code(lines[at]).count("{")
        if seen >= number:
            return at, at + 1
    return first, first + 1


def _code(line: str) -> str:
    """Line without its comment."""
    return line.split("#", 1)[0]
