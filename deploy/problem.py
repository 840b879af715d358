"""What ends a command without a result: said in one line, never as a traceback."""


class UserError(Exception):
    """Something in the command line, the settings or the surroundings must be put right by whoever gave the command.

    The message says what came, what was needed and what to do.
    """


class Stopped(Exception):
    """A signal came before there was a result; the message says so."""


def shorten(value: object, limit: int = 80) -> str:
    """Text of a value that came from outside, made fit for one line of a message."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
