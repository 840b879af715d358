"""A supervisor for tests, with programs of a few lines and a clock that is set by hand."""

import sys
from dataclasses import dataclass
from pathlib import Path

from servers import eventually

from deploy.supervise import Program, Supervisor

# Writes its name when it is asked to end; ends when its standard input does.
POLITE = """
import os, signal, sys
def end(*_):
    with open(sys.argv[2], "a") as file:
        file.write(sys.argv[1] + "\\n")
    os._exit(0)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
sys.stdin.read()
end()
"""
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"
# Says that it is alive until there is a file, and from then on what it is told to say.
SPEAKING = """
import os, sys, time
said = '[true, true, ""]'
while True:
    if os.path.exists(sys.argv[1]):
        said = sys.argv[2]
        print("stuck", flush=True)
    if said:
        os.write(0, (said + "\\n").encode())
    time.sleep(0.01)
"""


@dataclass
class Clock:
    """A clock that is set by hand."""

    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


def program(name: str, code: str, *arguments: str, once: bool = False) -> Program:
    return Program(name, (sys.executable, "-c", code, *arguments), once)


def supervised(made: list[Supervisor], folder: Path, clock: Clock | None, *programs: Program) -> Supervisor:
    supervisor = Supervisor(programs, folder, folder) if clock is None else Supervisor(programs, folder, folder, clock)
    made.append(supervisor)
    supervisor.start_all()
    return supervisor


def until_dead(supervisor: Supervisor, name: str) -> list[str]:
    child = supervisor.children[name]
    eventually(lambda: not child.running, what=f"{name} to end")
    return supervisor.tend()


def killed(supervisor: Supervisor) -> list[str]:
    """What is said of those that are killed now: the kernel ends them in its own time."""
    said: list[str] = []

    def looked() -> bool:
        said.extend(supervisor.tend())
        return bool(said)

    eventually(looked, what="the killed to end")
    return said
