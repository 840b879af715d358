"""What people say of alarms, as commands left at a local door: from the ward page, the HTTP API and a signed link."""

import re
from pathlib import Path

from dataflows.events import WARD
from deploy.problem import UserError
from ingest.codec import encode_command
from ingest.command import Command
from ingest.door import DoorFullError, send
from ingest.profile import NAME_PATTERN
from ingest.topics import command_topic


def leave_command(door: Path, site: str, actor: str, command: Command) -> None:
    """Leave a command at a local door; it is on disk when this returns, and needs no broker.

    Parameters
    ----------
    door
        Of the partition.
    site
        Of the patient. Alarms of the whole ward are of no site; a command has to come from one.
    actor
        Who gives it.
    command
        With an id of its own.

    Raises
    ------
    UserError
        The door does not take it.
    """
    where = site if re.fullmatch(NAME_PATTERN, site) else WARD
    try:
        send(door, command_topic(where, actor), encode_command(command))
    except (DoorFullError, ValueError, OSError) as error:
        raise UserError(str(error)) from error
