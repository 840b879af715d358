"""`femtoward run`: the ward's processes under one supervisor, which starts again what dies and drains them all."""

import logging
from pathlib import Path

from deploy.health import need_free, serve
from deploy.logs import set_up
from deploy.notify import telling
from deploy.parts import One, doors, everyone
from deploy.settings import Settings
from deploy.signals import stop_by_handler
from deploy.supervise import Program, Supervisor, femtoward
from deploy.word import PartsWord
from ingest.beacon import Beacon

LOG = logging.getLogger("femtoward.run")
LOOK_EVERY_S = 0.2
ASK_NEXT_S = 2.4  # a drain waits so long for one part before it asks the next, too: all have their share of ten seconds


def programs(config: Path | None, settings: Settings, only: One | None = None) -> list[Program]:
    """Processes of a ward on this host, in the order of the data's way, or one of them."""
    given = ("--config", str(config)) if config else ()
    return [
        Program(
            one.name,
            femtoward("run", *given, *one.arguments, "--supervised"),
            part=one.part,
            bound=one.part == "flow" and settings.flow.total > 1,
            speaks=True,
        )
        for one in _wanted(settings, only)
    ]


def run_all(config: Path | None, settings: Settings, only: One | None = None) -> int:
    """Run every process, start again what dies, and drain them in order on SIGTERM or Ctrl-C.

    Parameters
    ----------
    config
        File that the settings come from.
    settings
        Of the ward.
    only
        Run this one alone, as a container does.

    Returns
    -------
    int
        0, or 1 if something had to be killed.

    Raises
    ------
    UserError
        A part refuses its settings, or a health port is taken.
    """
    set_up(settings.log.level, settings.log.format)
    stopping = stop_by_handler()
    supervisor = Supervisor(programs(config, settings, only))
    word = PartsWord(supervisor, doors(settings, only))
    beacon = Beacon()
    for one in _wanted(settings, only):
        need_free(one.name, one.health_port, settings.health.host)
    with serve("run", settings.health.run, settings.health.host, beacon), telling(beacon, supervised=False):
        try:
            supervisor.start_all()
            LOG.info("data in %s, broker %s", settings.data_dir.absolute(), settings.broker.url)
            while not stopping.wait(LOOK_EVERY_S):
                supervisor.tend()
                word.tell()
                _say(supervisor, beacon)
            LOG.info("draining: %s", ", ".join(supervisor.children))
            beacon.not_ready("draining")
            statuses = supervisor.drain(each_s=ASK_NEXT_S)
        finally:
            supervisor.kill()
    LOG.info("stopped")
    return 0 if all(status == 0 for status in statuses.values()) else 1


def _wanted(settings: Settings, only: One | None) -> list[One]:
    return everyone(settings) if only is None else [only]


def _say(supervisor: Supervisor, beacon: Beacon) -> None:
    """Let our own health be that of all parts."""
    beacon.beat()
    lacking = [
        f"{name}: {child.state.detail if child.running and child.state else 'starting'}"
        for name, child in supervisor.children.items()
        if not child.ready
    ]
    if lacking:
        beacon.not_ready("; ".join(lacking))
    else:
        beacon.ready()
