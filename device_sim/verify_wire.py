"""What arrives of a magnetometer in packets, against what its device's birth says of it."""

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray
from scipy import signal

from device_sim.births import birth_of
from device_sim.checked import Check, near
from device_sim.devices import Device
from device_sim.electronics import Reading
from device_sim.packing import Packed
from device_sim.physics import Signals
from device_sim.readout import n_whites
from device_sim.testbench import field_of, readings
from device_sim.wearable import ACCELERATION_RATE_HZ, PACKET_NS, PPG_RATE_HZ, SLOTS_PER_CHUNK
from ingest.codec import decode_packet, encode_packet
from ingest.packet import Block, Packet, StateFlag, samples

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

NOISE_S = 20
_COUNTS = 1000.0  # of the steady field that measures the scale


def check_wire(name: str, device: Device) -> list[Check]:
    """Noise, scale and range of every channel, references too, as decoded packets have them."""
    head, kernel = device.head, device.head.kernel
    streams = birth_of(device, name, "", 0).streams[: 2 if head.references_m else 1]
    n_samples = NOISE_S * device.rate_hz
    white = default_rng(23).standard_normal((1, n_whites(head), n_samples))
    silence, _ = _decoded(device, readings(kernel, _everywhere(device, 0.0, n_samples), white))
    f, power = signal.welch(silence, fs=kernel.rate_hz, nperseg=device.rate_hz)
    band = (f >= kernel.knee_hz) & (f <= 0.4 * kernel.rate_hz)
    density = np.sqrt(power[:, band].mean(axis=-1) / np.mean(1.0 + kernel.knee_hz / f[band]))
    checks = []
    parts = np.split(density, [head.n_channels])
    for stream, part in zip(streams, parts, strict=False):
        declared = np.array(stream.channel_noise or (stream.noise_floor,) * stream.n_channels)
        what = f"noise of {stream.name} in packets against the birth, worst channel"
        checks.append(near(name, what, "dB", 0.0, _worst(20.0 * np.log10(part / declared)), by=1.0))
    size = _COUNTS * head.scale_pt
    steady, _ = _decoded(device, readings(kernel, _everywhere(device, size, device.rate_hz)))
    off = steady[:, -1] / head.scale_pt - _COUNTS
    checks.append(near(name, "scale, worst channel at 1000 counts", "counts", 0.0, _worst(off), by=1.5))
    limit = kernel.range_pt
    beyond, blocks = _decoded(device, readings(kernel, _everywhere(device, 1.2 * limit, device.rate_hz)))
    flagged = all(block.flags & StateFlag.SATURATED for block in blocks[-len(streams) :])
    ends = np.array([stream.range for stream in streams]).repeat([len(part) for part in parts[: len(streams)]])
    short = _worst(np.abs(beyond[:, -1]) - ends) if flagged else float("nan")
    what = "end of the range in packets against the birth, worst channel, and flagged"
    checks.append(near(name, what, "pT", 0.0, short, by=head.scale_pt))
    return checks


def _everywhere(device: Device, size_pt: float, n_samples: int) -> Array:
    """Field whose signal is the same in every channel."""
    return field_of(device.head.kernel, np.full((1, device.head.n_all, n_samples), size_pt))


def _worst(off: Array) -> float:
    return float(off[np.argmax(np.abs(off))])


def _decoded(device: Device, reading: Reading) -> tuple[Array, list[Block]]:
    """Readings of whole seconds after a trip through packets, shape ``(n_all, n_samples)``, and the packets' blocks."""
    birth = birth_of(device, "bench", "", 0)
    n_fields = 2 if device.head.references_m else 1
    found: list[Block] = []
    for second in range(reading.field_pt.shape[-1] // device.rate_hz):
        packed = Packed(device, _signals(device, reading, second))
        for slot in range(SLOTS_PER_CHUNK):
            number = second * SLOTS_PER_CHUNK + slot
            blocks = packed.blocks(0, slot, number)
            packet = Packet(1, "bench", "boot", birth.birth, number, number * PACKET_NS, 2, blocks)
            decoded = decode_packet(encode_packet(packet), "bench", birth)
            if not isinstance(decoded, Packet):
                raise TypeError(f"{device.model}: a packet does not match its birth: {decoded}")
            found += decoded.blocks[:n_fields]
    values = [
        np.concatenate([samples(block, birth.streams[at]) for block in found if block.stream == at], axis=-1)
        for at in range(n_fields)
    ]
    return np.concatenate(values), found


def _signals(device: Device, reading: Reading, second: int) -> Signals:
    """A second of a device whose magnetometers read this and whose other sensors see nothing."""
    span = slice(second * device.rate_hz, (second + 1) * device.rate_hz)
    locked: Mask = np.all(reading.locked[:, span].reshape(1, SLOTS_PER_CHUNK, -1), axis=-1)
    return Signals(
        reading.field_pt[..., span],
        reading.saturated[..., span],
        locked,
        ~locked,
        np.full((1, SLOTS_PER_CHUNK), device.head.noise_pt),
        np.zeros((1, 3, PPG_RATE_HZ)),
        np.zeros((1, 3, ACCELERATION_RATE_HZ)),
        np.zeros((1, 1)),
        np.zeros(1),
        np.zeros(1),
        np.zeros((1, SLOTS_PER_CHUNK), np.bool_),
    )
