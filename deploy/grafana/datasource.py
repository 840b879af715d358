"""The data source: InfluxDB, asked in InfluxQL through Grafana's own server, so that no browser sees a secret."""

import msgspec

from deploy.grafana.model import INFLUX

NAME = "femtoward"


class Secrets(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """What Grafana takes and never gives back."""

    password: str = ""
    http_header_value1: str = ""

    def names(self) -> list[str]:
        """Which of them are given."""
        return sorted(msgspec.to_builtins(self))


class Details(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """What belongs to the plugin."""

    db_name: str
    version: str = msgspec.field()  # InfluxQL: the language, not that of the server
    http_mode: str = msgspec.field()  # POST: long queries
    time_interval: str = msgspec.field()
    http_header_name1: str = ""


class InfluxSource(msgspec.Struct, frozen=True, rename="camel"):
    """A data source as the HTTP API and the provisioning files have it."""

    uid: str
    name: str
    type: str
    access: str
    url: str
    user: str
    is_default: bool
    json_data: Details
    secure_json_data: Secrets


def influx_source(url: str, database: str, *, token: str = "", user: str = "", password: str = "") -> InfluxSource:
    """Describe the data source.

    Parameters
    ----------
    url
        InfluxDB, as Grafana's server reaches it.
    database
        Database, or what the buckets' names begin with.
    token
        For InfluxDB 2 and 3, which take it in a header, InfluxQL or not.
    user, password
        For InfluxDB 1.
    """
    return InfluxSource(
        uid=INFLUX.uid,
        name=NAME,
        type=INFLUX.type,
        access="proxy",
        url=url,
        user=user,
        is_default=False,
        json_data=Details(
            db_name=database,
            version="InfluxQL",
            http_mode="POST",
            time_interval="1s",
            http_header_name1="Authorization" if token else "",
        ),
        secure_json_data=Secrets(password=password, http_header_value1=f"Token {token}" if token else ""),
    )
