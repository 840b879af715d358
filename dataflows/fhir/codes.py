"""One table of codes: what vitals and the conditions of alarms are called in LOINC, IEEE 11073, SNOMED CT and UCUM.

Where a code is from is kept beside it. `found`: seen in published mappings (HL7 guides, DICOM context groups, device
gateways). `memory`: known by heart and not yet held against the terminology itself: do so before use on patients.
What no standard names has a code of our own only, with the reason. A name that stands nowhere here is an error.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

LOINC: Final = "http://loinc.org"
MDC: Final = "urn:iso:std:iso:11073:10101"
SNOMED: Final = "http://snomed.info/sct"
UCUM: Final = "http://unitsofmeasure.org"
LOCAL: Final = "https://femtoward.invalid/fhir/CodeSystem/femtoward"

Source = Literal["found", "memory"]
Profile = Literal["heartrate", "resprate", "oxygensat", "bodytemp", ""]


class UnmappedError(LookupError):
    """A vital or a condition that the table does not know."""


class Code(NamedTuple):
    """One code of one system."""

    system: str
    code: str
    display: str
    source: Source = "found"


class Coded(NamedTuple):
    """What a vital or a condition is called; the code of our own comes with every one."""

    display: str
    codes: tuple[Code, ...] = ()
    unit: str = ""  # UCUM; of conditions the event's own
    profile: Profile = ""  # of HL7's vital signs, that it has to keep to
    why_local: str = ""  # why no standard code is given, where there is none


class Carried(NamedTuple):
    """A field that is no observation of its own, and where it goes."""

    where: str


class Unmappable(NamedTuple):
    """A field that does not leave by FHIR, and why."""

    reason: str


_PROBABILITY: Final = "no standard code for the probability that a detector gives; the diagnosis is another thing"
_VARIABILITY: Final = "no settled code of this measure of heart rate variability, which has a window and a method"
_BRAIN: Final = "no code known of a figure out of a magnetoencephalogram"
_NEWS2: Final = Coded(
    "NEWS2, as the range that the measured part allows",
    (Code(SNOMED, "1104051000000101", "Royal College of Physicians National Early Warning Score 2 - total score"),),
    "{score}",
)

VITALS: Final[Mapping[str, Coded | Carried | Unmappable]] = MappingProxyType(
    {
        "hr": Coded(
            "Heart rate",
            (Code(LOINC, "8867-4", "Heart rate"), Code(MDC, "147842", "MDC_ECG_HEART_RATE")),
            "/min",
            "heartrate",
        ),
        "pulse": Coded(
            "Pulse rate by light",
            (
                Code(LOINC, "8889-8", "Heart rate by Pulse oximetry", "memory"),
                Code(MDC, "149530", "MDC_PULS_OXIM_PULS_RATE", "memory"),
            ),
            "/min",
        ),
        "rr_interval": Coded("Last RR interval", (Code(MDC, "147240", "MDC_ECG_TIME_PD_RR_GL"),), "ms"),
        "sdnn": Coded("SDNN", (Code(LOINC, "80404-7", "R-R interval.standard deviation"),), "ms"),
        "rmssd": Coded(
            "RMSSD", (), "ms", why_local="no settled LOINC code: public mappings misuse 80404-7, which is SDNN's"
        ),
        "resp": Coded(
            "Respiratory rate",
            (Code(LOINC, "9279-1", "Respiratory rate"), Code(MDC, "151562", "MDC_RESP_RATE")),
            "/min",
            "resprate",
        ),
        "spo2": Coded(
            "Oxygen saturation by light",
            (
                Code(LOINC, "2708-6", "Oxygen saturation in Arterial blood"),
                Code(LOINC, "59408-5", "Oxygen saturation in Arterial blood by Pulse oximetry"),
                Code(MDC, "150456", "MDC_PULS_OXIM_SAT_O2"),
            ),
            "%",
            "oxygensat",
        ),
        "temp": Coded(
            "Skin temperature",
            (
                Code(LOINC, "8310-5", "Body temperature"),
                Code(LOINC, "39106-0", "Temperature of Skin"),
                Code(MDC, "150388", "MDC_TEMP_SKIN"),
            ),
            "Cel",
            "bodytemp",
        ),
        "pvc": Coded("Ventricular beats in a minute", (Code(MDC, "148066", "MDC_ECG_V_P_C_RATE"),), "/min"),
        "pnn50": Coded("pNN50 of five minutes", (), "%", why_local=_VARIABILITY),
        "lf": Coded("Low-frequency power of RR intervals", (), "ms2", why_local=_VARIABILITY),
        "hf": Coded("High-frequency power of RR intervals", (), "ms2", why_local=_VARIABILITY),
        "qt": Coded(
            "QT interval of averaged beats",
            (Code(LOINC, "8634-8", "Q-T interval"), Code(MDC, "147232", "MDC_ECG_TIME_PD_QT_GL")),
            "ms",
        ),
        "qtc": Coded(
            "QT interval corrected by Fridericia",
            (
                Code(LOINC, "76634-5", "Q-T interval corrected based on Fridericia formula"),
                Code(MDC, "146964", "MDC_ECG_TIME_PD_QTcF"),
            ),
            "ms",
        ),
        "transit": Coded(
            "Pulse transit time from R peak to the foot of the pulse",
            (),
            "ms",
            why_local="no code known of a transit time from R peak to foot",
        ),
        "alpha": Coded("Alpha rhythm, share of the brain's power", (), "1", why_local=_BRAIN),
        "beta": Coded("Beta rhythm, share of the brain's power", (), "1", why_local=_BRAIN),
        "seizure": Coded("Sharp transients of the brain in a minute, an index", (), "/min", why_local=_BRAIN),
        "news2_trend": Coded("Trend of NEWS2", (), "/h", why_local="no code known of the slope of a score"),
        "news2_min": _NEWS2,
        "news2_max": _NEWS2,
        "deviation": Coded(
            "Deviation of all vitals from what is usual for the patient",
            (),
            "1",
            why_local="no standard code for a distance from a personal baseline, in standard deviations",
        ),
        "af": Coded("Probability of atrial fibrillation", (), "1", why_local=_PROBABILITY),
        "vf": Coded("Probability of ventricular fibrillation or flutter", (), "1", why_local=_PROBABILITY),
        "vt": Coded("Probability of ventricular tachycardia", (), "1", why_local=_PROBABILITY),
        "site": Carried("in the system of the patient's identifier"),
        "patient": Carried("identifier of the subject"),
        "second": Carried("effectiveDateTime"),
        "reason": Carried("text of dataAbsentReason of what the heart lane measures"),
        "resp_reason": Carried("text of dataAbsentReason of resp"),
        "spo2_reason": Carried("text of dataAbsentReason of spo2"),
        "hrv_reason": Carried("text of dataAbsentReason of pnn50, lf and hf"),
        "qt_reason": Carried("text of dataAbsentReason of qt and qtc"),
        "brain_reason": Carried("text of dataAbsentReason of alpha and beta"),
        "transit_reason": Carried("text of dataAbsentReason of transit"),
        "source": Carried("method of hr"),
        "resp_source": Carried("method of resp"),
        "settling": Carried("dataAbsentReason temp-unknown"),
        "late": Carried("extension late"),
        "coverage": Unmappable("about the transport of samples, not about the patient; see measurement vitals"),
        "quality": Unmappable("of the lead as such; each observation carries its own quality as an extension"),
        "clock_offset_ms": Unmappable("about the device's clock; see measurement device"),
        "ward": Unmappable("a place in the house: encounters and locations are the hospital system's"),
    }
)

_PATTERN: Final = "a pattern of several vitals against the patient's own baseline"
_SKIN: Final = "codes of fever and hypothermia are of the core, which is not measured"
_NO_EVENT: Final = "a state of the telemetry, for which the nomenclature has no event that says just this"
CONDITIONS: Final[Mapping[str, Coded]] = MappingProxyType(
    {
        "asystole": Coded(
            "Asystole",
            (Code(SNOMED, "397829000", "Asystole"), Code(MDC, "199684", "MDC_EVT_ECG_ASYSTOLE")),
        ),
        "ventricular-fibrillation": Coded(
            "Ventricular fibrillation", (Code(SNOMED, "71908006", "Ventricular fibrillation"),)
        ),
        "ventricular-tachycardia": Coded(
            "Ventricular tachycardia", (Code(SNOMED, "25569003", "Ventricular tachycardia"),)
        ),
        "extreme-bradycardia": Coded(
            "Extreme bradycardia",
            (Code(SNOMED, "48867003", "Bradycardia", "memory"), Code(MDC, "196670", "MDC_EVT_LO")),
        ),
        "extreme-tachycardia": Coded(
            "Extreme tachycardia",
            (Code(SNOMED, "3424008", "Tachycardia", "memory"), Code(MDC, "196648", "MDC_EVT_HI")),
        ),
        "pause": Coded(
            "Pause of the heart", why_local="codes of arrest and block say why it rests, which is not known"
        ),
        "atrial-fibrillation": Coded(
            "Atrial fibrillation",
            (Code(SNOMED, "49436004", "Atrial fibrillation"), Code(MDC, "199736", "MDC_EVT_ECG_ATR_FIB")),
        ),
        "bigeminy": Coded("Bigeminy", (Code(SNOMED, "11157007", "Ventricular bigeminy", "memory"),)),
        "ventricular-run": Coded(
            "Ventricular run", (Code(SNOMED, "444658006", "Nonsustained ventricular tachycardia", "memory"),)
        ),
        "apnoea": Coded("Apnoea", (Code(SNOMED, "1023001", "Apnea"), Code(MDC, "199680", "MDC_EVT_APNEA"))),
        "resp-low": Coded(
            "Breath rate below its limit",
            (Code(SNOMED, "86684002", "Bradypnea", "memory"),),
        ),
        "resp-high": Coded(
            "Breath rate above its limit",
            (Code(SNOMED, "271823003", "Tachypnea", "memory"),),
        ),
        "spo2-low": Coded(
            "Oxygen saturation below its limit",
            (Code(SNOMED, "389087006", "Hypoxemia", "memory"),),
        ),
        "temp-low": Coded("Skin temperature below its limit", why_local=_SKIN),
        "temp-high": Coded("Skin temperature above its limit", why_local=_SKIN),
        "deterioration": Coded("Deterioration", why_local=_PATTERN),
        "urgent-deterioration": Coded(
            "Urgent deterioration",
            why_local=_PATTERN,
        ),
        "off-body": Coded("Device not on the body", (Code(MDC, "196916", "MDC_EVT_SENSOR_DISCONN"),)),
        "sensor-fault": Coded("Fault of a sensor", (Code(MDC, "196918", "MDC_EVT_SENSOR_MALF"),)),
        "device-fault": Coded("Fault of a device", why_local=_NO_EVENT),
        "lost-contact": Coded("No packets from the device", why_local=_NO_EVENT),
        "frozen": Coded("Sensor repeats one value", why_local=_NO_EVENT),
        "saturated": Coded("Sensor at the end of its range", why_local=_NO_EVENT),
        "poor-signal": Coded("Poor signal", why_local=_NO_EVENT),
        "cannot-analyse": Coded("Heart rate cannot be measured", why_local=_NO_EVENT),
        "late-data": Coded("Data come late", why_local=_NO_EVENT),
        "flooding": Coded("Device sends too much", why_local=_NO_EVENT),
        "ward-silent": Coded("Many devices of a ward fell silent", why_local=_NO_EVENT),
        "broker-lost": Coded("Connection to the broker is down", why_local=_NO_EVENT),
        "system-fault": Coded("A part of the system is in trouble", why_local=_NO_EVENT),
    }
)


def vital(field: str) -> Coded:
    """What a field of `Vitals` that is measured is called.

    Raises
    ------
    UnmappedError
        It is not in the table, or is none that leaves as an observation.
    """
    found = VITALS.get(field)
    if not isinstance(found, Coded):
        raise UnmappedError(f"vital {field!r} {_why_not(found)}")
    return found


def condition(name: str) -> Coded:
    """What an alarm's condition is called.

    Raises
    ------
    UnmappedError
        It is not in the table.
    """
    found = CONDITIONS.get(name)
    if found is None:
        raise UnmappedError(f"condition {name!r} {_why_not(None)}")
    return found


def _why_not(found: Carried | Unmappable | None) -> str:
    if isinstance(found, Carried):
        return f"is no observation of its own: it goes into {found.where}"
    if isinstance(found, Unmappable):
        return f"does not leave by FHIR: {found.reason}"
    return "has no code: give it one in dataflows/fhir/codes.py, or say there why it has none"
