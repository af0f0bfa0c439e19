"""What the sequence model reads, learns and serves."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from features.errors import BadInput
from models.arrays import Float32, Int32
from models.histories import Histories, History
from models.interactions import IdMap, Interactions
from models.onnx import Graph
from models.sasrec import sequences
from models.sasrec.fit import graph_of
from models.sasrec.model import SasRec, SasRecConfig
from models.sasrec.net import Encoder, Net, Objective, begin, rest_of
from models.sasrec.plan import planned

ITEMS = 24
SHORT = SasRecConfig(embedding_size=16, dropout=0.1, epochs=2)
QUICK = SasRecConfig(embedding_size=32, dropout=0.1, epochs=12, temperature=0.1)


def circle(users: int = 240, events: int = 6) -> Interactions:
    """Everybody walks the circle of items one by one, from a place of their own: after i comes i + 1."""
    walks = (np.arange(users)[:, None] * 5 + np.arange(events)[None]) % ITEMS
    ids = tuple(f"u{row:03d}" for row in range(users)), tuple(f"i{row:02d}" for row in range(ITEMS))
    return Interactions(IdMap(ids[0]), IdMap(ids[1]), Histories.of([walk(*row) for row in walks], ITEMS))


def walk(*items: int) -> History:
    return History(np.array(items, dtype=np.int32), np.ones(len(items), dtype=np.float32))


@pytest.fixture(scope="module")
def model() -> SasRec:
    return SasRec(QUICK).fit(circle())


def test_what_comes_next_depends_on_the_order(model: SasRec) -> None:
    forward, scores = model.recommend_one(walk(3, 4, 5, 6), 1)
    assert forward.tolist() == [7]
    assert scores[0] <= 1.0001
    assert model.recommend_one(walk(20, 21, 22, 23), 1)[0].tolist() == [0]


def test_the_reason_is_the_event_without_which_the_score_falls_most(model: SasRec) -> None:
    asked = walk(-1, 9, 3, 4, 5, 6)
    slate: Int32 = np.array([7, 8, -1], dtype=np.int32)
    reasons = model.because(asked, slate)
    scores = model.scores(Histories.of([walk(9, 3, 4, 5, 6)], ITEMS))[0]
    for item, reason in zip(slate[:2].tolist(), reasons[:2].tolist(), strict=True):
        without = [[kept for kept in (9, 3, 4, 5, 6) if kept != left] for left in (9, 3, 4, 5, 6)]
        left = model.scores(Histories.of([walk(*kept) for kept in without], ITEMS))[:, item]
        assert reason == (1 + left.argmin() if left.min() < scores[item] else -1)
    assert reasons[2] == -1


def test_the_only_event_is_the_reason_for_what_it_speaks_for(model: SasRec) -> None:
    assert model.because(walk(4), np.array([5], dtype=np.int32)).tolist() == [0]


def test_the_graph_answers_as_torch_does_whatever_the_length() -> None:
    torch.manual_seed(0)
    encoder = Encoder(Net(ITEMS, 32, 2, 2, 0.3)).eval()
    graph = Graph(graph_of(encoder))
    for count, length in ((1, 1), (3, 2), (2, 70), (1, 150)):
        items = torch.randint(0, ITEMS, (count, length))
        with torch.no_grad():
            expected = encoder(items).numpy()
        np.testing.assert_allclose(graph(items=items.numpy()), expected, atol=1e-5)


def test_who_serves_needs_no_torch(model: SasRec, tmp_path: Path) -> None:
    model.save(tmp_path)
    asked = "History(np.array([3, 4, 5, 6], dtype=np.int32), np.ones(4, dtype=np.float32))"
    code = (
        "import sys; import numpy as np; from pathlib import Path; from models import load\n"
        "from models.histories import History\n"
        f"model = load(Path({str(tmp_path)!r})); rows, _ = model.recommend_one({asked}, 1)\n"
        "sys.exit(int('torch' in sys.modules) + 2 * int(rows[0] != 7))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_torch_is_left_as_it_was() -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    SasRec(QUICK, seed=5).fit(circle(users=12))
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


def test_training_stops_when_held_out_events_are_found_no_better() -> None:
    told: list[tuple[int, int]] = []
    config = SasRecConfig(embedding_size=16, dropout=0.1, epochs=40, patience=2)
    facts = SasRec(config).fit(circle(), lambda *step: told.append(step)).facts
    assert facts["validation_mrr"] > 0.9
    assert told[0][1] > len(told)
    assert told[-1] == (len(told), len(told))


def test_a_history_that_is_too_long_is_read_from_its_end() -> None:
    config = SasRecConfig(embedding_size=16, dropout=0.1, epochs=1, longest=3)
    model = SasRec(config).fit(circle())
    scores = model.scores(Histories.of([walk(7, 8, 9, 4, 5, 6), walk(4, 5, 6)], ITEMS))
    np.testing.assert_array_equal(scores[0], scores[1])


def test_every_target_is_learned_from_once_an_epoch() -> None:
    histories = Histories.of([walk(*range(count)) for count in (0, 1, 2, 3, 9, 24)], ITEMS)
    expected = sorted((item, item + 1) for count in (2, 3, 9, 24) for item in range(count - 1))
    for seed in range(5):
        seen: list[tuple[int, int]] = []
        for batch in sequences.batches(histories, 4, 8, np.random.default_rng(seed)):
            assert batch.inputs.shape[1] <= 4
            seen += zip(batch.inputs[batch.real].tolist(), batch.targets[batch.real].tolist(), strict=True)
        assert sorted(seen) == expected


def test_what_comes_later_and_padding_change_no_earlier_place() -> None:
    torch.manual_seed(0)
    net = Net(ITEMS, 16, 2, 2, 0.5).eval()
    one, other = torch.tensor([[1, 2, 3, 0, 0]]), torch.tensor([[1, 2, 3, 9, 7]])
    with torch.no_grad():
        short, long = net(net.vectors(one))[:, :3], net(net.vectors(other))[:, :3]
    torch.testing.assert_close(short, long)


def test_a_sampled_softmax_is_on_average_the_full_one() -> None:
    torch.manual_seed(0)
    net = Net(ITEMS, 16, 1, 2, 0.0).eval()
    inputs, real = torch.tensor([[1, 2, 3], [5, 6, 7]]), torch.ones((2, 3), dtype=torch.bool)
    chances = torch.arange(1.0, ITEMS + 1, dtype=torch.float64)
    full, sampled = (Objective(net, chances, negatives, 0.2) for negatives in (0, 4_000))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        exact = full(inputs, inputs + 1, real, full.drawn(generator))
        losses = [sampled(inputs, inputs + 1, real, sampled.drawn(generator)) for _ in range(20)]
    assert float(torch.stack(losses).mean()) == pytest.approx(float(exact), rel=5e-3)


def test_items_with_few_events_are_hidden_more() -> None:
    rare, common = (planned(circle(users=users).histories, SasRecConfig()) for users in (30, 4_000))
    assert rare.dropout == pytest.approx(0.5)  # 7.5 events an item
    assert common.dropout == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("device", "items", "negatives"), [("cpu", 4_001, 1_024), ("cuda", 50_000, 0), ("cuda", 50_001, 1_024)]
)
def test_on_cuda_much_larger_catalogues_get_a_full_softmax(device: str, items: int, negatives: int) -> None:
    histories = Histories.of([walk(1, 2, 3)], items)
    assert planned(histories, SasRecConfig(device=device, negatives=1_024)).negatives == negatives


@pytest.fixture(scope="module")
def pair() -> SasRec:
    return SasRec(replace(SHORT, members=2), seed=3).fit(circle())


def test_members_score_as_the_mean_of_single_fits(pair: SasRec) -> None:
    histories = circle().histories
    singles = [SasRec(SHORT, seed).fit(circle()) for seed in (6, 7)]
    first, second = (single.scores(histories) for single in singles)
    assert np.abs(first - second).max() > 0.1  # not one network twice
    np.testing.assert_allclose(pair.scores(histories), (first + second) / 2, atol=1e-5)
    assert pair.facts["validation_mrr"] == np.mean([single.facts["validation_mrr"] for single in singles])


def test_members_answer_one_history_as_many_and_after_loading_as_before(pair: SasRec, tmp_path: Path) -> None:
    pair.save(tmp_path)
    again = SasRec.load(tmp_path)
    asked = walk(3, 4, 5, 6)
    assert again.params["members"] == 2
    for model in (pair, again):
        rows, scores = model.recommend_one(asked, 3)
        many, expected = pair.recommend(Histories.of([asked], ITEMS), 3)
        assert rows.tolist() == many[0].tolist()
        np.testing.assert_allclose(scores, expected[0], rtol=1e-5)
    np.testing.assert_array_equal(again.scores(circle().histories), pair.scores(circle().histories))


def test_equal_seeds_give_equal_members(pair: SasRec) -> None:
    again = SasRec(replace(SHORT, members=2), seed=3).fit(circle())
    np.testing.assert_array_equal(again.scores(circle().histories), pair.scores(circle().histories))


def test_progress_is_that_of_all_members() -> None:
    told: list[tuple[int, int]] = []
    SasRec(replace(SHORT, members=2, patience=1)).fit(circle(), lambda *step: told.append(step))
    assert [done for done, _ in told] == list(range(1, len(told) + 1))
    assert told[-1] == (len(told), len(told))


def test_no_members_are_refused() -> None:
    with pytest.raises(BadInput, match="1 or more") as caught:
        SasRec(replace(SHORT, members=0)).fit(circle())
    assert caught.value.field == "members"


def test_a_source_without_order_is_learned_in_every_order() -> None:
    histories = Histories.of([walk(*range(8))], ITEMS)
    orders = {tuple(sequences.shuffled(histories, np.random.default_rng(seed)).items.tolist()) for seed in range(5)}
    assert len(orders) == 5
    assert all(sorted(order) == list(range(8)) for order in orders)


TOGETHER = """
import os, sys
import numpy as np
from models.sasrec.model import SasRec
from tests.models.sasrec.test_sasrec import QUICK, circle

world = circle()
np.save(os.path.join(sys.argv[1], os.environ["RANK"]), SasRec(QUICK).fit(world).scores(world.histories))
"""


@pytest.mark.slow
def test_processes_of_torchrun_learn_one_model_together(model: SasRec, tmp_path: Path) -> None:
    (tmp_path / "fit.py").write_text(TOGETHER)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    subprocess.run([*launch, str(tmp_path / "fit.py"), str(tmp_path)], check=True, env=environment, cwd=root)
    first, second = (np.load(tmp_path / f"{rank}.npy") for rank in (0, 1))
    np.testing.assert_array_equal(first, second)
    assert (first.argmax(axis=1) == model.scores(circle().histories).argmax(axis=1)).mean() > 0.9


def test_a_network_that_starts_from_another_one_answers_as_it_does_and_new_items_start_as_ever() -> None:
    torch.manual_seed(0)
    known, begun = Net(ITEMS, 16, 2, 2, 0.0).eval(), Net(ITEMS + 1, 16, 2, 2, 0.0).eval()
    new = begun.items.weight[ITEMS].clone()
    vectors = torch.cat([known.items.weight.detach(), torch.full((1, 16), torch.nan)])
    begin(begun, vectors, rest_of(known))
    rows = torch.randint(0, ITEMS, (3, 5))
    torch.testing.assert_close(begun(begun.vectors(rows)), known(known.vectors(rows)))
    torch.testing.assert_close(begun.items.weight[ITEMS], new)


def test_a_warm_start_goes_on_from_what_was_learned_in_fewer_steps(tmp_path: Path) -> None:
    often = replace(QUICK, members=2, epochs=100, refresh_epochs=1)
    stale = SasRec(often).fit(circle(events=5))
    stale.save(tmp_path)
    warm = SasRec.load(tmp_path).refreshed(circle())
    assert warm.facts["steps"] < stale.facts["steps"]
    assert warm.recommend_one(walk(3, 4, 5, 6), 1)[0].tolist() == [7]
    vectors, rest = stale._networks(circle().items)[1]
    encoded = Encoder(started(vectors, rest)).eval()  # what it starts from is what was stored
    queries = encoded(torch.tensor([[3, 4, 5]])).detach().numpy()
    np.testing.assert_allclose(queries, stale._encoder(items=np.array([[3, 4, 5]]))[:, 32:] * 2**0.5, atol=1e-5)


def started(vectors: Float32, rest: Float32) -> Net:
    net = Net(len(vectors), 32, 2, 2, 0.1)
    begin(net, torch.from_numpy(vectors), torch.from_numpy(rest))
    return net
