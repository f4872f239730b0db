"""The two exceptions that callers see: bad input, and work that was stopped on purpose."""


class UserError(ValueError):
    """Bad input or a missing file. The message is one sentence for a person; the command line prints it and exits with 2."""


class Cancelled(Exception):
    """For callbacks and progress functions to raise: the work they are told of stops there, and leaves nothing half done.

    `Editor.edit` tells of every denoising step, `Editor.personalize` of every training pair and every iteration.
    """
