"""The recovery store: what it was made for, and up to where it has committed; read without Bytewax.

Bytewax keeps it as SQLite files ("parts"), among which it spreads snapshots by a hash of step and key. Every partition
has a part of its own, named after it, which holds among others the position in the partition's journal: it lies on
the host of the partition's folder, and moves with it.

What a restart resumes from (Bytewax 0.21, `src/recovery.rs`): of the last execution, each worker's frontier, or where
that execution began; the least of them is the epoch to resume, and of each key the newest snapshot before it is used.
A part's commit epoch is written after all workers' frontiers have passed it, and only then are older snapshots removed.
"""

import contextlib
import io
import pickle
import socket
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from dataflows.disk_full import open_to_read

FORMAT: Final = 2  # of the store, with the names of its steps; 1 had one part for all
FLOW: Final = "femtoward"
SOURCE: Final = "journal"
MADE_FOR: Final = "made-for.json"
APART: Final = 3  # epochs: commits of parts that belong together differ by one at most


class FlowError(Exception):
    """The flow cannot start; the message says what to do."""


class MadeFor(msgspec.Struct, frozen=True):
    """What a recovery store was made for, and how it is divided."""

    format: int
    partitions: tuple[str, ...]
    shards: int
    homes: tuple[int, ...]  # for each partition the index of its part
    parts: int  # beside those of partitions there may be spare ones, kept by the first process

    def own(self, partitions: Iterable[str], *, spare: bool) -> dict[int, str]:
        """File names of the parts that belong to some partitions, by index, and of the spare ones if asked for."""
        named = dict(zip(self.homes, self.partitions, strict=True))
        mine = set(partitions)
        return {
            index: f"part-{named.get(index, f'spare{index}')}.sqlite3"
            for index in range(self.parts)
            if (named[index] in mine if index in named else spare)
        }


class Progress(NamedTuple):
    """What the parts in a folder say of executions; part of it, where others lie elsewhere."""

    parts: int  # of the whole store
    commits: dict[int, int]  # of each part that was found: the epoch committed last; 0: none yet
    executions: dict[int, tuple[int, int]]  # number -> workers, epoch resumed
    frontiers: dict[tuple[int, int], int]  # execution, worker -> epoch


def recovery_folder(data_dir: Path | str) -> Path:
    """Folder of the recovery store."""
    return Path(data_dir) / "recovery"


def made_for(folder: Path) -> MadeFor | None:
    """What the recovery store in a folder was made for; None: there is none.

    Raises
    ------
    FlowError
        The store is of another version, or its description is damaged.
    """
    file = folder / MADE_FOR
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return None
    try:
        found = msgspec.json.decode(content, type=dict[str, object])
    except msgspec.DecodeError as error:
        raise FlowError(f"{file} is damaged ({error}): put it back from a copy, or {_anew(folder)}") from error
    if found.get("format", 1) != FORMAT:
        raise FlowError(
            f"the recovery store {folder} is of version {found.get('format', 1)}, this is version {FORMAT}: run it "
            f"with the femtoward that made it, or {_anew(folder)}"
        )
    try:
        return msgspec.convert(found, MadeFor)
    except msgspec.ValidationError as error:
        raise FlowError(f"{file} is damaged ({error}): put it back from a copy, or {_anew(folder)}") from error


def check_made_for(folder: Path, found: MadeFor, partitions: Iterable[str], shards: int) -> None:
    """Refuse a recovery store that was made for other partitions or another number of shards.

    Raises
    ------
    FlowError
        With both, and what to do.
    """
    wanted = tuple(sorted(partitions))
    if (found.partitions, found.shards) != (wanted, shards):
        raise FlowError(
            f"the recovery store {folder} was made for shards = {found.shards} and partitions "
            f"{list(found.partitions)}; this flow has shards = {shards} and partitions {list(wanted)}: start it with "
            f"those settings, or {_anew(folder)}"
        )


def check_parts(whole: MadeFor, found: Mapping[str, Mapping[int, int]]) -> None:
    """Refuse parts that do not belong together: missing, there twice, or left behind by the others.

    Parameters
    ----------
    whole
        What the store was made for.
    found
        For each folder its parts: index -> epoch committed last.

    Raises
    ------
    FlowError
        What is wrong with which part, and what to do.
    """
    names = whole.own(whole.partitions, spare=True)
    commits: dict[int, int] = {}
    for folder, parts in found.items():
        if twice := sorted(names[index] for index in parts if index in commits):
            raise FlowError(
                f"part {twice[0]} of the recovery store lies in {folder} and in another folder, too: a part is moved, "
                "never copied; remove the older one"
            )
        commits |= parts
    if missing := sorted(name for index, name in names.items() if index not in commits):
        raise FlowError(
            f"part {missing[0]} of the recovery store is missing in {', '.join(sorted(found))}: start every process of "
            "the cluster, and move the parts of hosts that have left it here"
        )
    newest = max(commits.values())
    if old := sorted(names[index] for index, epoch in commits.items() if newest - epoch > APART):
        raise FlowError(
            f"part {old[0]} of the recovery store is new or older than the others in {', '.join(sorted(found))}: move "
            "it here from where the flow ran last, or remove the recovery folders of all hosts to build the state anew "
            "from what the journals still hold"
        )


def committed_offset(data_dir: Path | str, partition: str) -> int | None:
    """Journal offset up to which the recovery store has committed: no restart of the flow asks for less.

    May be called from any process at any time; the store is only read, also while the flow writes it. Where all parts
    lie in this folder, it is the offset that a restart at this moment would resume from. Where some lie on other hosts,
    the parts that are here say how far all have come at least.

    Parameters
    ----------
    data_dir
        Folder in which the recovery store lies.
    partition
        Whose journal.

    Returns
    -------
    int or None
        None: there is no snapshot yet, or it is not known for any other reason; nothing may be pruned then.
    """
    folder = recovery_folder(data_dir)
    try:
        whole = made_for(folder)
        if whole is None or partition not in whole.partitions:
            return None
        home = folder / whole.own([partition], spare=False)[whole.homes[whole.partitions.index(partition)]]
        # In this order: the flow goes on meanwhile, and an older snapshot with a later epoch errs on the safe side.
        snapshots = _positions(home, partition)
        resume = resume_epoch(progress(folder))
    except (FlowError, OSError, sqlite3.Error):
        return None
    before = [epoch for epoch in snapshots if resume is not None and epoch < resume]
    return _whole_number(snapshots[max(before)]) if before else None


def resume_epoch(known: Progress) -> int | None:
    """Epoch from which a restart resumes, or one before it where not all parts are known; None: not known."""
    if len(known.commits) < known.parts:
        commit = max(known.commits.values(), default=0)
        return commit + 1 if commit else None
    if not known.executions:
        return None
    last = max(known.executions)
    workers, began = known.executions[last]
    return min(max(began, known.frontiers.get((last, worker), began)) for worker in range(workers))


def progress(folder: Path) -> Progress:
    """Read how far executions have come from all parts in a folder."""
    parts, commits = 0, {}
    executions: dict[int, tuple[int, int]] = {}
    frontiers: dict[tuple[int, int], int] = {}
    for file in sorted(folder.glob("part-*.sqlite3")):
        with contextlib.closing(open_to_read(file)) as connection:
            connection.execute("BEGIN")  # all of a file as of one moment
            for index, count in connection.execute("SELECT part_index, part_count FROM parts"):
                parts, commits[index] = count, 0
            commits |= dict(connection.execute("SELECT part_index, commit_epoch FROM commits").fetchall())
            for number, workers, epoch in connection.execute("SELECT ex_num, worker_count, resume_epoch FROM exs"):
                executions[number] = workers, epoch
            for number, worker, epoch in connection.execute("SELECT ex_num, worker_index, worker_frontier FROM fronts"):
                frontiers[number, worker] = epoch
    return Progress(parts, commits, executions, frontiers)


def identity(folder: Path) -> str:
    """Name of a folder that no other folder of the cluster has."""
    stat = folder.stat()
    return f"{socket.gethostname()}:{folder.absolute()} ({stat.st_dev}.{stat.st_ino})"


def _positions(file: Path, partition: str) -> dict[int, bytes | None]:
    """Snapshots of a source's position by epoch."""
    with contextlib.closing(open_to_read(file)) as connection:
        query = "SELECT snap_epoch, ser_change FROM snaps WHERE step_id = ? AND state_key = ?"
        return dict(connection.execute(query, (f"{FLOW}.{SOURCE}", partition)).fetchall())


class _Plain(pickle.Unpickler):
    """Reads numbers; whatever names a class or a function is refused."""

    def find_class(self, module_name: str, global_name: str, /) -> object:
        raise pickle.UnpicklingError(f"{module_name}.{global_name} is no number")


def _whole_number(pickled: bytes | None) -> int | None:
    """Read an offset as Bytewax has written it; None: it is none."""
    try:
        value = _Plain(io.BytesIO(pickled or b"")).load()
    except (pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError, TypeError, AttributeError):
        return None
    return value if type(value) is int and value >= 0 else None


def _anew(folder: Path) -> str:
    return f"remove {folder} to build the state anew from what the journal still holds"
