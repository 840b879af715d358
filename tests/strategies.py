"""Hypothesis strategies for what comes over the wire, and the reference wearable."""

import string

from hypothesis import strategies as st

from ingest.command import (
    Acknowledge,
    Admit,
    Command,
    Comment,
    Discharge,
    Hasten,
    Mark,
    SetLimits,
    Shelve,
    Transfer,
    Unshelve,
)
from ingest.packet import Block, Packet
from ingest.profile import MAX_BLOCK_S, Birth, Calibration, Dtype, Kind, Sensor, Status, StreamProfile

names = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=12)
counts = st.integers(0, 2**40)
finite = st.floats(0.0, 1e12)
texts = st.text(max_size=40)


def _stream(name: str, kind: Kind, sensor: Sensor, rate_hz: float, channels: int, dtype: Dtype) -> StreamProfile:
    units = {"mcg": "pT", "reference": "pT", "ppg": "{count}", "acceleration": "m/s2", "temperature": "Cel"}
    return StreamProfile(
        name=name,
        kind=kind,
        sensor=sensor,
        rate_hz=rate_hz,
        n_channels=channels,
        unit=units[kind],
        dtype=dtype,
        block_len=max(int(rate_hz / 4), 1),
        scale=0.01,
    )


def wearable(device: str = "w1", birth: int = 0, patient: str | None = None) -> Birth:
    """Birth of the reference wearable."""
    streams = (
        _stream("mcg", "mcg", "opm-serf", 500.0, 4, "i2"),
        _stream("reference", "reference", "opm-serf", 500.0, 3, "i2"),
        _stream("ppg", "ppg", "spad", 100.0, 3, "i4"),
        _stream("acceleration", "acceleration", "imu", 52.0, 3, "i2"),
        _stream("temperature", "temperature", "nv-thermometer", 1.0, 1, "i2"),
    )
    return Birth(version=1, device=device, birth=birth, streams=streams, patient=patient)


def packet_of(birth: Birth, seq: int = 0, boot: str = "b1", t0_ns: int = 1_700_000_000_000_000_000) -> Packet:
    """A packet with one block of every stream, all samples 0."""
    blocks = tuple(
        Block(index, seq * profile.block_len, 1, 0.0, bytes(profile.n_bytes))
        for index, profile in enumerate(birth.streams)
    )
    return Packet(1, birth.device, boot, birth.birth, seq, t0_ns, 0, blocks)


vectors = st.tuples(*[st.floats(-1.0, 1.0)] * 3)


@st.composite
def profiles(draw: st.DrawFn, name: str) -> StreamProfile:
    """Any valid stream profile."""
    n_channels = draw(st.integers(1, 4))
    rate_hz = draw(st.floats(0.02, 100_000.0))
    geometry = st.one_of(st.just(()), st.tuples(*[vectors] * n_channels))
    calibrations = st.builds(
        Calibration, id=names, time_ns=counts, expiry_ns=counts, gain_error=st.floats(0.0, 1.0, exclude_max=True)
    )
    return StreamProfile(
        name=name,
        kind=draw(st.sampled_from(["mcg", "meg", "ppg", "temperature", "acceleration", "reference"])),
        sensor=draw(
            st.sampled_from(["opm-serf", "opm-he4", "opm-scalar", "nv-ensemble", "spad", "nv-thermometer", "imu"])
        ),
        rate_hz=rate_hz,
        n_channels=n_channels,
        unit=draw(st.sampled_from(["pT", "{count}", "m/s2", "Cel"])),
        dtype=draw(st.sampled_from(["i2", "i3", "i4", "f4"])),
        block_len=draw(st.integers(1, min(12, int(MAX_BLOCK_S * rate_hz)))),
        scale=draw(st.floats(1e-6, 1e6)),
        noise_floor=draw(finite),
        range=draw(finite),
        bandwidth_hz=draw(finite),
        positions_m=draw(geometry),
        orientations=draw(geometry),
        calibration=draw(st.none() | calibrations),
    )


@st.composite
def births(draw: st.DrawFn, device: st.SearchStrategy[str] = names) -> Birth:
    """Any valid birth."""
    streams = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    return Birth(
        version=1,
        device=draw(device),
        birth=draw(st.integers(0, 2**31 - 1)),
        streams=tuple(draw(profiles(name)) for name in streams),
        model=draw(texts),
        patient=draw(st.none() | names),
        simulated=draw(st.booleans()),
    )


@st.composite
def packets(draw: st.DrawFn, birth: Birth) -> Packet:
    """Any packet that fits a birth; samples are any bytes, for floats too."""
    streams = draw(st.lists(st.integers(0, len(birth.streams) - 1), min_size=1, unique=True))
    blocks = []
    for stream in streams:
        n_bytes, end = birth.limits[stream]
        samples = draw(st.binary(min_size=n_bytes, max_size=n_bytes))
        first_sample, flags = draw(st.integers(0, end - 1)), draw(st.integers(0, 31))
        blocks.append(Block(stream, first_sample, flags, draw(finite), samples))
    return Packet(
        version=1,
        device=birth.device,
        boot=draw(names),
        birth=birth.birth,
        seq=draw(st.integers(0, 2**53 - 1)),
        t0_ns=draw(st.integers(0, 2**62 - 1)),
        clock=draw(st.integers(0, 2)),
        blocks=tuple(blocks),
    )


@st.composite
def born_packets(draw: st.DrawFn) -> tuple[Birth, Packet]:
    """A birth and a packet that fits it."""
    birth = draw(births())
    return birth, draw(packets(birth))


statuses = st.builds(Status, state=st.sampled_from(["online", "offline", "zeroing", "calibrating"]), reason=texts)


wards = st.none() | st.sampled_from(["icu", "surgery"])


@st.composite
def commands(
    draw: st.DrawFn,
    patient: st.SearchStrategy[str] = names,
    device: st.SearchStrategy[str] = names,
    bed: st.SearchStrategy[str] = names,
    id: st.SearchStrategy[str] = names,  # noqa: A002 - the field's name
) -> Command:
    """Any valid command."""
    head = {"id": draw(id), "note": draw(texts), "patient": draw(patient)}
    low = draw(st.none() | st.floats(0.0, 50.0))
    high = draw(st.none() | st.floats(51.0, 300.0))
    kinds: dict[str, Command] = {
        "acknowledge": Acknowledge(**head, alarm=draw(names)),
        "shelve": Shelve(**head, condition=draw(names), seconds=draw(st.integers(1, 86_400))),
        "unshelve": Unshelve(**head, condition=draw(names)),
        "comment": Comment(**head, alarm=draw(names)),
        "mark": Mark(**head, alarm=draw(names), was=draw(st.sampled_from(["true", "false"]))),
        "hasten": Hasten(**head, alarm=draw(names)),
        "admit": Admit(**head, device=draw(device), bed=draw(st.none() | bed), ward=draw(wards)),
        "discharge": Discharge(**head),
        "transfer": Transfer(**head, bed=draw(bed), ward=draw(wards)),
        "set-limits": SetLimits(
            **head, vital=draw(st.sampled_from(["hr", "resp", "spo2", "temp"])), low=low, high=high
        ),
    }
    return kinds[draw(st.sampled_from(sorted(kinds)))]


@st.composite
def mutated(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """Bytes that were valid: some changed, cut off, doubled or put in."""
    data = bytearray(draw(whole))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        kind = draw(st.sampled_from(["set", "cut", "insert", "remove", "double"]))
        if kind == "set" and data:
            data[at] = draw(st.integers(0, 255))
        elif kind == "cut":
            del data[at:]
        elif kind == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=9))
        elif kind == "remove":
            del data[at : at + draw(st.integers(1, 9))]
        else:
            data[at:at] = data[at : at + 40]
    return bytes(data)
