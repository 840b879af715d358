"""The settings of a ward turned into the options of each of its processes."""

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import msgspec

from dataflows.couriers.secret import read_secret
from deploy.problem import UserError
from deploy.settings import PARTITION, Settings
from ingest.options import IngestOptions

if TYPE_CHECKING:
    from dataflows.couriers.courier import CourierOptions
    from dataflows.flow import FlowOptions

GB = 10**9


def ingest_options(settings: Settings) -> IngestOptions:
    """Options of ingest, the broker's password among them.

    Raises
    ------
    UserError
        A secret that is not there, or an option that ingest refuses.
    """
    broker = settings.broker
    try:
        return IngestOptions(
            folder=str(settings.partition_dir),
            broker=broker_url(settings),
            client_id=broker.client_id,
            protocol=broker.protocol,
            sites=settings.ward.sites,
            ca_file=broker.ca_file,
            cert_file=broker.cert_file,
            key_file=broker.key_file,
            retain_bytes=round(settings.journal.retain_gb * GB),
            retain_hours=settings.journal.retain_hours,
        )
    except ValueError as error:
        raise UserError(f"settings for ingest: {error}") from error


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


def flow_options(settings: Settings) -> "FlowOptions":
    """Options of the flow.

    Raises
    ------
    UserError
        An option that the flow refuses.
    """
    from dataflows.flow import FlowOptions  # noqa: PLC0415 - brings Bytewax, which only the flow needs

    try:
        return FlowOptions(
            data_dir=str(settings.data_dir),
            partitions=(PARTITION,),
            shards=settings.ward.shards,
            snapshot_s=settings.ward.snapshot_s,
        )
    except ValueError as error:
        raise UserError(f"settings for the flow: {error}") from error


def courier_options(settings: Settings) -> "CourierOptions":
    """Options of the couriers.

    Raises
    ------
    UserError
        There is no courier, or one refuses its options.
    """
    # Brings the client of InfluxDB, which only the couriers need.
    from dataflows.couriers.courier import CourierOptions  # noqa: PLC0415
    from dataflows.couriers.influx import InfluxOptions  # noqa: PLC0415
    from dataflows.couriers.webhook import WebhookOptions  # noqa: PLC0415

    if not settings.influx and not settings.webhook:
        raise UserError(
            "the settings name no courier: add a section [influx] or [[webhook]], or run the other parts only"
        )
    try:
        return CourierOptions(
            store=str(settings.partition_dir / "store.sqlite"),
            cursors=str(settings.partition_dir / "couriers.sqlite"),
            door=str(door(settings)),
            influx=InfluxOptions(**msgspec.structs.asdict(settings.influx)) if settings.influx else None,
            webhooks=tuple(WebhookOptions(**msgspec.structs.asdict(webhook)) for webhook in settings.webhook),
        )
    except ValueError as error:
        raise UserError(f"settings for the couriers: {error}") from error


def door(settings: Settings) -> Path:
    """Folder of the local door, by which commands and reports reach the journal."""
    return settings.partition_dir / "door"
