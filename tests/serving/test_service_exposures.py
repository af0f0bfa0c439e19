"""The loop closes: a slate over HTTP, what the customer did with it, and a frame that has both."""

from collections.abc import Callable

from features.offline import EventLog, ExposureLog, exposures, outcomes
from tests.serving.world import Topic, World, eventually, ids


def test_every_slate_is_in_kafka_and_then_in_the_log_once(
    shop: World, read_topic: Callable[[str], Topic], customer: str
) -> None:
    topic, log = read_topic("exposures"), ExposureLog(shop.settings.data)
    slate = shop.recommend(user_id=customer, n=3, placement="home")
    kept, record = topic.find(lambda exposure: exposure["request_id"] == slate["request_id"])
    assert record.key == customer.encode()
    assert [place["item_id"] for place in kept["slate"]] == ids(slate)
    assert kept["model"] == slate["model"]
    frame = eventually(lambda: exposures(log).query("customer == @name", local_dict={"name": f"u:{customer}"}), len)
    assert list(frame["item_id"]) == ids(slate)
    assert set(frame["placement"]) == {"home"}


def test_what_a_customer_did_with_a_slate_joins_by_its_request_id(shop: World, customer: str) -> None:
    slate = shop.recommend(user_id=customer, n=3)
    first, second, _ = ids(slate)
    common = {"request_id": slate["request_id"]}
    lines = [{"product_id": item_id} for item_id in (first, second)]
    shop.track(userId=customer, event="Product List Viewed", properties={"products": lines, **common})
    shop.track(userId=customer, event="Product Clicked", properties={"product_id": second, "position": 2, **common})
    logs = ExposureLog(shop.settings.data), EventLog(shop.settings.data)
    frame = eventually(
        lambda: outcomes(*logs).query("request_id == @asked", local_dict={"asked": slate["request_id"]}),
        lambda found: found["clicked"].any(),
    )
    assert list(frame["seen"]) == [True, True, False]
    assert list(frame["clicked"]) == [False, True, False]
    assert not frame["bought"].any()
