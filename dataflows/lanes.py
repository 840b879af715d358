"""Which lanes a device has, by its birth."""

from anomaly.oximetry import channels_of
from dataflows.cardiac import Cardiac
from dataflows.lane import Lane, Part
from dataflows.neural import Neural
from dataflows.optical import Optical
from dataflows.surface import Motion, Thermal
from ingest.profile import Birth, StreamProfile

HEART_HZ = (125.0, 2000.0)  # what the strip and the beat detector take
BRAIN_HZ = (90.0, 5000.0)
LIGHT_HZ = (40.0, 2000.0)
MOTION_HZ = (1.0, 2000.0)
SKIN_HZ = (0.01, 100.0)
MAX_REFERENCES = 32  # their covariance is solved for at every block
_RATES = {"mcg": HEART_HZ, "meg": BRAIN_HZ, "ppg": LIGHT_HZ, "acceleration": MOTION_HZ, "temperature": SKIN_HZ}


def lanes_of(birth: Birth) -> list[tuple[Lane, tuple[int, ...]]]:
    """Return a device's lanes, each with its streams; the first usable stream of a kind leads.

    A stream without a lane (another kind, or a rate at which nothing can be found in it) is recorded and no more.
    """
    first: dict[str, int] = {}
    for i, stream in enumerate(birth.streams):
        low_hz, high_hz = _RATES.get(stream.kind, (0.0, 0.0))
        if low_hz <= stream.rate_hz <= high_hz:
            first.setdefault(stream.kind, i)
    lanes: list[tuple[Lane, tuple[int, ...]]] = []
    for kind, i in first.items():
        stream = birth.streams[i]
        shape = (stream.rate_hz, stream.block_len, (_part(stream),))
        match kind:
            case "mcg":
                lanes.append(_cardiac(birth, i))
            case "meg":
                streams, references = _with_references(birth, i)
                lanes.append((Neural(*shape[:2], _part(stream), references), streams))
            case "ppg":
                lanes.append((Optical(*shape, channels_of(stream.wavelengths_nm)), (i,)))
            case "acceleration":
                lanes.append((Motion(*shape), (i,)))
            case "temperature":
                lanes.append((Thermal(*shape), (i,)))
    return lanes


def _cardiac(birth: Birth, heart: int) -> tuple[Lane, tuple[int, ...]]:
    stream = birth.streams[heart]
    streams, references = _with_references(birth, heart)
    lane = Cardiac(stream.rate_hz, stream.block_len, _part(stream), references, stream.range)
    return lane, streams


def _with_references(birth: Birth, leader: int) -> tuple[tuple[int, ...], Part]:
    """Streams of a lane of magnetometers, and what of them is references."""
    stream = birth.streams[leader]
    like = (stream.rate_hz, stream.block_len, stream.unit)
    for i, beside in enumerate(birth.streams):
        fits = (beside.rate_hz, beside.block_len, beside.unit) == like and beside.n_channels <= MAX_REFERENCES
        if beside.kind == "reference" and fits:
            return (leader, i), _part(beside)
    return (leader,), Part("i2", 0)


def _part(stream: StreamProfile) -> Part:
    return Part(stream.dtype, stream.n_channels)
