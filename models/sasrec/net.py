"""The transformer of sasrec in torch: imported by fit() alone, never by serving."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

FARTHEST = 64  # places further back than this are all equally far
SMALL = 0.02  # of the first weights: vectors that start short turn fast


class Drop(nn.Module):
    """Dropout to a 256th, eight elements a random number: torch's own takes a fifth of an epoch on a CPU."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.cut = round(share * 256)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.cut:
            return x
        drawn = torch.empty(x.numel() // 8 + 1, dtype=torch.int64, device=x.device).random_(-(2**63), None)
        kept = (drawn.view(torch.uint8)[: x.numel()].view(x.shape) >= self.cut).to(x.dtype)
        return x * kept.mul_(256 / (256 - self.cut))


class Block(nn.Module):
    """Attention that looks back, then a feed-forward network, each behind a norm and beside a residual.

    Places are known by their distance alone, so that an event means the same however long ago the history began.
    """

    def __init__(self, size: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(size), nn.LayerNorm(size)
        self.qkv = nn.Linear(size, 3 * size)
        self.distance = nn.Parameter(torch.zeros(heads, FARTHEST))
        self.mixed = nn.Linear(size, size)
        self.wide, self.narrow = nn.Linear(size, 4 * size), nn.Linear(4 * size, size)
        for last in (self.mixed, self.narrow):
            nn.init.normal_(last.weight, std=SMALL)
        self.drop = Drop(dropout)

    def forward(self, x: Tensor) -> Tensor:  # (n, L, d) -> (n, L, d)
        attended: Tensor = x + self.drop(self.attention(self.before(x)))
        wider: Tensor = self.wide(self.between(attended))
        added: Tensor = self.drop(self.narrow(functional.gelu(wider)))
        return attended + added

    def attention(self, x: Tensor) -> Tensor:
        """Each place's mixture of the places up to itself."""
        n, length, size = x.shape
        query, key, value = self.qkv(x).view(n, length, 3, self.heads, size // self.heads).permute(2, 0, 3, 1, 4)
        place = torch.arange(length, device=x.device)
        back = place[:, None] - place[None]
        bias = self.distance[:, back.clamp(0, FARTHEST - 1)].masked_fill(back < 0, -torch.inf)
        logits = query @ key.transpose(-1, -2) / math.sqrt(size // self.heads) + bias
        mixed: Tensor = self.mixed((logits.softmax(-1) @ value).transpose(1, 2).reshape(n, length, size))
        return mixed


class Net(nn.Module):
    """Rows of items to a query of length 1 at each place; an item is the same direction going in and coming out."""

    def __init__(self, n_items: int, size: int, blocks: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.items = nn.Embedding(n_items, size)
        nn.init.normal_(self.items.weight, std=SMALL)
        self.drop = Drop(dropout)
        self.blocks = nn.ModuleList(Block(size, heads, dropout) for _ in range(blocks))
        self.norm = nn.LayerNorm(size)

    def vectors(self, rows: Tensor) -> Tensor:  # (m,) -> (m, d)
        """Item vectors of length 1."""
        return functional.normalize(self.items(rows), dim=-1)

    def forward(self, vectors: Tensor) -> Tensor:  # (n, L, d) -> (n, L, d)
        x = self.drop(vectors * math.sqrt(vectors.shape[-1]))
        for block in self.blocks:
            x = block(x)
        return functional.normalize(self.norm(x), dim=-1)


def rest_of(net: Net) -> Tensor:
    """(p,) everything of a network but its item vectors, in a row."""
    return nn.utils.parameters_to_vector(_rest(net)).detach()


@torch.no_grad()
def begin(net: Net, vectors: Tensor, rest: Tensor) -> None:
    """Let a network start from another one.

    Args:    vectors: (n_items, d) of the items that the other one knew, rows of NaN of the others, which start as ever;
             rest: (p,) as rest_of() has it.
    """
    known = ~vectors.isnan().any(1)
    net.items.weight[known] = vectors[known]
    nn.utils.vector_to_parameters(rest, _rest(net))


def _rest(net: Net) -> list[nn.Parameter]:
    return [each for name, each in net.named_parameters() if name != "items.weight"]


class Encoder(nn.Module):
    """What serving needs of a Net: a table of finished item vectors, and the query at the newest place."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net
        self.vectors = nn.Parameter(functional.normalize(net.items.weight.detach(), dim=-1), requires_grad=False)

    def forward(self, items: Tensor) -> Tensor:  # (n, L) -> (n, d)
        queries: Tensor = self.net(self.vectors[items])[:, -1]
        return queries


class Encoders(nn.Module):
    """Several encoders as one: the mean of their cosines is one inner product of their vectors side by side."""

    def __init__(self, members: Iterable[Encoder]) -> None:
        super().__init__()
        encoders = list(members)
        self.members = nn.ModuleList(encoders)
        self.vectors = _side_by_side([each.vectors for each in encoders])  # (n_items, members * d), of length 1

    def forward(self, items: Tensor) -> Tensor:  # (n, L) -> (n, members * d)
        return _side_by_side([each(items) for each in self.members])


def _side_by_side(parts: list[Tensor]) -> Tensor:
    """Vectors of length 1 as one vector of length 1."""
    return torch.cat(parts, dim=1) / math.sqrt(len(parts))


class Objective(nn.Module):
    """Negative log-likelihood of the next item, over all items or over a sample that all places of a batch share.

    A sampled item counts as often as it stands for others: its logit less the logarithm of how often it was expected.
    """

    upto: Tensor
    expected: Tensor

    def __init__(self, net: Net, chances: Tensor, negatives: int, temperature: float) -> None:
        super().__init__()
        self.net = net
        self.negatives = negatives
        self.scale = 1 / temperature
        chances = chances / chances.sum()
        self.register_buffer("upto", chances.cumsum(0), persistent=False)
        self.register_buffer("expected", (chances * max(negatives, 1)).log().float(), persistent=False)

    def drawn(self, generator: torch.Generator) -> Tensor:
        """Rows of a batch's negatives; every row where the softmax is full."""
        if not self.negatives:
            return torch.arange(len(self.upto))
        uniform = torch.rand(self.negatives, dtype=torch.float64, generator=generator)
        return torch.searchsorted(self.upto.cpu(), uniform).clamp_(max=len(self.upto) - 1)

    def forward(self, inputs: Tensor, targets: Tensor, real: Tensor, drawn: Tensor) -> Tensor:
        queries, wanted = self.net(self.net.vectors(inputs))[real], targets[real]
        if not self.negatives:
            logits = queries @ self.net.vectors(drawn).T * self.scale
            return functional.cross_entropy(logits.float(), wanted)
        found = (queries * self.net.vectors(wanted)).sum(1).float() * self.scale
        against = self.net.vectors(drawn)
        logits = torch.addmm(-self.expected[drawn].to(queries.dtype), queries, against.T, alpha=self.scale).float()
        place, column = (wanted[:, None] == drawn[None]).nonzero(as_tuple=True)
        logits[place, column] = -torch.inf  # it is counted already, as the item that was found
        return functional.softplus(logits.logsumexp(1) - found).mean()
