"""What a user can put right: said in one line, with exit status 2, never as a traceback."""


class UserError(Exception):
    """Something in the command line, the settings or the surroundings must be put right by whoever gave the command.

    The message says what came, what was needed and what to do.
    """


def shorten(value: object, limit: int = 80) -> str:
    """Text of a value that came from outside, made fit for one line of a message."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
