"""`femtoward check`: what a file is, and what is wrong with it, in the words that ingest would use."""

from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from deploy.problem import UserError
from deploy.settings import parse_settings
from deploy.telling import Webhook
from ingest.codec import (
    decode_birth,
    decode_bundle,
    decode_command,
    decode_packet,
    decode_status,
    device_of,
)
from ingest.packet import BadPacket, Packet, StateFlag, samples
from ingest.profile import Birth
from ingest.refusal import DECODE_ERRORS, quoted, refused
from ingest.topics import Topic, parse_topic

KINDS = ("birth", "packet", "bundle", "status", "command", "settings")
_BLANK = b"\xef\xbb\xbf \t\r\n"  # may stand before JSON elsewhere; not before a packet
_LEAF_KINDS = {"data": "packet"}
_MEMBER_OF_KIND = {"streams": "birth", "blocks": "packet", "packets": "bundle", "command": "command", "state": "status"}


class Finding(NamedTuple):
    """What a file is, what is in it, and what is wrong with it."""

    what: str
    facts: list[str]
    wrong: list[str]


def check_file(path: Path, birth_path: Path | None, topic: str | None) -> Finding:
    """Check one file.

    Parameters
    ----------
    path
        A payload as a device publishes it, or a settings file (``.toml``).
    birth_path
        The birth that packets belong to; without it, their blocks cannot be checked.
    topic
        The topic that it is published on; without it, the file's own claim of who sent it is believed.

    Raises
    ------
    UserError
        A file cannot be read, or the topic or the birth is itself wrong.
    """
    payload = _read(path)
    if path.suffix == ".toml":
        return _settings(payload, path)
    place = _place(topic)
    name = place.name if place else None
    birth = _birth_of(birth_path)
    checks = {
        "birth": lambda: _birth(payload, name),
        "packet": lambda: _packet(payload, name, birth),
        "bundle": lambda: _bundle(payload, name, birth),
        "status": lambda: _document("status", decode_status(payload)),
        "command": lambda: _document("command", decode_command(payload)),
        "unknown": lambda: _unknown(payload),
    }
    return checks[_LEAF_KINDS.get(place.leaf, place.leaf) if place else _kind_of(payload)]()


def _unknown(payload: bytes) -> Finding:
    if payload[:64].lstrip(_BLANK).startswith(b"{"):
        return Finding("unknown", [], [_json_trouble(payload)])
    said = (
        f"{len(payload)} bytes came that are none of {', '.join(KINDS)}: a birth, status or command is a JSON object, "
        "a packet or bundle a MessagePack array or a JSON object; give --topic to say what it is meant to be"
    )
    return Finding("unknown", [], [said])


def _json_trouble(payload: bytes) -> str:
    """What is wrong with something that would be a JSON object."""
    expected = f"a JSON object that is a {', '.join(KINDS[:-2])} or {KINDS[-2]}, whole"
    try:
        members = list(msgspec.json.decode(payload))
    except DECODE_ERRORS as error:
        return refused(payload, error, "undecodable", expected).detail
    known = ", ".join(_MEMBER_OF_KIND)
    return quoted(f"a JSON object came with the members {members}: need one of {known}, which tell what it is")


def _kind_of(payload: bytes) -> str:
    """What a payload looks like; ingest itself goes by the topic only."""
    try:
        if payload[:64].lstrip(_BLANK).startswith(b"{"):
            document = msgspec.json.decode(payload)
            return next((kind for member, kind in _MEMBER_OF_KIND.items() if member in document), "unknown")
        items = msgspec.msgpack.decode(payload)
    except DECODE_ERRORS:
        return "unknown"
    if isinstance(items, list) and len(items) >= 3:
        return "bundle" if isinstance(items[2], list) else "packet"
    return "unknown"


def _settings(payload: bytes, path: Path) -> Finding:
    try:
        settings = parse_settings(payload.decode(), path.name)
    except UserError as error:
        return Finding("settings", [], [str(error)])
    except UnicodeDecodeError as error:
        return Finding("settings", [], [f"{path.name} is not UTF-8 ({error}): save it as UTF-8"])
    influx = settings.influx
    couriers = [f"influx {influx.url} (bucket {influx.bucket}, tiers {influx.tiers})"] if influx else []
    couriers += [_told(webhook) for webhook in settings.webhook]
    couriers += [f"fhir {settings.fhir.url}"] if settings.fhir else []
    served = [f"{name} {one.host}:{one.port}" for name, one in (("page", settings.page), ("api", settings.api)) if one]
    return Finding(
        "settings",
        [
            f"data folder {settings.ward.data_dir}, {settings.shards} shards",
            f"broker {settings.broker.url} as {settings.broker.client_id}",
            f"couriers: {', '.join(couriers) or 'none'}",
            f"served: {', '.join(served) or 'nothing'}",
        ],
        [],
    )


def _told(webhook: Webhook) -> str:
    """Who a receiver is, and where that differs from the usual when and how it is told."""
    how: list[str] = [webhook.template] if webhook.template != "json" else []
    how += [f"{webhook.detail} detail"] if webhook.detail != "minimal" else []
    how += [f"from rung {webhook.rung} on"] if webhook.rung else []
    how += [f"team {webhook.team}"] if webhook.team else []
    how += [f"quiet {webhook.quiet}"] if webhook.quiet else []
    said = f" ({'; '.join(how)})" if how else ""
    return f"webhook {webhook.name} {webhook.url}{said}"


def _birth(payload: bytes, device: str | None) -> Finding:
    birth = decode_birth(payload, _claimed_device(payload) if device is None else device)
    if isinstance(birth, BadPacket):
        return Finding("birth", [], [f"{birth.reason}: {birth.detail}"])
    facts = [f"device {birth.device}, birth {birth.birth}, {len(birth.streams)} streams"]
    facts += [
        f"  {i} {s.name}: {s.kind} by {s.sensor}, {s.n_channels} ch at {s.rate_hz:g} Hz in {s.unit}, "
        f"{s.block_len} samples = {s.block_ns / 1e6:g} ms = {s.n_bytes} bytes a block"
        for i, s in enumerate(birth.streams)
    ]
    if birth.patient is None:
        facts.append("no patient named: its data is kept only from an admission on")
    return Finding("birth", facts, [])


def _packet(payload: bytes, device: str | None, birth: Birth | None) -> Finding:
    claimed = device_of(payload) if device is None else device
    if isinstance(claimed, BadPacket):
        return Finding("packet", [], [f"{claimed.reason}: {claimed.detail}"])
    if birth is not None and claimed != birth.device:
        said = f"the packet is of device {claimed!r}, the birth given with --birth of {birth.device!r}: give its own"
        return Finding("packet", [], [f"wrong-device: {said}"])
    packet = decode_packet(payload, claimed, birth)
    if isinstance(packet, BadPacket):
        if packet.reason == "no-birth" and birth is None:
            said = f"device {claimed}: the header is good; give --birth FILE to check the blocks too"
            return Finding("packet", [said], [])
        return Finding("packet", [], [f"{packet.reason}: {packet.detail}"])
    assert birth is not None  # noqa: S101 - without a birth, decoding ends in "no-birth"
    return Finding("packet", _facts(packet, birth), [])


def _facts(packet: Packet, birth: Birth) -> list[str]:
    facts = [
        f"device {packet.device}, boot {packet.boot}, seq {packet.seq}, t0 {packet.t0_ns} ns, clock {packet.clock}"
    ]
    for block in packet.blocks:
        profile = birth.streams[block.stream]
        values = samples(block, profile)
        finite = values[np.isfinite(values)]
        span = f"{finite.min():g} to {finite.max():g} {profile.unit}" if len(finite) else "no finite sample"
        odd = f", {values.size - len(finite)} not finite" if len(finite) < values.size else ""
        flags = "|".join(flag.name or "" for flag in StateFlag if block.flags & flag).lower() or "none"
        facts.append(f"  {profile.name} from sample {block.first_sample}: {span}{odd}; flags {flags}")
    return facts


def _bundle(payload: bytes, gateway: str | None, birth: Birth | None) -> Finding:
    items = decode_bundle(payload, gateway)
    if isinstance(items, BadPacket):
        return Finding("bundle", [], [f"{items.reason}: {items.detail}"])
    # A bundle holds many devices' packets, and only one device's birth was given.
    findings = [_packet(item, None, birth if birth and device_of(item) == birth.device else None) for item in items]
    facts = [f"{len(items)} packets"]
    facts += [f"  packet {i}: {finding.facts[0]}" for i, finding in enumerate(findings) if finding.facts]
    return Finding("bundle", facts, [f"packet {i}: {said}" for i, f in enumerate(findings) for said in f.wrong])


def _document(what: str, value: object) -> Finding:
    if isinstance(value, BadPacket):
        return Finding(what, [], [f"{value.reason}: {value.detail}"])
    return Finding(what, [f"{value!r}"], [])


def _claimed_device(payload: bytes) -> str:
    claim = device_of(payload)
    return claim if isinstance(claim, str) else ""


def _place(topic: str | None) -> Topic | None:
    if topic is None:
        return None
    place = parse_topic(topic)
    if isinstance(place, BadPacket):
        raise UserError(f"--topic: {place.detail}")
    if place.leaf == "truth":
        raise UserError(f"--topic: {topic} carries a simulator's own truth: only the score reads it, nothing to check")
    return place


def _birth_of(path: Path | None) -> Birth | None:
    if path is None:
        return None
    payload = _read(path)
    birth = decode_birth(payload, _claimed_device(payload))
    if isinstance(birth, BadPacket):
        raise UserError(f"--birth {path}: {birth.reason}: {birth.detail}")
    return birth


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): give the path of a file") from error
