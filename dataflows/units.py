"""Units of what alarms are about, in UCUM: of each condition's value, its uncertainty and its limit."""

from typing import Final

from dataflows.events import Condition

UNITS: Final[dict[Condition, str]] = {
    "asystole": "s",
    "ventricular-fibrillation": "/min",
    "ventricular-tachycardia": "/min",
    "extreme-bradycardia": "/min",
    "extreme-tachycardia": "/min",
    "pause": "s",
    "atrial-fibrillation": "1",
    "bigeminy": "{pairs}",
    "ventricular-run": "{beats}",
    "apnoea": "s",
    "resp-low": "/min",
    "resp-high": "/min",
    "spo2-low": "%",
    "temp-low": "Cel",
    "temp-high": "Cel",
    "deterioration": "1",
    "urgent-deterioration": "{score}",
    "lost-contact": "s",
    "frozen": "s",
    "sensor-fault": "1",
    "device-fault": "1",
    "saturated": "1",
    "poor-signal": "1",
    "cannot-analyse": "s",
    "off-body": "Cel",
    "late-data": "s",
    "flooding": "{packets}",
    "ward-silent": "{devices}",
    "broker-lost": "s",
    "system-fault": "{parts}",
}
