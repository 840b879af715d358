"""What a simulated device publishes of itself before its first packet."""

from msgspec.structs import replace

from device_sim.devices import DEVICES, Device
from device_sim.wearable import (
    ACCELERATION_NOISE,
    ACCELERATION_RATE_HZ,
    ACCELERATION_SCALE,
    DAY_NS,
    GRAVITY,
    PPG_RATE_HZ,
    SLOTS_PER_CHUNK,
    TEMPERATURE_NOISE,
    WAVELENGTHS_NM,
)
from ingest.profile import Birth, Calibration, StreamProfile, Vector

CALIBRATION_DAYS = 30


def reference_birth(device: str, patient: str, now_ns: int) -> Birth:
    """Birth of a reference wearable."""
    return birth_of(DEVICES["reference"], device, patient, now_ns)


def birth_of(kind: Device, device: str, patient: str, now_ns: int, *, expired: bool = False) -> Birth:
    """Birth of a device that was calibrated at the last midnight (UTC), or whose calibration expired then.

    The birth number is the day of the calibration, so that it counts up when the calibration changes.
    """
    day = now_ns // DAY_NS - (CALIBRATION_DAYS if expired else 0)
    head = kind.head
    places = tuple((x, y, z + head.stand_off_m) for x, y, z in head.positions_m)
    noise = head.channel_noise_pt
    fields = [_magnetometers(kind, head.kind, (places, head.orientations), noise[: head.n_channels], day)]
    if head.references_m:
        placed = (head.references_m, head.reference_orientations)
        fields.append(_magnetometers(kind, "reference", placed, noise[head.n_channels :], day))
    return Birth(
        version=1,
        device=device,
        birth=day,
        model=kind.model,
        patient=patient,
        simulated=True,
        streams=(
            *fields,
            StreamProfile(
                name="ppg",
                kind="ppg",
                sensor="spad",
                rate_hz=PPG_RATE_HZ,
                n_channels=len(WAVELENGTHS_NM),
                unit="{count}",
                dtype="i4",
                block_len=PPG_RATE_HZ // SLOTS_PER_CHUNK,
                wavelengths_nm=tuple(float(nm) for nm in WAVELENGTHS_NM),
            ),
            StreamProfile(
                name="acceleration",
                kind="acceleration",
                sensor="imu",
                rate_hz=ACCELERATION_RATE_HZ,
                n_channels=3,
                unit="m/s2",
                dtype="i2",
                block_len=ACCELERATION_RATE_HZ // SLOTS_PER_CHUNK,
                scale=ACCELERATION_SCALE,
                noise_floor=ACCELERATION_NOISE,
                range=2.0 * GRAVITY,
            ),
            StreamProfile(
                name="temperature",
                kind="temperature",
                sensor="nv-thermometer",
                rate_hz=1.0,
                n_channels=1,
                unit="Cel",
                dtype="f4",
                block_len=1,
                noise_floor=TEMPERATURE_NOISE,
            ),
        ),
    )


def renewed(birth: Birth, now_ns: int) -> Birth:
    """Birth of a device that has just calibrated its magnetometers.

    Its number is the second of the calibration: above that of any day, and of any calibration before.
    """
    second = now_ns // 1_000_000_000
    streams = [
        replace(
            stream,
            calibration=replace(
                stream.calibration,
                id=f"{stream.name}-{second}",
                time_ns=now_ns,
                expiry_ns=now_ns + CALIBRATION_DAYS * DAY_NS,
            ),
        )
        if stream.calibration
        else stream
        for stream in birth.streams
    ]
    return replace(birth, birth=second, streams=tuple(streams))


def _magnetometers(
    kind: Device,
    name: str,
    placed: tuple[tuple[Vector, ...], tuple[Vector, ...]],
    noise_pt: tuple[float, ...],
    day: int,
) -> StreamProfile:
    head, (positions, orientations) = kind.head, placed
    return StreamProfile(
        name=name,
        kind="reference" if name == "reference" else head.kind,
        sensor=head.sensor,
        rate_hz=kind.rate_hz,
        n_channels=len(positions),
        unit="pT",
        dtype=head.dtype,
        block_len=kind.rate_hz // SLOTS_PER_CHUNK,
        scale=head.scale_pt,
        noise_floor=max(noise_pt),
        range=head.kernel.range_pt,
        bandwidth_hz=head.kernel.bandwidth_hz,
        positions_m=positions,
        orientations=orientations,
        calibration=Calibration(
            id=f"{name}-{day}",
            time_ns=day * DAY_NS,
            expiry_ns=(day + CALIBRATION_DAYS) * DAY_NS,
            gain_error=head.gain_error,
        ),
        channel_noise=noise_pt if min(noise_pt) < max(noise_pt) else (),
    )
