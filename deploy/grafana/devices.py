"""Devices: is each one fit to be believed: noise, locks, clock, calibration, packets that came and did not."""

from deploy.grafana.board import Choice, dashboard, to_device
from deploy.grafana.columns import on, organized, sorted_by
from deploy.grafana.influxql import Query, chosen, fields, select, stepped
from deploy.grafana.layout import Shelf
from deploy.grafana.measurements import unit
from deploy.grafana.model import Dashboard, Mapped, Panel
from deploy.grafana.panels import TEXT, table, timeline, trend
from deploy.grafana.words import (
    BALANCE,
    DEVICE,
    EXPIRY,
    EXPIRY_STEPS,
    FAULTS,
    GOOD,
    HIGH,
    LOCKED,
    MEDIUM,
    steps,
    values,
)

CHOICES: tuple[Choice, ...] = ("site", "patient", "device")
WORN = ("site", "device")
EACH = "$tag_site $tag_device"
DAY_NS = 86_400_000_000_000
NO_STATUS = "No device reported itself in the time shown: none has been switched on, or nothing reaches InfluxDB"
NO_LEDGER = "The ledger has no row in the time shown: it has one for each device and hour, at the hour's beginning"


def devices() -> Dashboard:
    """Build the dashboard."""
    return dashboard(
        "femtoward-devices",
        "For technicians and device makers: which device to exchange, refit, or calibrate.",
        [
            Shelf(12, (_now(),)),
            Shelf(9, (_states(), _locks(), _faults())),
            Shelf(9, (_noise(), _excess())),
            Shelf(9, (_clocks(), _drift(), _lost())),
            Shelf(10, (_ledger(),)),
        ],
        choices=CHOICES,
        shows="1h",
        refresh="1m",
        marks=False,
    )


def _now() -> Panel:
    newest = select(
        "device",
        {
            "revision": 'last("revision")',
            **fields("state", "reason", "model", "locked", "flags", "faults", "noise_floor", "declared_noise_floor"),
            **fields("noise_unit", "clock_offset_ms", "calibration_expiry_ns", "last_seen_ns", "simulated", "patient"),
        },
        where=chosen(*CHOICES),
        by=WORN,
        span="time > now() - 7d",
    )
    query = select(
        newest,
        {
            **fields("state", "locked", "faults", "flags", "noise_floor", "declared_noise_floor", "noise_unit"),
            "calibrated for": f'("calibration_expiry_ns" - "last_seen_ns") / {DAY_NS}',
            **fields("clock_offset_ms", "reason", "model", "simulated"),
            "last seen": '"last_seen_ns" / 1000000',
        },
        by=WORN,
        span="",
    )
    return table(
        "Devices now",
        "The last word of each device of the last 7 days: how it is, what its sensors say of themselves, its noise "
        "floor beside the one that it declares, how long its calibration holds (seen from when it was last heard).",
        query,
        empty="No device has reported itself for 7 days",
        overrides=[
            on("device", width=150, links=[to_device()]),
            on("state", width=130, mappings=values(DEVICE), custom__cellOptions=TEXT),
            on("locked", width=130, mappings=values(LOCKED), custom__cellOptions=TEXT),
            on("faults", width=200, displayName="wrong"),
            on("flags", width=150, displayName="says of itself"),
            on("noise_floor", decimals=3, width=110, displayName="noise floor"),
            on("declared_noise_floor", decimals=3, width=110, displayName="declared"),
            on("noise_unit", displayName="of noise", width=90),
            on(
                "calibrated for",
                unit="d",
                decimals=0,
                width=140,
                mappings=EXPIRY,
                thresholds=EXPIRY_STEPS,
                custom__cellOptions=TEXT,
            ),
            on("clock_offset_ms", unit=unit("device", "clock_offset_ms"), decimals=1, displayName="clock", width=110),
            on("last seen", unit="dateTimeFromNow", width=150),
            on("site", width=90),
        ],
        transformations=[
            organized(
                drop=["Time"],
                order=[
                    "device",
                    "state",
                    "locked",
                    "faults",
                    "flags",
                    "noise_floor",
                    "declared_noise_floor",
                    "noise_unit",
                ],
            ),
            sorted_by("device"),
        ],
    )


def _told(columns: dict[str, str], *where: str) -> Query:
    """What devices told of themselves, step by step."""
    return stepped("device", columns, where=[*chosen(*CHOICES), *where], by=WORN)


def _lasting(title: str, description: str, field: str, mappings: tuple[Mapped, ...]) -> Panel:
    """What each device was, from one report to the next."""
    return timeline(
        title,
        description,
        _told({field: f'last("{field}")'}),
        alias=EACH,
        mappings=mappings,
        empty=NO_STATUS,
        interval="10s",
    )


def _measured(title: str, description: str, columns: dict[str, str], *, in_unit: str, interval: str = "10s") -> Panel:
    """What each device measured of itself."""
    return trend(title, description, _told(columns), alias=EACH, unit=in_unit, empty=NO_STATUS, interval=interval)


def _states() -> Panel:
    return _lasting(
        "States",
        "What each device was; one reports itself every two seconds while it sends and at every change.",
        "state",
        values(DEVICE),
    )


def _locks() -> Panel:
    return _lasting(
        "Locks",
        "Whether all sensors of a device were locked; one that is not hears nothing, whatever it sends.",
        "locked",
        values(LOCKED),
    )


def _faults() -> Panel:
    return _lasting(
        "Faults",
        "What was wrong with each device or its way here; what only its signal shows is an alarm of its wearer.",
        "faults",
        FAULTS,
    )


def _noise() -> Panel:
    return _measured(
        "Noise floor",
        "As each device measured it, of its first stream; the table above names its unit.",
        {"noise": 'mean("noise_floor")'},
        in_unit=unit("device", "noise_floor"),
    )


def _excess() -> Panel:
    return trend(
        "Noise floor over the declared one",
        "1: as quiet as declared. Above 1.5 look at its fit and at what stands beside it; above 3 exchange it.",
        _told({"ratio": 'mean("noise_floor") / mean("declared_noise_floor")'}, '"declared_noise_floor" > 0'),
        alias=EACH,
        unit="suffix:times",
        bounds=(0.0, None),
        thresholds=steps(GOOD, (1.5, MEDIUM), (3.0, HIGH)),
        empty="No device that states the noise floor of its sensor reported itself in the time shown",
        interval="10s",
    )


def _clocks() -> Panel:
    return _measured(
        "Clocks",
        "Corrected minus raw time of each device: a step is a clock that was set.",
        {"offset": 'mean("clock_offset_ms")'},
        in_unit=unit("device", "clock_offset_ms"),
    )


def _drift() -> Panel:
    return _measured(
        "Drift of the clocks",
        "How fast each clock runs away, in ms an hour. 36 ms/h are 10 parts in a million: a plain quartz.",
        {"drift": 'derivative(mean("clock_offset_ms"), 1h)'},
        in_unit="suffix:ms/h",
        interval="1m",
    )


def _lost() -> Panel:
    return trend(
        "Packets lost",
        "Share of the packets published in each hour that never came.",
        select(
            "ledger",
            {"lost": 'sum("lost") / sum("published")'},
            where=chosen(*WORN),
            by=WORN,
            every="1h",
            fill="none",
        ),
        alias=EACH,
        unit="percentunit",
        bounds=(0.0, None),
        thresholds=steps(GOOD, (0.01, MEDIUM), (0.05, HIGH)),
        empty=NO_LEDGER,
        style="bars",
    )


def _ledger() -> Panel:
    return table(
        "Ledger",
        "Packets of each device in the hours that begin within the time shown: published = stored + quarantined + "
        "lost. `away`: lost while ingest or the broker was away; `late` and `repeated` are counted beside.",
        select(
            "ledger",
            {
                **{name: f'sum("{name}")' for name in ("published", "stored", "quarantined", "lost", "away", "late")},
                "repeated": 'sum("repeated")',
                "balance": 'sum("published") - sum("stored") - sum("quarantined") - sum("lost")',
                "share lost": 'sum("lost") / sum("published")',
            },
            where=chosen(*WORN),
            by=WORN,
        ),
        empty=NO_LEDGER,
        overrides=[
            on("device", width=150, links=[to_device()]),
            on("balance", width=160, mappings=BALANCE, custom__cellOptions=TEXT),
            on("share lost", unit="percentunit", decimals=2, thresholds=steps(GOOD, (0.01, MEDIUM), (0.05, HIGH))),
            on("site", width=90),
        ],
        transformations=[
            organized(drop=["Time"], order=["device", "balance", "published", "stored", "quarantined", "lost"]),
            sorted_by("share lost", falling=True),
        ],
        height="sm",
    )
