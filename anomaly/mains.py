"""Notches at the mains frequency and its harmonics."""

import numpy as np
from scipy import signal

from anomaly.sos import SosFilter

HIGHEST_SHARE = 0.45  # of the sampling rate: nearer to half of it a notch warps and there is no heart to save
NOTHING = np.array([1.0, 0.0, 0.0, 1.0, 0.0, 0.0])  # a section that changes nothing


def mains_notch(rate_hz: float, mains_hz: float = 50.0, n_harmonics: int | None = None, q: float = 30.0) -> SosFilter:
    """Causal filter that takes out the mains and its harmonics.

    Every notch has the same `q`: when the mains is off by 0.1 %, its third harmonic is off by three times as many
    hertz, and a notch of constant `q` is that much wider. The gain at 0 Hz is 1.

    Parameters
    ----------
    rate_hz
        Sampling rate.
    mains_hz
        50 or 60 Hz.
    n_harmonics
        Notches made, the fundamental included; None: all below 0.45 of the sampling rate.
    q
        Centre frequency over the -3 dB width. Lower is wider and settles sooner (at 50 Hz and 30 to 1 % in 0.9 s; a
        mains 0.1 Hz off is then lowered by 18 dB), but takes more of the QRS along: at 30 the error is 2 % of the R
        peak at worst, 0.2 % at the peak itself and 0.2 % of ringing 80 ms later.

    Returns
    -------
    SosFilter
        One section per notch; a filter that changes nothing where no harmonic lies below 0.45 of the rate.

    Raises
    ------
    ValueError
        If a frequency or `q` is not positive.
    """
    if min(rate_hz, mains_hz, q) <= 0.0:
        raise ValueError(f"need positive numbers, got {rate_hz=}, {mains_hz=}, {q=}")
    possible = int(np.floor(HIGHEST_SHARE * rate_hz / mains_hz))
    n = possible if n_harmonics is None else min(n_harmonics, possible)
    notches = [np.concatenate(signal.iirnotch(mains_hz * k, q, fs=rate_hz)) for k in range(1, n + 1)]
    return SosFilter(np.array(notches or [NOTHING]))
