"""The store of a running or a finished ward, opened for reading by the commands that look into it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dataflows.store import Store, StoreError
from deploy.problem import UserError
from deploy.settings import Settings, read_settings


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


@contextmanager
def reading(settings: Settings) -> Iterator[Store]:
    """Open the store for reading.

    Raises
    ------
    UserError
        There is none, or it cannot be read.
    """
    path = settings.partition_dir / "store.sqlite"
    try:
        store = Store(path, readonly=True)
    except StoreError as error:
        raise UserError(f"{error} (--data-dir or --config say where)") from error
    with store:
        yield store
