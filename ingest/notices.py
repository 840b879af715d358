"""What ingest itself writes into the journal, beside messages: one type per kind of record, as JSON."""

import msgspec


class Blind(msgspec.Struct, frozen=True, omit_defaults=True):
    """Payload of a TICK that is not empty: for so long ingest itself saw nothing."""

    blind_ns: int = 0
    set_ns: int = 0  # so much of it never was: the journal's clock was set ahead, after the host's


class LinkNotice(msgspec.Struct, frozen=True):
    """Payload of LINK: the connection to the broker came or went, or nothing is taken in as the disk is full."""

    up: bool
    reason: str


class Removed(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was removed because room ran short, for the ledger."""

    what: str  # "journal" | "vitals" | "wave" | "bad" | "alarm"
    first: int  # offset for the journal, unix seconds for the others
    end: int  # the same, exclusive
    size: int  # bytes
    why: str
    id: str = ""  # the same whenever this removal is told again


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """Payload of REPORT: whether all is well with some part of the system, and what to do if not."""

    reporter: str
    ok: bool
    detail: str
    removed: Removed | None = None
    level: int = 0  # how bad it is, for who knows degrees of it: when it gets worse, that is said anew


class Oversize(msgspec.Struct, frozen=True):
    """Payload of OVERSIZE: what is left of a message too large to be kept."""

    size: int  # of the message, bytes
    head: bytes  # its first bytes; base64 in JSON
