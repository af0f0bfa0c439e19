"""How sasrec is trained: batches, shared negatives, averaged weights, and when to stop. Imported by fit() alone."""

import copy
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, distributed
from torch.nn.parallel import DistributedDataParallel

from models.arrays import Float32, Int64
from models.contracts import Progress
from models.histories import Histories
from models.memory import given_back
from models.onnx import exported
from models.sasrec import sequences
from models.sasrec.net import Encoder, Encoders, Net, Objective, begin, rest_of
from models.sasrec.plan import Plan, planned

if TYPE_CHECKING:
    from models.sasrec.model import SasRecConfig

AVERAGED = 0.999  # a step's share of the averaged weights halves after 700 steps
SEASONED = 1_000  # steps that the average of a network counts which starts from another one: it isn't forgotten at once
BETAS = (0.9, 0.98)
WARMUP = 100  # steps until the full learning rate
ASKED = 512  # held-out users asked at once
REPEATS = 0.01  # where fewer held-out items than this were in the history, repeats are not what people want


class Learned(NamedTuple):
    """Item vectors (n_items, members * d) of length 1, the encoder as an ONNX graph, and what was decided on the way.

    And what a later fit may start from: `lengths` (n_items, members) that the item vectors had before, and `rests`
    (members, p) all else of each network.
    """

    vectors: Float32
    encoder: bytes
    facts: dict[str, float]
    lengths: Float32
    rests: Float32


class Start(NamedTuple):
    """What one network starts from, as models.sasrec.net.begin() takes it."""

    vectors: Float32
    rest: Float32


class Member(NamedTuple):
    """One network of those whose scores are averaged, the rounds it took, and what was measured on the way."""

    encoder: Encoder
    rounds: int
    facts: dict[str, float]


class Held(NamedTuple):
    """Who is asked for what while training: histories, the row of the item that came next, whether repeats count."""

    asked: Histories
    wanted: Int64
    masked: bool


def trained(
    histories: Histories,
    config: "SasRecConfig",
    seed: int,
    progress: Progress | None = None,
    starts: Sequence[Start] = (),
) -> Learned:
    """Train on all histories but for the last event of some; torch's own state is as before afterwards.

    Of several members each has a seed and held-out events of its own, and a start where there are any; the facts are
    means.
    """
    plan = planned(histories, config)
    members: list[Member] = []
    with _together(config.device):
        for which in range(config.members):
            done, later = sum(each.rounds for each in members), (config.members - which - 1) * plan.rounds
            told = None if progress is None else _among(progress, done, later)
            start = starts[which] if starts else None
            members.append(_member(histories, plan, config, seed * config.members + which, told, start))
    encoders = Encoders(each.encoder for each in members)
    vectors: Float32 = encoders.vectors.numpy().copy()
    means = {name: float(np.mean([each.facts[name] for each in members])) for name in members[0].facts}
    facts = {"max_length": float(plan.length), "dropout": plan.dropout, **means}
    nets = [each.encoder.net for each in members]
    lengths = torch.stack([net.items.weight.detach().norm(dim=1) for net in nets], dim=1).numpy()
    rests = torch.stack([rest_of(net) for net in nets]).numpy()
    return Learned(vectors, graph_of(encoders), facts, lengths, rests)


def _member(
    histories: Histories, plan: Plan, config: "SasRecConfig", seed: int, progress: Progress | None, start: Start | None
) -> Member:
    with _isolated(config, seed):
        held, learnable = _carved(histories, plan, seed)
        return _Training(learnable, held, plan, config, seed, start).run(progress)


def _among(progress: Progress, before: int, later: int) -> Progress:
    """Progress of one member as progress of all, after `before` rounds of others and with up to `later` to come."""
    return lambda done, total: progress(before + done, before + total + later)


class _Training:
    """One run: the network, the running average of its weights, and how good the best average was."""

    def __init__(
        self, histories: Histories, held: Held, plan: Plan, config: "SasRecConfig", seed: int, start: Start | None
    ) -> None:
        self._histories, self._held, self._plan, self._config = histories, held, plan, config
        self._device = _device(config.device)
        self._random = np.random.default_rng(seed)
        self._generator = torch.Generator().manual_seed(seed)
        net = Net(histories.n_items, config.embedding_size, config.blocks, config.heads, plan.dropout)
        if start is not None:
            begin(net, torch.from_numpy(start.vectors), torch.from_numpy(start.rest))
        self._seasoned = 0 if start is None else SEASONED
        chances = torch.from_numpy((sequences.counted(histories) + 1.0).astype(np.float64) ** config.beta)
        self._objective = Objective(net, chances, plan.negatives, config.temperature).to(self._device)
        self._parallel = DistributedDataParallel(self._objective) if _place()[1] > 1 else self._objective
        self._average = copy.deepcopy(net).eval()
        self._optimizer = torch.optim.AdamW(
            net.parameters(), config.learning_rate, betas=BETAS, weight_decay=0.0, fused=True
        )
        self._weights: tuple[list[Tensor], list[Tensor]] = [*net.parameters()], [*self._average.parameters()]
        self._step = 0
        self._quality = 0.0

    def run(self, progress: Progress | None) -> Member:
        """Rounds of steps until nothing was gained for `patience` of them, or the plan is done: the best average."""
        best, gained, number, last = self._average, 0, 0, self._plan.rounds
        stream = self._stream()
        for number in range(1, last + 1):
            for _ in range(self._plan.round_steps):
                self._learn(next(stream))
            quality = self._measured()
            given_back()
            gained = number if quality > self._quality or not self._plan.held else gained
            if quality >= self._quality:
                best, self._quality = copy.deepcopy(self._average), quality
            stop = number - gained >= self._config.patience
            if progress is not None:
                progress(number, number if stop else last)
            if stop:
                break
        return Member(Encoder(best.cpu()), number, {"steps": float(self._step), "validation_mrr": self._quality})

    def _stream(self) -> Iterator[sequences.Batch]:
        while True:
            rows = self._histories if self._histories.ordered else sequences.shuffled(self._histories, self._random)
            yield from sequences.batches(rows, self._plan.length, self._plan.tokens, self._random)

    def _learn(self, batch: sequences.Batch) -> None:
        self._step += 1
        self._parallel.train()
        for group in self._optimizer.param_groups:
            group["lr"] = self._config.learning_rate * min(1.0, self._step / WARMUP)
        rank, world = _place()
        parts = [torch.from_numpy(part[rank % len(part) :: world]).to(self._device) for part in batch]
        drawn = self._objective.drawn(self._generator).to(self._device)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._device.type == "cuda"):
            loss = self._parallel(*parts, drawn)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        newest, average = self._weights
        with torch.no_grad():
            steps = self._step + self._seasoned
            torch._foreach_lerp_(average, newest, 1 - min(AVERAGED, (1 + steps) / (10 + steps)))

    @torch.no_grad()
    def _measured(self) -> float:
        """Mean of 1 / rank of what came next, among all items."""
        asked, wanted, masked = self._held
        if not len(wanted):
            return 0.0
        vectors = self._average.vectors(torch.arange(asked.n_items, device=self._device))
        total = 0.0
        for at in range(0, len(asked), ASKED):
            some = asked.rows(at, at + ASKED)
            scores = self._queries(some) @ vectors.T
            if masked:
                scores[torch.from_numpy(some.rows_of), torch.from_numpy(some.items.astype(np.int64))] = -torch.inf
            right = torch.from_numpy(wanted[at : at + ASKED])[:, None].to(self._device)
            total += float((1 / (scores >= scores.gather(1, right)).sum(1)).sum())
        return total / len(wanted)

    def _queries(self, histories: Histories) -> Tensor:
        recent = histories.last(self._plan.length)
        padded = sequences.rectangle(np.append(recent.items, 0), recent.indptr[:-1], recent.indptr[1:] + 1)
        last = torch.from_numpy(recent.counts - 1).to(self._device)
        places: Tensor = self._average(self._average.vectors(torch.from_numpy(padded.inputs).to(self._device)))
        return places[torch.arange(len(last), device=self._device), last]


def graph_of(encoder: Encoder | Encoders) -> bytes:
    """The encoder as an ONNX graph: `items` (n, L) int64 rows in, oldest first; `queries` (n, d) float32 out."""
    example = {"items": torch.zeros((2, 3), dtype=torch.int64)}
    return exported(encoder, example, "queries", {"items": ("histories", "events"), "queries": ("histories",)})


def _carved(histories: Histories, plan: Plan, seed: int) -> tuple[Held, Histories]:
    """The last event of some users, at random, and all other events."""
    able = np.flatnonzero(histories.counts > 2)
    rows = np.sort(np.random.default_rng(seed).permutation(able)[: plan.held])
    left = sequences.without_last(histories, rows)
    wanted = histories.items[histories.indptr[rows + 1] - 1].astype(np.int64)
    asked = left.take(rows)
    repeated = np.bincount(asked.rows_of[asked.items == np.repeat(wanted, asked.counts)], minlength=len(rows)) > 0
    masked = bool(len(rows)) and float(repeated.mean()) < REPEATS
    return Held(asked, wanted, masked), left


@contextmanager
def _isolated(config: "SasRecConfig", seed: int) -> Iterator[None]:
    """Torch with this seed and number of threads; its generators and threads are as they were afterwards."""
    threads = torch.get_num_threads()
    cuda = config.device.startswith("cuda")
    with torch.random.fork_rng(devices=None if cuda else [], enabled=True):
        try:
            torch.set_num_threads(config.threads)
            torch.manual_seed(seed)  # the same first weights in each process; what is dropped may be the same, too
            yield
        finally:
            torch.set_num_threads(threads)


@contextmanager
def _together(device: str) -> Iterator[None]:
    """The processes that torchrun started, as one group; nothing without torchrun or within a group."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or distributed.is_initialized():
        yield
        return
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def _place() -> tuple[int, int]:
    """This process's number in its group, and of how many; 0 of 1 without a group."""
    return (distributed.get_rank(), distributed.get_world_size()) if distributed.is_initialized() else (0, 1)


def _device(name: str) -> torch.device:
    """The device; of several processes on CUDA each takes its own."""
    return torch.device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if name == "cuda" else name)
