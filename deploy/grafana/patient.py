"""Patient: trends with their uncertainty, alarms with their strips, the waveform, and how far to trust all of it."""

from deploy.grafana.bands import PLACE, band, tier
from deploy.grafana.beds import WHO, bed_table
from deploy.grafana.board import dashboard
from deploy.grafana.columns import organized, parted_by, series
from deploy.grafana.events import alarm_log
from deploy.grafana.influxql import Query, chosen, fields, select, stepped
from deploy.grafana.layout import Shelf
from deploy.grafana.measurements import unit
from deploy.grafana.model import Dashboard, Panel
from deploy.grafana.panels import timeline, trend
from deploy.grafana.words import QUALITY_STEPS, STATE, WORDS, values

GAP_MS = 1000  # longer without a point: a hole
WORN = ("site", "patient")  # what has no ward
NO_VITALS = "No vitals came in the time shown: see Devices, then Pipeline"


def patient() -> Dashboard:
    """Build the dashboard."""
    return dashboard(
        "femtoward-patient",
        "For whoever cares for one patient: what is measured, how sure that is, and what was alarmed.",
        [
            Shelf(5, (_now(),)),
            Shelf(10, (band("Heart rate", "hr"), band("Pulse rate", "pulse"))),
            Shelf(8, (_worst(), _conditions())),
            Shelf(9, (_waveform(), _strips())),
            Shelf(9, (band("Breath rate", "resp"), band("Oxygen saturation (simulated calibration)", "spo2"))),
            Shelf(9, (band("Skin temperature", "temp"),)),
            Shelf(
                9,
                (
                    band("RR interval", "rr_interval"),
                    band("RMSSD of the RR intervals", "rmssd"),
                    band("SDNN of the RR intervals", "sdnn"),
                ),
            ),
            Shelf(
                9,
                (
                    band("Low-frequency power of the RR intervals", "lf"),
                    band("High-frequency power of the RR intervals", "hf"),
                    band("pNN50 of the RR intervals", "pnn50"),
                ),
            ),
            Shelf(
                9,
                (
                    band("QT of averaged beats", "qt"),
                    band("QT for a rate of 60 (Fridericia)", "qtc"),
                    band("Pulse transit time", "transit"),
                ),
            ),
            Shelf(9, (_atrial(), _ventricular(), _premature())),
            Shelf(
                9,
                (
                    band("Alpha rhythm of the brain, share of its power", "alpha"),
                    band("Beta rhythm of the brain, share of its power", "beta"),
                    band("Sharp transients of the brain (an index, no diagnosis)", "seizure"),
                ),
            ),
            Shelf(9, (_early_warning(), band("Trend of NEWS2 over four hours", "news2_trend"), _unusual())),
            Shelf(8, (_trust(), _clock())),
            Shelf(10, (alarm_log(PLACE),)),
            tier("vitals_1m", "By the minute, kept for 1 year (at first: the last day)", "24h"),
            tier("vitals_1h", "By the hour, kept for 10 years (at first: the last 30 days)", "30d"),
        ],
        choices=PLACE,
        one=["site", "patient"],
        shows="15m",
        refresh="5s",
    )


def _now() -> Panel:
    return bed_table(
        "Now",
        "What is measured now and how far it can be trusted; a value older than 30 s is not shown.",
        chosen(*PLACE),
        to="devices",
    )


def _worst() -> Panel:
    return timeline(
        "Worst alarm",
        "The worst alarm that stood, in words. Drawn from its first change within the time shown, or from the next "
        "full hour.",
        select("bed", fields("words"), where=chosen(*PLACE), by=WHO),
        alias="alarm",
        mappings=WORDS,
        empty="No bed is known of this patient in the time shown: choose a longer one (beds are told every full hour)",
    )


def _conditions() -> Panel:
    return timeline(
        "Each condition",
        "One line for each condition that was alarmed: arrhythmias and what keeps the sensors from hearing.",
        select("alarm", fields("quality", "condition", "state", "site"), where=chosen(*PLACE)),
        transformations=[organized(drop=["quality"]), parted_by("condition", "site")],
        name="${__field.labels.condition}",
        mappings=values(STATE),
        empty="No alarm was raised or over in the time shown",
    )


def _vitals(columns: dict[str, str]) -> Query:
    """Vitals step by step; a step without any is a hole."""
    return stepped("vitals", columns, where=chosen(*PLACE), by=WHO, fill="null")


def _atrial() -> Panel:
    return trend(
        "Probability of atrial fibrillation",
        "By the beats of half a minute: how irregular the ordinary ones are, and whether a P wave goes before them. "
        "Nothing is shown where the signal is poor.",
        _vitals({"fibrillation": 'mean("af")'}),
        unit=unit("vitals", "af"),
        bounds=(0.0, 1.0),
        empty="Too few beats were measured in the time shown",
    )


def _ventricular() -> Panel:
    return trend(
        "Probability of ventricular rhythms",
        "By the shape of the last 5 s, not by beats: fibrillation or flutter, and tachycardia. An alarm needs more "
        "than one second of it.",
        _vitals({"fibrillation": 'max("vf")', "tachycardia": 'max("vt")'}),
        unit=unit("vitals", "vf"),
        bounds=(0.0, 1.0),
        empty="No signal of the heart was measured in the time shown",
    )


def _premature() -> Panel:
    return trend(
        "Ventricular beats",
        "In the minute before, by their time and wave among the patient's own beats. Nothing is shown where the signal "
        "is poor, and not before a whole minute of it.",
        _vitals({"ventricular beats": 'max("pvc")'}),
        unit=unit("vitals", "pvc"),
        empty="Too few beats were told in the time shown",
    )


def _early_warning() -> Panel:
    return trend(
        "Early warning score (NEWS2)",
        "The least and the most that the score may be, by what was measured in the minute before. A wearable measures "
        "neither blood pressure nor consciousness, and skin is not the core: the ends are far apart.",
        _vitals({"least": 'max("news2_min")', "most": 'max("news2_max")'}),
        unit=unit("vitals", "news2_min"),
        bounds=(0.0, 20.0),
        empty="No rate was measured for a minute in the time shown",
        interval="1m",
    )


def _unusual() -> Panel:
    return trend(
        "Distance from what is usual for this patient",
        "All vitals of a minute together against the patient's own baseline at that hour, in standard deviations. The "
        "first half hour knows only what is usual for anybody.",
        _vitals({"deviation": 'mean("deviation")'}),
        unit=unit("vitals", "deviation"),
        empty="Nothing was measured at rest for a minute in the time shown",
        interval="1m",
    )


def _waveform() -> Panel:
    query = _extremes("wave", ("lo", "hi"), "stream")
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


def _extremes(measurement: str, of: tuple[str, str], tag: str) -> Query:
    """Lowest and highest of each step."""
    low, high = of
    columns = {"lo": f'min("{low}")', "hi": f'max("{high}")'}
    return stepped(measurement, columns, where=chosen(*WORN), by=[*WHO, tag])


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
    query = _extremes("strip", ("value", "value"), "condition")
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
        _vitals({"quality": 'mean("quality")', "coverage": 'mean("coverage")'}),
        unit=unit("vitals", "quality"),
        bounds=(0.0, 1.0),
        thresholds=QUALITY_STEPS,
        empty=NO_VITALS,
        interval="1s",
    )


def _clock() -> Panel:
    return trend(
        "Clock of the device",
        "Corrected minus raw time of the device whose samples came first. A step: the device's clock was set.",
        _vitals({"offset": 'mean("clock_offset_ms")'}),
        unit=unit("vitals", "clock_offset_ms"),
        empty=NO_VITALS,
        interval="1s",
    )
