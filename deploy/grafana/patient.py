"""Patient: trends with their uncertainty, alarms with their strips, the waveform, and how far to trust all of it."""

from deploy.grafana.beds import bed_table
from deploy.grafana.board import Choice, dashboard
from deploy.grafana.columns import on, organized, parted_by, series
from deploy.grafana.events import alarm_log
from deploy.grafana.influxql import INTERVAL, Query, chosen, fields, select
from deploy.grafana.layout import Shelf
from deploy.grafana.measurements import unit
from deploy.grafana.model import Dashboard, Override, Panel
from deploy.grafana.panels import timeline, trend
from deploy.grafana.words import QUALITY_STEPS, STATE, WORDS, values

PLACE: tuple[Choice, ...] = ("site", "ward", "patient")
GAP_MS = 1000  # longer without a point: a hole
WORN = ("site", "patient")  # what has no ward
NO_VITALS = (
    "Nothing was measured in the time shown: nobody of this name, no sensor on the body, or a signal that is too poor "
    "(see quality, and the alarms)"
)
NO_TIER = "There is nothing yet: this is made of finished minutes and hours; see `femtoward provision` for how"


def patient() -> Dashboard:
    """Build the dashboard."""
    return dashboard(
        "femtoward-patient",
        "For whoever cares for one patient: what is measured, how sure that is, and what was alarmed.",
        [
            Shelf(5, (_now(),)),
            Shelf(10, (_band("Heart rate", ("hr",)), _band("Pulse rate", ("pulse",)))),
            Shelf(8, (_worst(), _conditions())),
            Shelf(9, (_waveform(), _strips())),
            Shelf(9, (_band("Skin temperature", ("temp",)), _band("RR interval", ("rr_interval",)))),
            Shelf(9, (_band("RMSSD of the RR intervals", ("rmssd",)), _band("SDNN of the RR intervals", ("sdnn",)))),
            Shelf(8, (_trust(), _clock())),
            Shelf(10, (alarm_log(PLACE),)),
            Shelf(
                9, _tier("vitals_1m", "24h"), "By the minute, kept for 1 year (at first: the last day)", collapsed=True
            ),
            Shelf(9, _tier("vitals_1h", "30d"), "By the hour, kept for 10 years (at first: 30 days)", collapsed=True),
        ],
        choices=PLACE,
        one=["patient"],
        shows="15m",
        refresh="5s",
    )


def _now() -> Panel:
    return bed_table(
        "Now",
        "What is measured now and how far it can be trusted; a value older than 30 s is not shown.",
        PLACE,
        to="devices",
    )


def _band(title: str, names: tuple[str, ...]) -> Panel:
    (name,) = names
    return trend(
        title,
        "Mean over the steps drawn, in a band of one standard uncertainty (the mean of those of each second: they are "
        "taken as if they all erred alike). On the right, dotted: its quality. A hole: not measurable.",
        select(
            "vitals",
            {
                name: f'mean("{name}")',
                "low": f'mean("{name}") - mean("{name}_u")',
                "high": f'mean("{name}") + mean("{name}_u")',
                "quality": f'mean("{name}_quality")',
            },
            where=chosen(*PLACE),
            every=INTERVAL,
            fill="null",
        ),
        unit=unit("vitals", name),
        empty=NO_VITALS,
        overrides=[*_edges("low", "high"), _quality_axis()],
        interval="1s",
    )


def _edges(low: str, high: str) -> list[Override]:
    """Fill between two series, which are lines of no width."""
    quiet = {"legend": True, "tooltip": False, "viz": False}
    return [
        on(low, custom__lineWidth=0, custom__showPoints="never", custom__hideFrom=quiet),
        on(
            high,
            custom__lineWidth=0,
            custom__showPoints="never",
            custom__fillBelowTo=low,
            custom__fillOpacity=20,
            custom__hideFrom=quiet,
        ),
    ]


def _quality_axis() -> Override:
    return on(
        "quality",
        unit="percentunit",
        min=0,
        max=1,
        custom__axisPlacement="right",
        custom__lineStyle={"fill": "dot", "dash": [1, 4]},
        custom__showPoints="never",
    )


def _worst() -> Panel:
    return timeline(
        "Worst alarm",
        "The worst alarm that stood, in words. Drawn from its first change within the time shown, or from the next "
        "full hour.",
        select("bed", fields("words"), where=chosen(*PLACE)),
        alias="alarm",
        mappings=WORDS,
        empty="No bed is known of this patient in the time shown: choose a longer one (beds are told every full hour)",
    )


def _conditions() -> Panel:
    return timeline(
        "Each condition",
        "One line for each condition that was alarmed: arrhythmias and what keeps the sensors from hearing.",
        select("alarm", fields("quality", "condition", "state"), where=chosen(*PLACE)),
        transformations=[organized(drop=["quality"]), parted_by("condition")],
        name="${__field.labels.condition}",
        mappings=values(STATE),
        empty="No alarm was raised or over in the time shown",
    )


def _waveform() -> Panel:
    query = select(
        "wave",
        {"lo": 'min("lo")', "hi": 'max("hi")'},
        where=chosen(*WORN),
        by=["stream"],
        every=INTERVAL,
        fill="none",
    )
    return _drawn(
        "Waveform",
        "The cleaned cardiac lead: lowest and highest of each step, so that no beat is thinned away. While the "
        "dashboard follows the clock, the last 30 s; in the past, the time shown. Kept for 48 hours. In the unit of "
        "the stream.",
        query,
        alias="$tag_stream $col",
        empty="No waveform came in the time shown, or it is older than 48 hours: the strips of alarms stay",
        interval="40ms",
        time_from="30s",
    )


def _drawn(
    title: str, description: str, query: Query, *, alias: str, empty: str, interval: str, time_from: str
) -> Panel:
    return trend(
        title,
        description,
        query,
        alias=alias,
        unit="none",
        empty=empty,
        interval=interval,
        time_from=time_from,
        overrides=[series("/.*/", custom__showPoints="never", custom__insertNulls=GAP_MS)],
    )


def _strips() -> Panel:
    query = select(
        "strip",
        {"lo": 'min("value")', "hi": 'max("value")'},
        where=chosen(*WORN),
        by=["condition"],
        every=INTERVAL,
        fill="none",
    )
    return _drawn(
        "Strips of alarms",
        "The 10 s before each alarm was raised, 125 samples a second, kept for good; lowest and highest of each step. "
        "Click on the time of an alarm in the log below to see its strip at full width.",
        query,
        alias="$tag_condition $col",
        empty="No alarm was raised in the time shown",
        interval="8ms",
        time_from="",
    )


def _trust() -> Panel:
    return trend(
        "Can it be trusted",
        "Quality of the cardiac signal, and the share of the expected samples that came.",
        select(
            "vitals",
            {"quality": 'mean("quality")', "coverage": 'mean("coverage")'},
            where=chosen(*PLACE),
            every=INTERVAL,
            fill="null",
        ),
        unit=unit("vitals", "quality"),
        bounds=(0.0, 1.0),
        thresholds=QUALITY_STEPS,
        empty="No vitals came in the time shown: see Devices, then Pipeline",
        interval="1s",
    )


def _clock() -> Panel:
    return trend(
        "Clock of the device",
        "Corrected minus raw time of the device whose samples came first. A step: the device's clock was set.",
        select("vitals", {"offset": 'mean("clock_offset_ms")'}, where=chosen(*PLACE), every=INTERVAL, fill="null"),
        unit=unit("vitals", "clock_offset_ms"),
        empty="No vitals came in the time shown: see Devices, then Pipeline",
        interval="1s",
    )


def _tier(measurement: str, at_first: str) -> tuple[Panel, ...]:
    names = {"hr": "Heart rate", "pulse": "Pulse rate", "temp": "Skin temperature", "quality": "Quality"}
    return tuple(_ranged(measurement, name, title, at_first) for name, title in names.items())


def _ranged(measurement: str, name: str, title: str, at_first: str) -> Panel:
    quality = {} if name == "quality" else {"quality": 'mean("quality")'}
    return trend(
        title,
        "Mean, in a band from the lowest to the highest. On the right, dotted: the quality of the signal.",
        select(
            measurement,
            {name: f'mean("{name}")', "low": f'min("{name}_min")', "high": f'max("{name}_max")', **quality},
            where=chosen(*PLACE),
            every=INTERVAL,
            fill="null",
        ),
        unit=unit(measurement, name),
        empty=NO_TIER,
        overrides=[*_edges("low", "high"), *([_quality_axis()] if quality else [])],
        interval="1m" if measurement == "vitals_1m" else "1h",
        time_from=at_first,
    )
