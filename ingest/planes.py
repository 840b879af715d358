"""Sample bytes made small without losing a bit: differences, zigzag, and one plane per byte of a sample; pure.

Samples of a quantum sensor are mostly noise, which nothing compresses. But a sample of 24 bits whose noise takes 11
carries 13 that its predecessor foretells. So each run of samples is taken as little-endian integers of 2, 3 or 4 bytes,
whichever gives the smallest differences; small differences of either sign become small counts (zigzag); and the counts
are laid out plane by plane, lowest bytes first. The low plane is nearly noise, so that no match is looked for in it;
the others deflate to what they carry. All arithmetic is modulo the sample's width: any bytes at all come back.
"""

import zlib
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

Octets = NDArray[np.uint8]  # bytes, in any shape
Words = NDArray[np.uint32]  # samples (n_runs, n_samples), each in the low bytes

WIDTHS: Final = (2, 3, 4)  # bytes of a sample
SHORTEST: Final = 16  # bytes of a run that is worth it
LEVEL: Final = 5  # of zlib: 6 costs a third more CPU for 0.3 % of size
_TRIED: Final = 16  # runs on which a width is tried
_WORTH_BITS: Final = 7.0  # of each byte, at most, that differences take; else the run is left as it is
_NOISE_BITS: Final = 7.8  # a plane that carries more in each byte is left as it is


class Run(NamedTuple):
    """Where some sample bytes lie."""

    start: int
    size: int


class Family(msgspec.Struct, frozen=True, array_like=True):
    """Runs of one size, taken apart."""

    size: int  # bytes of each run
    width: int  # bytes of a sample
    starts: bytes  # of the runs, as differences
    planes: tuple[bytes, ...]  # lowest bytes first


class Parts(msgspec.Struct, frozen=True, array_like=True):
    """Bytes taken apart."""

    families: tuple[Family, ...]
    rest: bytes  # what belongs to no family


def split(data: bytes, runs: Sequence[Run]) -> Parts:
    """Take bytes apart; `runs` say where samples are thought to lie: in order, not overlapping, maybe wrongly.

    Examples
    --------
    >>> ramp = b"".join((1000 + 3 * i).to_bytes(3, "little") for i in range(100))
    >>> parts = split(b"head" + ramp, [Run(4, 300)])
    >>> len(msgspec.msgpack.encode(parts)) < 100, join(parts) == b"head" + ramp
    (True, True)
    """
    sizes: dict[int, list[int]] = {}
    for start, size in runs:
        if size >= SHORTEST:
            sizes.setdefault(size, []).append(start)
    families = []
    taken: list[Run] = []
    for size, starts in sizes.items():
        octets = np.frombuffer(b"".join([data[start : start + size] for start in starts]), np.uint8)
        width = _width(octets.reshape(-1, size)[:_TRIED])
        if width:
            low, *high = _planes(_zigzag(_words(octets.reshape(-1, size), width), width), width)
            planes = (squeeze(low, zlib.Z_HUFFMAN_ONLY), *(squeeze(plane) for plane in high))
            families.append(Family(size, width, squeeze(np.diff(starts, prepend=0).astype("<i8").tobytes()), planes))
            taken += [Run(start, size) for start in starts]
    rest, end = [], 0
    for start, size in sorted(taken):
        rest.append(data[end:start])
        end = start + size
    return Parts(tuple(families), squeeze(b"".join([*rest, data[end:]])))


def join(parts: Parts) -> bytes:
    """Put together again what `split` took apart."""
    runs: list[tuple[int, bytes]] = []
    for family in parts.families:
        size = family.size
        starts = np.cumsum(np.frombuffer(unsqueeze(family.starts), "<i8")).tolist()
        counts = np.zeros((len(starts), size // family.width, 4), np.uint8)
        for byte, plane in enumerate(family.planes):
            counts[:, :, byte] = np.frombuffer(unsqueeze(plane), np.uint8).reshape(counts.shape[:2])
        data = _octets(_unzigzag(counts.view("<u4")[:, :, 0], family.width))[:, :, : family.width].tobytes()
        runs += [(start, data[at * size : at * size + size]) for at, start in enumerate(starts)]
    rest, at, end = unsqueeze(parts.rest), 0, 0
    pieces = []
    for start, run in sorted(runs):
        gap = start - end
        pieces += [rest[at : at + gap], run]
        at += gap
        end = start + len(run)
    return b"".join([*pieces, rest[at:]])


def squeeze(data: bytes, strategy: int = zlib.Z_DEFAULT_STRATEGY) -> bytes:
    """Deflate bytes, unless they are noise or do not get shorter."""
    if len(data) >= SHORTEST and _bits(np.frombuffer(data, np.uint8)) > _NOISE_BITS:
        return b"\0" + data
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, strategy)
    deflated = packer.compress(data) + packer.flush()
    return b"\1" + deflated if len(deflated) < len(data) else b"\0" + data


def unsqueeze(data: bytes) -> bytes:
    """Give back what was squeezed."""
    return zlib.decompress(data[1:]) if data[:1] == b"\1" else data[1:]


def _width(runs: Octets) -> int:
    """Width whose differences are smallest; 0 when none is worth it."""
    best, least = 0, _WORTH_BITS
    for width in WIDTHS:
        if runs.shape[1] % width == 0:
            zigzag = _zigzag(_words(runs, width), width)
            # One bit more than the mean logarithm: about what coding such a spread of values costs.
            bits = (float(np.log2(zigzag + 1.0).mean()) + 1.0) / width
            if bits < least:
                best, least = width, bits
    return best


def _words(runs: Octets, width: int) -> Words:
    octets = np.zeros((len(runs), runs.shape[1] // width, 4), np.uint8)
    octets[:, :, :width] = runs.reshape(*octets.shape[:2], width)
    return octets.view("<u4")[:, :, 0]


def _octets(words: Words) -> Octets:
    return np.ascontiguousarray(words, "<u4").view(np.uint8).reshape(*words.shape, 4)


def _zigzag(words: Words, width: int) -> Words:
    """Differences from sample to sample as counts: 0, -1, 1, -2, ... become 0, 1, 2, 3, ..."""
    steps = words.copy()
    steps[:, 1:] -= words[:, :-1]  # modulo 2**32, and so modulo the width
    negative = (steps >> np.uint32(8 * width - 1)) & np.uint32(1)
    return ((steps << np.uint32(1)) ^ -negative) & _mask(width)


def _unzigzag(counts: Words, width: int) -> Words:
    steps = (counts >> np.uint32(1)) ^ -(counts & np.uint32(1))
    return np.cumsum(steps, axis=1, dtype=np.uint32) & _mask(width)


def _planes(counts: Words, width: int) -> list[bytes]:
    octets = _octets(counts)
    return [octets[:, :, byte].tobytes() for byte in range(width)]


def _mask(width: int) -> np.uint32:
    return np.uint32((1 << 8 * width) - 1)


def _bits(octets: Octets) -> float:
    """Entropy of bytes, in bits for each."""
    share = np.bincount(octets, minlength=256) / len(octets)
    return float(-np.sum(share * np.log2(np.where(share > 0, share, 1.0))))
