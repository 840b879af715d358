"""TOML decoded into a struct, refused with the place, what came, and what is allowed."""

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import msgspec

from deploy.problem import UserError, shorten

S = TypeVar("S", bound=msgspec.Struct)


def decode(text: str, kind: type[S], origin: str, hints: Mapping[str, str]) -> S:
    """Decode TOML text.

    Parameters
    ----------
    text
        What the file holds.
    kind
        What it must be.
    origin
        Name of the file, for messages.
    hints
        What to say of an unknown key of this name, instead of what it may have been meant to be.

    Raises
    ------
    UserError
        Something is unknown or malformed.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{origin} is not TOML: {error}") from error
    for where, key, known in _unknown(raw, kind, ""):
        close = difflib.get_close_matches(key, known, n=1)
        hint = hints.get(key) or (f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(known)}")
        raise UserError(f"{origin}: {where} is unknown: {hint}")
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise UserError(f"{origin}: {_explain(str(error), raw, kind)}") from error


def _unknown(raw: object, kind: Any, path: str) -> Iterator[tuple[str, str, list[str]]]:  # noqa: ANN401 - any type form
    """Unknown keys with their whole path and the keys known there; msgspec alone names the key only."""
    if get_origin(kind) is tuple:
        for i, item in enumerate(raw if isinstance(raw, list) else ()):
            yield from _unknown(item, get_args(kind)[0], f"{path}[{i}]")
        return
    struct = _struct(kind)
    if struct is None or not isinstance(raw, dict):
        return
    fields = {field.name: field.type for field in msgspec.structs.fields(struct)}
    for key, value in raw.items():
        here = f"{path}.{key}" if path else key
        if key in fields:
            yield from _unknown(value, fields[key], here)
        else:
            yield here, key, list(fields)


def _explain(message: str, raw: Any, kind: Any) -> str:  # noqa: ANN401 - any TOML value, any type form
    """Put msgspec's message in the order: where, what came, what is allowed."""
    said, _, place = message.partition(" - at `$.")
    if not place:
        return said
    where = place.rstrip("`")
    value = raw
    for step in re.findall(r"[^.\[\]]+", where):
        if isinstance(value, list):
            value, kind = value[int(step)], _bare(get_args(kind)[0])
        else:
            struct = _struct(kind)
            kind = _bare({field.name: field.type for field in msgspec.structs.fields(struct)}[step]) if struct else Any
            value = value[step]
    if get_origin(kind) is tuple and isinstance(value, dict):
        return f"{where} is a single section, need a list of them: write [[{where}]]"
    if _struct(kind) and not isinstance(value, dict):
        return f"{where} = {shorten(value)}: need a section: [{where}]"
    if isinstance(value, (dict, list)):  # said of a section as a whole
        return f"{where}: {said}"
    if get_origin(kind) is Literal:
        said = f"need one of {', '.join(get_args(kind))}"
    return f"{where} = {shorten(value)}: {said[:1].lower()}{said[1:]}"


def _bare(kind: Any) -> Any:  # noqa: ANN401 - any type form
    """Return a type without its constraints."""
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _struct(kind: Any) -> type[msgspec.Struct] | None:  # noqa: ANN401 - any type form
    """Struct that a type is, or is when it is not None."""
    return next((k for k in (kind, *get_args(kind)) if isinstance(k, type) and issubclass(k, msgspec.Struct)), None)
