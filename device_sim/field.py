"""From a current dipole in the chest to the magnetic field at the sensors."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MU0_OVER_4PI = 1e-7  # T m / A
PT_PER_T = 1e12


def normal_lead(source_m: Array, sensors_m: Array) -> Array:
    """Normal (z) field of a unit dipole along each axis, by the primary current alone.

    For the component normal to a conducting half-space the volume currents add nothing (Roth 2023,
    Sensors 23:4218), so that Biot-Savart's law for the dipole itself holds: ``B = mu0/4pi q x a / a^3``.

    Parameters
    ----------
    source_m : ndarray, shape (3,)
        Where the dipole lies, in m.
    sensors_m : ndarray, shape (n, 3)
        Where the field is taken, in m.

    Returns
    -------
    ndarray, shape (n, 3)
        pT per A m along x, y and z.

    Examples
    --------
    A dipole of 1 uA m, 8 cm to the side of the sensor and at right angles, gives 15.6 pT:

    >>> lead = normal_lead(np.zeros(3), np.array([[0.08, 0.0, 0.0]]))
    >>> float(round(abs(lead[0] @ [0.0, 1e-6, 0.0]), 1))
    15.6
    """
    away = sensors_m - source_m
    cubed = np.sum(away**2, axis=-1) ** 1.5
    zero = np.zeros(len(away))
    lead: Array = MU0_OVER_4PI * PT_PER_T * np.stack([away[:, 1], -away[:, 0], zero], axis=-1) / cubed[:, None]
    return lead


def half_space_lead(source_m: Array, sensors_m: Array, axes: Array) -> Array:
    """Field along `axes` of a unit dipole in a conducting half-space below the sensors.

    Parameters
    ----------
    source_m : ndarray, shape (3,)
        Where the dipole lies, in m; the surface is any plane of constant z between it and the sensors.
    sensors_m : ndarray, shape (n, 3)
        Where the field is taken, in m.
    axes : ndarray, shape (n, 3)
        Unit vectors of the sensitive axes.

    Returns
    -------
    ndarray, shape (n, 3)
        pT per A m along x, y and z. The normal component is that of `normal_lead`.

    References
    ----------
    Closed form for the horizontally layered conductor, ``B = mu0/(4 pi K^2) [(q x a . z) grad K - K z x q]``,
    ``K = a (a + a_z)``: Hamalainen et al. 1993, Rev. Mod. Phys. 65:413 (from memory; the tests check that it has
    neither divergence nor curl and agrees with Biot-Savart's law along z).
    """
    away = sensors_m - source_m
    a = np.sqrt(np.sum(away**2, axis=-1))
    up = np.array([0.0, 0.0, 1.0])
    k = a * (a + away[:, 2])
    grad_k = (2.0 + away[:, 2] / a)[:, None] * away + a[:, None] * up
    lead = np.empty((len(away), 3))
    for axis, q in enumerate(np.eye(3)):
        turn = np.cross(q, away)[:, 2]
        field = turn[:, None] * grad_k - k[:, None] * np.cross(up, q)
        lead[:, axis] = np.sum(field * axes, axis=-1) / k**2
    return MU0_OVER_4PI * PT_PER_T * lead


def sphere_lead(source_m: Array, sensors_m: Array, axes: Array) -> Array:
    """Field along `axes` of a unit dipole in a conducting sphere about the origin, outside of it.

    The sphere's radius and layers do not matter, and a radial dipole gives no field.

    Parameters
    ----------
    source_m : ndarray, shape (3,)
        Where the dipole lies, in m from the sphere's centre.
    sensors_m : ndarray, shape (n, 3)
        Where the field is taken, in m from the sphere's centre.
    axes : ndarray, shape (n, 3)
        Unit vectors of the sensitive axes.

    Returns
    -------
    ndarray, shape (n, 3)
        pT per A m along x, y and z.

    References
    ----------
    Sarvas 1987, Phys. Med. Biol. 32:11, doi:10.1088/0031-9155/32/1/004 (from memory; the tests check that it has
    neither divergence nor curl, is zero for a radial dipole, agrees with Biot-Savart's law along the radius, and
    becomes the half-space far from the centre).

    Examples
    --------
    >>> lead = sphere_lead(np.array([0.0, 0.0, 0.07]), np.array([[0.03, 0.02, 0.10]]), np.array([[0.6, 0.0, 0.8]]))
    >>> bool(abs(lead[0, 2]) < 1e-9 * abs(lead[0, 1]))
    True
    """
    away = sensors_m - source_m
    a = np.sqrt(np.sum(away**2, axis=-1))
    r = np.sqrt(np.sum(sensors_m**2, axis=-1))
    along = np.sum(away * sensors_m, axis=-1)
    f = a * (r * a + along)
    grad_f = (a**2 / r + along / a + 2.0 * (a + r))[:, None] * sensors_m - (a + 2.0 * r + along / a)[:, None] * source_m
    lead = np.empty((len(away), 3))
    for axis, q in enumerate(np.eye(3)):
        turn = np.cross(q, source_m)
        field = f[:, None] * turn - (sensors_m @ turn)[:, None] * grad_f
        lead[:, axis] = np.sum(field * axes, axis=-1) / f**2
    return MU0_OVER_4PI * PT_PER_T * lead
