"""Where two documents differ, in words: what is, and what it should be."""

from collections.abc import Iterator, Mapping, Sequence

from deploy.problem import shorten

MOST = 3
LISTS = (list, tuple)
HIDDEN = "[REDACTED]"  # what Grafana shows of a secret


def differences(wanted: object, present: object, *, whole: bool = False, at: str = "") -> Iterator[str]:
    """Compare what is present with what is wanted.

    Parameters
    ----------
    wanted, present
        Documents of JSON.
    whole
        Whether what is present may hold nothing more; without, what was not asked for is the server's own affair.
    at
        Where in the document this is.

    Examples
    --------
    >>> list(differences({"a": {"b": 1}, "c": [2]}, {"a": {"b": 3}, "c": [2], "id": 9}))
    ['a.b is 3, not 1']
    >>> list(differences({"a": 1}, {"a": 1, "id": 9}, whole=True))
    ['id is 9, not there']
    """
    if isinstance(wanted, Mapping) and isinstance(present, Mapping):
        for key, value in wanted.items():
            here = f"{at}.{key}" if at else str(key)
            if key in present:
                yield from differences(value, present[key], whole=whole, at=here)
            else:
                yield f"{here} is missing"
        if whole:
            for key in present.keys() - wanted.keys():
                yield f"{f'{at}.{key}' if at else key} is {shorten(present[key], 40)}, not there"
    elif isinstance(wanted, LISTS) and isinstance(present, LISTS) and len(wanted) == len(present):
        for index, (one, other) in enumerate(zip(wanted, present, strict=True)):
            yield from differences(one, other, whole=whole, at=f"{at}[{index}]")
    elif present not in (wanted, HIDDEN):
        yield f"{at} is {shorten(present, 40)}, not {shorten(wanted, 40)}"


def in_words(found: Sequence[str]) -> str:
    """Return the first of them, and how many more there are."""
    rest = f" and {len(found) - MOST} more" if len(found) > MOST else ""
    return "; ".join(found[:MOST]) + rest
