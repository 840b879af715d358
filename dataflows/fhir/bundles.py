"""Bundles of resources: to be read as they are, or to be put to a server."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from dataflows.fhir.names import BASE
from dataflows.fhir.resources import Bundle, Entry, Request, Resource

MEDIA_TYPE = "application/fhir+json"


def collection(resources: Iterable[Resource]) -> Bundle:
    """Resources to be read."""
    return Bundle(type="collection", entry=tuple(Entry(full_url=_full_url(one), resource=one) for one in resources))


def put(resources: Iterable[Resource], kind: Literal["batch", "transaction"]) -> Bundle:
    """Resources for a server, each under its id: what is put again overwrites itself.

    Of a batch each entry stands for itself; of a transaction all are taken or none.
    """
    entries = (
        Entry(full_url=_full_url(one), resource=one, request=Request(method="PUT", url=address(one)))
        for one in resources
    )
    return Bundle(type=kind, entry=tuple(entries))


def encode(what: Bundle | Resource) -> bytes:
    """JSON of it."""
    return msgspec.json.encode(what)


def address(one: Resource) -> str:
    """Where a resource lies at a server."""
    return f"{type(one).__name__}/{one.id}"


def _full_url(one: Resource) -> str:
    return f"{BASE}/{address(one)}"
