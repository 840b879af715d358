"""What ingest has to say of its disk and of its host's clock, in words; pure."""

from typing import Final

from ingest.arrival import HOLD_NS, SLEW, Reading, S, Standing
from ingest.notices import Removed, Report
from ingest.removal import Removal
from ingest.room import Stage

_MB: Final = 1e6
_MAKE_ROOM: Final = "make room on the disk, or give the partition a larger one"
_SHRINKS: Final = {
    Stage.SHORT: "the raw journal shrinks to what the flow still needs",
    Stage.TIGHT: "vitals and waves of the store shrink too, after the raw journal",
    Stage.DIRE: "alarms that have ended are removed too, after journal, vitals and waves",
}


def room_report(folder: object, stage: Stage, left: int) -> Report:
    """How the room of a folder is.

    Examples
    --------
    >>> room_report("/data", Stage.SHORT, 1_500_000_000).detail[:71]
    'room runs short: 1500 MB left for /data: the raw journal shrinks to wha'
    """
    room = f"{left / _MB:.0f} MB left for {folder}"
    if stage is Stage.ROOMY:
        return Report("disk", ok=True, detail=f"there is room: {room}")
    if stage is Stage.FULL:
        detail = f"{no_room(folder, left)}; alarms already raised still go out; {_MAKE_ROOM}"
    else:
        detail = f"room runs short: {room}: {_SHRINKS[stage]}; {_MAKE_ROOM}"
    return Report("disk", ok=False, detail=detail, level=stage)


def no_room(folder: object, left: int) -> str:
    """Why nothing is taken in."""
    return (
        f"no room on the disk: {left / _MB:.0f} MB left for {folder}: nothing is taken in or acknowledged, "
        "broker and devices keep it until there is room"
    )


def removed_report(removal: Removal, stage: Stage) -> Report:
    """What of the journal had to go."""
    shrinks = f": {_SHRINKS.get(stage, 'nothing is taken in')}" if stage else ""  # told late, there may be room again
    detail = (
        f"room runs short: records {removal.first} to {removal.end - 1} of the raw journal "
        f"({removal.size / _MB:.1f} MB) were removed{shrinks}; {_MAKE_ROOM}"
    )
    return Report("disk", False, detail, Removed("journal", *removal, removal.id), stage)


def clock_report(reading: Reading) -> Report:
    """How the host's clock stands to the journal's."""
    apart_s = abs(reading.apart_ns) / S
    if reading.standing is Standing.AHEAD:
        detail = (
            f"the host's clock was set ahead by {apart_s:.1f} s: the journal's follows if that stands for "
            f"{HOLD_NS // S} s; check the time service of this host"
        )
    elif reading.standing is Standing.BEHIND:
        detail = (
            f"the host's clock was set back and is {apart_s:.1f} s behind the journal's, which cannot go back and goes "
            f"{1e6 / SLEW:.0f} ppm slower until they agree; vitals carry its time until then; to have the host's "
            "sooner, stop ingest until the host's clock has caught up"
        )
    elif reading.set_ns:
        detail = f"the journal's clock was set ahead by {reading.set_ns / S:.1f} s, after the host's"
    else:
        detail = "the host's clock and the journal's agree"
    return Report("clock", ok=reading.standing is Standing.EVEN, detail=detail)
