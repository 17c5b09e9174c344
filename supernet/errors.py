"""The one exception that command lines turn into a sentence."""


class UserError(ValueError):
    """Something the user gave and can mend: one sentence that names the thing and the remedy.

    Command lines print it on standard error and end with exit status 2; everything else that is
    raised is a fault of this program and keeps its traceback.
    """
