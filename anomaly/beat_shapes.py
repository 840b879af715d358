"""What is particular about one beat's wave, against running templates of its own patient's kinds of beats."""

from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from anomaly.kernel import Array, BoolArray, IntArray

Floats = NDArray[np.float32]

HZ = 100.0  # of the waves
BEFORE, AFTER = 30, 45  # samples of a wave before and behind the R peak
QRS = (18, 49)  # where in it the QRS is looked for: -0.12 to 0.18 s
CORE = (22, 43)  # -0.08 to 0.12 s
PRE = (4, 19)  # -0.26 to -0.12 s: the P wave
POST = (45, 72)  # 0.15 to 0.41 s: the T wave
LAG = 4  # a template is moved by up to so many samples
N_KINDS = 5
JOIN = 0.85  # correlation at which a beat is of a kind
SLOWEST = 24.0  # beats that a template looks back on
NOISE_PACE = 1.0 / 32.0
CLEAN = 0.02  # of a wave's power: noise below it does no harm
MOST_ODDS = 6.0  # one beat says no more than that of its kind
KIND_SHARE = 0.6  # of the kind's odds in those of a beat
KIND_KNOWN = 4.0  # beats from which on a kind has its full share
FADE = 0.99  # per beat: so much of a kind's weight remains

PLAIN = (  # what is told of a wave alone, or of its time: each kind keeps its mean
    "early",
    "late",
    "span",
    "spread",
    "sharp",
    "core_energy",
    "t_same",
    "t_energy",
    "pre_energy",
)


class Kinds(NamedTuple):
    """Kinds of beats that a row has had."""

    wave: Floats  # (n, kinds, channels, BEFORE + 1 + AFTER) mean wave
    weight: Floats  # (n, kinds) beats, fading; 0: none yet
    mean: Floats  # (n, kinds, len(PLAIN))
    odds: Floats  # (n, kinds) mean log odds that its beats are ventricular, as each was judged alone
    noise: Floats  # (n, channels) mean square by which beats of a kind differ from its mean wave


class Told(NamedTuple):
    """What is told of one beat in each of n rows."""

    features: Array  # (n, len(FEATURES))
    known: BoolArray  # (n,) there is something to compare it with
    kind: IntArray  # (n,) place of its kind
    had: Array  # (n,) beats that its kind had before, fading; 0: it is a new kind


def none_yet(n: int, channels: int) -> Kinds:
    """Rows that have had no beat."""
    return Kinds(
        np.zeros((n, N_KINDS, channels, BEFORE + 1 + AFTER), np.float32),
        np.zeros((n, N_KINDS), np.float32),
        np.zeros((n, N_KINDS, len(PLAIN)), np.float32),
        np.zeros((n, N_KINDS), np.float32),
        np.zeros((n, channels), np.float32),
    )


def plain(wave: Array) -> Array:
    """`PLAIN` from "span" on, shape (n_beats, len(PLAIN) - 2)."""
    slope = np.diff(wave, axis=-1)
    qrs = np.ascontiguousarray(wave[..., QRS[0] : QRS[1]])
    energy = np.ascontiguousarray((slope[..., QRS[0] : QRS[1] - 1] ** 2).sum(axis=1))
    total = energy.sum(axis=-1) + 1e-30
    at = np.arange(energy.shape[-1]) / HZ
    share = np.cumsum(energy, axis=-1) / total[:, None]
    span = _crossing(share, 0.95) - _crossing(share, 0.05)
    centre = (energy * at).sum(axis=-1) / total
    spread = np.sqrt((energy * (at - centre[:, None]) ** 2).sum(axis=-1) / total)
    level = _energy(qrs - qrs.mean(axis=-1, keepdims=True)) + 1e-30
    core, post, pre = (np.ascontiguousarray(wave[..., a:b]) for a, b in (CORE, POST, PRE))
    sharp = 0.5 * np.log(total / level)
    a, b = core.mean(axis=-1), post.mean(axis=-1)
    same = (a * b).sum(axis=-1) / (np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1)) + 1e-30)
    inner = _energy(core) + 1e-30
    return np.stack(
        [
            span / HZ,
            spread,
            sharp,
            0.5 * np.log(inner),
            same,
            0.5 * np.log((_energy(post) + 1e-30) / inner),
            0.5 * np.log((_energy(pre - pre.mean(axis=-1, keepdims=True)) + 1e-30) / inner),
        ],
        axis=-1,
    )


def likeness(kinds: Kinds, wave: Array) -> tuple[Array, IntArray]:
    """Correlation of each beat's QRS with each kind's, at the best of the lags; shapes (n, kinds)."""
    n = len(wave)
    views = sliding_window_view(wave[..., QRS[0] - LAG : QRS[1] + LAG], QRS[1] - QRS[0], axis=-1)
    views = np.ascontiguousarray(views.transpose(0, 2, 1, 3))  # (n, lags, channels, samples)
    views = (views - views.mean(axis=-1, keepdims=True)).reshape(n, 1, 2 * LAG + 1, -1)
    template = kinds.wave[..., QRS[0] : QRS[1]].astype(np.float64)
    template = (template - template.mean(axis=-1, keepdims=True)).reshape(n, N_KINDS, 1, -1)
    product = (views * template).sum(axis=-1)
    norm = np.sqrt((views * views).sum(axis=-1) * (template * template).sum(axis=-1)) + 1e-30
    each = product / norm
    best = each.argmax(axis=-1)
    return np.take_along_axis(each, best[..., None], axis=-1)[..., 0], best - LAG


def _part(wave: Array, template: Array, window: tuple[int, int]) -> Array:
    x, y = (np.ascontiguousarray(v[..., window[0] : window[1]]) for v in (wave, template))
    x, y = (v - v.mean(axis=-1, keepdims=True) for v in (x, y))
    like: Array = _dot(x, y) / (np.sqrt(_energy(x) * _energy(y)) + 1e-30)
    return like


FEATURES = (
    *PLAIN,
    *(f"{name}_to_normal" for name in PLAIN),
    *(f"kind_{name}_to_normal" for name in PLAIN),
    "like_normal",
    "like_own",
    "own_like_normal",
    "pre_like_normal",
    "post_like_normal",
    "rest",
    "own_share",
    "own_is_normal",
    "normal_share",
)


def describe(kinds: Kinds, wave: Array, timing: Array) -> tuple[Kinds, Told]:
    """Features of one beat in each row, and the kinds after it.

    Parameters
    ----------
    kinds
        Of these rows.
    wave : ndarray, shape (n, channels, BEFORE + 1 + AFTER)
    timing : ndarray, shape (n, 2)
        "early" and "late".
    """
    n = len(wave)
    each = np.arange(n)
    raw = wave
    if wave.shape[1] > 1:
        scale = _scale(kinds)[..., None]
        wave = wave * scale
        scaled = kinds._replace(wave=(kinds.wave * scale[:, None]).astype(np.float32))
    else:
        scaled = kinds
    told = np.concatenate([timing, plain(wave)], axis=-1)
    weight = kinds.weight.astype(np.float64)
    like, lag = likeness(scaled, wave)
    like = np.where(weight > 0.0, like, -1.0)
    # Beats that come early, or are wider than those of another kind, are not what is normal here.
    mean = kinds.mean.astype(np.float64)
    odd = np.maximum(-mean[..., 0] - 0.1, 0.0) * 6.0 + np.maximum(mean[..., 2] - 0.1, 0.0) * 10.0
    normal = (weight * np.exp(-odd)).argmax(axis=-1)
    known = weight[each, normal] >= 3.0
    own = like.argmax(axis=-1)
    joins = like[each, own] >= JOIN
    where = np.where(joins, own, weight.argmin(axis=-1))
    total = weight.sum(axis=-1) + 1e-9

    usual, theirs = mean[each, normal], mean[each, own]
    normal_wave = scaled.wave[each, normal].astype(np.float64)
    own_wave = scaled.wave[each, own].astype(np.float64)
    moved = _moved(wave, lag[each, normal])
    rest = 0.5 * np.log(
        (_energy(np.ascontiguousarray((moved - normal_wave)[..., QRS[0] : QRS[1]])) + 1e-30)
        / (_energy(np.ascontiguousarray(normal_wave[..., QRS[0] : QRS[1]])) + 1e-30)
    )
    told_plain = told.copy()
    told_plain[:, 5] = 0.0
    features = np.concatenate(
        [
            told_plain,
            told - usual,
            np.where(joins[:, None], theirs, told) - usual,
            np.stack(
                [
                    like[each, normal],
                    like[each, own],
                    _part(own_wave, normal_wave, QRS),
                    _part(moved, normal_wave, PRE),
                    _part(moved, normal_wave, POST),
                    np.clip(rest, -5.0, 5.0),
                    np.where(joins, weight[each, own] / total, 0.0),
                    (joins & (own == normal)).astype(np.float64),
                    weight[each, normal] / total,
                ],
                axis=-1,
            ),
        ],
        axis=-1,
    )
    # The kind after this beat.
    count = np.where(joins, weight[each, where], 0.0)
    pace = 1.0 / np.minimum(count + 1.0, SLOWEST)
    own_moved = np.where(joins[:, None, None], _moved(raw, lag[each, where]), raw)
    new_wave, new_mean, new_weight = kinds.wave.copy(), kinds.mean.copy(), kinds.weight * np.float32(FADE)
    old = np.where(joins[:, None, None], kinds.wave[each, where], 0.0)
    new_wave[each, where] = old + pace[:, None, None] * (own_moved - old)
    off = np.ascontiguousarray((own_moved - old)[..., QRS[0] : QRS[1]])
    square = np.mean(off * off, axis=-1)
    noise = kinds.noise.astype(np.float64)
    first = noise <= 0.0
    square = np.where(first, square, np.minimum(square, 4.0 * noise))
    noise = np.where(
        (joins & (count >= 3.0))[:, None], noise + np.where(first, 1.0, NOISE_PACE) * (square - noise), noise
    )
    old = np.where(joins[:, None], kinds.mean[each, where], 0.0)
    new_mean[each, where] = old + pace[:, None] * (told - old)
    new_weight[each, where] = count * FADE + 1.0
    new = Kinds(new_wave, new_weight.astype(np.float32), new_mean, kinds.odds, noise.astype(np.float32))
    return new, Told(features, known, where, count)


def agreed(kinds: Kinds, told: Told, alone: Array) -> tuple[Kinds, Array]:
    """Log odds of each beat that its kind has a say in, and the kinds after it.

    Parameters
    ----------
    kinds, told
        As `describe` returns them.
    alone : ndarray, shape (n,)
        Log odds that the beat is ventricular, by its own features.
    """
    alone = np.clip(alone, -MOST_ODDS, MOST_ODDS)
    each = np.arange(len(alone))
    before = np.where(told.had > 0.0, kinds.odds[each, told.kind], 0.0)
    share = KIND_SHARE * np.minimum(told.had / KIND_KNOWN, 1.0)
    odds = kinds.odds.copy()
    odds[each, told.kind] = before + (alone - before) / np.minimum(told.had + 1.0, SLOWEST)
    return kinds._replace(odds=odds), (1.0 - share) * alone + share * before


def _scale(kinds: Kinds) -> Array:
    """Factor of each channel: the noisier for its size, the less it has to say."""
    each = np.arange(len(kinds.weight))
    usual = kinds.wave[each, kinds.weight.argmax(axis=-1)][..., QRS[0] : QRS[1]].astype(np.float64)
    usual = np.ascontiguousarray(usual - usual.mean(axis=-1, keepdims=True))
    power = np.mean(usual * usual, axis=-1)
    square = 1.0 / (kinds.noise + CLEAN * power + 1e-30)
    total = (square * power).sum(axis=-1) / (power.sum(axis=-1) + 1e-30)
    scale: Array = np.sqrt(square / np.where(total > 0.0, total, 1.0)[:, None])
    return np.where((total > 0.0)[:, None], scale, 1.0)


def _moved(wave: Array, lag: IntArray) -> Array:
    """Each wave moved so that what lay `lag` samples late lies in its place."""
    place = np.clip(np.arange(wave.shape[-1]) + lag[:, None], 0, wave.shape[-1] - 1)
    return np.take_along_axis(wave, np.broadcast_to(place[:, None], wave.shape), axis=-1)


def _crossing(share: Array, level: float) -> Array:
    """Where a rising curve crosses a level, in samples."""
    each = np.arange(len(share))
    k = (share >= level).argmax(axis=-1)
    below = np.where(k > 0, share[each, np.maximum(k - 1, 0)], 0.0)
    step = share[each, k] - below
    place: Array = k + np.divide(level - below, step, out=np.zeros_like(step), where=step > 0.0)
    return place


def _energy(x: Array) -> Array:
    return _dot(x, x)


def _dot(x: Array, y: Array) -> Array:
    total: Array = np.ascontiguousarray(x * y).reshape(len(x), -1).sum(axis=-1)
    return total
