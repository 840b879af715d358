"""The receivers that a ward's settings name, looked at as the couriers would: secrets, and who answers."""

import ipaddress
import socket
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec
import urllib3

from dataflows.couriers.duty import Duty, Shift, zone_of
from dataflows.couriers.links import LinkOptions
from dataflows.couriers.links import Links as SignedLinks
from dataflows.couriers.secret import read_secret
from dataflows.couriers.webhook import WebhookCourier, WebhookOptions
from dataflows.fhir.bundles import MEDIA_TYPE
from deploy.problem import UserError
from deploy.provision.credential import reader
from deploy.sections import is_loopback
from deploy.settings import Broker, Fhir, Grafana, Influx, Settings
from deploy.telling import Links, Webhook

WAIT_S = 5.0


class Verdict(NamedTuple):
    """How one thing is."""

    verdict: Literal["ok", "warning", "problem"]
    said: str  # what was found and, unless it is well, what to do


def broker_secret(broker: Broker) -> Verdict | None:
    """Look at the broker's secret; None: it needs none and names none."""
    if not broker.user:
        if broker.secret_env or broker.secret_file:
            return Verdict("warning", "a secret is named and no broker.user: set the user, or remove the secret")
        return None
    return _secret("broker", broker.secret_env, broker.secret_file)


def influx_secret(influx: Influx) -> Verdict | None:
    """Look at the secret of InfluxDB; None: none is named, which some servers allow."""
    if not influx.secret_env and not influx.secret_file:
        return None
    return _secret("influx", influx.secret_env, influx.secret_file)


def grafana(settings: Grafana) -> Verdict:
    """Look at Grafana: its secret, and whether it answers."""
    verdict = _secret("grafana", settings.secret_env, settings.secret_file)
    if verdict.verdict != "ok" or not (settings.secret_env or settings.secret_file):
        return Verdict("problem", f"{verdict.said}: set grafana.secret_env or grafana.secret_file")
    try:
        answer = urllib3.request("GET", f"{settings.url.rstrip('/')}/api/health", timeout=WAIT_S, retries=False)
    except urllib3.exceptions.HTTPError as error:
        return Verdict("warning", f"{settings.url} cannot be reached ({error}): start it, or correct grafana.url")
    if answer.status != 200 or b'"database"' not in answer.data:
        return Verdict(
            "warning", f"{settings.url} answers {answer.status} to /api/health: is it Grafana, and the right port?"
        )
    return Verdict("ok", f"{settings.url} answers; its secret is {verdict.said}")


def fhir(settings: Fhir) -> Verdict:
    """Look at the FHIR server: the secret, and whether it says what it can do, which needs no secret."""
    verdict = _secret("fhir", settings.secret_env, settings.secret_file)
    if verdict.verdict != "ok" and (settings.secret_env or settings.secret_file):
        return verdict
    url = f"{settings.url.rstrip('/')}/metadata"
    try:
        answer = urllib3.request(
            "GET", url, headers={"Accept": MEDIA_TYPE}, timeout=WAIT_S, retries=False, redirect=False
        )
    except urllib3.exceptions.HTTPError as error:
        return Verdict("warning", f"{settings.url} cannot be reached ({error}): start it, or correct fhir.url")
    if answer.status != 200 or b'"CapabilityStatement"' not in answer.data:
        return Verdict(
            "warning", f"{url} answers {answer.status}, and no CapabilityStatement: is fhir.url the base address?"
        )
    if b'"fhirVersion":"4.' not in answer.data.replace(b" ", b""):
        return Verdict("problem", f"{settings.url} is no FHIR R4 server: fhirVersion must be 4.0.1 or 4.3.0")
    return Verdict("ok", f"{settings.url} answers; its secret is {verdict.said}")


def grafana_asks(settings: Grafana, influx: Influx) -> Verdict:
    """Look at whom Grafana asks InfluxDB as: it sends on whatever anybody asks who may look at a dashboard."""
    found = reader(settings)
    if found is None:
        if not influx.secret_env and not influx.secret_file:
            return Verdict("ok", "as nobody: InfluxDB is told no secret")
        return Verdict(
            "warning",
            "with the couriers' own secret: whoever may look at a dashboard can write and delete with it; name a file "
            "for one that may only read in grafana.influx_secret_file, and run `femtoward provision --config FILE`",
        )
    if found.absent:
        return Verdict("warning", f"{found.file} is not there yet: run `femtoward provision --config FILE`")
    try:
        secret = found.read()
        couriers = read_secret("influx", influx.secret_env, influx.secret_file)
    except (UserError, ValueError) as error:
        return Verdict("problem", str(error))
    if secret == couriers:
        return Verdict("warning", "with the couriers' own secret, under another name: give it one that may only read")
    return Verdict("ok", f"with a secret of its own, read from {found.env or found.file}")


def influx_setup(influx: Influx) -> Verdict:
    """Compare what InfluxDB has with what it must have to keep and thin out as the settings say."""
    from deploy.provision.influx import plan  # noqa: PLC0415 - brings its client, which only this needs
    from deploy.provision.plan import due  # noqa: PLC0415

    try:
        lacking = due(plan(influx))
    except UserError as error:
        return Verdict("warning", str(error))
    if not lacking:
        return Verdict("ok", f"keeps and thins out as tiers = {influx.tiers!r} has it")
    names = ", ".join(f"{step.what} {step.name}" for step in lacking[:3])
    return Verdict(
        "warning",
        f"{len(lacking)} things to make or change ({names}{', ...' if len(lacking) > 3 else ''}): run "
        "`femtoward provision --config FILE`",
    )


def webhook(settings: Webhook) -> Verdict:
    """Look at one webhook: its secret, whether it may be delivered to, and whether anyone accepts a connection."""
    try:
        WebhookCourier(WebhookOptions(**msgspec.structs.asdict(settings))).close()
    except ValueError as error:
        return Verdict("problem", str(error))
    parts = urlsplit(settings.url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.create_connection((host, port), timeout=WAIT_S) as connection:
            peer = ipaddress.ip_address(connection.getpeername()[0].partition("%")[0])
    except OSError as error:
        return Verdict(
            "warning",
            f"{host}:{port} accepts no connection ({error}): alarms wait until it does; start it, or correct its url",
        )
    # A name may lead here, too: the courier goes by the address that it reached.
    if (peer.is_loopback or peer.is_link_local) and not settings.allow_local:
        return Verdict(
            "problem", f"{host} is {peer}, this machine or its link: set allow_local = true if that is meant"
        )
    return Verdict("ok", f"{host}:{port} accepts a connection, and the secret is there")


def links(settings: Links) -> Verdict:
    """Look at what makes signed links: its secret, and whether their address is one that others can follow."""
    try:
        SignedLinks(LinkOptions(**msgspec.structs.asdict(settings)))
    except ValueError as error:
        return Verdict("problem", str(error))
    host = urlsplit(settings.url).hostname or ""
    if is_loopback(host):
        return Verdict("warning", f"{settings.url} is followed on this machine only: name it as others reach it")
    return Verdict("ok", f"lead to {settings.url} for {settings.hours:g} h, and the secret is there")


def on_duty(settings: Settings, now: datetime | None = None) -> Verdict | None:
    """Look for a time of the week at which nobody is told of a high alarm; None: there are no webhooks."""
    people = settings.people
    plan = tuple(Shift(**msgspec.structs.asdict(shift)) for shift in people.shift)
    first = [webhook for webhook in settings.webhook if "high" in webhook.priorities and webhook.rung == 0]
    if not settings.webhook:
        return None
    if not first:
        return Verdict("problem", "no webhook of rung 0 is told of high alarms: give one that rung and priority")
    duties = [Duty.of("", webhook.team, plan, people.zone) for webhook in first]
    begin = (now or datetime.now(UTC)).replace(minute=0, second=0, microsecond=0)
    for quarter in range(7 * 24 * 4):
        when = begin + timedelta(minutes=15 * quarter)
        if all(duty.due_ns(int(when.timestamp()) * 1_000_000_000, loud=True) for duty in duties):
            said = when.astimezone(zone_of(people.zone)).strftime("%a %H:%M")
            return Verdict("problem", f"nobody of rung 0 is on duty at {said}: give a team that shift")
    return Verdict("ok", f"somebody of rung 0 is told of high alarms at any time, of {len(first)} receivers")


def _secret(owner: str, env: str, file: str) -> Verdict:
    try:
        read_secret(owner, env, file)
    except ValueError as error:
        return Verdict("problem", str(error))
    return Verdict("ok", f"read from {f'the variable {env}' if env else file}" if env or file else "none is named")
