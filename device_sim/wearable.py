"""What every simulated wearable has in common: packets, rates, and the sensors beside the magnetometers."""

PACKET_NS = 250_000_000
SLOTS_PER_CHUNK = 4  # the physics runs in chunks of one second, the packets leave in slots of 250 ms

FIELD_RATE_HZ = 500  # of the reference wearable
PPG_RATE_HZ = 100
ACCELERATION_RATE_HZ = 52  # LSM6DSx output data rate, from memory
WAVELENGTHS_NM = (940, 660, 525)
# Streams of the reference wearable, and its magnetic channels.
MCG, REFERENCE, PPG, ACCELERATION, TEMPERATURE = range(5)
N_MCG, N_REFERENCE = 4, 3
N_FIELD = N_MCG + N_REFERENCE

# Accelerometer: +-2 g over 16 bits, 70 ug/rtHz (LSM6DSx, from memory).
GRAVITY = 9.80665
ACCELERATION_SCALE = 2.0 * GRAVITY / 32768.0
ACCELERATION_NOISE = 70e-6 * GRAVITY
# NV thermometer: nanodiamond class, 10 mK/rtHz (DOMAIN 1.2).
TEMPERATURE_NOISE = 0.010

DAY_NS = 86_400_000_000_000
