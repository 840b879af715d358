"""Signatures of Standard Webhooks (https://www.standardwebhooks.com), and the secrets that they are made with."""

import base64
import hashlib
import hmac

from dataflows.couriers.secret import read_secret


def sign(key: bytes, id_: str, timestamp_s: int, body: bytes) -> str:
    """One signature of the webhook-signature header.

    Examples
    --------
    >>> key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    >>> sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    signed = b".".join((id_.encode(), str(timestamp_s).encode(), body))
    return f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"


def read_keys(owner: str, env: str, file: str) -> list[bytes]:
    """Keys out of the one place that is named: one or more of whsec_<base64>, parted by spaces, the newest first.

    Raises
    ------
    ValueError
        There is none, or one is malformed; the message names `owner` and never holds the secret.
    """
    keys = []
    for secret in read_secret(owner, env, file).split():
        prefix, text = secret[:6], secret[6:]
        try:
            key = base64.b64decode(text, validate=True) if prefix == "whsec_" else b""
        except ValueError:  # whose message must not carry the secret into a log
            key = b""
        if not 24 <= len(key) <= 64:
            raise ValueError(f"{owner}: a secret is malformed, need whsec_ and the base64 of 24 to 64 bytes")
        keys.append(key)
    if not keys:
        raise ValueError(
            f"{owner}: no secret: name secret_env or secret_file; one is made by:"
            " python -c 'import base64, os; print(\"whsec_\" + base64.b64encode(os.urandom(32)).decode())'"
        )
    return keys
