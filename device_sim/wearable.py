"""The reference wearable: its streams, its geometry, and the birth it publishes."""

import numpy as np
from numpy.typing import NDArray

from ingest.profile import Birth, Calibration, StreamProfile, Vector

PACKET_NS = 250_000_000
SLOTS_PER_CHUNK = 4  # the physics runs in chunks of one second, the packets leave in slots of 250 ms

FIELD_RATE_HZ = 500
PPG_RATE_HZ = 100
ACCELERATION_RATE_HZ = 52  # LSM6DSx output data rate, from memory
WAVELENGTHS_NM = (940, 660, 525)
N_MCG = 4
N_REFERENCE = 3
N_FIELD = N_MCG + N_REFERENCE

MCG, REFERENCE, PPG, ACCELERATION, TEMPERATURE = range(5)

# QuSpin QZFM (DOMAIN 1.1): 7-15 fT/rtHz, DC-135 Hz, +-5 nT, serial stream of 24 bits at 0.01 pT.
OPM_SCALE_PT = 0.01
OPM_NOISE_PT = 0.015
OPM_RANGE_PT = 5000.0
OPM_BANDWIDTH_HZ = 135.0
# Accelerometer: +-2 g over 16 bits, 70 ug/rtHz (LSM6DSx, from memory).
GRAVITY = 9.80665
ACCELERATION_SCALE = 2.0 * GRAVITY / 32768.0
ACCELERATION_NOISE = 70e-6 * GRAVITY
# NV thermometer: nanodiamond class, 10 mK/rtHz (DOMAIN 1.2).
TEMPERATURE_NOISE = 0.010

# Metres; x to the patient's left, y to the head, z out of the chest, origin in the middle of the array on its plane.
# The reference stands 20 cm off: at 10 cm its tangential axes still see a sixth of the best channel's R peak.
_PITCH_M = 0.045
MCG_POSITIONS_M: tuple[Vector, ...] = tuple((x * _PITCH_M, y * _PITCH_M, 0.0) for y in (1, -1) for x in (-1, 1))
REFERENCE_POSITION_M: Vector = (-0.07, 0.07, 0.17)
MCG_ORIENTATIONS: tuple[Vector, ...] = ((0.0, 0.0, 1.0),) * N_MCG
REFERENCE_ORIENTATIONS: tuple[Vector, ...] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))

DAY_NS = 86_400_000_000_000
_CALIBRATION_DAYS = 30
GAIN_ERROR = 0.013  # RMS spread between two calibration methods (DOMAIN 1.2: 1.3 %)


def field_positions_m() -> NDArray[np.float64]:
    """Positions of the magnetic channels, MCG first, shape ``(N_FIELD, 3)``."""
    return np.array([*MCG_POSITIONS_M, *([REFERENCE_POSITION_M] * N_REFERENCE)])


def field_orientations() -> NDArray[np.float64]:
    """Nominal sensitive axes of the magnetic channels, MCG first, shape ``(N_FIELD, 3)``."""
    return np.array([*MCG_ORIENTATIONS, *REFERENCE_ORIENTATIONS])


def _magnetometer(
    name: str, positions: tuple[Vector, ...], orientations: tuple[Vector, ...], day: int
) -> StreamProfile:
    return StreamProfile(
        name=name,
        kind="mcg" if name == "mcg" else "reference",
        sensor="opm-serf",
        rate_hz=FIELD_RATE_HZ,
        n_channels=len(positions),
        unit="pT",
        dtype="i3",
        block_len=FIELD_RATE_HZ // SLOTS_PER_CHUNK,
        scale=OPM_SCALE_PT,
        noise_floor=OPM_NOISE_PT,
        range=OPM_RANGE_PT,
        bandwidth_hz=OPM_BANDWIDTH_HZ,
        positions_m=positions,
        orientations=orientations,
        calibration=Calibration(
            id=f"{name}-{day}",
            time_ns=day * DAY_NS,
            expiry_ns=(day + _CALIBRATION_DAYS) * DAY_NS,
            gain_error=GAIN_ERROR,
        ),
    )


def reference_birth(device: str, patient: str, now_ns: int) -> Birth:
    """Birth of a reference wearable that was calibrated at the last midnight (UTC).

    The birth number is the day of the calibration, so that it counts up when the calibration changes.
    """
    day = now_ns // DAY_NS
    return Birth(
        version=1,
        device=device,
        birth=day,
        model="femtoward reference wearable",
        patient=patient,
        simulated=True,
        streams=(
            _magnetometer("mcg", MCG_POSITIONS_M, MCG_ORIENTATIONS, day),
            _magnetometer("reference", (REFERENCE_POSITION_M,) * N_REFERENCE, REFERENCE_ORIENTATIONS, day),
            StreamProfile(
                name="ppg",
                kind="ppg",
                sensor="spad",
                rate_hz=PPG_RATE_HZ,
                n_channels=len(WAVELENGTHS_NM),
                unit="{count}",
                dtype="i4",
                block_len=PPG_RATE_HZ // SLOTS_PER_CHUNK,
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
