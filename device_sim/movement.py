"""What a device that turns and shifts makes of a field that stands still."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BREATH_SHIFT_M = 0.004  # the chest rises and falls by this; from memory
HEAD_OF_CHEST = 0.1  # share of the chest's breathing, tilt and shift, that reaches the head; from memory


def field_of_movement(remnant_pt: Array, gradient_pt_m: Array, turn_rad: Array, shift_m: Array) -> Array:
    """Change of the field in a device's own axes.

    Ten degrees in 2 nT are 0.35 nT, a centimetre in 1 nT/m is 10 pT (DOMAIN 1.2). The rotation is exact, so that the
    length of the field stays as it is, which a scalar sensor measures.

    Parameters
    ----------
    remnant_pt : ndarray, shape (n, 3)
        Field at rest.
    gradient_pt_m : ndarray, shape (n, 3, 3)
        Its gradient.
    turn_rad, shift_m : ndarray, shape (n, 3, n_samples)
        Rotation vector and displacement of the device against its rest.

    Returns
    -------
    ndarray, shape (n, 3, n_samples)
        pT.

    Examples
    --------
    >>> turn = np.zeros((1, 3, 1))
    >>> turn[0, 1] = np.radians(10.0)
    >>> field = field_of_movement(np.array([[0.0, 0.0, 2000.0]]), np.zeros((1, 3, 3)), turn, np.zeros((1, 3, 1)))
    >>> round(float(abs(field[0, 0, 0])))
    347
    """
    there = remnant_pt[..., None] + np.matmul(gradient_pt_m, shift_m)
    angle = np.sqrt(np.sum(turn_rad**2, axis=1, keepdims=True))
    axis = turn_rad / np.where(angle > 0.0, angle, 1.0)
    along = np.sum(axis * there, axis=1, keepdims=True)
    # What stands still turns the other way round for whoever turns.
    across = np.cross(there, axis, axis=1)
    seen: Array = there * np.cos(angle) + across * np.sin(angle) + axis * along * (1.0 - np.cos(angle))
    return seen - remnant_pt[..., None]


def turned_gradient(gradient_pt_m: Array, turn_rad: Array) -> Array:
    """Gradient in the axes of a device that turns.

    Parameters
    ----------
    gradient_pt_m : ndarray, shape (..., 3, 3, n_samples or 1)
        Before.
    turn_rad : ndarray, shape (..., 3, n_samples)
        Rotation vector.

    Returns
    -------
    ndarray, shape (..., 3, 3, n_samples)
        pT/m.
    """
    angle = np.sqrt(np.sum(turn_rad**2, axis=-2))[..., None, None, :]
    x, y, z = np.moveaxis(turn_rad / np.where(angle[..., 0, :, :] > 0.0, angle[..., 0, :, :], 1.0), -2, 0)
    zero = np.zeros_like(x)
    # Rows of the matrix that takes a vector's part across the axis, the other way round as in `field_of_movement`.
    across = np.stack([np.stack([zero, z, -y], -2), np.stack([-z, zero, x], -2), np.stack([y, -x, zero], -2)], -3)
    still = np.eye(3)[..., None]
    matrix = still + across * np.sin(angle) + np.einsum("...ikt,...kjt->...ijt", across, across) * (1.0 - np.cos(angle))
    seen: Array = np.einsum("...ijt,...jkt,...lkt->...ilt", matrix, gradient_pt_m + 0.0 * matrix, matrix, optimize=True)
    return seen


def breath_turn(gravity_ms2: Array, tilt_ms2: Array) -> Array:
    """Rotation vector that changes a device's gravity by `tilt_ms2`, both of shape ``(n, 3)``."""
    turn: Array = np.cross(tilt_ms2, gravity_ms2) / np.sum(gravity_ms2**2, axis=-1, keepdims=True)
    return turn
