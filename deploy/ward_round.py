"""The doctor's round: each part of a ward that should run is asked how it is, wherever it runs."""

from collections.abc import Iterator

import msgspec

from deploy.grounds import Finding
from deploy.parts import everyone
from deploy.probe import Answer, ask
from deploy.settings import Settings
from deploy.wiring import reached


class _State(msgspec.Struct):
    detail: str


def ward_round(settings: Settings) -> Iterator[Finding]:
    """Ask every part that has a fixed health port; where none answers, no ward runs, which is no fault."""
    asked = [
        (one, host := reached(settings.health, one.part), ask(one.health_port, "/readyz", host))
        for one in everyone(settings)
        if one.health_port > 0
    ]
    if not any(answer for *_, answer in asked):
        yield Finding("parts", "ok", "no ward runs here now" if asked else "none has a fixed health port")
        return
    for one, host, answer in asked:
        if answer is None:
            said = f"nobody answers at {host}:{one.health_port}, while others run: start it, or look into its log"
            yield Finding(f"part {one.name}", "problem", said)
        elif not answer.well:
            yield Finding(f"part {one.name}", "problem", f"no data flow through it: {_why(answer)}")
        else:
            yield Finding(f"part {one.name}", "ok", "data flow through it")


def _why(answer: Answer) -> str:
    try:
        return msgspec.json.decode(answer.text, type=_State).detail
    except msgspec.DecodeError:
        return "what answers is none of our parts: see that its port in [health] is no other program's"
