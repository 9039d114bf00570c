"""The one exception that users see."""


class InputError(Exception):
    """Input that cannot be used: one sentence that says what was found, where, and what to do.

    The command line prints the sentence and exits with status 2; no traceback.
    """
