"""Faults that can be put on a device, by name, and what each does to the physics."""

from typing import Literal, NamedTuple, get_args

FaultName = Literal["saturation", "lost-lock", "stuck", "noise", "off-body", "silence", "dead-spot"]
FAULTS: tuple[FaultName, ...] = get_args(FaultName)

# A magnet or a phone beside the sensor: an offset beyond the range of +-5 nT, along z.
SATURATION_PT = 9000.0
# Seconds of re-zeroing at the end of a lost lock (QZFM auto-start takes seconds; from memory).
ZEROING_S = 3.0
# Without the zero-field resonance the output is electronic noise that no longer depends on the field; from memory.
UNLOCKED_NOISE_PT = 2.0
# White noise that buries a 50 pT beat: 15 pT/rtHz gives about -5 dB in 40 Hz (formula in DOMAIN 1.1).
NOISE_PT = 15.0
# What keeps packets from leaving.
MUTE: tuple[FaultName, ...] = ("silence", "dead-spot")


class Fault(NamedTuple):
    """One fault of one device, in seconds since the start of the run."""

    name: FaultName
    from_s: float
    to_s: float
