"""What the doctor looks at on this host: room on the disk, ports, and what earlier runs have left."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from dataflows.recovery import FlowError, check_made_for, made_for, recovery_folder
from deploy.health import need_free
from deploy.parts import everyone
from deploy.probe import ask
from deploy.problem import UserError
from deploy.sections import Api, is_loopback
from deploy.settings import Settings
from deploy.wiring import api_options, page_options
from ingest.room import Room, Stage

GB = 10**9
MB = 10**6


class Finding(NamedTuple):
    """One thing looked at."""

    name: str
    verdict: Literal["ok", "warning", "problem"]
    said: str


def grounds(settings: Settings) -> Iterator[Finding]:
    """Look at one thing after the other."""
    yield room(settings)
    yield ports(settings)
    if settings.page is not None:
        yield page(settings)
    if settings.api is not None:
        yield api(settings.api, settings)
    yield recovery(settings)


def room(settings: Settings) -> Finding:
    """Room that is left, and that there can ever be, against the limits in [disk]."""
    disk, journal = settings.disk, settings.journal
    worst = min((_left(settings, partition.name) for partition in settings.local), default=None)
    if worst is None:
        return Finding("room", "ok", "no partition lies on this host")
    left, folder, stage = worst
    said = f"{left / GB:.1f} GB are left for {folder}"
    if stage == Stage.FULL:
        return Finding("room", "problem", f"{said}, nothing is taken in below {disk.stop_mb:g} MB: make room")
    if stage > Stage.ROOMY:
        return Finding(
            "room", "warning", f"{said}, things are removed below {disk.short_gb:g} GB: make room, or use another disk"
        )
    limit = disk.quota_gb * GB or _disk_bytes(folder)
    if journal.retain_gb * GB + disk.short_gb * GB > limit:
        return Finding(
            "room",
            "warning",
            f"{said}; the journal may take {journal.retain_gb:g} GB of {limit / GB:.0f} GB, so room will run short: "
            "lower journal.retain_gb",
        )
    return Finding("room", "ok", said)


def ports(settings: Settings) -> Finding:
    """Ports of health: free, or those of a ward that runs here."""
    wanted = [("run", settings.health.run), *((one.name, one.health_port) for one in everyone(settings))]
    strangers, running = [], 0
    for name, port in wanted:
        try:
            need_free(name, port, settings.health.host)
        except UserError as error:
            if (answer := ask(port)) and f'"part":"{name}"' in answer.text:
                running += 1
            else:
                strangers.append(str(error))
    if strangers:
        return Finding("health ports", "problem", strangers[0])
    if running:
        return Finding("health ports", "ok", f"{settings.health.host}: a ward runs here and has {running} of them")
    shown = ", ".join(f"{name} {port}" for name, port in wanted if port > 0)
    return Finding("health ports", "ok", f"{settings.health.host}: {shown or 'none is fixed'}")


def page(settings: Settings) -> Finding:
    """Port and access token of the ward page; a ward that runs here has the port."""
    from deploy.page.web import address, listen  # noqa: PLC0415 - brings the web server

    try:
        options = page_options(settings)
    except UserError as error:
        return Finding("page", "problem", str(error))
    try:
        listen(options.host, options.port).close()
    except UserError as error:
        return Finding("page", "warning", str(error))
    who = "for whoever has the access token" if options.token else "for this machine alone"
    return Finding("page", "ok", f"{address(options.host, options.port)} {who}")


def api(section: Api, settings: Settings) -> Finding:
    """Port, tokens and links of the HTTP API; a ward that runs here has the port."""
    from deploy.api.tokens import read_tokens  # noqa: PLC0415 - brings the web server
    from deploy.page.web import address, listen  # noqa: PLC0415 - likewise

    try:
        tokens = read_tokens(section.tokens_env, section.tokens_file)
        api_options(settings)
    except (UserError, ValueError) as error:
        return Finding("api", "problem", str(error))
    at = f"{address(section.host, section.port)}api/v1"
    if not tokens:
        return Finding("api", "warning", f"{at} lets nobody in: `femtoward token NAME` makes a token")
    if section.tokens_file and Path(section.tokens_file).stat().st_mode & 0o022:
        return Finding("api", "warning", f"others may write {section.tokens_file}, and let themselves in: chmod 0640")
    if not is_loopback(section.host):
        said = f"{at} is open to a network in the clear: put a proxy with TLS before it"
        return Finding("api", "warning", said)
    try:
        listen(section.host, section.port, "api").close()
    except UserError as error:
        return Finding("api", "warning", str(error))
    links = "signed links are taken" if settings.links else "no signed links"
    return Finding("api", "ok", f"{at}, {len(tokens)} tokens, {links}")


def recovery(settings: Settings) -> Finding:
    """Snapshots of an earlier run, which belong to the same partitions and shards."""
    folder = recovery_folder(settings.data_dir)
    names = [partition.name for partition in settings.partitions]
    try:
        found = made_for(folder)
        if found is None:
            return Finding("snapshots", "ok", f"none yet at {folder.absolute()}")
        check_made_for(folder, found, names, settings.shards)
    except (FlowError, OSError) as error:
        return Finding("snapshots", "problem", str(error))
    return Finding("snapshots", "ok", f"{folder.absolute()} fits {settings.shards} shards and {', '.join(names)}")


def _left(settings: Settings, partition: str) -> tuple[int, Path, Stage]:
    folder, disk = settings.folder(partition).absolute(), settings.disk
    looked = Room(
        folder,
        short_bytes=round(disk.short_gb * GB),
        stop_bytes=round(disk.stop_mb * MB),
        quota_bytes=round(disk.quota_gb * GB),
    )
    left = looked.left()
    return left, folder, looked.stage(left)


def _disk_bytes(folder: Path) -> int:
    return shutil.disk_usage(next(one for one in (folder, *folder.parents) if one.exists())).total
