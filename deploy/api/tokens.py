"""Tokens of the HTTP API: made once, shown once, kept as hashes, each with a name and what it may do.

A token is 32 random bytes, which nobody guesses: a plain SHA-256 keeps it as well as a slow hash would.
"""

import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from dataflows.couriers.secret import read_secret
from deploy.problem import UserError
from deploy.sections import Section
from deploy.strict_toml import decode

Role = Literal["view", "acknowledge", "admin"]
ROLES: Final[tuple[Role, ...]] = ("view", "acknowledge", "admin")  # each may do what those before it may
PREFIX: Final = "fwd_"  # by which whoever finds one knows what it opens
LONGEST: Final = 200  # characters that are looked at
GRACE_S: Final = 10.0  # for which tokens outlive a file that cannot be understood: somebody is writing it
TokenName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,24}$")]
_HINTS = {"token": "each token stands under a [[token]] of its own, with name, role and sha256"}

log = logging.getLogger(__name__)


class Token(Section, frozen=True):
    """One that may ask."""

    name: TokenName  # who: stands as the actor of what it commands
    role: Role
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]

    def may(self, role: Role) -> bool:
        """Whether it may do what a role may."""
        return ROLES.index(self.role) >= ROLES.index(role)


class TokenFile(Section, frozen=True):
    """Every token of a ward, as TOML."""

    token: tuple[Token, ...] = ()

    def __post_init__(self) -> None:
        """Refuse tokens that cannot be told apart."""
        names = [token.name for token in self.token]
        if len(set(names)) != len(names):
            raise ValueError(f"names {names} are not all different: a name tells whose a command was")


class Keyring:
    """The tokens that are good now: a file that is changed is read again, so that one can be taken back at once.

    By an empty or deleted file none is good any more; by a malformed one those before are, for ten seconds.

    Parameters
    ----------
    env, file
        Variable that holds the TOML, or the file that does.
    now_s
        Monotonic clock.

    Raises
    ------
    ValueError
        None is named, or it cannot be read.
    UserError
        What it holds is malformed.

    Examples
    --------
    >>> import os
    >>> text, line = make("nurse-station", "acknowledge")
    >>> os.environ["API_TOKENS"] = line
    >>> keyring = Keyring("API_TOKENS", "")
    >>> keyring.whose(text).name, keyring.whose(text[:-1]), keyring.whose(text).may("admin")
    ('nurse-station', None, False)
    """

    def __init__(self, env: str, file: str, now_s: Callable[[], float] = time.monotonic) -> None:
        self._env, self._file, self._now_s = env, file, now_s
        self._unread_s: float | None = None  # since when the file has not been understood
        self._mark = self._look()
        self._tokens = read_tokens(env, file)

    @property
    def tokens(self) -> tuple[Token, ...]:
        """All of them, as they are now."""
        if (mark := self._look()) != self._mark:
            try:
                self._tokens = read_tokens(self._env, self._file)
            except (UserError, ValueError) as error:
                self._mistrust(error)
            else:
                self._mark, self._unread_s = mark, None
        return self._tokens

    def whose(self, text: str) -> Token | None:
        """Token whose text this is, found in a time that tells nothing of how near it comes."""
        digest = hashlib.sha256(text[:LONGEST].encode("utf-8", "replace")).hexdigest()
        found = None
        for token in self.tokens:
            if hmac.compare_digest(token.sha256, digest):
                found = token
        return found

    def _mistrust(self, error: Exception) -> None:
        """Let no token be good where the file holds none, or has not been understood for some time."""
        now_s = self._now_s()
        self._unread_s = now_s if self._unread_s is None else self._unread_s
        if self._tokens and (now_s - self._unread_s >= GRACE_S or self._is_empty()):
            log.warning("no token of the API is good until its file is put right: %s", error)
            self._tokens = ()

    def _is_empty(self) -> bool:
        try:
            return not Path(self._file).read_bytes().strip()
        except FileNotFoundError:
            return True
        except OSError:
            return False

    def _look(self) -> tuple[int, int, int]:
        if not self._file:
            return (0, 0, 0)
        try:
            stat = Path(self._file).stat()
        except OSError:
            return (0, 0, 0)
        return (stat.st_mtime_ns, stat.st_size, stat.st_ino)


def read_tokens(env: str, file: str) -> tuple[Token, ...]:
    """Tokens out of the one place that is named.

    Raises
    ------
    ValueError
        It cannot be read, or nothing is in it.
    UserError
        What it holds is malformed; the message names the place, and no token.
    """
    try:
        text = read_secret("api", env, file)
    except ValueError as error:
        raise ValueError(f"{error}: tokens belong there; `femtoward token NAME` makes one") from error
    return decode(text, TokenFile, file or env, _HINTS).token


def make(name: str, role: Role) -> tuple[str, str]:
    """Make a token: its text, to be given to whoever is to have it, and the entry that keeps its hash.

    Raises
    ------
    UserError
        No name for a token.
    """
    text = PREFIX + secrets.token_urlsafe(32)
    digest = hashlib.sha256(text.encode()).hexdigest()
    try:
        token = msgspec.convert({"name": name, "role": role, "sha256": digest}, Token)
    except msgspec.ValidationError as error:
        raise UserError(f"{name[:80]!r} is no name of a token: need 1 to 24 of A-Z a-z 0-9 _ -") from error
    return text, f'[[token]]\nname = "{token.name}"\nrole = "{token.role}"\nsha256 = "{token.sha256}"\n'
