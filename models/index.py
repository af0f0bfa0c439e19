"""Nearest items by inner product: the one door to FAISS, and exact wherever the index can't be trusted to be right."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import faiss as _typed_faiss
import numpy as np

from features.errors import BrokenArtifact
from models.arrays import Float32, Mask
from models.ranking import Slate, padded, top

faiss: Any = _typed_faiss  # its stubs know the C++ signatures, not the Python ones

FLAT_UP_TO = 20_000
EXACT_UP_TO = 2_000
SLACK = 16
PROBES = (8, 16, 32, 64, 128, 256)
FILE = "index.faiss"


@dataclass(frozen=True)
class IndexConfig:
    """`recall`: the least share of the exact top `at` that the index must find; else every item is compared."""

    recall: float = 0.97
    at: int = 20
    flat_up_to: int = FLAT_UP_TO


class Index:
    """Item vectors under inner product: every one compared in a small catalogue, inverted lists in a large one.

    An answer is exact when `kind` is flat, when few items are allowed, or when the index alone finds too few.
    """

    def __init__(self, vectors: Float32, searcher: Any, probes: int, recall: float) -> None:
        faiss.omp_set_num_threads(1)  # one thread a worker: on busy cores a second one costs ten times what it saves
        self._vectors = vectors
        self._searcher = searcher
        self.probes = probes
        self.recall = recall

    @classmethod
    def build(cls, vectors: Float32, queries: Float32, config: IndexConfig | None = None) -> Self:
        """The cheapest index that finds enough of the exact answer.

        Args:    vectors: (n_items, d) float32; queries: (q, d) float32, user vectors to measure recall with.
        """
        config = config or IndexConfig()
        if len(vectors) > config.flat_up_to and len(queries):
            exact = [top(vectors @ query, config.at)[0] for query in queries]
            searcher = _inverted(vectors)
            for probes in PROBES:
                index = cls(vectors, searcher, probes, 1.0)
                index.recall = _recall(index, queries, exact)
                if index.recall >= config.recall:
                    return index
        flat = faiss.IndexFlatIP(vectors.shape[1])
        flat.add(vectors)
        return cls(vectors, flat, 0, 1.0)

    @property
    def kind(self) -> str:
        """flat or ivf."""
        return "ivf" if self.probes else "flat"

    def search(self, vector: Float32, k: int, allowed: Mask | None = None) -> Slate:
        """The k items with the largest inner product, ties by row.

        Args:    vector: (d,) float32; allowed: (n_items,) or None for all.
        Returns: (k,) int32 and (k,) float32, padded with -1 and -inf; full whenever k items are allowed.
        """
        open_items = len(self._vectors) if allowed is None else int(np.count_nonzero(allowed))
        wanted = min(k, open_items)
        if wanted < 1:
            return padded(np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32), k)
        if open_items <= EXACT_UP_TO:
            return self._exact(vector, k, allowed)
        scores, rows = self._searcher.search(vector[None], min(k + SLACK, open_items), params=self._params(allowed))
        found = int(np.count_nonzero(rows[0] >= 0))
        tied_past_the_end = 0 < wanted < found < open_items and scores[0, wanted - 1] == scores[0, found - 1]
        if found < wanted or tied_past_the_end:
            return self._exact(vector, k, allowed)
        order = np.lexsort((rows[0, :found], -scores[0, :found]))
        return padded(rows[0, order], scores[0, order], k)

    def save(self, folder: Path) -> dict[str, float]:
        """Write the FAISS file; returns what load() needs beside it."""
        faiss.write_index(self._searcher, str(folder / FILE))
        return {"index_probes": self.probes, "index_recall": self.recall}

    @classmethod
    def load(cls, folder: Path, vectors: Float32, saved: Mapping[str, Any]) -> Self:
        """The index over these vectors.

        Raises:  BrokenArtifact: the file is missing, can't be read or is of another size.
        """
        try:
            searcher = faiss.read_index(str(folder / FILE))
        except RuntimeError as error:
            raise BrokenArtifact(f"{FILE} can't be read") from error
        if (searcher.ntotal, searcher.d) != vectors.shape:
            raise BrokenArtifact(f"{FILE} holds {searcher.ntotal} x {searcher.d}, the model {vectors.shape}")
        return cls(vectors, searcher, int(saved["index_probes"]), float(saved["index_recall"]))

    def _exact(self, vector: Float32, k: int, allowed: Mask | None) -> Slate:
        if allowed is None:
            return top(self._vectors @ vector, k)
        rows = np.flatnonzero(allowed)
        best, scores = top(self._vectors[rows] @ vector, k)
        return np.where(best >= 0, rows[best], -1).astype(np.int32), scores

    def _params(self, allowed: Mask | None) -> Any:
        chosen = {}
        if allowed is not None:
            chosen["sel"] = faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
        if self.probes:
            return faiss.SearchParametersIVF(nprobe=self.probes, **chosen)
        return faiss.SearchParameters(**chosen) if chosen else None


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
