"""Where compiled kernels are kept for the next process: beside their source, or where that can't be written, elsewhere.

What is kept is code of this very source: it lies in a folder named by a digest of it, and older ones are taken away.
"""

import os
import re
import shutil
from hashlib import blake2b
from pathlib import Path

VARIABLE = "NUMBA_CACHE_DIR"
_HERE = Path(__file__).parent
_IMPORT = re.compile(rb"^from features\.(\w+) import", re.MULTILINE)
_RUN = {"warming.py", "__main__.py"}  # these run kernels and are none


def keep_in(data: Path) -> None:
    """Say where kernels are kept if they can't be beside their source; before anything that is compiled is imported."""
    if not _writable(_HERE / "compiled"):
        os.environ.setdefault(VARIABLE, str(data / "compiled"))


def folder() -> Path | None:
    """Where they are kept; None: nowhere, so that every process compiles its own."""
    named = os.environ.get(VARIABLE)
    if named:
        base = Path(named)
    elif _writable(_HERE / "compiled"):
        base = _HERE / "compiled" / "__pycache__"
    else:
        return None
    mine = base / f"kernels-{_digest()}"
    for other in base.glob("kernels-*"):
        if other != mine:
            shutil.rmtree(other, ignore_errors=True)
    return mine


def _digest() -> str:
    """Kernels hold what they call and the constants of modules that they import: all of these are part of them."""
    kernels = sorted(path for path in (_HERE / "compiled").glob("*.py") if path.name not in _RUN)
    texts = [path.read_bytes() for path in kernels]
    modules = sorted({name for text in texts for name in _IMPORT.findall(text)} - {b"compiled"})
    found = blake2b(digest_size=8)
    for text in (*texts, *((_HERE / f"{name.decode()}.py").read_bytes() for name in modules)):
        found.update(b"%d:" % len(text) + text)
    return found.hexdigest()


def _writable(folder: Path) -> bool:
    cache = folder / "__pycache__"
    return os.access(cache if cache.is_dir() else folder, os.W_OK)
