"""The settings of a ward turned into the options of each of its processes."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import msgspec

from dataflows.couriers.secret import read_secret
from deploy.problem import UserError
from deploy.sections import Health, Page, Partition
from deploy.settings import Influx, Settings
from ingest.options import IngestOptions

if TYPE_CHECKING:
    from dataflows.couriers.courier import CourierOptions
    from dataflows.couriers.influx_options import InfluxOptions
    from dataflows.couriers.links import LinkOptions
    from dataflows.couriers.process_points import ProcessOptions
    from dataflows.couriers.webhook import WebhookOptions
    from dataflows.flow import FlowOptions
    from deploy.api.options import ApiOptions
    from deploy.page.options import PageOptions
    from deploy.page.silence import Room
    from deploy.parts import Part

GB = 10**9
MB = 10**6
COURIERS_DRAIN_S = 3.0  # ingest and flow drain before them, all within 10 s


def named(settings: Settings, partition: str | None) -> Partition:
    """Partition of this host that a command names; it need not be named where there is but one.

    Raises
    ------
    UserError
        There is none of that name here, or it must be said which.
    """
    here = ", ".join(one.name for one in settings.local) or "none"
    if partition is None and len(settings.local) == 1:
        return settings.local[0]
    if partition is None:
        raise UserError(f"the partitions on this host are {here}: say which, with --partition NAME")
    for one in settings.local:
        if one.name == partition:
            return one
    raise UserError(f"--partition {partition!r}: the partitions on this host are {here}")


def ingest_options(settings: Settings, partition: str | None = None) -> IngestOptions:
    """Options of the ingest of a partition, the broker's password among them.

    Raises
    ------
    UserError
        A secret that is not there, or an option that ingest refuses.
    """
    broker, journal, disk = settings.broker, settings.journal, settings.disk
    whose = named(settings, partition)
    client_id = broker.client_id
    if len(settings.partitions) > 1:  # a session for each
        client_id = f"{client_id.removesuffix('-main')}-{whose.name}"
    try:
        return IngestOptions(
            folder=str(settings.folder(whose.name)),
            broker=broker_url(settings),
            client_id=client_id,
            protocol=broker.protocol,
            sites=whose.sites,
            ca_file=broker.ca_file,
            cert_file=broker.cert_file,
            key_file=broker.key_file,
            retain_bytes=round(journal.retain_gb * GB),
            retain_hours=journal.retain_hours,
            floor_hours=journal.floor_hours,
            compress=journal.compress,
            short_bytes=round(disk.short_gb * GB),
            stop_bytes=round(disk.stop_mb * MB),
            quota_bytes=round(disk.quota_gb * GB),
        )
    except ValueError as error:
        raise UserError(f"settings for ingest: {error}") from error


def retain_from(settings: Settings, partition: str | None = None) -> Callable[[], int | None]:
    """Return what answers up to which offset the flow will never ask for the partition's journal again.

    It looks into the flow's recovery store, which is written with each snapshot; None: not known, so nothing may go.
    """
    from dataflows.recovery import committed_offset  # noqa: PLC0415 - only ingest asks

    folder, name = settings.data_dir, named(settings, partition).name
    return lambda: committed_offset(folder, name)


def broker_url(settings: Settings) -> str:
    """Address of the broker with user and password, for a client; not to be shown."""
    broker = settings.broker
    if not broker.user:
        return broker.url
    try:
        password = read_secret("broker", broker.secret_env, broker.secret_file)
    except ValueError as error:
        raise UserError(str(error)) from error
    parts = urlsplit(broker.url)
    return f"{parts.scheme}://{quote(broker.user, safe='')}:{quote(password, safe='')}@{parts.netloc}"


def flow_options(settings: Settings, process: int | None = None) -> "FlowOptions":
    """Options of one process of the flow.

    Parameters
    ----------
    settings
        Of the ward.
    process
        Its index in the cluster; None: the first one on this host.

    Raises
    ------
    UserError
        An option that the flow refuses.
    """
    # Brings Bytewax, which only the flow needs.
    from dataflows.flow import FlowOptions  # noqa: PLC0415
    from dataflows.keep import Keep  # noqa: PLC0415

    flow, store, disk = settings.flow, settings.store, settings.disk
    process = flow.process if process is None else process
    own = tuple(partition.name for partition in settings.partitions if partition.host == process)
    try:
        return FlowOptions(
            data_dir=str(settings.data_dir),
            partitions=tuple(partition.name for partition in settings.partitions),
            shards=settings.shards,
            snapshot_s=settings.ward.snapshot_s,
            workers=flow.workers,
            addresses=settings.flow.cluster,
            process=process,
            local=own if flow.total > 1 else None,
            keep=Keep(
                vitals_days=store.vitals_days,
                wave_hours=store.wave_hours,
                bad_days=store.bad_days,
                short_bytes=round(disk.short_gb * GB),
                stop_bytes=round(disk.stop_mb * MB),
                quota_bytes=round(disk.quota_gb * GB),
            ),
        )
    except ValueError as error:
        raise UserError(f"settings for the flow: {error}") from error


def courier_options(settings: Settings, partition: str | None = None) -> "CourierOptions":
    """Options of the couriers of a partition.

    Raises
    ------
    UserError
        There is no courier, or one refuses its options.
    """
    # Brings the client of InfluxDB, which only the couriers need.
    from dataflows.couriers.courier import CourierOptions  # noqa: PLC0415
    from dataflows.couriers.duty import Shift  # noqa: PLC0415
    from dataflows.couriers.fhir_options import FhirOptions  # noqa: PLC0415

    if not settings.carries:
        raise UserError(
            "the settings name no courier: add a section [influx], [[webhook]] or [fhir], or run the other parts only"
        )
    whose = named(settings, partition)
    folder = settings.folder(whose.name)
    try:
        return CourierOptions(
            store=str(folder / "store.sqlite"),
            cursors=str(folder / "couriers.sqlite"),
            door=str(folder / "door"),
            influx=influx_options(settings.influx) if settings.influx else None,
            # The parts of a host are asked by one: by the couriers of its first partition.
            process=process_options(settings, whose) if settings.influx and whose == settings.local[0] else None,
            fhir=FhirOptions(**msgspec.structs.asdict(settings.fhir)) if settings.fhir else None,
            drain_s=COURIERS_DRAIN_S,
            webhooks=webhook_options(settings),
            shifts=tuple(Shift(**msgspec.structs.asdict(shift)) for shift in settings.people.shift),
            zone=settings.people.zone,
            links=link_options(settings),
            undelivered_s=settings.people.undelivered_s,
            unseen_s=settings.people.unseen_s,
        )
    except ValueError as error:
        raise UserError(f"settings for the couriers: {error}") from error


def webhook_options(settings: Settings) -> "tuple[WebhookOptions, ...]":
    """Options of every receiver of alarms.

    Raises
    ------
    ValueError
        They are refused.
    """
    from dataflows.couriers.webhook import WebhookOptions  # noqa: PLC0415

    return tuple(WebhookOptions(**msgspec.structs.asdict(webhook)) for webhook in settings.webhook)


def link_options(settings: Settings) -> "LinkOptions | None":
    """Options of whoever makes or takes signed links; None: there are none.

    Raises
    ------
    ValueError
        They are refused.
    """
    from dataflows.couriers.links import LinkOptions  # noqa: PLC0415

    return LinkOptions(**msgspec.structs.asdict(settings.links)) if settings.links else None


def influx_options(influx: Influx) -> "InfluxOptions":
    """Options of everything that writes to an InfluxDB, or asks it.

    Raises
    ------
    ValueError
        They are refused.
    """
    from dataflows.couriers.influx_options import InfluxOptions  # noqa: PLC0415

    return InfluxOptions(**msgspec.structs.asdict(influx))


def process_options(settings: Settings, own: Partition) -> "ProcessOptions":
    """Whom the couriers of a partition ask how they are: themselves, and all here that have a fixed health port."""
    from dataflows.couriers.process_points import ProcessOptions, Target  # noqa: PLC0415
    from deploy.parts import everyone  # noqa: PLC0415 - which needs this module

    health, targets, runs = settings.health, [], set()
    for one in everyone(settings):
        instance, host = one.partition or str(one.number), reached(health, one.part)
        if one.part == "couriers" and one.partition == own.name:
            targets.append(Target(part=one.part, instance=instance, name=one.name))
        elif one.health_port > 0:
            url = _metrics_url(host, one.health_port)
            targets.append(Target(part=one.part, instance=instance, name=one.name, url=url))
        if health.run > 0:
            runs.add(_metrics_url(host, health.run))
    return ProcessOptions(targets=tuple(targets), run_urls=tuple(sorted(runs)))


def reached(health: Health, part: "Part") -> str:
    """Host at which the health port of a part is asked from here."""
    host: str = getattr(health.hosts, part) or health.host
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - where they listen on every address


def _metrics_url(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/metrics"


def page_options(settings: Settings) -> "PageOptions":
    """Options of the ward page, its access token among them.

    Raises
    ------
    UserError
        A token that is not there or too short.
    """
    # Brings the web server, which only the page needs.
    from deploy.page.options import PageOptions  # noqa: PLC0415

    page = settings.page or Page()
    try:
        return PageOptions(
            rooms=_rooms(settings),
            host=page.host,
            port=page.port,
            names=page.names,
            token=read_secret("page", page.secret_env, page.secret_file),
        )
    except ValueError as error:
        raise UserError(f"settings for the page: {error}") from error


def api_options(settings: Settings) -> "ApiOptions | None":
    """Options of the HTTP API; None: there is none.

    Raises
    ------
    UserError
        Those of signed links are refused.
    """
    from deploy.api.options import ApiOptions  # noqa: PLC0415 - only the page's process needs it

    if settings.api is None:
        return None
    try:
        links = link_options(settings)
    except ValueError as error:
        raise UserError(f"settings for links: {error}") from error
    return ApiOptions(rooms=_rooms(settings), links=links, **msgspec.structs.asdict(settings.api))


def _rooms(settings: Settings) -> "tuple[Room, ...]":
    """Partitions on this host, as far as those go who show them."""
    from deploy.page.silence import Room  # noqa: PLC0415 - brings the flow's recovery store

    names = [partition.name for partition in settings.local]
    return tuple(Room(name, settings.folder(name), settings.ward.snapshot_s) for name in names)


def door(settings: Settings, partition: str | None = None) -> Path:
    """Folder of a partition's local door, by which commands and reports reach the journal."""
    return settings.folder(named(settings, partition).name) / "door"
