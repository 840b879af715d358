"""Lines of rows into InfluxDB: one request at a time, gzipped, and of a request that is refused only the bad rows."""

import gzip
import re
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from dataflows.couriers.cursors import Refused
from dataflows.couriers.delivery import DeliveryFailed
from dataflows.couriers.influx_api import Answer, api_of
from dataflows.couriers.influx_options import InfluxOptions
from dataflows.couriers.retry_after import retry_after_s
from dataflows.store import Stored

GZIP_LEVEL: Final = 1  # line protocol repeats itself: more costs time and saves little
HERE = frozenset(
    {"localhost", "127.0.0.1", "::1"}
)  # to this machine nothing is gzipped: both ends would pay for nothing
REFUSED: Final = (400, 413, 422)
UNLIMITED: Final = (
    "set max-values-per-tag = 0, max-series-per-database = 0 and index-version = 'tsi1' in [data] of influxdb.conf, "
    "and start InfluxDB again"
)
_FULL: Final = re.compile("max-(values-per-tag|series-per-database) limit exceeded")  # 1.x whose index is in memory

Lines = tuple[Stored, list[str]]


class Chunk(NamedTuple):
    """What one request carries: rows with their lines, to one retention; "": to the one bucket."""

    policy: str
    rows: Sequence[Lines]


class Outlet:
    """One server, written to by one thread at a time.

    Parameters
    ----------
    options
        Where it is, and how it is written to.
    """

    def __init__(self, options: InfluxOptions) -> None:
        self._packs = urlsplit(options.url).hostname not in HERE
        self._tiers = options.tiers
        self._api = api_of(options)

    def write(self, chunk: Chunk) -> list[Refused]:
        """Write rows; those that the server refuses for what they say are returned, the others are written.

        Raises
        ------
        DeliveryFailed
            Some may not have been written; try all of them again later.
        """
        refused: list[Refused] = []
        while chunk.rows:
            answer = self.send([line for _, said in chunk.rows for line in said], chunk.policy)
            if answer is None:
                break
            bad = _named(chunk, answer)
            if not bad:
                return [*refused, *self._searched(chunk, answer)]
            refused += [
                Refused(stored, f"{answer.status}: {bad[stored.id]}") for stored, _ in chunk.rows if stored.id in bad
            ]
            # The others are sent again: that they were taken, the server need not say.
            chunk = Chunk(chunk.policy, [one for one in chunk.rows if one[0].id not in bad])
        return refused

    def _searched(self, chunk: Chunk, answer: Answer) -> list[Refused]:
        """Find out which rows of a chunk are refused, where the server does not name them."""
        if len(chunk.rows) == 1 or _all_too_old(chunk, answer):
            return [Refused(stored, f"{answer.status}: {answer.text}") for stored, _ in chunk.rows]
        # Servers word it differently, and some write nothing of a batch that holds a bad line: halving finds it.
        half = len(chunk.rows) // 2
        return [
            *self.write(Chunk(chunk.policy, chunk.rows[:half])),
            *self.write(Chunk(chunk.policy, chunk.rows[half:])),
        ]

    def send(self, lines: Sequence[str], policy: str) -> Answer | None:
        """Send lines in one request; None: the server took all of them, else how it refuses some or all.

        Raises
        ------
        DeliveryFailed
            It did not say whether it took them.
        """
        text = "\n".join(lines).encode()
        answer = self._api.write(gzip.compress(text, GZIP_LEVEL) if self._packs else text, policy, packed=self._packs)
        if answer.status == 204:
            return None
        if answer.status not in REFUSED:
            hint = _PROVISION if answer.status == 404 and self._tiers != "none" else _HINTS.get(answer.status, "")
            said = f"InfluxDB answers {answer.status}{hint}: {answer.text}"
            raise DeliveryFailed(said, retry_after_s(answer.retry_after))
        if _FULL.search(answer.text):  # it says so of some rows, and no row is to blame for it
            raise DeliveryFailed(f"InfluxDB takes no new patients: {answer.text}: {UNLIMITED}; rows wait until then")
        return answer

    def close(self) -> None:
        """Close connections."""
        self._api.close()


def blame(refused: Sequence[Refused], n_rows: int) -> None:
    """Take a server that refuses every row to be at fault itself.

    Newer rows join the batch, and one that passes settles it. Rows that are too old are refused with reason.

    Raises
    ------
    DeliveryFailed
        It is.
    """
    if refused and len(refused) == n_rows and not all(_too_old(row.reason) for row in refused):
        raise DeliveryFailed(f"InfluxDB refuses every row: {refused[0].reason}")


def _too_old(reason: str) -> bool:
    return "beyond retention policy" in reason


def _named(chunk: Chunk, answer: Answer) -> dict[int, str]:
    """Rows whose lines the server names, by id, and what it says of the first; none where it names none of ours."""
    owners = [stored.id for stored, said in chunk.rows for _ in said] if answer.refusals else []
    bad: dict[int, str] = {}
    for line, reason in answer.refusals:
        if line < len(owners):
            bad.setdefault(owners[line], reason)
    return bad


def _all_too_old(chunk: Chunk, answer: Answer) -> bool:
    dropped = re.search(r"dropped=(\d+)", answer.text)
    return _too_old(answer.text) and dropped is not None and int(dropped[1]) == sum(len(said) for _, said in chunk.rows)


_HINTS: Final = {
    401: " (check the token or the password)",
    403: " (the token or user may not write here)",
    404: " (check bucket, org and api; api = 'v1' serves InfluxDB before 1.8)",
}
_PROVISION: Final = (
    " (run `femtoward provision`, which makes what is missing; else check bucket, org and api: 'v1' serves InfluxDB "
    "before 1.8)"
)
