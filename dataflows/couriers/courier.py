"""The couriers of one partition: a thread each, so that one that is down delays nobody else."""

import logging
import resource
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import msgspec

from dataflows.couriers.burden_points import BurdenPoints
from dataflows.couriers.carrier import Carrier, Health, Pace, Report
from dataflows.couriers.delivery import Courier
from dataflows.couriers.duty import Duty, Shift
from dataflows.couriers.fhir import FhirCourier
from dataflows.couriers.fhir_options import FhirOptions
from dataflows.couriers.haste import Haste, Patience, hastens_at
from dataflows.couriers.influx import InfluxCourier
from dataflows.couriers.influx_options import InfluxOptions
from dataflows.couriers.lanes import BackOff
from dataflows.couriers.links import LinkOptions, Links
from dataflows.couriers.process_points import ProcessOptions, ProcessPoints
from dataflows.couriers.punctual import Punctual
from dataflows.couriers.receipt_points import ReceiptPoints
from dataflows.couriers.tail import Tail
from dataflows.couriers.tier_courier import TierCourier
from dataflows.couriers.tiers import TIERS
from dataflows.couriers.webhook import WebhookCourier, WebhookOptions
from dataflows.events import AlarmEvent
from ingest import door
from ingest.beacon import Beacon

log = logging.getLogger(__name__)

LOOK_AFTER_S = 1.0
FILES = 8192
STUCK_S = 120.0  # a courier that has not gone round for so long hangs, whatever its time limits are


class CourierOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the couriers of a partition need."""

    store: str  # path of store.sqlite; may not be there yet
    cursors: str  # path of couriers.sqlite
    door: str | None = None  # folder of ingest's local door, where reports go; None: they are only logged
    influx: InfluxOptions | None = None
    process: ProcessOptions | None = None  # written to that InfluxDB, too
    webhooks: tuple[WebhookOptions, ...] = ()
    shifts: tuple[Shift, ...] = ()  # of the teams that receivers belong to
    zone: str = "UTC"  # of shifts and quiet hours
    links: LinkOptions | None = None  # in what receivers are told
    undelivered_s: float = 0.0  # see `haste.Patience`
    unseen_s: float = 0.0
    fhir: FhirOptions | None = None
    poll_s: float = 0.05
    first_retry_s: float = 0.5
    longest_retry_s: float = 60.0
    report_after_s: float = 10.0
    drain_s: float = 5.0
    sure_s: float = 20.0  # see Pace


def run_couriers(
    options: CourierOptions,
    stopping: threading.Event,
    report: Report | None = None,
    beacon: Beacon | None = None,
) -> None:
    """Carry rows until `stopping` is set, then drain for at most ``drain_s`` and return.

    Parameters
    ----------
    options
        Which couriers, and where they read and remember.
    stopping
        Set by the caller.
    report
        Called from the couriers' threads with (courier, ok, detail) when one has failed for ``report_after_s``, and
        again when it delivers; by default these are left at ingest's local door, or only logged where there is none.
    beacon
        Told that the couriers go round, and whether each delivers or has nothing to do.

    Raises
    ------
    ValueError
        An option or a secret is missing or malformed; nothing was started.
    RuntimeError
        A courier's thread died of a fault of ours: start the process again, and nothing is lost.
    """
    pace = Pace(
        options.poll_s,
        BackOff(options.first_retry_s, options.longest_retry_s),
        options.report_after_s,
        options.drain_s,
        options.sure_s,
    )
    report = report or (_log_report if options.door is None else _report_at(options.door))
    _let_files_be_open()
    tail = Tail(options.store, (AlarmEvent.kind,))
    carriers = [
        Carrier(courier, options.store, options.cursors, report, pace, tail=tail) for courier in couriers_of(options)
    ]
    threading.Thread(target=tail.run, args=(stopping,), name="tail", daemon=True).start()
    threads = [
        # Daemons: a delivery that hangs at the end is abandoned, and repeated under its id at the next start.
        threading.Thread(target=carrier.run, args=(stopping,), name=f"courier {carrier.courier.name}", daemon=True)
        for carrier in carriers
    ]
    if options.door is not None and any((options.undelivered_s, options.unseen_s)):
        patience = Patience(options.undelivered_s, options.unseen_s)
        haste = Haste(options.store, options.cursors, options.webhooks, patience, hastens_at(options.door))
        threading.Thread(target=haste.run, args=(stopping, time.time_ns), name="haste", daemon=True).start()
    beacon = beacon or Beacon()
    for name, run in _points(options, beacon):
        threading.Thread(target=run, args=(stopping,), name=name, daemon=True).start()
    for thread in threads:
        thread.start()
    while not stopping.wait(LOOK_AFTER_S):
        for thread in threads:
            if not thread.is_alive():
                raise RuntimeError(f"the thread of {thread.name} has died (its traceback is above): start again")
        _tell(beacon, [carrier.health for carrier in carriers], time.monotonic())
    deadline_s = time.monotonic() + options.drain_s
    for carrier, thread in zip(carriers, threads, strict=True):
        thread.join(max(0.0, deadline_s - time.monotonic()))
        if thread.is_alive():
            log.warning("courier %s was still busy after %.1f s of draining", carrier.courier.name, options.drain_s)
        else:
            carrier.courier.close()


def _points(options: CourierOptions, beacon: Beacon) -> Iterator[tuple[str, Callable[[threading.Event], None]]]:
    """What writes points that are no rows."""
    if options.influx is not None:
        yield "burden points", BurdenPoints(options.store, options.influx).run
        if options.process is not None:
            yield "process points", ProcessPoints(options.process, options.influx, beacon).run
        if options.webhooks:
            yield "receipt points", ReceiptPoints(options.cursors, options.influx).run


def _tell(beacon: Beacon, healths: Sequence[Health], now_s: float) -> None:
    """Pass on how the couriers are; one that hangs stops the beat."""
    if all(now_s - health.round_s < STUCK_S for health in healths):
        beacon.beat()
    failing = [health.why_not for health in healths if health.why_not]
    if failing:
        beacon.not_ready("; ".join(failing))
    else:
        beacon.ready()


def couriers_of(options: CourierOptions) -> list[Courier]:
    """Every courier that the options name, checked."""
    links = Links(options.links) if options.links is not None else None
    couriers: list[Courier] = [
        WebhookCourier(webhook, duty=Duty.of(webhook.quiet, webhook.team, options.shifts, options.zone), links=links)
        for webhook in options.webhooks
    ]
    if options.influx is not None:
        punctual = Punctual() if options.influx.tiers == "server" else None
        couriers.append(InfluxCourier(options.influx, punctual))
        if options.influx.tiers != "none":
            couriers += [TierCourier(tier, options.influx, options.store, punctual) for tier in TIERS]
    if options.fhir is not None:
        couriers.append(FhirCourier(options.fhir, options.store))
    names = [courier.name for courier in couriers]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two couriers are called {name}, each needs a name of its own: it names a cursor")
    return couriers


def _let_files_be_open() -> None:
    """Raise the limit of open files as far as we may: each receiver takes five, and there may be hundreds."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _report_at(folder: str) -> Report:
    def report(courier: str, ok: bool, detail: str) -> None:  # noqa: FBT001 - the shape of Report
        try:
            door.report(folder, courier, ok=ok, detail=detail)
        except door.DoorFullError as error:
            raise OSError(str(error)) from error  # as a full disk: tried again later

    return report


def _log_report(courier: str, ok: bool, detail: str) -> None:  # noqa: FBT001 - the shape of Report
    log.log(logging.INFO if ok else logging.ERROR, "courier %s %s: %s", courier, "is well" if ok else "fails", detail)
