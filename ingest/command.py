"""Commands to the ward: one tagged type each, the same over MQTT and over the local door."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from ingest.profile import Name

CommandId = Name
Vital = Literal["hr", "resp", "spo2", "temp"]
Note = Annotated[str, Meta(max_length=1000)]


class _Command(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="command"
):
    id: CommandId  # a command that comes twice under one id is done once
    note: Note = ""


class Acknowledge(_Command, frozen=True, tag="acknowledge"):
    """Someone has seen an alarm and takes care of it."""

    patient: Name
    alarm: Name


class Shelve(_Command, frozen=True, tag="shelve"):
    """Keep one condition of one patient quiet for a while."""

    patient: Name
    condition: Name
    seconds: Annotated[int, Meta(ge=1, le=86_400)]


class Unshelve(_Command, frozen=True, tag="unshelve"):
    """Let a shelved condition of a patient speak again."""

    patient: Name
    condition: Name


class Comment(_Command, frozen=True, tag="comment"):
    """Say something of an alarm, in `note`."""

    patient: Name
    alarm: Name


class Mark(_Command, frozen=True, tag="mark"):
    """Say whether an alarm was true."""

    patient: Name
    alarm: Name
    was: Literal["true", "false"]


class Hasten(_Command, frozen=True, tag="hasten"):
    """Nobody can have seen an alarm, or nobody has looked; why, in `note`: it climbs its ladder at once."""

    patient: Name
    alarm: Name


class Admit(_Command, frozen=True, tag="admit"):
    """A patient comes, or gets one more device."""

    patient: Name
    device: Name
    bed: Name | None = None  # None: as before; in another ward: none
    ward: Name | None = None  # None: as before


class Discharge(_Command, frozen=True, tag="discharge"):
    """A patient leaves: all of the patient's devices are free."""

    patient: Name


class Transfer(_Command, frozen=True, tag="transfer"):
    """A patient moves to another bed, in another ward or in the same."""

    patient: Name
    bed: Name
    ward: Name | None = None  # None: as before


class SetLimits(_Command, frozen=True, tag="set-limits"):
    """A patient's own alarm limits for one vital."""

    patient: Name
    vital: Vital
    low: float | None = None  # None: the ward's default
    high: float | None = None

    def __post_init__(self) -> None:
        """Refuse limits between which nothing lies."""
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError(f"limits of {self.vital}: low={self.low} came, need low < high={self.high}")


AlarmCommand = Acknowledge | Shelve | Unshelve | Comment | Mark | Hasten
Command = AlarmCommand | Admit | Discharge | Transfer | SetLimits
