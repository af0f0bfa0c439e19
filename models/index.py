"""Nearest items by inner product: the one door to FAISS, and exact wherever the index can't be trusted to be right."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import faiss as _typed_faiss
import numpy as np

from features.errors import BrokenArtifact
from models.arrays import Float32, Mask
from models.blocks import Blocks
from models.ranking import Slate, padded, top

faiss: Any = _typed_faiss  # its stubs know the C++ signatures, not the Python ones

EXACT_UP_TO = 20_000
GATHER_UP_TO = 13_000  # allowed items are compared, exactly, where they are as few, and such a part of all
FEW, FEW_FOR_LISTS = 1 / 32, 1 / 10
SLACK = 16
PROBES = (8, 16, 32, 64, 128, 256)
MOST_WIDER = 16
FILE = "index.faiss"


@dataclass(frozen=True)
class IndexConfig:
    """`recall`: the least share of the exact top `at` that inverted lists must find; `exact_up_to` items need none."""

    recall: float = 0.97
    at: int = 20
    exact_up_to: int = EXACT_UP_TO


class Index:
    """Item vectors under inner product: in order of length, which is exact, or in inverted lists, which is not.

    Lists are taken where they have to compare fewer vectors, by what queries of the model's own training look at. An
    answer is exact when `kind` is exact, when few items are allowed, or when the lists alone find too few.
    """

    def __init__(self, vectors: Float32, searcher: Any, probes: int, recall: float) -> None:
        faiss.omp_set_num_threads(1)  # one thread a worker: on busy cores a second one costs ten times what it saves
        self._vectors = vectors
        self._searcher = searcher
        self._blocks = Blocks(vectors)
        self.probes = probes
        self.recall = recall

    @classmethod
    def build(cls, vectors: Float32, queries: Float32, config: IndexConfig | None = None) -> Self:
        """The index that compares fewest vectors, of those that find enough of the exact answer.

        Args:    vectors: (n_items, d) float32; queries: (q, d) float32, user vectors to measure with.
        """
        config = config or IndexConfig()
        exact = cls(vectors, None, 0, 1.0)
        if len(vectors) <= config.exact_up_to or not len(queries):
            return exact
        slates, looked = zip(*(exact._blocks.looked(query, config.at) for query in queries), strict=True)
        right = [rows[rows >= 0] for rows, _ in slates]
        searcher = _inverted(vectors)
        for probes in PROBES:
            if searcher.nlist + probes * len(vectors) / searcher.nlist >= np.mean(looked):
                return exact
            index = cls(vectors, searcher, probes, 1.0)
            index.recall = _recall(index, queries, right)
            if index.recall >= config.recall:
                return index
        return exact

    @property
    def kind(self) -> str:
        """exact or ivf."""
        return "ivf" if self.probes else "exact"

    def search(self, vector: Float32, k: int, allowed: Mask | None = None) -> Slate:
        """The k items with the largest inner product, ties by row.

        Args:    vector: (d,) float32; allowed: (n_items,) or None for all.
        Returns: (k,) int32 and (k,) float32, padded with -1 and -inf; full whenever k items are allowed.
        """
        open_items = len(self._vectors) if allowed is None else int(np.count_nonzero(allowed))
        wanted = min(k, open_items)
        if wanted < 1:
            return padded(np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32), k)
        size = len(self._vectors)
        if allowed is not None and open_items <= min(GATHER_UP_TO, FEW * size):
            return self._gathered(vector, k, allowed)
        if self._searcher is None or open_items <= min(GATHER_UP_TO, FEW_FOR_LISTS * size):
            return self._blocks.search(vector, k, allowed)
        probes = self._probes(open_items)
        if allowed is not None and 2 * open_items <= probes * size / self._searcher.nlist:
            return self._gathered(vector, k, allowed)  # they are fewer than the lists would compare
        scores, rows = self._searcher.search(vector[None], min(k + SLACK, open_items), params=_params(allowed, probes))
        found = int(np.count_nonzero(rows[0] >= 0))
        tied_past_the_end = 0 < wanted < found < open_items and scores[0, wanted - 1] == scores[0, found - 1]
        if found < wanted or tied_past_the_end:
            return self._blocks.search(vector, k, allowed)
        order = np.lexsort((rows[0, :found], -scores[0, :found]))
        return padded(rows[0, order], scores[0, order], k)

    def alike(self, item: int, k: int, allowed: Mask | None = None) -> Slate:
        """The k items whose vectors point where that of one item does, which is not among them; exact of either kind.

        Args:    item: its row; allowed: (n_items,) or None for all.
        Returns: as search(), with cosines; 0 of a vector of zeros.
        """
        others = np.ones(len(self._vectors), dtype=np.bool_) if allowed is None else allowed.copy()
        others[item] = False
        return self._blocks.alike(self._vectors[item], k, others)

    def save(self, folder: Path) -> dict[str, float]:
        """Write the FAISS file where there are lists; returns what load() needs beside it."""
        if self._searcher is not None:
            faiss.write_index(self._searcher, str(folder / FILE))
        return {"index_probes": self.probes, "index_recall": self.recall}

    @classmethod
    def load(cls, folder: Path, vectors: Float32, saved: Mapping[str, Any]) -> Self:
        """The index over these vectors.

        Raises:  BrokenArtifact: the file is missing, can't be read or is of another size.
        """
        probes, recall = int(saved["index_probes"]), float(saved["index_recall"])
        if not probes:
            return cls(vectors, None, 0, recall)
        try:
            searcher = faiss.read_index(str(folder / FILE))
        except RuntimeError as error:
            raise BrokenArtifact(f"{FILE} can't be read") from error
        if (searcher.ntotal, searcher.d) != vectors.shape:
            raise BrokenArtifact(f"{FILE} holds {searcher.ntotal} x {searcher.d}, the model {vectors.shape}")
        return cls(vectors, searcher, probes, recall)

    def _gathered(self, vector: Float32, k: int, allowed: Mask) -> Slate:
        rows = np.flatnonzero(allowed)
        best, scores = top(self._vectors[rows] @ vector, k)
        return np.where(best >= 0, rows[best], -1).astype(np.int32), scores

    def _probes(self, open_items: int) -> int:
        """The fewer items are allowed, the more lists are looked into: the best of them lie further apart."""
        wider = min(len(self._vectors) / open_items, MOST_WIDER)
        return min(round(self.probes * wider), int(self._searcher.nlist))


def _params(allowed: Mask | None, probes: int) -> Any:
    if allowed is None:
        return faiss.SearchParametersIVF(nprobe=probes)
    chosen = faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
    return faiss.SearchParametersIVF(nprobe=probes, sel=chosen)


def _inverted(vectors: Float32) -> Any:
    lists = int(4 * np.sqrt(len(vectors)))
    searcher = faiss.index_factory(vectors.shape[1], f"IVF{lists},SQfp16", faiss.METRIC_INNER_PRODUCT)
    searcher.cp.max_points_per_centroid = 64
    searcher.train(vectors)
    searcher.add(vectors)
    return searcher


def _recall(index: Index, queries: Float32, exact: "list[np.ndarray[Any, Any]]") -> float:
    """Share of the exact answers' items that the index finds, over all queries."""
    found = [
        len(np.intersect1d(index.search(query, len(best))[0], best)) for query, best in zip(queries, exact, strict=True)
    ]
    return sum(found) / sum(len(best) for best in exact)
