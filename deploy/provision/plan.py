"""What provisioning would do, as values: looked at first, shown to whoever asks, and only then done."""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

Action = Literal["create", "change", "same"]


class Step(msgspec.Struct, frozen=True):
    """One thing that must be there, and what it takes.

    Attributes
    ----------
    what
        Kind of thing: "database", "retention policy", "bucket", "task", "dashboard", ...
    name
        Which one; `what` and `name` together tell it from all others.
    action
        "same": it is there and as it must be, so nothing is done.
    detail
        In words: what it will be, or what differs and how; never a secret.
    """

    what: str
    name: str
    action: Action
    detail: str = ""


def due(steps: Iterable[Step]) -> list[Step]:
    """Steps that change something.

    Examples
    --------
    >>> [step.name for step in due([Step("bucket", "a", "same"), Step("bucket", "b", "create")])]
    ['b']
    """
    return [step for step in steps if step.action != "same"]


def in_words(steps: Sequence[Step]) -> list[str]:
    """Lines for people: one for each step, and a sum.

    Examples
    --------
    >>> in_words([Step("bucket", "a", "same"), Step("task", "b", "create", "each minute")])
    ['same    bucket a', 'create  task b: each minute', '1 to do, 1 as it must be']
    """
    lines = [f"{step.action:<7} {step.what} {step.name}{f': {step.detail}' if step.detail else ''}" for step in steps]
    n_due = len(due(steps))
    return [*lines, f"{n_due} to do, {len(steps) - n_due} as it must be"]
