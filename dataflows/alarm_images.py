"""Alarms as they go into a snapshot: everything stands there by name, so that another version may read it."""

from typing import Final

import msgspec
import numpy as np

from dataflows import tree
from dataflows.alarm_bank import STANDS, AlarmBank, no_alarms
from dataflows.alarm_table import Phase
from dataflows.bank import Bank, BankImage
from dataflows.priorities import RANK
from dataflows.rules import COLUMN, RULES

# A patient's row of the bank, by condition: only what is not 0. Records of before are tuples of `_BEFORE`.
Cells = dict[str, dict[str, int | str] | tuple[int, ...]]

_BEFORE: Final = ("phase", "onset_ns", "true_ns", "over_ns", "ended_ns", "next_step")
_PHASES_BEFORE: Final = ("CLEAR", "ACTIVE", "ACKNOWLEDGED", "MISSED")
_RANK: Final = np.array([RANK[rule.priority] for rule in RULES], np.int8)


class Lore(msgspec.Struct, frozen=True, array_like=True):
    """What the newest alarm of a patient's condition was told with."""

    reason: str
    value: float
    u: float
    limit: float
    quality: float
    confidence: float


class WardImage(msgspec.Struct, frozen=True, array_like=True):
    """The alarms of a shard."""

    fields: tuple[str, ...]  # of AlarmBank
    conditions: tuple[str, ...]  # columns of each
    bank: BankImage
    phases: tuple[str, ...] = _PHASES_BEFORE  # by number
    lore: dict[str, dict[str, Lore]] = {}  # by patient and condition
    past: bytes = b""  # see `dataflows.past`


def image(bank: Bank[AlarmBank], lore: dict[str, dict[str, Lore]], past: bytes) -> WardImage:
    """Copy everything."""
    names = tuple(phase.name for phase in Phase)
    return WardImage(AlarmBank._fields, tuple(COLUMN), bank.image(), names, {**lore}, past)


def bank_of(kept: WardImage) -> AlarmBank:
    """Read a snapshot of any version; what is no condition, or no state, any more is forgotten.

    Raises
    ------
    ValueError
        Its arrays are not what it says they are.
    """
    try:
        found = tree.arrays(kept.bank.data)
    except TypeError as error:
        raise ValueError(f"arrays of another kind came: {error}") from error
    shape = (len(kept.bank.keys), len(kept.conditions))
    shapes = [array.shape for array in found]
    if shapes != [shape] * len(kept.fields):
        raise ValueError(f"{len(found)} arrays came, of {shapes}: need {len(kept.fields)} of {shape}")
    known = dict(zip(kept.fields, found, strict=True))
    bank = no_alarms(len(kept.bank.keys))
    if "phase" not in known:
        return bank
    numbers = np.array([Phase[name] if name in Phase.__members__ else Phase.CLEAR for name in kept.phases], np.int8)
    if known["phase"].size and not 0 <= known["phase"].min() <= known["phase"].max() < len(numbers):
        raise ValueError(f"states up to {known['phase'].max()} came, with names for {len(numbers)}")
    known["phase"] = numbers[known["phase"]]
    for i, condition in enumerate(kept.conditions):
        if condition in COLUMN:
            for name, field in zip(bank._fields, bank, strict=True):
                if name in known:
                    field[:, COLUMN[condition]] = known[name][:, i]
    return bank if "first_ns" in known else _grown(bank)


def cells_of(bank: AlarmBank) -> Cells:
    """The first row of a bank."""
    columns = np.flatnonzero(np.any([field[0] != 0 for field in bank], axis=0)).tolist()
    return {
        RULES[column].condition: {
            "phase": Phase(int(bank.phase[0, column])).name,
            **{
                name: int(field[0, column])
                for name, field in zip(bank._fields, bank, strict=True)
                if name != "phase" and field[0, column]
            },
        }
        for column in columns
    }


def filled(cells: Cells) -> AlarmBank:
    """Read a row as `cells_of` left it, or a version before; what is no condition any more is forgotten."""
    bank, before = no_alarms(1), False
    for condition, cell in cells.items():
        if condition not in COLUMN:
            continue
        if isinstance(cell, tuple):
            before = True
            named: dict[str, int | str] = {**dict(zip(_BEFORE, cell, strict=False)), "phase": _PHASES_BEFORE[cell[0]]}
        else:
            named = cell
        for name, value in named.items():
            if name == "phase":
                bank.phase[0, COLUMN[condition]] = Phase.__members__.get(str(value), Phase.CLEAR)
            elif name in bank._fields:
                getattr(bank, name)[0, COLUMN[condition]] = value
    return _grown(bank) if before else bank


def _grown(bank: AlarmBank) -> AlarmBank:
    """Fill in what a version before did not know; its onset named the alarm, and ran while a delay did."""
    on = bank.onset_ns > 0
    stands = on & (bank.phase != Phase.CLEAR)
    return bank._replace(
        phase=np.where(on & ~stands, Phase.PENDING, bank.phase).astype(np.int8),
        onset_ns=np.where(stands, bank.onset_ns, 0),
        begun_ns=bank.onset_ns.copy(),
        first_ns=np.where(stands, bank.onset_ns, 0),
        occurrences=stands.astype(np.int64),
        since_ns=np.where(STANDS[bank.phase], bank.true_ns, 0),
        priority=np.where(stands, _RANK, 0).astype(np.int8),
    )
