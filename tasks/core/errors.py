"""The one error that a user's own mistake raises."""


class CookbookError(Exception):
    """A problem the user can mend: its message says what was expected, what came, what to do.

    The command line prints the message alone, without a traceback, and exits with code 2.
    """
