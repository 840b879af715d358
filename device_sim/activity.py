"""What moves a patient and the device with the patient: how the device turns, shifts and shakes."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from device_sim.events import ActivityEvent
from device_sim.script import Span

Array = NDArray[np.float64]

# Every number of this module is from memory, as typical of an adult; the device lies on the chest: x to the left, y to
# the head, z out of the chest.
STEP_HZ = 1.8
STEP_MS2, STEP_SIDE_MS2 = 2.2, 0.9  # along the body, and from side to side at half the rate
STEP_TURN_RAD = 0.05
STEP_LIGHT = 0.006  # share of the light that a step moves
TURN_RAD, TURN_S = 1.2, 3.0  # a turn onto the side
UP_RAD, UP_S = 1.4, 4.0  # from lying to standing
COUGH_EVERY_S, COUGH_S, COUGHS = 4.0, 0.45, 3
COUGH_MS2, COUGH_HZ, COUGH_TURN_RAD = 5.0, 7.0, 0.03
_COUGH_DECAY_HZ = 14.0 / COUGH_S
_JERK_HZ2 = 2.0 * np.e * _COUGH_DECAY_HZ * 2.0 * np.pi * COUGH_HZ  # second derivative of `_jolt` as it begins
PRESS_HZ, PRESS_M, PRESS_TURN_RAD = 110.0 / 60.0, 0.025, 0.04  # compressions of 5 cm, 110 a minute (ERC 2021)
PRESS_STROKE = 0.4  # the pulse that they make, against one of the heart's
HAND_MS2, HAND_HZ = (0.7, 0.25), (0.6, 8.0)  # a hand sways, and trembles
LIGHT_OF_TURN = 0.01  # share of the light that a turn of 1 rad moves, by pressure


class Movement(NamedTuple):
    """How a device moves, against its rest, at some times.

    What shakes also shifts: the shake is the shift's second derivative, so that at the end of a swing to the front the
    device is accelerated to the back.
    """

    turn_rad: Array  # (3, n_samples), rotation vector
    shift_m: Array  # (3, n_samples)
    shake_ms2: Array  # (3, n_samples), acceleration without gravity
    light: Array  # (n_samples,), what the light is multiplied by


def movement(span: Span[ActivityEvent], t_s: Array) -> Movement:
    """Movement of one activity; outside its time there is none."""
    event, since = span.event, t_s - span.from_s
    during = ((t_s >= span.from_s) & (t_s < span.to_s)).astype(np.float64) * event.size
    zero = np.zeros(len(t_s))
    match event.activity:
        case "walking":
            up = _held(span, t_s, UP_S)
            pace = 2.0 * np.pi * STEP_HZ
            first, second, third = np.sin(pace * since), np.sin(2.0 * pace * since + 0.6), np.sin(3.0 * pace * since)
            step = during * (first + 0.4 * second + 0.15 * third)
            side = during * np.sin(0.5 * pace * since)
            swing = -during * (first + 0.4 / 4.0 * second + 0.15 / 9.0 * third) / pace**2
            sway = -side / (0.5 * pace) ** 2
            return Movement(
                np.stack([UP_RAD * up + STEP_TURN_RAD * step, STEP_TURN_RAD * side, STEP_TURN_RAD * side]),
                np.stack([STEP_SIDE_MS2 * sway, STEP_MS2 * swing, 0.4 * STEP_MS2 * swing]),
                np.stack([STEP_SIDE_MS2 * side, STEP_MS2 * step, 0.4 * STEP_MS2 * step]),
                1.0 + STEP_LIGHT * step + LIGHT_OF_TURN * up,
            )
        case "getting-up":
            up = event.size * _held(span, t_s, UP_S)
            turn = np.stack([UP_RAD * up, zero, zero])
        case "turning":
            up = event.size * _held(span, t_s, TURN_S)
            turn = np.stack([0.1 * up, TURN_RAD * up, zero])
        case "cough":
            within = since % COUGH_EVERY_S
            coughing = during * (within < COUGHS * COUGH_S)
            jolt, jerk = (coughing * one for one in _jolt(within % COUGH_S))
            towards = COUGH_MS2 / _JERK_HZ2 * np.array([[0.2], [0.5], [1.0]])
            return Movement(
                COUGH_TURN_RAD * np.stack([jolt, 0.3 * jolt, zero]),
                towards * jolt,
                towards * jerk,
                1.0 + 0.01 * jolt,
            )
        case "compressions":
            press = during * np.sin(2.0 * np.pi * PRESS_HZ * since)
            return Movement(
                PRESS_TURN_RAD * np.stack([press, 0.5 * press, zero]),
                PRESS_M * np.stack([zero, zero, press]),
                PRESS_M * (2.0 * np.pi * PRESS_HZ) ** 2 * np.stack([zero, 0.2 * press, -press]),
                1.0 + 0.003 * press,
            )
        case _:
            still = np.zeros((3, len(t_s)))
            return Movement(still, still, still, 1.0 + zero)
    # Whoever turns does not do it in one smooth sweep.
    moving = 4.0 * up * (event.size - up) / max(event.size, 1e-9) ** 2
    shake = moving * (np.sin(2.0 * np.pi * 2.3 * since) + 0.6 * np.sin(2.0 * np.pi * 3.7 * since + 1.0))
    turn = turn + 0.05 * np.stack([shake, zero, shake])
    return Movement(
        turn, 0.05 * up * np.ones((3, 1)), shake * np.array([[0.6], [0.8], [0.5]]), 1.0 + LIGHT_OF_TURN * up
    )


def _jolt(since_s: Array) -> tuple[Array, Array]:
    """One cough as it shifts a device, about 1 at its largest, and its second derivative.

    It swells and dies away, ``d = e sin(w t)`` with ``e = k t exp(1 - k t)``: neither place nor speed jumps.
    """
    k, w = _COUGH_DECAY_HZ, 2.0 * np.pi * COUGH_HZ
    sine, cosine = np.sin(w * since_s), np.cos(w * since_s)
    fading = k * np.exp(1.0 - k * since_s)
    swell, slope, bend = since_s * fading, (1.0 - k * since_s) * fading, (k * since_s - 2.0) * k * fading
    return swell * sine, (bend - w**2 * swell) * sine + 2.0 * w * slope * cosine


def hand_shake(span: Span[ActivityEvent], t_s: Array) -> Array:
    """Acceleration of a device in somebody's hand, without gravity, shape ``(3, n_samples)``."""
    during = (t_s >= span.from_s) & (t_s < span.to_s)
    turn = 2.0 * np.pi * t_s
    slow, fast = (size * np.sin(rate * turn) for size, rate in zip(HAND_MS2, HAND_HZ, strict=True))
    shake: Array = np.stack([slow + fast, 0.7 * slow - fast, 0.5 * slow])
    return span.event.size * during * shake


def turned(vectors: Array, turn_rad: Array) -> Array:
    """Vectors as a device sees them that has turned by a rotation vector; both of shape ``(3, n_samples)``."""
    angle = np.sqrt(np.sum(turn_rad**2, axis=0))
    axis = turn_rad / np.where(angle > 0.0, angle, 1.0)
    along = np.sum(axis * vectors, axis=0)
    # What stands still turns the other way round for whoever turns.
    across = np.cross(vectors, axis, axis=0)
    seen: Array = vectors * np.cos(angle) + across * np.sin(angle) + axis * along * (1.0 - np.cos(angle))
    return seen


def moved_acceleration(resting: Array, gravity_ms2: Array, move: Movement) -> Array:
    """Acceleration of a device that moves, given that at rest and gravity as it was then, shape ``(3, n_samples)``."""
    steady = np.broadcast_to(gravity_ms2[:, None], resting.shape)
    return resting - steady + turned(steady, move.turn_rad) + move.shake_ms2


def _held(span: Span[ActivityEvent], t_s: Array, within_s: float) -> Array:
    """From 0 to 1 in a smooth sweep as the activity begins, and back as it ends."""
    rise = np.clip((t_s - span.from_s) / within_s, 0.0, 1.0)
    fall = np.clip((span.to_s - t_s) / within_s, 0.0, 1.0)
    share = np.minimum(rise, fall)
    held: Array = share**2 * (3.0 - 2.0 * share)
    return held
