"""A small reader of InfluxDB line protocol, written from its reference and not from our encoder."""

from typing import NamedTuple

Value = float | int | bool | str


class Point(NamedTuple):
    """One parsed line."""

    measurement: str
    tags: dict[str, str]
    fields: dict[str, Value]
    time_ns: int


def parse(line: str) -> Point:
    """Read one line: ``measurement[,tag=value...] field=value[,...] time``."""
    head = _split(line, " ", quotes=False)[0]  # a quote has no meaning before the fields
    fields_text, time_text = _split(line[len(head) + 1 :], " ")
    measurement, *tag_texts = _split(head, ",", quotes=False)
    tags = {}
    for text in tag_texts:
        name, value = _split(text, "=", quotes=False)
        assert value, f"tag {name} is empty, which line protocol does not know"
        tags[_bare(name)] = _bare(value)
    fields = {}
    for text in _split(fields_text, ","):
        name, value = _split(text, "=")
        fields[_bare(name)] = _value(value)
    return Point(_bare(measurement), tags, fields, int(time_text))


def _split(text: str, at: str, *, quotes: bool = True) -> list[str]:
    """Cut at characters that no backslash escapes and, if quotes count, that are not within double ones."""
    parts, start, quoted, i = [], 0, False, 0
    while i < len(text):
        if text[i] == "\\" and (text[i + 1 : i + 2] == at or (quoted and text[i + 1 : i + 2] in ('"', "\\"))):
            i += 1
        elif quotes and text[i] == '"' and (quoted or text[i - 1] == "="):
            quoted = not quoted
        elif text[i] == at and not quoted:
            parts.append(text[start:i])
            start = i + 1
        i += 1
    assert not quoted, f"a quote is open in {text}"
    return [*parts, text[start:]]


def _bare(name: str) -> str:
    for char in ",= ":
        name = name.replace(f"\\{char}", char)
    return name


def _value(text: str) -> Value:
    if text.startswith('"'):
        assert text.endswith('"')
        return _unquote(text[1:-1])
    if text in {"true", "false"}:
        return text == "true"
    if text.endswith("i"):
        return int(text[:-1])
    return float(text)


def _unquote(text: str) -> str:
    out, i = [], 0
    while i < len(text):
        if text[i] == "\\" and text[i + 1 : i + 2] in ('"', "\\"):
            i += 1
        out.append(text[i])
        i += 1
    return "".join(out)
