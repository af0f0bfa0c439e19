"""Promotions, trials and rollbacks while customers ask: none is lost or mixed, and each of two workers follows."""

from collections.abc import Iterator

import pytest

from benchmarks.promotion import CUSTOMERS, follow, measure, of_any_worker, settings
from features.online import connect, tell_of_model
from models.registry import CANARY, SHADOW, Registry
from models.registry.moves import begin_canary, begin_shadow, end
from models.registry.trail import Action, Entry, trail
from pipelines.registry_access import Access
from tests.serving.world import World, eventually, now, ok, world

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
NAMES = [f"c{number:06d}" for number in range(1, CUSTOMERS + 1)]
TRIED, CHAMPION = "1", "2"  # versions, once the champion has moved to and fro
PATIENCE_S = 240.0


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One with two service workers."""
    data = tmp_path_factory.mktemp("promoted")
    with world(data, streaming=False, workers=2, given=settings(data)) as running:
        yield running


@pytest.fixture(scope="module")
def registry(shop: World) -> Iterator[Registry]:
    with Registry(shop.settings.mlflow) as registry:
        yield registry


def entry(action: Action, share: float = 0.0) -> Entry:
    return Entry(at=now(), action=action, who="test", previous=CHAMPION, share=share)


def tell(shop: World) -> None:
    tell_of_model(connect(shop.settings.redis), "als")


def arms(shop: World) -> dict[str, set[tuple[str, str]]]:
    """Of each customer the variants and versions that answered, of either worker."""
    found: dict[str, set[tuple[str, str]]] = {each: set() for each in NAMES}
    for name in NAMES * 4:
        said = of_any_worker(shop, name)
        found[name].add(((said["experiment"] or {"variant": ""})["variant"], said["model"]["version"]))
    return found


def split(found: dict[str, set[tuple[str, str]]]) -> bool:
    """Whether each customer has one arm, and both arms have customers."""
    said = [one for each in found.values() for one in each]
    return len(said) == len(NAMES) and set(said) == {("canary", TRIED), ("champion", CHAMPION)}


def test_no_answer_is_lost_or_mixed_while_the_champion_moves(shop: World) -> None:
    found = measure(shop, swaps=4, seconds=12, rate=40)
    assert len(found.answers) == 480
    assert found.failed == {}
    assert found.mixed == []
    assert [what for what, _, _ in found.moves] == ["rollback", "promotion"] * 2
    assert found.swapped == 2 * 4
    assert {answer.version for answer in found.answers} == {TRIED, CHAMPION}
    assert any(found.slates[TRIED, each] != found.slates[CHAMPION, each] for each in NAMES)


def test_a_customer_has_one_arm_of_a_canary_at_every_worker_until_it_ends(shop: World, registry: Registry) -> None:
    tried = registry.get("als", TRIED)
    begin_canary(registry, tried, entry("canary", 0.5))
    tell(shop)
    eventually(lambda: arms(shop), split, PATIENCE_S)
    assert of_any_worker(shop, NAMES[0])["experiment"]["key"] == f"canary:als:{TRIED}"
    end(registry, CANARY, tried, entry("end canary"))
    tell(shop)
    follow(shop, CHAMPION)
    assert {one for each in arms(shop).values() for one in each} == {("", CHAMPION)}


def test_a_canary_whose_customers_buy_nothing_is_rolled_back(shop: World, registry: Registry) -> None:
    begin_canary(registry, registry.get("als", TRIED), entry("canary", 0.5))
    tell(shop)
    found = eventually(lambda: arms(shop), split, PATIENCE_S)
    pleased = [name for name, (arm,) in found.items() if arm == ("champion", CHAMPION)]

    def ask_and_buy() -> bool:
        for name in NAMES:
            slate = ok(shop.post("/recommend", {"user_id": name}))
            if name in pleased:
                order = {"order_id": slate["request_id"], "currency": "GBP", "request_id": slate["request_id"]}
                shop.track(userId=name, event="Order Completed", properties=order)
        return registry.alias("als", CANARY) is None

    eventually(ask_and_buy, bool, PATIENCE_S)
    last = trail(registry.get("als", TRIED))[-1]
    assert (last.action, last.who) == ("automatic rollback", "kindred (automatic)")
    assert [gate.gate for gate in last.gates if not gate.passed] == ["orders"]
    follow(shop, CHAMPION)


def test_a_shadow_decides_what_nobody_sees_and_is_compared(shop: World, registry: Registry) -> None:
    tried, access = registry.get("als", TRIED), Access(shop.settings, registry)
    begin_shadow(registry, tried, entry("shadow"))
    tell(shop)

    def compared() -> list[str]:
        assert {one for each in arms(shop).values() for one in each} == {("", CHAMPION)}
        return access.trials(["als"])

    (line,) = eventually(compared, lambda lines: lines and " 0 answers" not in lines[0], PATIENCE_S)
    assert line.startswith(f"shadow als {TRIED}: ")
    assert line.endswith(", 0 failed")
    assert "overlap unknown" not in line
    end(registry, SHADOW, tried, entry("end shadow"))
