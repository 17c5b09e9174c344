"""What the compiled extension is built from, so that kernels of other sources are not taken.

`build.py` compiles the digest into the extension and `_native` compares it. No torch here.
"""

import hashlib
from pathlib import Path

_ENDINGS = (".cpp", ".cu", ".h")


def sources_digest(folder: Path) -> str | None:
    """The SHA-256 of the names and contents of the C++ and CUDA files below `folder`.

    It is None where there are none.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix in _ENDINGS)
    if not paths:
        return None
    whole = hashlib.sha256()
    for path in paths:
        whole.update(
            f"{path.relative_to(folder).as_posix()}\0".encode()
            + hashlib.sha256(path.read_bytes()).digest()
        )
    return whole.hexdigest()
