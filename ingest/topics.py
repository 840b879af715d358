"""The topic tree: what each MQTT topic means, parsed once, in one place."""

import re
from typing import Literal, NamedTuple

from ingest.packet import BadPacket

ROOT = "femtoward/v1"
SUBSCRIPTIONS = (
    f"{ROOT}/+/+/birth",
    f"{ROOT}/+/+/status",
    f"{ROOT}/+/+/data",
    f"{ROOT}/+/ward/cmd/+",
    f"{ROOT}/+/gateway/+/data",
)

_DEVICE = re.compile(r"femtoward/v1/([A-Za-z0-9_-]{1,64})/([A-Za-z0-9_-]{1,64})/(birth|status|data|truth)")
_COMMAND = re.compile(r"femtoward/v1/([A-Za-z0-9_-]{1,64})/ward/cmd/([A-Za-z0-9_-]{1,64})")
_GATEWAY = re.compile(r"femtoward/v1/([A-Za-z0-9_-]{1,64})/gateway/([A-Za-z0-9_-]{1,64})/data")
RESERVED = ("ward", "gateway")


class Topic(NamedTuple):
    """A topic taken apart; `name` is the device, the actor or the gateway."""

    site: str
    name: str
    leaf: Literal["birth", "status", "data", "truth", "command", "bundle"]


def topic_of(site: str, device: str, leaf: Literal["birth", "status", "data", "truth"]) -> str:
    """Topic on which `device` of `site` publishes `leaf`."""
    return f"{ROOT}/{site}/{device}/{leaf}"


def command_topic(site: str, actor: str) -> str:
    """Topic on which `actor` gives commands to the ward of `site`."""
    return f"{ROOT}/{site}/ward/cmd/{actor}"


def bundle_topic(site: str, gateway: str) -> str:
    """Topic on which `gateway` publishes many devices' packets in one message."""
    return f"{ROOT}/{site}/gateway/{gateway}/data"


def parse_topic(topic: str) -> Topic | BadPacket:
    """Take a topic apart, or say why it is none of ours."""
    if (match := _DEVICE.fullmatch(topic)) and match[2] not in RESERVED:
        return Topic(match[1], match[2], match[3])  # type: ignore[arg-type]  # the pattern admits just these
    if match := _COMMAND.fullmatch(topic):
        return Topic(match[1], match[2], "command")
    if match := _GATEWAY.fullmatch(topic):
        return Topic(match[1], match[2], "bundle")
    return BadPacket(
        "unknown-topic",
        f"topic {topic[:120]!r} is none of {ROOT}/SITE/DEVICE/(birth|status|data), {ROOT}/SITE/ward/cmd/ACTOR, "
        f"{ROOT}/SITE/gateway/ID/data; names are 1-64 of A-Z a-z 0-9 _ - ('ward' and 'gateway' are no device names)",
    )
