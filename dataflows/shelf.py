"""A shelf keeps what has fallen silent as bytes; its snapshot is made once, and again only when something moved."""

import zlib
from collections.abc import Iterable

import msgspec

LEVEL = 1  # most records are alike: the quickest setting finds that

_content = msgspec.msgpack.Decoder(dict[str, bytes])


class Shelf:
    """Encoded records by key, in the order in which they were put there.

    Examples
    --------
    >>> shelf = Shelf()
    >>> shelf.put("b", b"2"), shelf.put("a", b"1")
    (None, None)
    >>> shelf.oldest, shelf.take("b"), "b" in shelf
    ('b', b'2', False)
    """

    def __init__(self) -> None:
        self._records: dict[str, bytes] = {}
        self._image: bytes | None = None

    def __contains__(self, key: str) -> bool:
        """Tell whether a record is here."""
        return key in self._records

    def __len__(self) -> int:
        """Count the records."""
        return len(self._records)

    @property
    def oldest(self) -> str | None:
        """Key that has been here for the longest time."""
        return next(iter(self._records), None)

    def items(self) -> Iterable[tuple[str, bytes]]:
        """All keys with their records."""
        return self._records.items()

    def put(self, key: str, record: bytes) -> None:
        """Put a record behind all others."""
        self._records.pop(key, None)
        self._records[key] = record
        self._image = None

    def look(self, key: str) -> bytes:
        """Return a record and leave it here."""
        return self._records[key]

    def take(self, key: str) -> bytes:
        """Return a record and remove it."""
        self._image = None
        return self._records.pop(key)

    def image(self) -> bytes:
        """Everything, for a snapshot."""
        if self._image is None:
            self._image = zlib.compress(msgspec.msgpack.encode(self._records), LEVEL)
        return self._image

    def restore(self, image: bytes) -> None:
        """Take up a snapshot."""
        self._records, self._image = _content.decode(zlib.decompress(image)), image
