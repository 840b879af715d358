"""A device's time made right: corrected time goes on evenly whatever the device's clock and the network do; pure.

What is known of a packet's true time: it ended before it arrived (the envelope: the smallest delay is nearest to the
truth), the sample counter goes evenly within a boot, and the device's own clock says something, which may be anything.
Corrected time is the sample counter plus an offset. All in whole ns: the same packets give the same times.
"""

from collections.abc import Sequence
from enum import IntFlag
from typing import NamedTuple

import msgspec

MS = 1_000_000
S = 1_000_000_000

FUTURE_NS = 2 * S  # a packet that ends so long after its arrival has a wrong time
OLDEST_NS = 86_400 * S  # no device queues for longer: an older time stamp is a wrong one
STEP_NS = 50 * MS  # device clock and sample counter that part by more: one of them jumped
GATE_NS = 1 * S  # later than this is a queue and says nothing of the clock; further off, a disciplined clock is doubted
ROUNDING_NS = 1 * MS  # packets that overlap by less follow each other
SLEW_PPM = 500
SLEW_MAX_NS = 1 * MS  # per packet
BUCKET_NS = 10 * S  # the smallest delay is kept for each
WINDOW = 6  # buckets whose smallest delay is followed
PATIENCE_NS = 10 * S  # how long arrivals must support a device clock that jumped ahead
STEADY = 30  # buckets through which every packet must be equally late before the lateness is believed ...
STEADY_NS = 250 * MS  # ... as no queue would be: the host's clock was set, or the device slept
STEADY_SOON = 3  # so many are enough if nobody listened for as long as that: the host's clock leapt at a start
APART_NS = 20 * S  # so late, it is believed against a disciplined clock too: what comes 30 s late pages nobody


class ClockFlag(IntFlag):
    """What happened at a packet."""

    FROM_ARRIVAL = 1  # a boot begins at the packet's arrival, because its own time is not to be trusted
    DISBELIEVED = 2  # the clock claims to be disciplined, but its time is impossible
    STEPPED = 4  # the device's clock and its sample counter parted
    JUMPED = 8  # corrected time jumps ahead here: a gap that the sample counter does not show
    PAST = 16  # older than the newest packet, or of an old boot: placed, nothing learned


_NOTHING = ClockFlag(0)


class ClockState(msgspec.Struct, frozen=True, array_like=True):
    """What is known of one device's clock."""

    boot: str = ""
    offset_ns: int = 0  # corrected time minus sample time, for the next packet
    samples_ns: int = 0  # sample time at which the newest packet ended
    end_ns: int = 0  # corrected time at which the newest packet ended: nothing goes before
    skew_ns: int = 0  # corrected time minus device time, when sample counter and device clock last went together
    doubt_ns: int = 0  # arrival of the packet at which the device clock jumped ahead; 0: no doubt
    doubt_low_ns: int = 0  # smallest delay since
    bucket_ns: int = 0  # arrival of the packet that opened the newest bucket
    lows: tuple[int, ...] = ()  # smallest arrival minus sample time at the end, per bucket, newest last
    old_boot: str = ""
    old_offset_ns: int = 0


class Stamp(NamedTuple):
    """The times that a packet brings, as `correct` has them."""

    t0_ns: int
    duration_ns: int
    arrival_ns: int
    sample_time_ns: int
    quality: int
    boot: str


def time_of_sample(first_sample: int, rate_hz: float) -> int:
    """Time since boot of a sample, by the sample counter, in exact arithmetic.

    Examples
    --------
    >>> time_of_sample(125, 500.0)
    250000000
    """
    numerator, denominator = rate_hz.as_integer_ratio()
    return first_sample * S * denominator // numerator


def set_ahead(state: ClockState, by_ns: int) -> ClockState:
    """Follow arrival time, which was set ahead: what was placed by it goes on so much later, after a gap."""
    return msgspec.structs.replace(
        state,
        offset_ns=state.offset_ns + by_ns,
        skew_ns=state.skew_ns + by_ns,
        doubt_ns=state.doubt_ns + by_ns if state.doubt_ns else 0,
        doubt_low_ns=state.doubt_low_ns + by_ns,
        bucket_ns=state.bucket_ns + by_ns,
        lows=tuple(low_ns + by_ns for low_ns in state.lows),
        old_offset_ns=state.old_offset_ns + by_ns,
    )


def correct(  # noqa: PLR0913 - six of them are what a packet brings
    state: ClockState,
    t0_ns: int,
    duration_ns: int,
    arrival_ns: int,
    sample_time_ns: int,
    quality: int,
    boot: str,
    *,
    away: Sequence[tuple[int, int]] = (),
) -> tuple[ClockState, int, ClockFlag]:
    """Place a packet in corrected time.

    Parameters
    ----------
    state
        What is known of the device's clock; ``ClockState()`` at first.
    t0_ns, duration_ns
        Device time of the packet's first sample, and how long the packet lasts.
    arrival_ns
        Host time; never less than that of the packet before.
    sample_time_ns
        Time of the packet's first sample since boot by the sample counter: `time_of_sample`.
    quality, boot
        Clock quality (0 free-running, 1 set by hand, 2 disciplined) and boot id as the packet has them.
    away
        From, to: when nobody listened lately, in arrival times. What the host's clock leapt meanwhile is part of it.

    Returns
    -------
    state
        What is known now.
    corrected_t0_ns
        Corrected time of the packet's first sample. Packets that follow each other in the sample counter follow each
        other in corrected time, which is stretched by at most 500 ppm and 1 ms per packet; it never goes back, nor
        before the end of the boot before. Only a `ClockFlag.PAST` packet is placed earlier, where it belongs.
    flags
        What happened.

    Notes
    -----
    A boot begins at its own time if its clock is disciplined and not impossible, else at the arrival of its first
    packet; if that one was itself late, the boot stays ahead by so much until the slew has made it good.

    Examples
    --------
    >>> state, corrected_t0_ns, flags = correct(ClockState(), 5, 250 * MS, 900 * S, 0, quality=0, boot="b")
    >>> corrected_t0_ns, flags
    (899750000000, <ClockFlag.FROM_ARRIVAL: 1>)
    """
    stamp = Stamp(t0_ns, duration_ns, arrival_ns, sample_time_ns, quality, boot)
    if boot != state.boot:
        return _of_another_boot(state, stamp)
    gap_ns = sample_time_ns - state.samples_ns
    restarted = t0_ns + state.skew_ns >= state.end_ns and not state.doubt_ns  # for its clock went on
    if gap_ns < -ROUNDING_NS and not restarted:
        return state, sample_time_ns + state.offset_ns, ClockFlag.PAST
    start_ns = max(sample_time_ns + state.offset_ns, state.end_ns)
    trusted = _trusted(stamp)
    flags = ClockFlag.DISBELIEVED if quality == 2 and not trusted else _NOTHING
    impossible = start_ns + duration_ns > arrival_ns + FUTURE_NS
    if gap_ns < -ROUNDING_NS or (gap_ns > ROUNDING_NS and impossible):
        return _leap(state, stamp)

    delay_ns = arrival_ns - duration_ns - sample_time_ns
    state, jump_ns, stepped = _doubted(state, stamp, start_ns, delay_ns, trusted=trusted)
    if stepped:  # to join flags is dear, and there is seldom anything to join
        flags |= ClockFlag.STEPPED
    state = _learned(state, arrival_ns, delay_ns)
    by_clock = trusted and abs(t0_ns - start_ns) <= GATE_NS
    jump_ns = jump_ns or _steady_lag(state, away)
    if jump_ns > (APART_NS if by_clock else 0):
        return *_seated(state, stamp, start_ns + jump_ns), flags | ClockFlag.JUMPED
    error_ns = t0_ns - start_ns if by_clock else _above_envelope(state)
    limit_ns = min((gap_ns + duration_ns) * SLEW_PPM // 1_000_000, SLEW_MAX_NS)
    slew_ns = max(-limit_ns, min(error_ns, limit_ns))
    # The slew stretches this packet, so that the next one follows without a seam.
    moved = msgspec.structs.replace(
        state,
        offset_ns=start_ns - sample_time_ns + slew_ns,
        samples_ns=sample_time_ns + duration_ns,
        end_ns=start_ns + duration_ns + slew_ns,
    )
    return moved, start_ns, flags


def _of_another_boot(state: ClockState, stamp: Stamp) -> tuple[ClockState, int, ClockFlag]:
    """Place a straggler of the boot before, or the first packet of a new boot."""
    if stamp.boot == state.old_boot:
        latest_ns = stamp.arrival_ns - stamp.duration_ns
        return state, min(stamp.sample_time_ns + state.old_offset_ns, latest_ns), ClockFlag.PAST
    trusted = _trusted(stamp)
    latest_ns = stamp.arrival_ns - stamp.duration_ns
    own_ns = stamp.t0_ns if trusted else latest_ns
    if own_ns < state.end_ns - GATE_NS:  # arrival time leapt away from a clock that may be right
        own_ns = min(stamp.t0_ns + state.skew_ns, latest_ns)
    flags = _NOTHING if trusted else ClockFlag.FROM_ARRIVAL
    if stamp.quality == 2 and not trusted:
        flags |= ClockFlag.DISBELIEVED
    fresh = ClockState(boot=stamp.boot, end_ns=state.end_ns, old_boot=state.boot, old_offset_ns=state.offset_ns)
    return *_seated(fresh, stamp, max(own_ns, state.end_ns)), flags


def _leap(state: ClockState, stamp: Stamp) -> tuple[ClockState, int, ClockFlag]:
    """The sample counter does not go on: the device's clock places the packet, unless that is after its arrival."""
    own_ns = min(stamp.t0_ns + state.skew_ns, stamp.arrival_ns - stamp.duration_ns)
    return *_seated(state, stamp, max(own_ns, state.end_ns)), ClockFlag.STEPPED


def _seated(state: ClockState, stamp: Stamp, start_ns: int) -> tuple[ClockState, int]:
    """Place a packet anew and forget the delays, which were measured against another offset."""
    seated = ClockState(
        boot=state.boot,
        offset_ns=start_ns - stamp.sample_time_ns,
        samples_ns=stamp.sample_time_ns + stamp.duration_ns,
        end_ns=start_ns + stamp.duration_ns,
        skew_ns=start_ns - stamp.t0_ns,
        bucket_ns=stamp.arrival_ns,
        lows=(stamp.arrival_ns - stamp.duration_ns - stamp.sample_time_ns,),
        old_boot=state.old_boot,
        old_offset_ns=state.old_offset_ns,
    )
    return seated, start_ns


def _trusted(stamp: Stamp) -> bool:
    """Whether the device's clock is disciplined and its time is possible."""
    age_ns = stamp.arrival_ns - stamp.t0_ns - stamp.duration_ns
    return stamp.quality == 2 and -FUTURE_NS <= age_ns <= OLDEST_NS


def _doubted(
    state: ClockState, stamp: Stamp, start_ns: int, delay_ns: int, *, trusted: bool
) -> tuple[ClockState, int, bool]:
    """Compare device clock and sample counter; how far to jump ahead, and whether the clock stepped.

    A clock that goes ahead of the sample counter was set, or sampling paused. After a pause every packet arrives later
    by the same time, after a step none does: ten seconds of arrivals decide.
    """
    step_ns = stamp.t0_ns + state.skew_ns - start_ns
    ahead_ns = stamp.t0_ns - start_ns if trusted else step_ns
    stepped = abs(step_ns) > STEP_NS and not state.doubt_ns
    skew_ns = start_ns - stamp.t0_ns
    if ahead_ns <= STEP_NS:
        return msgspec.structs.replace(state, skew_ns=skew_ns, doubt_ns=0, doubt_low_ns=0), 0, stepped
    low_ns = min(state.doubt_low_ns, delay_ns) if state.doubt_ns else delay_ns
    since_ns = state.doubt_ns or stamp.arrival_ns
    if stamp.arrival_ns - since_ns < PATIENCE_NS:
        return msgspec.structs.replace(state, doubt_ns=since_ns, doubt_low_ns=low_ns), 0, stepped
    supported = low_ns - state.offset_ns >= ahead_ns - STEP_NS
    absorbed = msgspec.structs.replace(state, skew_ns=skew_ns, doubt_ns=0, doubt_low_ns=0)
    return absorbed, ahead_ns if supported else 0, stepped


def _learned(state: ClockState, arrival_ns: int, delay_ns: int) -> ClockState:
    """Keep the smallest delay of each bucket of arrivals."""
    if arrival_ns - state.bucket_ns >= BUCKET_NS:
        return msgspec.structs.replace(state, bucket_ns=arrival_ns, lows=(*state.lows[1 - STEADY :], delay_ns))
    if delay_ns < state.lows[-1]:
        return msgspec.structs.replace(state, lows=(*state.lows[:-1], delay_ns))
    return state


def _steady_lag(state: ClockState, away: Sequence[tuple[int, int]]) -> int:
    """How much later than the offset says every packet has arrived for minutes; 0 unless steadily late."""
    if len(state.lows) < STEADY_SOON or state.lows[-1] - state.offset_ns <= GATE_NS:
        return 0
    lows = state.lows[-STEADY_SOON:]
    lag_ns = min(lows) - state.offset_ns
    if not (
        lag_ns > APART_NS and any(lag_ns - GATE_NS <= end_ns - start_ns <= 2 * lag_ns for start_ns, end_ns in away)
    ):
        if len(state.lows) < STEADY:
            return 0
        lows = state.lows
        lag_ns = min(lows) - state.offset_ns
    return lag_ns if lag_ns > GATE_NS and max(lows) - min(lows) < STEADY_NS else 0


def _above_envelope(state: ClockState) -> int:
    """How far the smallest delay of the last minute lies above the offset; 0 if that is a queue's doing."""
    error_ns = min(state.lows[-WINDOW:]) - state.offset_ns
    return error_ns if error_ns <= GATE_NS else 0
