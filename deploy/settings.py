"""Settings of a running ward: one TOML file, read in one function, refused as a whole if anything in it is wrong."""

from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from dataflows.couriers.influx_options import Tiers
from deploy.problem import UserError
from deploy.sections import (
    ALL_SITES,
    Api,
    Disk,
    Flow,
    Health,
    Journal,
    Keeping,
    Name,
    Page,
    Partition,
    Seconds,
    Section,
    Site,
    check_partitions,
    check_ports,
    check_url,
)
from deploy.strict_toml import decode
from deploy.telling import Links, People, Webhook

PARTITION = "main"  # where there is but one, this is its name
S = TypeVar("S", bound=msgspec.Struct)


class Ward(Section, frozen=True):
    """Where the ward keeps its data, whom it listens to, and how patients are spread."""

    data_dir: Annotated[str, Meta(min_length=1)] = "femtoward-data"
    sites: Annotated[tuple[Site, ...], Meta(min_length=1)] = (
        ALL_SITES,
    )  # "+": every site that publishes; with [[partition]], sites stand there
    shards: Annotated[int, Meta(ge=0, le=256)] = 0  # 0: as many as the flow needs; see `Settings.shards`
    snapshot_s: Seconds = 3.0


class Broker(Section, frozen=True):
    """The MQTT broker that devices publish to."""

    url: str = "mqtt://127.0.0.1:1883"
    client_id: Name = "femtoward-ingest-main"  # names the persistent session: keep it, and give it to no one else
    protocol: Literal["5", "3.1.1"] = "5"
    user: str = ""
    secret_env: str = ""  # variable that holds the user's password
    secret_file: str = ""  # or the file that does
    ca_file: str = ""  # authorities to trust with mqtts; empty: the system's
    cert_file: str = ""  # our own certificate and key, where the broker asks for them
    key_file: str = ""

    def __post_init__(self) -> None:
        """Refuse an address that cannot be connected to."""
        check_url(self.url, ("mqtt", "mqtts"), "mqtt://HOST:PORT or mqtts://HOST:PORT")


class Influx(Section, frozen=True):
    """An InfluxDB that vitals and alarms are carried to."""

    url: str
    api: Literal["v2", "v1"] = "v2"  # v2: /api/v2/write (InfluxDB 1.8, 2, 3); v1: /write (older 1.x)
    bucket: Annotated[str, Meta(min_length=1)] = "femtoward"  # v1: the database; v2: buckets BUCKET/RETENTION
    tiers: Tiers = "server"  # who thins vitals out, by the minute and the hour; none: nobody, and one bucket for all
    org: str = "-"  # v2 only
    user: str = ""  # v1 only
    secret_env: str = ""  # variable that holds the token (v2) or the password (v1)
    secret_file: str = ""  # or the file that does
    timeout_s: Seconds = 10.0

    def __post_init__(self) -> None:
        """Refuse an address that cannot be connected to."""
        check_url(self.url, ("http", "https"), "http://HOST:PORT or https://HOST:PORT")
        if self.tiers != "none" and "/" in self.bucket:
            raise ValueError(
                f"bucket = {self.bucket!r}: retentions stand behind a / of their own, so leave it out; or set "
                'tiers = "none" to write everything into that one'
            )


class Grafana(Section, frozen=True):
    """A Grafana that `femtoward provision` makes dashboards and alert rules in."""

    url: str
    user: str = ""  # with a user the secret is the password; without, a service account's token, of the role Admin
    secret_env: str = ""  # variable that holds the secret
    secret_file: str = ""  # or the file that does
    influx_url: str = ""  # InfluxDB, as Grafana's server reaches it; empty: influx.url
    influx_user: str = ""  # of InfluxDB 1.x, or as the data source is to be called there; it should only read
    influx_secret_env: str = ""  # variable that holds that one's password (1.x) or token (2.x); empty: the couriers'
    influx_secret_file: str = ""  # or the file that does; one that is not there is made by `femtoward provision`
    contact: str = ""  # mail address, or http(s) address of a webhook, that is told of the pipeline's alerts
    ca_file: str = ""  # authorities to trust with https; empty: the system's
    timeout_s: Seconds = 10.0

    def __post_init__(self) -> None:
        """Refuse an address that cannot be connected to."""
        form = "http://HOST:PORT or https://HOST:PORT"
        check_url(self.url, ("http", "https"), form)
        if self.influx_url:
            check_url(self.influx_url, ("http", "https"), form)
        if self.influx_user and not self.influx_secret_env and not self.influx_secret_file:
            raise ValueError(
                f"influx_user = {self.influx_user!r} has no secret: name a file or a variable, with influx_secret_file "
                "or influx_secret_env"
            )
        if self.contact.startswith(("http:", "https:")):
            check_url(self.contact, ("http", "https"), "http://HOST/PATH or https://HOST/PATH")
        elif self.contact and "@" not in self.contact:
            raise ValueError(f"contact = {self.contact!r} is neither a mail address nor one of a webhook (https://...)")


class Fhir(Section, frozen=True):
    """A FHIR server (R4) that vitals and alarms are put to, at a low rate."""

    url: str  # base address, such as https://HOST/fhir
    secret_env: str = ""  # variable that holds a bearer token
    secret_file: str = ""  # or the file that does
    every_s: Annotated[int, Meta(ge=0, le=3600)] = 60  # of each patient, one second in so many; 0: no vitals
    alarms: bool = True  # every event of every alarm
    timeout_s: Seconds = 10.0

    def __post_init__(self) -> None:
        """Refuse an address that cannot be connected to, and a courier with nothing to carry."""
        check_url(self.url, ("http", "https"), "http://HOST/PATH or https://HOST/PATH")
        if not self.every_s and not self.alarms:
            raise ValueError("every_s = 0 and alarms = false leave nothing to carry: set one, or leave [fhir] out")


class Log(Section, frozen=True):
    """What the processes say on standard error."""

    format: Literal["plain", "json"] = "plain"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(Section, frozen=True):
    """Everything that a ward can be told; every key has a default but those of the sections that may be left out."""

    ward: Ward = msgspec.field(default_factory=Ward)
    broker: Broker = msgspec.field(default_factory=Broker)
    journal: Journal = msgspec.field(default_factory=Journal)
    store: Keeping = msgspec.field(default_factory=Keeping)
    disk: Disk = msgspec.field(default_factory=Disk)
    health: Health = msgspec.field(default_factory=Health)
    flow: Flow = msgspec.field(default_factory=Flow)
    partition: tuple[Partition, ...] = ()
    influx: Influx | None = None
    grafana: Grafana | None = None
    webhook: tuple[Webhook, ...] = ()
    links: Links | None = None
    people: People = msgspec.field(default_factory=People)
    fhir: Fhir | None = None
    page: Page | None = None
    api: Api | None = None
    log: Log = msgspec.field(default_factory=Log)

    def __post_init__(self) -> None:
        """Refuse webhooks that cannot be told apart, and partitions that do not fit together."""
        names = [webhook.name for webhook in self.webhook]
        if len(set(names)) != len(names):
            raise ValueError(f"webhook names {names} are not all different: each keeps its own place under its name")
        teams = {shift.team for shift in self.people.shift}
        for webhook in self.webhook:
            if webhook.team and teams and webhook.team not in teams:
                raise ValueError(
                    f"webhook {webhook.name!r} is of team {webhook.team!r}, which has no shift: give it one with "
                    f"[[people.shift]], or name one of {', '.join(sorted(teams))}"
                )
        if self.people.unseen_s and not self.links:
            raise ValueError(
                "people.unseen_s is set and there are no links to open: add a section [links], or remove it"
            )
        if self.partition and self.ward.sites != (ALL_SITES,):
            raise ValueError("ward.sites and [[partition]] are both given: with partitions, each names its own sites")
        check_partitions(self.partitions, self.flow)
        check_ports(self.health, self.partitions, self.flow, self.page, self.api)

    @property
    def data_dir(self) -> Path:
        """Folder of the partitions and of the flow's snapshots."""
        return Path(self.ward.data_dir)

    @property
    def shards(self) -> int:
        """Keys that each partition's patients are spread over, fixed for the life of the data folder.

        One for each worker that would have nothing to do otherwise: the fewer, the more patients are in one call.
        """
        workers = self.flow.workers * self.flow.total
        return self.ward.shards or -(-workers // len(self.partitions))

    @property
    def partitions(self) -> tuple[Partition, ...]:
        """Every partition of the ward, on whichever host."""
        return self.partition or (Partition(name=PARTITION, sites=self.ward.sites),)

    @property
    def local(self) -> tuple[Partition, ...]:
        """Partitions whose folders lie on this host."""
        return tuple(partition for partition in self.partitions if partition.host in self.flow.here)

    @property
    def carries(self) -> bool:
        """Whether rows are carried anywhere: there are couriers."""
        return self.influx is not None or self.fhir is not None or bool(self.webhook)

    def folder(self, partition: str) -> Path:
        """Folder of a partition: journal, store, door."""
        return self.data_dir / partition

    def only(self, partition: Partition) -> "Settings":
        """Settings of the same ward as if it had this partition alone, for those who look into one."""
        return msgspec.structs.replace(
            self, partition=(partition,), ward=msgspec.structs.replace(self.ward, sites=(ALL_SITES,))
        )


def read_settings(path: Path | None, data_dir: Path | None = None) -> Settings:
    """Read settings from a TOML file, or take the defaults.

    Relative file names are meant from the folder of the settings file.

    Raises
    ------
    UserError
        The file cannot be read, or something in it is unknown or malformed; the message names it.
    """
    if path is None:
        return Settings() if data_dir is None else Settings(ward=Ward(data_dir=str(data_dir)))
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"no settings file at {path}: give its path, or leave --config out for the defaults") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}): need a TOML file in UTF-8") from error
    return _anchored(parse_settings(text, str(path)), path.absolute().parent)


def parse_settings(text: str, origin: str = "settings") -> Settings:
    """Settings out of TOML text; `origin` names it in messages.

    Raises
    ------
    UserError
        Something is unknown or malformed; the message names it, says what came and what is allowed.
    """
    return decode(text, Settings, origin, _HINTS)


_NO_SECRETS = "secrets do not belong in this file: name a variable with secret_env or a file with secret_file"
_HINTS = dict.fromkeys(("password", "token", "secret"), _NO_SECRETS)


def _anchored(settings: Settings, folder: Path) -> Settings:
    """Make file names relative to the settings file's folder absolute."""

    def at(name: str) -> str:
        return str(folder / Path(name).expanduser()) if name else ""

    files = ("data_dir", "ca_file", "cert_file", "key_file", "secret_file", "influx_secret_file", "tokens_file")

    def section(value: S) -> S:
        known = {field.name: getattr(value, field.name) for field in msgspec.structs.fields(value)}
        return msgspec.structs.replace(value, **{name: at(known[name]) for name in files if name in known})

    return msgspec.structs.replace(
        settings,
        ward=section(settings.ward),
        broker=section(settings.broker),
        influx=settings.influx and section(settings.influx),
        grafana=settings.grafana and section(settings.grafana),
        webhook=tuple(map(section, settings.webhook)),
        fhir=settings.fhir and section(settings.fhir),
        links=settings.links and section(settings.links),
        page=settings.page and section(settings.page),
        api=settings.api and section(settings.api),
    )
