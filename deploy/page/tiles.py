"""A bed of the folded ward as the page shows it."""

import numpy as np

from dataflows.events import WARD, AlarmEvent, Reading, Vitals, Wave
from dataflows.priorities import SHELF_LATCHING_S
from dataflows.rules import COLUMN, RULES
from deploy.live import WAVE_HZ, Bed, by_need, in_a_word, need_of, quality_word
from deploy.page.messages import Alarm, Second, Tile, Value
from deploy.page.words import in_full, said_of

MS_NS = 1_000_000
LONGEST_SHELF_S = 86_400
NONE = Value()


def tile(key: str, bed: Bed) -> Tile:
    """Show one bed; `key` names it to the page."""
    v = bed.vitals
    alarms = by_need(bed.alarms.values())
    return Tile(
        key=key,
        name=bed.name,
        patient=bed.patient,
        ward=bed.ward,
        of_ward=bed.patient == WARD,
        need=bed.need,
        words=in_full(alarms[0]) if alarms else "",
        second=v.second if v else None,
        hr=_value(v.hr) if v else NONE,
        pulse=_value(v.pulse) if v else NONE,
        temp=_value(v.temp) if v else NONE,
        resp=_value(v.resp) if v else NONE,
        rmssd=_value(v.rmssd) if v else NONE,
        af=_value(_percent(Reading(v.af))) if v else NONE,
        pvc=_value(v.pvc) if v else NONE,
        pnn50=_value(v.pnn50) if v else NONE,
        lf=_value(v.lf) if v else NONE,
        hf=_value(v.hf) if v else NONE,
        qt=_value(v.qt) if v else NONE,
        qtc=_value(v.qtc) if v else NONE,
        transit=_value(v.transit) if v else NONE,
        alpha=_value(_percent(v.alpha)) if v else NONE,
        beta=_value(_percent(v.beta)) if v else NONE,
        spikes=_value(v.seizure) if v else NONE,
        trend=_value(v.news2_trend) if v else NONE,
        trust=_trust(v) if v else "none",
        signal=quality_word(v) if v else "none",
        reason=v.reason if v else "",
        source=v.source if v else "none",
        late=v.late if v else False,
        alarms=tuple(_alarm(event) for event in alarms),
        over=tuple(_alarm(event) for event in reversed(bed.over.values())),
    )


def second(key: str, wave: Wave) -> Second:
    """One second of a waveform."""
    return Second(
        key=key,
        second=wave.second,
        stream=wave.stream,
        unit=wave.unit,
        scale=wave.scale,
        rate_hz=WAVE_HZ,
        counts=np.frombuffer(wave.samples, "<i2").tolist(),
    )


def _percent(reading: Reading) -> Reading:
    return Reading(100.0 * reading.value, 100.0 * reading.u, reading.quality)


def _value(reading: Reading) -> Value:
    # Not every reading that is there has an uncertainty; JSON has no NaN.
    value, u = (None if np.isnan(x) else round(x, 3) for x in (reading.value, reading.u))
    return Value(value, None if value is None else u)


def _trust(vitals: Vitals) -> str:
    if vitals.settling or np.isnan(vitals.hr.value):
        return quality_word(vitals)
    return in_a_word(vitals.hr.quality)


def _alarm(event: AlarmEvent) -> Alarm:
    return Alarm(
        id=event.id,
        condition=event.condition,
        category=event.category,
        priority=event.priority,
        state=event.state,
        onset_ms=event.onset_ns // MS_NS,
        event_ms=event.event_ns // MS_NS,
        need=need_of(event),
        words=in_full(event),
        said=said_of(event),
        reason=event.reason,
        occurrences=event.occurrences,
        level=event.level,
        until_ms=event.until_ns // MS_NS,
        shelve_s=SHELF_LATCHING_S if RULES[COLUMN[event.condition]].latches else LONGEST_SHELF_S,
        mark=event.mark,
    )
