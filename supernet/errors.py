"""The one exception that command lines turn into a sentence, and the words for a refused write."""

import os

LONGEST = 1_900
"""Characters of a sentence: a library's own words about a damaged file may hold the file."""
_END = 500


class UserError(ValueError):
    """Something the user gave and can mend: one sentence that names the thing and the remedy.

    Command lines print it on standard error and end with exit status 2; everything else that is
    raised is a fault of this program and keeps its traceback. A sentence that is too long keeps
    its beginning and its end.
    """

    def __init__(self, sentence: str) -> None:
        if len(sentence) > LONGEST:
            sentence = f"{sentence[: LONGEST - _END]} ... {sentence[-_END:]}"
        super().__init__(sentence)


def refusal(error: OSError, place: object | None = None) -> str | None:
    """What the system refused, as `NAME: No space left on device`.

    NAME is the file or the standard stream that the error names, else `place`. The result is None
    where there is no name, or the error does not say why.
    """
    # Of a file that is copied or renamed the second name is the one that is written.
    name = error.filename2 or error.filename or place
    if name is None or error.strerror is None:
        return None
    text = os.fsdecode(name) if isinstance(name, bytes) else str(name)
    if isinstance(error, FileExistsError):  # of making a folder: files are written over
        return f"{text} is a file where a folder is wanted"
    return f"{text}: {error.strerror}"
