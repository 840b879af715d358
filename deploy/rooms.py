"""The store of a running or a finished ward, opened for reading by the commands that look into it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from dataflows.store import Store, StoreError
from deploy.problem import UserError
from deploy.settings import Settings, read_settings
from deploy.wiring import named

T = TypeVar("T")


def settings_of(config: Path | None, data_dir: Path | None) -> Settings:
    """Settings from a file, or the defaults with another data folder.

    Raises
    ------
    UserError
        Both were given, or the file is wrong.
    """
    if config is not None and data_dir is not None:
        raise UserError(
            "--config and --data-dir were both given: the settings file names the data folder, give one of them"
        )
    if data_dir is not None:
        return read_settings(None, data_dir=data_dir)
    return read_settings(config)


def rooms(settings: Settings, partition: str | None) -> list[Settings]:
    """Settings of each partition on this host by itself, or of the one that is named.

    Raises
    ------
    UserError
        There is none of that name here.
    """
    if partition is not None or not settings.local:
        return [settings.only(named(settings, partition))]
    return [settings.only(one) for one in settings.local]


def first_found(rooms: Sequence[Settings], look: Callable[[Store], T]) -> tuple[Settings, T]:
    """Return what one of the partitions has, and which one.

    Parameters
    ----------
    rooms
        Settings of each partition.
    look
        Finds it in a store, or raises UserError.

    Raises
    ------
    UserError
        None of them has it, or one has it more than once.
    """
    said = []
    for room in rooms:
        try:
            with reading(room) as store:
                return room, look(store)
        except UserError as error:
            said.append(str(error) if len(rooms) == 1 else f"partition {room.partitions[0].name}: {error}")
    raise UserError("; ".join(said))


@contextmanager
def reading(settings: Settings) -> Iterator[Store]:
    """Open the store of the only partition for reading.

    Raises
    ------
    UserError
        There is none, or it cannot be read.
    """
    path = settings.folder(named(settings, None).name) / "store.sqlite"
    try:
        store = Store(path, readonly=True)
    except StoreError as error:
        raise UserError(f"{error} (--data-dir or --config say where)") from error
    with store:
        yield store
