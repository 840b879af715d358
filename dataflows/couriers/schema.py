"""What InfluxDB holds, as data: every measurement with its tags, its fields, their types and units, and its retention.

Tags are few and of low cardinality: what queries choose by. Everything else is a field, and a field keeps one type
for ever, since InfluxDB refuses a point whose field has changed its type. The line encoder, the page SCHEMA.md, the
retention policies and the queries of the dashboards are all made from, or held against, what stands here.
"""

from collections.abc import Mapping
from typing import Final

from dataflows.couriers.alarm_time import apart, time_of
from dataflows.couriers.measurement import (
    FOREVER,
    HOUR,
    MINUTE,
    SECOND,
    WAVE,
    Derived,
    Field,
    Measurement,
    Retention,
    Tag,
    fields,
    reading,
    thinned,
)
from dataflows.events import AlarmEvent, Answer, Bad, BedState, DeviceStatus, Ledger, Removal, Vitals, Wave

NS: Final = 1_000_000_000
MS: Final = 1_000_000
HOUR_S: Final = 3600
STRIP_STEP_NS: Final = NS // 125
HISTORY: Final = frozenset({"device"})  # measurements whose rows are revised, and leave a point with each revision


def qualified(measurement: str) -> str:
    """Name of a measurement with its retention policy, as it stands in an InfluxQL query.

    Examples
    --------
    >>> f"SELECT mean(hr) FROM {qualified('vitals_1m')}"
    'SELECT mean(hr) FROM "minute"."vitals_1m"'
    """
    return f'"{RETENTION_OF[measurement].name}"."{measurement}"'


_SITE = Tag("site", "site")
_WARD = Tag("ward", "ward")
_PATIENT = Tag("patient", "patient")
_DEVICE = Tag("device", "device")
_CONDITION = Tag("condition", "condition")

SCHEMA: Final[tuple[Measurement, ...]] = (
    Measurement(
        "vitals",
        "a patient's vitals, each second",
        SECOND,
        Vitals,
        (_SITE, _WARD, _PATIENT),
        (
            *reading("hr", "/min", "heart rate out of every source"),
            *reading("rr_interval", "ms", "last RR interval"),
            *reading("rmssd", "ms", "RMSSD"),
            *reading("sdnn", "ms", "SDNN"),
            *reading("pulse", "/min", "pulse rate of the optical sensor"),
            *reading("temp", "Cel", "skin temperature"),
            *fields("float", "1", coverage="samples that came, of those expected", quality="of the cardiac signal"),
            *fields("float", "ms", clock_offset_ms="corrected minus raw device time"),
            *fields(
                "float",
                "1",
                deviation="of all vitals from what is usual for this patient, in standard deviations, minute before",
                news2_min="least NEWS2 that what was measured in the minute before allows",
                news2_max="the most",
                af="probability of atrial fibrillation, by the beats of half a minute",
            ),
            *fields("string", "", reason="why the quality is not 1", source="what hr was made from"),
            *reading("resp", "/min", "breath rate"),
            *fields("string", "", resp_reason="why resp could not be measured", resp_source="what resp was made from"),
            *reading("spo2", "%", "oxygen saturation, by a simulated calibration"),
            *fields("string", "", spo2_reason="why spo2 could not be measured"),
            *reading("pvc", "/min", "ventricular beats in the minute before"),
            *reading("pnn50", "%", "neighbouring normal intervals of five minutes that differ by more than 50 ms"),
            *reading("lf", "ms2", "power of normal intervals of five minutes between 0.04 and 0.15 Hz"),
            *reading("hf", "ms2", "between 0.15 and 0.40 Hz"),
            *fields("string", "", hrv_reason="why pnn50, lf and hf could not be measured"),
            *reading("qt", "ms", "QT of averaged beats"),
            *reading("qtc", "ms", "QT for a rate of 60 /min, by Fridericia"),
            *fields("string", "", qt_reason="why qt and qtc could not be measured"),
            *reading("transit", "ms", "R peak to the foot of the pulse at the optical sensor"),
            *fields("string", "", transit_reason="why transit could not be measured"),
            *reading("alpha", "1", "share of a brain's power between 4 and 40 Hz that lies between 8 and 13 Hz"),
            *reading("beta", "1", "between 13 and 30 Hz"),
            *fields("string", "", brain_reason="why alpha and beta could not be measured"),
            *reading("seizure", "/min", "index: sharp transients of a brain in a minute; no diagnosis"),
            *reading("news2_trend", "/h", "slope of the middle between news2_min and news2_max in four hours"),
            *fields(
                "float",
                "1",
                vf="probability of ventricular fibrillation or flutter, by the shape of the last 5 s",
                vt="of ventricular tachycardia",
            ),
            *fields(
                "boolean", "", settling="filters restarted a short time ago", late="evidence older than 30 s on arrival"
            ),
        ),
        lambda row: row.second * NS,
    ),
    Measurement(
        "bed",
        "who lies where and how much somebody is needed there: at every change, and once an hour",
        SECOND,
        BedState,
        (_SITE, _WARD, _PATIENT),
        (
            *fields("string", "", bed="name of the bed"),
            *fields("boolean", "", admitted="false: the patient has left this ward"),
            *fields("integer", "", need="0 nothing; the worst alarm is low 1, medium 2, high 3 or, not seen, 4, 5, 6"),
            *fields(
                "string",
                "",
                priority="of the worst alarm",
                condition="of that alarm",
                words="that alarm, readable without colour",
            ),
            *fields("integer", "ns since 1970", since_ns="onset of the worst alarm; of none: when the last one ended"),
            *fields("integer", "{count}", standing="alarms that go on", acknowledged="of these"),
        ),
        lambda row: row.at_ns,
    ),
    Measurement(
        "alarm",
        "transitions of alarms: raised or missed at the time of the evidence, what becomes of them at that of arrival",
        FOREVER,
        AlarmEvent,
        (
            _SITE,
            _WARD,
            _PATIENT,
            _CONDITION,
            Tag("kind", "category"),
            Tag("priority", "priority"),
            Tag("state", "state"),
        ),
        (
            *fields("string", "", id="of the alarm", bed="where the patient lies"),
            *fields("integer", "", step="transition, from 0"),
            *fields(
                "integer",
                "ns since 1970",
                onset_ns="when the condition came true",
                event_ns="newest evidence of the transition",
                arrival_ns="of what brought it",
            ),
            *fields("float", "of the condition", value="what was measured", limit="what it is held against"),
            *fields("float", "1", quality="of the signal", confidence="in the alarm"),
            *fields(
                "string",
                "",
                algorithm="what found it",
                version="of the algorithm",
                reason="in words",
                actor="who acknowledged, shelved, commented or marked it",
                note="of that one",
                change="what made the transition",
                episode="id of the first alarm of its episode; empty: it is the first",
                within="id of the alarm of the whole ward that it is told within; empty: of none",
                mark="what somebody said that it was: true or false; empty: nobody did",
            ),
            Field("unit", "string", "", "of value, u and limit, UCUM", "unit"),
            *fields("float", "of the condition", u="standard uncertainty of value"),
            *fields(
                "float",
                "ms",
                condition_delay_ms="onset by its definition to condition found",
                signal_delay_ms="arrival of what made the condition true to this transition",
            ),
            *fields("integer", "{count}", occurrences="how often the condition came true in the alarm's life"),
            *fields("integer", "", level="rung of the escalation ladder, from 0"),
            *fields("integer", "ns since 1970", until_ns="shelved until; 0: it is not"),
            *fields("bytes", "", strip="the 10 s before: little-endian int16, 125 Hz, base64"),
            *fields("float", "of the stream", strip_scale="a count of the strip"),
        ),
        time_of,
    ),
    Measurement(
        "strip",
        "the 10 s of one lead before an alarm was raised, 125 Hz; it ends at the time of the evidence",
        FOREVER,
        AlarmEvent,
        (_SITE, _PATIENT, _CONDITION),
        (Field("value", "float", "of the stream", "the lead", "strip"),),
        lambda row: apart(row, row.event_ns) - len(row.strip) // 2 * STRIP_STEP_NS,
        shape="samples",
    ),
    Measurement(
        "device",
        "how a device is: at every change, and every two seconds while it sends",
        SECOND,
        DeviceStatus,
        (_SITE, _DEVICE, _PATIENT),
        (
            *fields(
                "string",
                "",
                model="by its birth",
                state="online, offline, zeroing, calibrating, unknown, gone",
                reason="in words",
                noise_unit="of both noise floors",
                flags="what its sensors say of themselves: zeroing, saturated, calibrating, off-body",
                faults="what is wrong with it or its way here, by name: silent, packets-lost, clock-step, ...",
            ),
            *fields("boolean", "", simulated="no real device", locked="every sensor is"),
            *fields("float", "ms", clock_offset_ms="corrected minus raw device time"),
            *fields("float", "%", ageing="growth of the noise floor a day", ageing_u="its standard uncertainty"),
            *fields("float", "noise_unit", noise_floor="as measured last", declared_noise_floor="by its birth"),
            *fields(
                "integer",
                "ns since 1970",
                last_seen_ns="arrival of the newest packet",
                calibration_expiry_ns="of what ends first; 0: not stated",
            ),
            *fields("integer", "", revision="counts changes"),
        ),
        # A device that is silent goes on to change: the revision, below the millisecond, keeps its points apart.
        lambda row: row.last_seen_ns and row.last_seen_ns - row.last_seen_ns % MS + row.revision % MS,
    ),
    Measurement(
        "ledger",
        "packets of a device in an hour: published = stored + quarantined + lost",
        MINUTE,
        Ledger,
        (_SITE, _DEVICE),
        (
            *fields(
                "integer",
                "{count}",
                published="by sequence number",
                stored="taken in",
                quarantined="refused",
                lost="never came, or were missed",
                away="of the lost: while ingest or the broker was away",
                repeated="came again",
                late="of the stored: out of order",
            ),
            *fields("integer", "", revision="counts changes"),
        ),
        lambda row: row.hour * HOUR_S * NS,
    ),
    Measurement(
        "pipeline",
        "messages that were refused",
        SECOND,
        Bad,
        (_SITE, Tag("condition", "reason")),
        (
            *fields("integer", "", offset="in the journal", item="within a bundle"),
            *fields("integer", "By", size="of the message"),
            *fields("integer", "{count}", count="messages that it stands for"),
            *fields("string", "", topic="where it came", detail="what came, what was expected, what to do"),
        ),
        # The messages of one bundle arrive at once and must not overwrite each other.
        lambda row: row.arrival_ns + row.item,
        constant_tags=(("kind", "bad"),),
    ),
    Measurement(
        "pipeline",
        "what became of commands",
        SECOND,
        Answer,
        (_SITE,),
        (
            *fields("string", "", command="its id", actor="who gave it", detail="what became of it"),
            *fields("boolean", "", done="it was done"),
        ),
        lambda row: row.arrival_ns,
        constant_tags=(("kind", "answer"),),
    ),
    Measurement(
        "removal",
        "what was removed because room ran short",
        SECOND,
        Removal,
        (_SITE, Tag("kind", "what")),
        (
            *fields("integer", "s since 1970", first="oldest; of the journal: offset", end="newest, exclusive"),
            *fields("integer", "By", size="of what went"),
            *fields("integer", "", offset="in the journal"),
            *fields("string", "", why="in words"),
        ),
        lambda row: row.arrival_ns,
    ),
    Measurement(
        "wave",
        "a patient's cardiac lead for the eye: lowest and highest of each 40 ms",
        WAVE,
        Wave,
        (_SITE, _PATIENT, Tag("stream", "stream")),
        (
            Field("lo", "float", "of the stream", "lowest", "samples"),
            Field("hi", "float", "of the stream", "highest", "samples"),
        ),
        lambda row: row.second * NS,
        shape="extremes",
    ),
)

_THINNED = (
    *thinned("hr", "/min", "heart rate"),
    *thinned("pulse", "/min", "pulse rate"),
    *thinned("rmssd", "ms", "RMSSD"),
    *thinned("sdnn", "ms", "SDNN"),
    *thinned("rr_interval", "ms", "RR interval"),
    *thinned("temp", "Cel", "skin temperature"),
    *thinned("resp", "/min", "breath rate"),
    *thinned("spo2", "%", "oxygen saturation"),
    *thinned("quality", "1", "quality of the cardiac signal"),
    *thinned("coverage", "1", "samples that came"),
)
DERIVED: Final[tuple[Derived, ...]] = (
    Derived("vitals_1m", "vitals by the minute", MINUTE, ("site", "ward", "patient"), _THINNED),
    Derived("vitals_1h", "vitals by the hour", HOUR, ("site", "ward", "patient"), _THINNED),
    Derived(
        "receipt",
        "what became of an alarm event at a receiver: queued, delivered, seen, accepted",
        MINUTE,
        ("site", "receiver", "what"),
        (
            *fields("string", "", alarm="its id"),
            *fields("integer", "", step="of the event"),
            *fields("float", "ms", after_ms="since it was queued for this receiver"),
        ),
    ),
    Derived(
        "burden",
        "how heavy alarms are, by ward and hour in which they were raised; condition and priority `all`: the sum",
        HOUR,
        ("site", "ward", "condition", "priority"),
        (
            *fields(
                "integer",
                "{count}",
                raised="alarms",
                acknowledged="of these",
                repeats="of the same patient and condition within 10 min, and comings back within an alarm's life",
                escalated="of these",
                missed="over before their late evidence came: they paged nobody",
                marked_true="by people",
                marked_false="by people",
                floods="10 alarms within 10 min; of `all`",
            ),
            *fields(
                "float",
                "s",
                acknowledged_s_p50="until acknowledged, median",
                acknowledged_s_p90="the same, 90th percentile",
                patient_s="time that patients were there, added up; of `all`",
            ),
        ),
    ),
    Derived(
        "process",
        "the processes of a host, every 10 s",
        SECOND,
        ("part", "instance"),
        (
            *fields("integer", "", alive="1: it answers", ready="1: data flows"),
            *fields("float", "s", behind_s="age of the journal record that is worked on"),
            *fields(
                "integer",
                "{count}",
                backlog_rows="rows that couriers have yet to deliver",
                courier_failing="couriers that cannot deliver",
                restarts="of the process, since the supervisor started",
                bad_messages="refused since the start",
                messages="taken in since the start",
                rows="written to the store since the start",
            ),
            *fields("integer", "By", journal_bytes="size of the journal", room_bytes="left on the disk"),
            *fields(
                "float",
                "ms",
                latency_ms_p50="newest sample of a vitals row to its commit, median",
                latency_ms_p99="the same, 99th percentile",
            ),
        ),
    ),
)
EVERYTHING: Final[tuple[Measurement | Derived, ...]] = (*SCHEMA, *DERIVED)
RETENTION_OF: Final[Mapping[str, Retention]] = {one.name: one.retention for one in EVERYTHING}
MEASUREMENTS: Final[Mapping[str, list[Measurement]]] = {  # by kind of row
    kind: [measurement for measurement in SCHEMA if measurement.row.kind == kind]
    for kind in sorted({measurement.row.kind for measurement in SCHEMA})
}
