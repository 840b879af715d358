"""The OpenAPI document of the HTTP API, made of the operations and of the types that they take and give."""

import re
from collections.abc import Sequence
from functools import cache
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import msgspec

from deploy.api.asks import Name, Site
from deploy.api.documents import CommandOutcome
from deploy.api.operations import BASE, Operation
from deploy.api.problems import MEDIA_TYPE, ProblemBody

REF: Final = "#/components/schemas/{name}"
ABOUT: Final = """Alarms, devices and vitals of a ward. Simulated sensors; not a medical device.

Each request carries a token, `Authorization: Bearer TOKEN`, whose role is view, acknowledge or admin; each may do what
those before it may. Every error is `application/problem+json` and says what to do. A GET answers with an ETag, and with
304 to an If-None-Match that names it. A command is done by the flow: 200 says that it was done, 409 that the flow
refused it, 202 that it is kept and will be done when the flow runs; one that is sent again under the same
Idempotency-Key is done once. Times are RFC 3339 in UTC; what could not be measured is null."""
_REFUSALS: Final = {
    HTTPStatus.BAD_REQUEST: "something in it is unknown or malformed",
    HTTPStatus.UNAUTHORIZED: "no token, or one that is not known",
    HTTPStatus.FORBIDDEN: "the token's role may not",
    HTTPStatus.TOO_MANY_REQUESTS: "too many wrong tokens",
    HTTPStatus.SERVICE_UNAVAILABLE: "a store cannot be read, or a door takes nothing",
}
_OF_PATHS: Final = {HTTPStatus.NOT_FOUND: "there is no such thing"}
_OF_BODIES: Final = {
    HTTPStatus.REQUEST_TIMEOUT: "the body came too slowly",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "the body is too long",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "the body is no application/json",
}

Json = dict[str, Any]


def document(operations: Sequence[Operation]) -> Json:
    """Make the document."""
    types: set[type[msgspec.Struct]] = {ProblemBody, CommandOutcome}
    for op in operations:
        types |= {one for one in (op.answer, op.query, op.body) if one is not None}
    ordered = sorted(types, key=lambda one: one.__name__)
    _, schemas = msgspec.json.schema_components(ordered, ref_template=REF)
    queries = {op.query.__name__ for op in operations if op.query is not None}
    paths: Json = {}
    for op in operations:
        paths.setdefault(BASE + op.path, {})[op.method.lower()] = _operation(op, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "femtoward", "version": _version(), "description": ABOUT, "license": {"name": "Apache-2.0"}},
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": {name: schema for name, schema in schemas.items() if name not in queries},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(op: Operation, schemas: Json) -> Json:
    names = re.findall(r"\{(\w+)\}", op.path)
    responses = {HTTPStatus.OK: _answer(op.answer, "done" if op.commands else "found")}
    if op.method == "GET":
        responses[HTTPStatus.NOT_MODIFIED] = {"description": "as If-None-Match has it"}
    if op.commands:
        responses[HTTPStatus.ACCEPTED] = _answer(CommandOutcome, "kept; the flow has not answered yet")
        responses[HTTPStatus.CONFLICT] = _problem("the flow has refused it, and says why")
    refusals = {**_REFUSALS, **(_OF_PATHS if names else {}), **(_OF_BODIES if op.body else {})}
    said: Json = {
        "operationId": op.name,
        "summary": op.says,
        "description": f"Needs the role {op.role}.",
        "parameters": [_in_path(name) for name in names] + (_query(schemas[op.query.__name__]) if op.query else []),
        "responses": {
            str(status.value): answer
            for status, answer in sorted({**responses, **{s: _problem(why) for s, why in refusals.items()}}.items())
        },
    }
    if op.commands:
        said["parameters"].append(
            {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "minLength": 1, "maxLength": 200}}
        )
    if op.body:
        whole = {"schema": {"$ref": REF.format(name=op.body.__name__)}}
        required = bool(schemas[op.body.__name__].get("required"))
        said["requestBody"] = {"content": {"application/json": whole}, "required": required}
    return said


def _answer(kind: type[msgspec.Struct], says: str) -> Json:
    whole = {"schema": {"$ref": REF.format(name=kind.__name__)}}
    return {"description": says, "content": {"application/json": whole}}


def _problem(says: str) -> Json:
    whole = {"schema": {"$ref": REF.format(name=ProblemBody.__name__)}}
    return {"description": says, "content": {MEDIA_TYPE: whole}}


def _in_path(name: str) -> Json:
    schema = msgspec.json.schema(Site if name == "site" else Name)
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _query(schema: Json) -> list[Json]:
    """One parameter for each field; null says that it is left out, and cannot be said."""
    return [
        {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": _without_null(field)}
        for name, field in schema["properties"].items()
    ]


def _without_null(field: Json) -> Json:
    kept = [one for one in field.get("anyOf", ()) if one != {"type": "null"}]
    return kept[0] if len(kept) == 1 else {key: value for key, value in field.items() if key != "default"}


@cache
def _version() -> str:
    try:
        return version("femtoward")
    except PackageNotFoundError:
        return "0"
