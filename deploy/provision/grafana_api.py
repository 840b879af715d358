"""The door to Grafana's HTTP API: grafana-api's client, and what it says turned into words."""

from collections.abc import Callable
from typing import NoReturn
from urllib.parse import urlsplit

import msgspec
from grafana_api.grafana_api import GrafanaAPI, GrafanaClientError, GrafanaException, GrafanaUnauthorizedError

from dataflows.couriers.secret import read_secret
from deploy.problem import UserError, shorten
from deploy.settings import Grafana

Document = dict[str, object]
NOT_FOUND, FORBIDDEN, TAKEN, CHANGED = 404, 403, 409, 412


class Conflict(Exception):
    """Someone else changed the same thing meanwhile; the message says what, and what to do."""


class GrafanaDoor:
    """Reads and writes below ``/api``.

    Parameters
    ----------
    grafana
        Where it is, and who we are to it.

    Raises
    ------
    UserError
        The secret cannot be read.
    """

    def __init__(self, grafana: Grafana) -> None:
        self.url = grafana.url.rstrip("/")
        self._api = _client(grafana)

    def get(self, path: str) -> Document | None:
        """Return what stands there; None: nothing does.

        Raises
        ------
        UserError
            Grafana is away, or does not let us.
        """
        try:
            return _document(path, self._ask("get", path, None))
        except GrafanaClientError as error:
            if error.status_code == NOT_FOUND:
                return None
            self._refused(path, error)

    def get_list(self, path: str) -> list[Document]:
        """Return what is listed there.

        Raises
        ------
        UserError
            Grafana is away, or does not let us.
        """
        try:
            answer = self._ask("get", path, None)
        except GrafanaClientError as error:
            self._refused(path, error)
        # Newer versions put a list of versions into an object, to go on from.
        listed = answer.get("versions") if isinstance(answer, dict) else answer
        if not isinstance(listed, list):
            raise UserError(
                f"Grafana answers to {path} with {shorten(answer)}: need a list; is it Grafana 11 or newer?"
            )
        return [_document(path, one) for one in listed]

    def post(self, path: str, body: Document) -> None:
        """Make something.

        Raises
        ------
        UserError
            Grafana is away, or refuses it.
        Conflict
            It was made or changed meanwhile.
        """
        self._write("post", path, body)

    def put(self, path: str, body: Document) -> None:
        """Change something; raises as `post` does."""
        self._write("put", path, body)

    def close(self) -> None:
        """Close connections."""
        self._api.s.close()

    def _write(self, method: str, path: str, body: Document) -> None:
        try:
            self._ask(method, path, body)
        except GrafanaClientError as error:
            self._refused(path, error)

    def _ask(self, method: str, path: str, body: Document | None) -> object:
        call: Callable[..., object] = getattr(self._api, method)
        try:
            return call(path, json=body)
        except GrafanaClientError:
            raise
        except GrafanaException as error:
            raise UserError(f"Grafana at {self.url} is in trouble: {error} ({path})") from error
        except (ValueError, TypeError) as error:  # a body that is no JSON, or an error's that the client cannot read
            raise UserError(
                f"what answers at {self.url} is no Grafana, or a login stands before it ({path} gave no JSON): correct "
                "grafana.url"
            ) from error
        except OSError as error:  # what requests raises when it has no answer, or one that leads elsewhere
            raise UserError(
                f"Grafana at {self.url} cannot be reached ({_cause(error)}): start it, or correct grafana.url"
            ) from error

    def _refused(self, path: str, error: GrafanaClientError) -> NoReturn:
        said = shorten(str(error.response.get("message", "")) if isinstance(error.response, dict) else "", 200)
        if isinstance(error, GrafanaUnauthorizedError):
            raise UserError(
                f"Grafana at {self.url} does not know us (401): check the token or the password that "
                "grafana.secret_env or grafana.secret_file names"
            ) from error
        if error.status_code == FORBIDDEN:
            raise UserError(
                f"Grafana at {self.url} does not let us (403, {path}): the service account needs the role Admin"
            ) from error
        if error.status_code in {TAKEN, CHANGED}:
            raise Conflict(
                f"{path} was made or changed by someone else meanwhile ({error.status_code}, {said}): run `femtoward "
                "provision --dry-run` and look at the difference"
            ) from error
        raise UserError(f"Grafana refuses {path} with {error.status_code}: {said}") from error


def _client(grafana: Grafana) -> GrafanaAPI:
    try:
        secret = read_secret("grafana", grafana.secret_env, grafana.secret_file)
    except ValueError as error:
        raise UserError(str(error)) from error
    if not secret:
        raise UserError("grafana: no secret is named: set grafana.secret_env or grafana.secret_file")
    parts = urlsplit(grafana.url)
    prefix = parts.path.strip("/")
    client = GrafanaAPI(
        (grafana.user, secret) if grafana.user else secret,
        host=parts.netloc,
        protocol=parts.scheme,
        url_path_prefix=f"{prefix}/" if prefix else "",
        verify=grafana.ca_file or True,
        timeout=grafana.timeout_s,
    )
    client.s.max_redirects = 0  # a token belongs to the address that was given
    return client


def _document(path: str, answer: object) -> Document:
    try:
        return msgspec.convert(answer, Document)
    except msgspec.ValidationError as error:
        raise UserError(f"Grafana answers to {path} with {shorten(answer)}: need an object") from error


def _cause(error: BaseException) -> str:
    """Say what lies at the bottom of an error; the messages above it are long and hold whole addresses."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return str(error) or type(error).__name__
