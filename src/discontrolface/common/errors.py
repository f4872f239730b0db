"""The one exception that users see: a sentence that names the value, the file and the way out."""


class UserError(ValueError):
    """Bad input or a missing file. The message is one sentence for a person; the command line prints it and exits with 2."""
