"""Which recorded heart or pulse stands in for which patient's own, and the bytes of such records as one hash."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from device_sim.recorded_pulse import pulse_file
from device_sim.script import PatientScript

_PLACED = re.compile(r"(\d+)=(.+)", re.DOTALL)
_ANNOTATIONS = ".atr"


def placed(option: str, given: Sequence[str], patients: int) -> dict[int, str]:
    """Which record is whose, by the patient's index.

    Parameters
    ----------
    option
        Name to refuse by.
    given
        Paths without extension; ``N=PATH`` is patient N's, counted from 1, and any other that of the first patient who
        has none yet.
    patients
        How many there are.

    Raises
    ------
    ValueError
        If there is no such patient, or two records for one.

    Examples
    --------
    >>> placed("wfdb", ("3=mitdb/101", "mitdb/100", "mitdb/119"), 12)
    {2: 'mitdb/101', 0: 'mitdb/100', 1: 'mitdb/119'}
    """
    found: dict[int, str] = {}
    free: list[str] = []
    for one in given:
        named = _PLACED.fullmatch(one)
        if named is None:
            free.append(one)
            continue
        number, record = int(named[1]), named[2]
        if not 1 <= number <= patients:
            raise ValueError(f"{option} {one!r}: there is no patient {number}; need 1 <= N <= {patients} in N=RECORD")
        if number - 1 in found:
            raise ValueError(f"{option} {one!r}: patient {number} has {found[number - 1]!r} already; need one each")
        found[number - 1] = record
    places = (index for index in range(patients) if index not in found)
    for record in free:
        index = next(places, None)
        if index is None:
            raise ValueError(f"{option} {record!r}: no patient is left; {len(given)} records for {patients} patients")
        found[index] = record
    return found


def with_records(script: PatientScript, heart: str | None, pulse: str | None) -> PatientScript:
    """Script of a patient for whose heart or pulse a record stands in.

    A recorded heart follows no scripted rhythm; what happens to the device stays.
    """
    if heart:
        script = msgspec.structs.replace(script, rhythms=(), record=heart)
    if pulse:
        script = msgspec.structs.replace(script, pulse_record=pulse)
    return script


def records_sha256(records: Sequence[str]) -> str:
    """Hash of headers, signals and annotations of some records, in that order; empty without any.

    Raises
    ------
    ValueError
        If a file is missing.
    """
    if not records:
        return ""
    whole = hashlib.sha256()
    for record in records:
        for path in _files(Path(record)):
            whole.update(path.read_bytes())
    return whole.hexdigest()


def _files(record: Path) -> list[Path]:
    header = pulse_file(str(record))
    if header == record:
        return [record]
    try:
        lines = [line for line in header.read_text().splitlines() if line.strip() and not line.startswith("#")]
    except OSError as error:
        raise ValueError(f"record {str(record)!r}: {header} cannot be read ({error.strerror})") from error
    signals = dict.fromkeys(line.split()[0] for line in lines[1:])
    named = [header, *(header.parent / name for name in signals), Path(f"{record}{_ANNOTATIONS}")]
    return [path for path in named if path.is_file()]
