"""What can be done: commands left at the local door, and what the flow answers to them."""

import asyncio
import hashlib
from functools import partial
from http import HTTPStatus
from typing import Final

import msgspec

from deploy.api.asks import Commented, Limits, Marked, Said, Shelved, ShelvedCondition, UnshelvedCondition
from deploy.api.documents import CommandOutcome
from deploy.api.operations import Call, Reply, Ward
from deploy.api.problems import Problem
from deploy.api.reads import find_alarm
from deploy.page.desk import Errand, new_id
from deploy.page.messages import OutcomeState
from ingest import command
from ingest.command import Command

KEY: Final = "idempotency-key"
LONGEST_KEY: Final = 200


async def acknowledge(ward: Ward, call: Call) -> CommandOutcome | Reply:
    """Somebody takes care of an alarm."""
    said, (room, event) = call.said(Said), await find_alarm(ward, call.path["alarm"])
    wanted = command.Acknowledge(id=_id(call), note=said.note, patient=event.patient, alarm=event.id)
    return await _done(ward, Errand(room.door, event.site, _actor(call, said.actor), wanted))


async def shelve(ward: Ward, call: Call) -> CommandOutcome | Reply:
    """Keep the condition of an alarm quiet for a while with its patient."""
    said, (room, event) = call.said(Shelved), await find_alarm(ward, call.path["alarm"])
    wanted = command.Shelve(
        id=_id(call), note=said.note, patient=event.patient, condition=event.condition, seconds=said.seconds
    )
    return await _done(ward, Errand(room.door, event.site, _actor(call, said.actor), wanted))


async def unshelve(ward: Ward, call: Call) -> CommandOutcome | Reply:
    """Let it speak again."""
    said, (room, event) = call.said(Said), await find_alarm(ward, call.path["alarm"])
    wanted = command.Unshelve(id=_id(call), note=said.note, patient=event.patient, condition=event.condition)
    return await _done(ward, Errand(room.door, event.site, _actor(call, said.actor), wanted))


async def comment(ward: Ward, call: Call) -> CommandOutcome | Reply:
    """Say something of an alarm."""
    said, (room, event) = call.said(Commented), await find_alarm(ward, call.path["alarm"])
    wanted = command.Comment(id=_id(call), note=said.note, patient=event.patient, alarm=event.id)
    return await _done(ward, Errand(room.door, event.site, _actor(call, said.actor), wanted))


async def mark(ward: Ward, call: Call) -> CommandOutcome | Reply:
    """Say whether an alarm was true."""
    said, (room, event) = call.said(Marked), await find_alarm(ward, call.path["alarm"])
    wanted = command.Mark(id=_id(call), note=said.note, patient=event.patient, alarm=event.id, was=said.was)
    return await _done(ward, Errand(room.door, event.site, _actor(call, said.actor), wanted))


async def shelve_condition(ward: Ward, call: Call) -> CommandOutcome | Reply:
    """Keep a condition of a patient quiet for a while, before it comes."""
    said, patient = call.said(ShelvedCondition), call.path["patient"]
    wanted = command.Shelve(
        id=_id(call), note=said.note, patient=patient, condition=said.condition, seconds=said.seconds
    )
    return await _of_patient(ward, call, wanted, said.actor)


async def unshelve_condition(ward: Ward, call: Call) -> CommandOutcome | Reply:
    """Let a condition of a patient speak again."""
    said, patient = call.said(UnshelvedCondition), call.path["patient"]
    wanted = command.Unshelve(id=_id(call), note=said.note, patient=patient, condition=said.condition)
    return await _of_patient(ward, call, wanted, said.actor)


async def set_limits(ward: Ward, call: Call) -> CommandOutcome | Reply:
    """Give a patient alarm limits of their own for a vital."""
    said, patient = call.said(Limits), call.path["patient"]
    wanted = command.SetLimits(
        id=_id(call), note=said.note, patient=patient, vital=said.vital, low=said.low, high=said.high
    )
    return await _of_patient(ward, call, wanted, said.actor)


async def show_command(ward: Ward, call: Call) -> CommandOutcome:
    """What the flow answered to a command."""
    name = call.path["command"]
    answer = await ward.read(partial(ward.archive.answer, name))
    if answer is None:
        raise Problem(
            HTTPStatus.NOT_FOUND,
            f"no answer to a command {name!r}: it was never given, or the flow has not come to it",
        )
    return CommandOutcome(name, "done" if answer.done else "refused", answer.actor, answer.detail)


async def settled(ward: Ward, errand: Errand) -> tuple[OutcomeState, str, str]:
    """Have a command done once, and wait for what the flow answers.

    Returns
    -------
    tuple
        What became of it, why, and whose it was: of one that was given before under the same id, as it was then.
    """
    before = await ward.read(partial(ward.archive.answer, errand.command.id))
    if before is not None:
        return "done" if before.done else "failed", before.detail, before.actor
    answered: asyncio.Future[tuple[OutcomeState, str]] = asyncio.get_running_loop().create_future()

    def tell(state: OutcomeState, detail: str) -> None:
        if state != "sent" and not answered.done():
            answered.set_result((state, detail))

    await ward.desk.give(errand, tell)
    return *(await answered), errand.actor


async def _of_patient(ward: Ward, call: Call, wanted: Command, actor: str | None) -> CommandOutcome | Reply:
    site, patient = call.path["site"], call.path["patient"]
    room = await ward.read(partial(ward.archive.patient, site, patient))
    if room is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"no patient {patient!r} of site {site!r}: the list of patients has all")
    return await _done(ward, Errand(room.door, site, _actor(call, actor), wanted))


async def _done(ward: Ward, errand: Errand) -> CommandOutcome | Reply:
    id_ = errand.command.id
    state, detail, actor = await settled(ward, errand)
    match state:
        case "done":
            return CommandOutcome(id_, "done", actor, detail)
        case "failed":
            raise Problem(HTTPStatus.CONFLICT, f"the flow has not done it: {detail}", command=id_)
        case "refused":
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, {"Retry-After": "10"})
        case _:
            return Reply(CommandOutcome(id_, "waiting", actor, detail), HTTPStatus.ACCEPTED)


def _id(call: Call) -> str:
    """Id of a command: who tries again says so by a key, and has it done once."""
    key = call.request.headers.get(KEY)
    if key is None:
        return new_id()
    if not 0 < len(key) <= LONGEST_KEY:
        raise Problem(HTTPStatus.BAD_REQUEST, f"{KEY}: {len(key)} characters came, need 1 to {LONGEST_KEY}")
    seen = msgspec.json.encode((call.token.name, call.request.url.path, key))
    return f"api-{hashlib.sha256(seen).hexdigest()[:32]}"


def _actor(call: Call, given: str | None) -> str:
    """Who it is: the token's name, and behind a system's token whom that names."""
    return call.token.name if given is None else f"{given.strip()}-via-{call.token.name}"
