"""Signed links: a page that shows one alarm to whoever was told of it, and what they may do with it, each thing once.

Robots fetch what stands in a message, so a GET changes nothing: a browser that shows the page says by a POST that the
alarm was seen, and what a person does comes by a POST, too.
"""

import asyncio
import contextlib
import re
import sqlite3
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Final, cast
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from dataflows.couriers.links import DOINGS, PATH, Doing, Link, Links, Refusal, command_id
from dataflows.couriers.receipts import Receipt, Receipts
from deploy.api.archive import Place
from deploy.api.deeds import settled
from deploy.api.gate import body_of
from deploy.api.link_page import page
from deploy.api.operations import Ward
from deploy.api.problems import Problem
from deploy.page.desk import Errand
from ingest import command
from ingest.command import Command

STATIC: Final = Path(__file__).parent / "static"
FORM: Final = "application/x-www-form-urlencoded"
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
}
LONGEST_NAME: Final = 64


class LinkPages:
    """What is answered to whoever follows a link.

    Parameters
    ----------
    ward
        Where alarms are found, and commands left.
    links
        Tells which links are ours.
    now_ns
        Clock by which links expire.
    """

    def __init__(self, ward: Ward, links: Links, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._ward, self._links, self._now_ns = ward, links, now_ns

    def routes(self) -> list[Route]:
        """Return the routes of the pages."""
        files = ("link.css", "link.js")
        return [
            *(Route(f"{PATH}{file}", partial(_file, file), methods=["GET"]) for file in files),
            Route(PATH + "{token}", self.show, methods=["GET"]),
            Route(PATH + "{token}", self.do, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """Show the alarm, and what may be done with it."""
        link = self._link(request)
        if isinstance(link, Response):
            return link
        place = await self._ward.read(partial(self._ward.archive.alarm, link.alarm))
        if place is None:
            return _said("This alarm is not kept any more.", HTTPStatus.GONE)
        noted = await self._ward.read(partial(self._noted, place, link))
        return _html(page(place.event, _used(noted)))

    async def do(self, request: Request) -> Response:
        """Do what a person says, or keep that a browser has shown the page."""
        link = self._link(request)
        if isinstance(link, Response):
            return link
        try:
            form = parse_qs((await body_of(request, FORM)).decode(), keep_blank_values=True)
        except (Problem, ValueError) as error:
            return _said(f"This form cannot be read: {error}.", HTTPStatus.BAD_REQUEST)
        doing = form.get("do", ["acknowledge"])[0]
        if doing not in DOINGS:
            return _said(f"A link does one of {', '.join(DOINGS)}; {doing[:40]!r} came.", HTTPStatus.BAD_REQUEST)
        place = await self._ward.read(partial(self._ward.archive.alarm, link.alarm))
        if place is None:
            return _said("This alarm is not kept any more.", HTTPStatus.GONE)
        if doing == "seen":
            await self._ward.read(partial(self._note, place, link, "seen"))
            return Response(status_code=HTTPStatus.NO_CONTENT, headers=HEADERS)
        return await self._done(place, link, cast("Doing", doing), {name: said[0] for name, said in form.items()})

    async def _done(self, place: Place, link: Link, doing: Doing, form: dict[str, str]) -> Response:
        """Have something done, once."""
        before = await self._ward.read(partial(self._noted, place, link))
        used, refused = _used(before), sum(what.startswith(f"refused {doing} ") for what in before)
        if doing in used:
            return _html(page(place.event, used, said=f"This link was used for that before, by {link.receiver}."), 409)
        try:
            wanted = _command(place, doing, form, command_id(link, doing, refused))
            actor = _actor(form.get("actor", ""), link.receiver)
        except ValueError as error:
            return _html(page(place.event, used, said=f"Not done: {error}."), HTTPStatus.BAD_REQUEST)
        state, detail, _ = await settled(self._ward, Errand(place.room.door, link.site, actor, wanted))
        if state == "refused":  # nothing was left at the door: the link is as good as before
            return _html(page(place.event, used, said=f"Not done: {detail}."), HTTPStatus.SERVICE_UNAVAILABLE)
        failed = state == "failed"  # the flow said no: the link may try again
        deed = f"refused {doing} {refused + 1}" if failed else f"did {doing}"
        for what in (deed, "seen", *(("accepted",) if doing == "acknowledge" and not failed else ())):
            await self._ward.read(partial(self._note, place, link, what))
        newest = await self._ward.read(partial(self._ward.archive.alarm, link.alarm)) or place
        words = {"done": "Done", "failed": "Not done"}.get(state, "Kept")
        status = HTTPStatus.CONFLICT if failed else HTTPStatus.OK
        return _html(page(newest.event, used if failed else {*used, doing}, said=f"{words}: {detail}."), status)

    def _link(self, request: Request) -> Link | Response:
        """Link of a token that is ours and holds, or what is wrong with it."""
        found = self._links.verify(request.path_params["token"], self._now_ns() / 1e9)
        if isinstance(found, Link):
            return found
        if found.why != "expired":
            self._ward.doorkeeper.failed(request)
        return _refused(found)

    def _noted(self, place: Place, link: Link) -> set[str]:
        """Return what was noted of the link's event at its receiver."""
        with contextlib.suppress(sqlite3.Error):  # then the flow tells by the command's id
            return {
                one.what
                for one in self._ward.archive.receipts(place)
                if (one.receiver, one.step) == (link.receiver, link.step)
            }
        return set()

    def _note(self, place: Place, link: Link, what: str) -> None:
        with contextlib.suppress(sqlite3.Error), Receipts(place.room.folder / "couriers.sqlite") as kept:
            kept.note(Receipt(link.receiver, link.site, link.alarm, link.step, what, self._now_ns()))


def _used(noted: set[str]) -> set[str]:
    """What a link was used for."""
    return {what.removeprefix("did ") for what in noted if what.startswith("did ")}


async def _file(name: str, _request: Request) -> Response:
    await asyncio.sleep(0)
    return FileResponse(STATIC / name)


def _command(place: Place, doing: Doing, form: dict[str, str], id_: str) -> Command:
    event, note = place.event, form.get("note", "").strip()[:1000]
    match doing:
        case "shelve":
            minutes = form.get("minutes", "15")
            if minutes not in {"2", "5", "15", "60"}:
                raise ValueError(f"{minutes[:20]!r} minutes came, need 2, 5, 15 or 60")
            return command.Shelve(
                id=id_, note=note, patient=event.patient, condition=event.condition, seconds=60 * int(minutes)
            )
        case "unshelve":
            return command.Unshelve(id=id_, note=note, patient=event.patient, condition=event.condition)
        case "comment":
            if not note:
                raise ValueError("a comment needs a note")
            return command.Comment(id=id_, note=note, patient=event.patient, alarm=event.id)
        case "mark-true":
            return command.Mark(id=id_, note=note, patient=event.patient, alarm=event.id, was="true")
        case "mark-false":
            return command.Mark(id=id_, note=note, patient=event.patient, alarm=event.id, was="false")
        case _:
            return command.Acknowledge(id=id_, note=note, patient=event.patient, alarm=event.id)


def _actor(given: str, receiver: str) -> str:
    """Who it is: whom the link was made for, and who says so, where somebody does."""
    name = re.sub(r"\s+", "-", given.strip())
    if not name:
        return receiver
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", name):
        raise ValueError("a name is made of letters, digits, - and _, 32 at most")
    return f"{name}-via-{receiver}"[:LONGEST_NAME]


def _refused(refusal: Refusal) -> Response:
    status = HTTPStatus.GONE if refusal.why == "expired" else HTTPStatus.NOT_FOUND
    return _said(f"{refusal.said[:1].upper()}{refusal.said[1:]}.", status)


def _said(text: str, status: HTTPStatus) -> Response:
    return _html(page(None, set(), said=text), status)


def _html(text: str, status: int = HTTPStatus.OK) -> Response:
    return HTMLResponse(text, status, HEADERS)
