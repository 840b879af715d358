"""The page behind a signed link: everything that came from outside is escaped, and it works without a script."""

from collections.abc import Collection
from datetime import UTC, datetime
from html import escape
from typing import Final

from dataflows.events import OVER, SEEN, AlarmEvent
from dataflows.priorities import SHELF_LATCHING_S
from dataflows.rules import COLUMN, RULES
from deploy.page.words import in_full, said_of

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="dark light">
<meta name="robots" content="noindex">
<title>{title}</title>
<link rel="stylesheet" href="link.css">
{script}</head>
<body>
<main>
{main}
<p class="dim">Simulated sensors; not a medical device</p>
</main>
</body>
</html>
"""
_FORM: Final = """<form method="post">
<label for="actor">Your name</label>
<input id="actor" name="actor" maxlength="32" pattern="[A-Za-z0-9_ \\-]+" autocomplete="name">
<label for="note">Note</label>
<input id="note" name="note" maxlength="1000" autocomplete="off">
{buttons}
</form>"""
_MINUTES: Final = """<label for="minutes">Shelve for</label>
<select id="minutes" name="minutes">
{options}
</select>"""
_FOR: Final = {2: "2 minutes", 5: "5 minutes", 15: "15 minutes", 60: "1 hour"}
_BUTTONS: Final = {
    "acknowledge": "Acknowledge",
    "shelve": "Shelve",
    "unshelve": "Unshelve",
    "mark-true": "Was true",
    "mark-false": "Was false",
    "comment": "Comment",
}


def page(event: AlarmEvent | None, used: Collection[str], said: str = "") -> str:
    """Page of an alarm.

    Parameters
    ----------
    event
        Its newest event; None: there is nothing to show but words.
    used
        What the link was used for, which it is once.
    said
        What has come of the request.
    """
    status = f'<p role="status" class="said">{escape(said)}</p>' if said else ""
    if event is None:
        return _PAGE.format(title="femtoward", script="", main=f"<h1>femtoward</h1>\n{status}")
    main = "\n".join([_head(event), status, _form(event, used)])
    return _PAGE.format(title=escape(in_full(event)), script='<script src="link.js" defer></script>\n', main=main)


def _head(event: AlarmEvent) -> str:
    where = " · ".join(filter(None, (event.bed, event.ward, event.patient)))
    since = f"{datetime.fromtimestamp(event.onset_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S}Z"
    lines = [where, f"since {since}", event.reason, said_of(event)]
    shown = "\n".join(f"<p>{escape(line)}</p>" for line in lines if line)
    return f'<h1 class="{event.priority} {event.state}">{escape(in_full(event))}</h1>\n{shown}'


def _form(event: AlarmEvent, used: Collection[str]) -> str:
    may = ["mark-true", "mark-false", "comment"]
    if event.state not in OVER:
        may = ["unshelve" if event.state == "shelved" else "shelve", *may]
        may = may if event.state in SEEN else ["acknowledge", *may]
    left = [doing for doing in may if doing not in used]
    if not left:
        return "<p>This link has done all that it can.</p>"
    rows = "\n".join(
        f'<button name="do" value="{doing}"{" class=main" if doing == "acknowledge" else ""}>{_BUTTONS[doing]}</button>'
        for doing in left
    )
    return _FORM.format(buttons=f'{_minutes(event) if "shelve" in left else ""}\n<p class="buttons">\n{rows}\n</p>')


def _minutes(event: AlarmEvent) -> str:
    """For how long it may be shelved."""
    latches = RULES[COLUMN[event.condition]].latches
    may = {minutes: said for minutes, said in _FOR.items() if not latches or 60 * minutes <= SHELF_LATCHING_S}
    return _MINUTES.format(options="\n".join(f'<option value="{n}">{said}</option>' for n, said in may.items()))
