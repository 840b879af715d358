"""Which lanes a device has, by its birth."""

from dataflows.cardiac import Cardiac
from dataflows.lane import Lane, Part
from dataflows.optical import Optical
from dataflows.surface import Motion, Thermal
from ingest.profile import Birth, StreamProfile

MIN_HEART_HZ = 100.0  # below, no beat is timed well enough to be worth a lane
MIN_LIGHT_HZ = 20.0


def lanes_of(birth: Birth) -> list[tuple[Lane, tuple[int, ...]]]:
    """Return a device's lanes, each with its streams; the first stream of a kind leads.

    A stream without a lane (another kind, or too slow for what is to be found in it) is recorded and no more.
    """
    first: dict[str, int] = {}
    for i, stream in enumerate(birth.streams):
        first.setdefault(stream.kind, i)
    lanes: list[tuple[Lane, tuple[int, ...]]] = []
    for kind, i in first.items():
        stream = birth.streams[i]
        match kind:
            case "mcg" if stream.rate_hz >= MIN_HEART_HZ:
                lanes.append(_cardiac(birth, i, first.get("reference")))
            case "ppg" if stream.rate_hz >= MIN_LIGHT_HZ:
                lanes.append((Optical(stream.rate_hz, stream.block_len, (_part(stream),)), (i,)))
            case "acceleration":
                lanes.append((Motion(stream.rate_hz, stream.block_len, (_part(stream),)), (i,)))
            case "temperature":
                lanes.append((Thermal(stream.rate_hz, stream.block_len, (_part(stream),)), (i,)))
    return lanes


def _cardiac(birth: Birth, heart: int, reference: int | None) -> tuple[Lane, tuple[int, ...]]:
    stream = birth.streams[heart]
    streams: tuple[int, ...] = (heart,)
    references = Part("i2", 0)
    if reference is not None:
        beside = birth.streams[reference]
        if (beside.rate_hz, beside.block_len, beside.unit) == (stream.rate_hz, stream.block_len, stream.unit):
            streams, references = (heart, reference), _part(beside)
    lane = Cardiac(stream.rate_hz, stream.block_len, _part(stream), references, stream.range)
    return lane, streams


def _part(stream: StreamProfile) -> Part:
    return Part(stream.dtype, stream.n_channels)
