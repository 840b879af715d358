"""What people say of alarms by command line: acknowledge, shelve, unshelve, comment, mark; and limits of patients."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from deploy.options import DONE, FOUND_WRONG, AsJson, Config, DataDir, PartitionName

if TYPE_CHECKING:
    from deploy.alarms import Subject
    from ingest.command import Command

Alarm = Annotated[str, typer.Argument(metavar="ID", help="The alarm's id, or how it begins.")]
Which = Annotated[str, typer.Argument(metavar="ID", help="The alarm's id or how it begins, or PATIENT/CONDITION.")]
ANY = "lost-contact"  # a condition that every patient may have, to find the patient by
Note = Annotated[str, typer.Option(help="Why, or what was done.")]
Actor = Annotated[str | None, typer.Option(metavar="NAME", help="Who says so (default: your user name).")]


def attach(app: typer.Typer) -> None:
    """Add the commands to `femtoward alarms`."""
    for command in (ack, shelve, unshelve, comment, mark, limits):
        app.command(command.__name__)(command)


def ack(
    alarm: Alarm,
    *,
    note: Note = "",
    actor: Actor = None,
    config: Config = None,
    data_dir: DataDir = None,
    partition: PartitionName = None,
    as_json: AsJson = False,
) -> int:
    """Acknowledge an alarm; waits for the answer."""
    from ingest.command import Acknowledge  # noqa: PLC0415

    def made(id_: str, of: "Subject") -> "Command":
        return Acknowledge(id=id_, note=note, patient=of.patient, alarm=of.alarm)

    return _say(alarm, made, actor, config, data_dir, partition, as_json=as_json)


def shelve(  # noqa: PLR0913 - each is an option of the command line
    which: Which,
    *,
    seconds: Annotated[int, typer.Option("--for", min=1, max=86_400, metavar="SECONDS", help="For how long.")],
    note: Note = "",
    actor: Actor = None,
    config: Config = None,
    data_dir: DataDir = None,
    partition: PartitionName = None,
    as_json: AsJson = False,
) -> int:
    """Keep one condition of one patient quiet for a while: it breaks through when it gets worse."""
    from ingest.command import Shelve  # noqa: PLC0415

    def made(id_: str, of: "Subject") -> "Command":
        return Shelve(id=id_, note=note, patient=of.patient, condition=of.condition, seconds=seconds)

    return _say(which, made, actor, config, data_dir, partition, as_json=as_json)


def unshelve(
    which: Which,
    *,
    note: Note = "",
    actor: Actor = None,
    config: Config = None,
    data_dir: DataDir = None,
    partition: PartitionName = None,
    as_json: AsJson = False,
) -> int:
    """Let a shelved condition speak again."""
    from ingest.command import Unshelve  # noqa: PLC0415

    def made(id_: str, of: "Subject") -> "Command":
        return Unshelve(id=id_, note=note, patient=of.patient, condition=of.condition)

    return _say(which, made, actor, config, data_dir, partition, as_json=as_json)


def comment(
    alarm: Alarm,
    note: Annotated[str, typer.Argument(metavar="TEXT", help="What there is to say.")],
    *,
    actor: Actor = None,
    config: Config = None,
    data_dir: DataDir = None,
    partition: PartitionName = None,
    as_json: AsJson = False,
) -> int:
    """Say something of an alarm, also of one that is over."""
    from ingest.command import Comment  # noqa: PLC0415

    def made(id_: str, of: "Subject") -> "Command":
        return Comment(id=id_, note=note, patient=of.patient, alarm=of.alarm)

    return _say(alarm, made, actor, config, data_dir, partition, as_json=as_json)


def mark(  # noqa: PLR0913 - each is an option of the command line
    alarm: Alarm,
    was: Annotated[Literal["true", "false"], typer.Argument(metavar="true|false", help="What the alarm was.")],
    *,
    note: Note = "",
    actor: Actor = None,
    config: Config = None,
    data_dir: DataDir = None,
    partition: PartitionName = None,
    as_json: AsJson = False,
) -> int:
    """Say whether an alarm was true, also of one that is over."""
    from ingest.command import Mark  # noqa: PLC0415

    def made(id_: str, of: "Subject") -> "Command":
        return Mark(id=id_, note=note, patient=of.patient, alarm=of.alarm, was=was)

    return _say(alarm, made, actor, config, data_dir, partition, as_json=as_json)


def limits(  # noqa: PLR0913 - each is an option of the command line
    patient: Annotated[str, typer.Argument(metavar="PATIENT", help="Whose.")],
    vital: Annotated[Literal["hr", "resp", "spo2", "temp"], typer.Argument(metavar="VITAL", help="Of which vital.")],
    *,
    low: Annotated[float | None, typer.Option(help="Alarm below it (default: the ward's).")] = None,
    high: Annotated[float | None, typer.Option(help="Alarm above it (default: the ward's).")] = None,
    note: Note = "",
    actor: Actor = None,
    config: Config = None,
    data_dir: DataDir = None,
    partition: PartitionName = None,
    as_json: AsJson = False,
) -> int:
    """Set a patient's own alarm limits of one vital, within safe bounds."""
    from deploy.problem import UserError  # noqa: PLC0415
    from ingest.command import SetLimits  # noqa: PLC0415

    def made(id_: str, of: "Subject") -> "Command":
        try:
            return SetLimits(id=id_, note=note, patient=of.patient, vital=vital, low=low, high=high)
        except ValueError as error:
            raise UserError(str(error)) from error

    return _say(f"{patient}/{ANY}", made, actor, config, data_dir, partition, as_json=as_json)


def _say(
    named: str,
    made: "Callable[[str, Subject], Command]",
    actor: str | None,
    config: Path | None,
    data_dir: Path | None,
    partition: str | None,
    *,
    as_json: bool,
) -> int:
    """Give the command to the partition that has what it is about, and show the answer."""
    from deploy import alarms  # noqa: PLC0415
    from deploy.output import show_json, show_lines  # noqa: PLC0415
    from deploy.problem import UserError  # noqa: PLC0415
    from deploy.rooms import first_found, rooms, settings_of  # noqa: PLC0415

    here = rooms(settings_of(config, data_dir), partition)
    room, about = first_found(here, lambda store: alarms.subject(store, named))
    id_ = alarms.new_id()
    command = made(id_, about)
    if not getattr(command, "alarm", named):
        raise UserError(f"{named!r} names no alarm: give its id, as `femtoward alarms list` shows it")
    answer = alarms.give(room, about.site, actor or alarms.whoami(), command)
    done = answer is not None and answer.done
    said = answer.detail if answer else alarms.NO_ANSWER
    if as_json:
        show_json({"done": done, "answered": answer is not None, "detail": said})
    else:
        show_lines([f"{'done' if done else 'not done'}: {said}"])
    return DONE if done else FOUND_WRONG
