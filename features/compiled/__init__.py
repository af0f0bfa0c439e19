"""The fold and the packing of states as machine code, for whoever has many: the stream processor and every rebuild.

`features.folds`, `packing` and `tiles` say what they compute; there are tests that hold each byte to it.
"""

from features.compiled.additions import packed_additions
from features.compiled.coviewing import coviews, replayed
from features.compiled.folding import fold
from features.compiled.packing import pack
from features.compiled.unpacking import unpack
from features.compiled.warming import warm

__all__ = ["coviews", "fold", "pack", "packed_additions", "replayed", "unpack", "warm"]
