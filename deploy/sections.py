"""Sections of the settings that say how this host keeps, cuts and watches a ward."""

import ipaddress
from collections import Counter
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Site = Annotated[str, Meta(pattern=r"^(\+|[A-Za-z0-9_-]{1,64})$")]
Amount = Annotated[float, Meta(gt=0.0, le=1e6)]
Allowance = Annotated[float, Meta(ge=0.0, le=1e6)]
Seconds = Annotated[float, Meta(gt=0.0, le=3600.0)]
HealthPort = Annotated[int, Meta(ge=-1, le=65_535)]
HostName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9.-]{1,253}$")]

NEXT_PORT = 10  # from the health port of one partition, or process of the flow, to the next
CLUSTER_PORT = 9380  # of the first flow process on the loopback, where the settings name no addresses
KEPT_NAMES = "recovery"  # folders of the flow's own lie beside those of the partitions
ALL_SITES = "+"


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A section of the settings file: every key is known."""


class Journal(Section, frozen=True):
    """How long the inbound log is kept; never shorter than what the flow still needs."""

    retain_hours: Amount = 24.0  # the oldest segment goes when either limit is passed
    retain_gb: Amount = 16.0
    floor_hours: Allowance = 1.0  # kept at any rate, while there is room
    compress: bool = True  # finished segments


class Keeping(Section, frozen=True):
    """How long the store keeps what has been carried on; alarms stay for good, while there is room."""

    vitals_days: Amount = 30.0
    wave_hours: Amount = 48.0
    bad_days: Amount = 7.0


class Disk(Section, frozen=True):
    """What happens when room runs short: the journal shrinks first, then waves and vitals, ended alarms last."""

    short_gb: Allowance = 2.0  # less is left: the journal shrinks below its floor; at a half and a quarter, the rest
    stop_mb: Allowance = 64.0  # less is left: nothing is taken in and nothing acknowledged until there is room
    quota_gb: Allowance = 0.0  # what the folder of a partition may take; 0: the disk alone counts

    def __post_init__(self) -> None:
        """Refuse limits that contradict each other."""
        if self.stop_mb / 1000 > self.short_gb / 4:
            raise ValueError(
                f"stop_mb = {self.stop_mb:g} is more than a quarter of short_gb = {self.short_gb:g}: "
                "things must be removed before intake stops"
            )
        if 0 < self.quota_gb <= self.short_gb:
            raise ValueError(f"quota_gb = {self.quota_gb:g} must be more than short_gb = {self.short_gb:g}, or 0")


class Hosts(Section, frozen=True):
    """Host names of parts that run in containers of their own; empty: the one in [health]."""

    ingest: str = ""
    flow: str = ""
    couriers: str = ""
    page: str = ""


class Health(Section, frozen=True):
    """Ports of /healthz, /readyz and /metrics: 0 takes a free one and logs it, -1 turns it off."""

    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    ingest: HealthPort = 9464  # of the first; each further partition or flow process has a port that is 10 higher
    flow: HealthPort = 9465
    couriers: HealthPort = 9466
    page: HealthPort = 9467
    run: HealthPort = 9463  # of `femtoward run`, which is ready when all of its parts are
    hosts: Hosts = msgspec.field(default_factory=Hosts)  # where couriers ask the other parts how they are

    def port(self, part: Literal["ingest", "flow", "couriers", "page"], index: int) -> int:
        """Port of the process of a partition, or of one process of the flow; 0: any, -1: none."""
        first: int = getattr(self, part)
        return first + NEXT_PORT * index if first > 0 else first


class Page(Section, frozen=True):
    """The ward page, in a browser: served to this machine alone, or with an access token to a network."""

    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65_535)] = 8080
    names: tuple[HostName, ...] = ()  # by which browsers may call it, beside addresses and localhost
    secret_env: str = ""  # variable that holds the access token
    secret_file: str = ""  # or the file that does

    def __post_init__(self) -> None:
        """Refuse to be open to a network."""
        if not is_loopback(self.host) and not self.secret_env and not self.secret_file:
            raise ValueError(
                f"host = {self.host!r} lets others on the network in: name a file or a variable that holds an access "
                "token, with secret_file or secret_env"
            )


class Api(Section, frozen=True):
    """The HTTP API, served by the process of the page: to this machine, or behind a proxy with TLS to a network."""

    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65_535)] = 8081
    tokens_env: str = ""  # variable that holds the tokens, TOML with a hash of each
    tokens_file: str = ""  # or the file that does

    def __post_init__(self) -> None:
        """Refuse to be open to everyone, or to take tokens from two places."""
        if bool(self.tokens_env) == bool(self.tokens_file):
            raise ValueError(
                "name the file of tokens with tokens_file, or a variable that holds them with tokens_env; "
                "`femtoward token NAME` makes one"
            )


class Flow(Section, frozen=True):
    """How many workers and processes share the keys of all partitions."""

    workers: Annotated[int, Meta(ge=1, le=64)] = 1  # in each process
    addresses: tuple[str, ...] = ()  # HOST:PORT of every flow process of the cluster, in order, the same on each host
    processes: Annotated[int, Meta(ge=1, le=64)] = 1  # on this host
    process: Annotated[int, Meta(ge=0, le=255)] = 0  # index of the first one on this host

    def __post_init__(self) -> None:
        """Refuse a cluster that does not add up."""
        for address in self.addresses:
            host, _, port = address.rpartition(":")
            if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
                raise ValueError(f"addresses: {address!r} is no HOST:PORT")
        if len(set(self.addresses)) != len(self.addresses):
            raise ValueError(f"addresses {list(self.addresses)} are not all different")
        if self.process + self.processes > self.total:
            raise ValueError(
                f"process = {self.process} and processes = {self.processes} reach beyond the {self.total} of the "
                "cluster: name them all in addresses"
            )

    @property
    def total(self) -> int:
        """Processes of the whole cluster."""
        return len(self.addresses) or self.processes

    @property
    def cluster(self) -> tuple[str, ...]:
        """Addresses of the flow's processes, or nothing where there is but one."""
        if self.total == 1:
            return ()
        return self.addresses or tuple(f"127.0.0.1:{CLUSTER_PORT + index}" for index in range(self.total))

    @property
    def here(self) -> range:
        """Indices of the processes on this host."""
        return range(self.process, self.process + self.processes)


class Partition(Section, frozen=True):
    """Some sites with a folder, a journal and a store of their own."""

    name: Name
    sites: Annotated[tuple[Site, ...], Meta(min_length=1)]
    host: Annotated[int, Meta(ge=0, le=255)] = 0  # index of the flow process on whose host the folder lies

    def __post_init__(self) -> None:
        """Refuse a name that the flow needs for itself."""
        if self.name.startswith(KEPT_NAMES):
            raise ValueError(f"name = {self.name!r}: names that begin with {KEPT_NAMES!r} are the flow's own")


def check_partitions(partitions: tuple[Partition, ...], flow: Flow) -> None:
    """Refuse partitions that share a site or a name, or that lie on no host.

    Raises
    ------
    ValueError
        What is wrong, in words.
    """
    names = [partition.name for partition in partitions]
    if len(set(names)) != len(names):
        raise ValueError(f"partition names {names} are not all different: each names a folder")
    sites = [site for partition in partitions for site in partition.sites]
    if len(set(sites)) != len(sites) or (ALL_SITES in sites and len(sites) > 1):
        raise ValueError(f"sites {sites} of the partitions overlap: a site belongs to one partition")
    for partition in partitions:
        if partition.host >= flow.total:
            raise ValueError(
                f"partition {partition.name!r} has host = {partition.host}, but the flow has {flow.total} process(es), "
                "counted from 0: correct it, or name them in flow.addresses"
            )


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_ports(
    health: Health, partitions: tuple[Partition, ...], flow: Flow, page: Page | None, api: Api | None
) -> None:
    """Refuse one port for two things of a host, of which one is health; only what lies on this host counts.

    Raises
    ------
    ValueError
        Which port it is.
    """
    local = [index for index, partition in enumerate(partitions) if partition.host in flow.here]
    ports = [health.port("flow", index) for index in flow.here] + [health.run]
    ports += [health.port(part, index) for part in ("ingest", "couriers") for index in local]
    if page is not None or api is not None:
        ports.append(health.page)
    for name, section in (("page", page), ("api", api)):
        if section is not None and section.port in ports:
            raise ValueError(f"{name}.port = {section.port} is a health port, too: move one of them")
    if page is not None and api is not None and page.port == api.port:
        raise ValueError(f"api.port = {api.port} is that of the page, too: move one of them")
    spoken = {int(address.rpartition(":")[2]) for address in flow.cluster[flow.process : flow.here.stop]}
    for port, times in Counter(ports).items():
        if port in spoken:
            raise ValueError(f"health port {port} is that of a flow process in the cluster, too: move one of them")
        if port > 65_535 or (port > 0 and times > 1):
            raise ValueError(
                f"health port {port} is {'too high' if times == 1 else 'that of two processes'}: a further partition's "
                f"or flow process's is {NEXT_PORT} higher than the one before"
            )


def check_url(url: str, schemes: tuple[str, ...], form: str) -> None:
    """Refuse what is no address, and one with a password in it."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"{url!r} is no address: need {form} with a port of 1 to 65535") from None
    if parts.scheme not in schemes or not parts.hostname or port == 0:
        raise ValueError(f"{url!r} is no address that can be used here: need {form}")
    if parts.username or parts.password:
        raise ValueError("an address with a user or password in it: use user, and secret_env or secret_file")
