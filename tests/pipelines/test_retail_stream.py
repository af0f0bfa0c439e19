"""A real shop's invoices through Kafka, with the stream processor killed on the way."""

import signal
from pathlib import Path

import pytest

from pipelines.imports.columns import mapping_from
from pipelines.imports.job import produce_events
from tests.pipelines.stream_truth import states
from tests.pipelines.stream_world import World

DATA = Path(__file__).parents[3] / "shared" / "data" / "online_retail.csv.gz"
NOW = 1_790_000_000_000


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not DATA.is_file(), reason="UCI Online Retail is not beside the project")
def test_kill_9_in_the_middle_of_online_retail_leaves_the_profiles_of_a_clean_run(world: World) -> None:
    mapping = mapping_from(preset="online-retail")
    report = produce_events(world.settings, world.producer, DATA, mapping, NOW, lambda *_: None)
    assert report.accepted == 22_190
    everything = sum(4 * end for end in world.ends("events").values())  # each partition has four buckets
    for share in (0.2, 0.5, 0.8):
        worker = world.worker()
        world.until(lambda share=share: world.stands() >= share * everything, 240)  # type: ignore[misc]
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        assert world.waiting() > 0
    world.worker()
    world.caught_up(240)
    world.assert_exact()
    assert len(states(world.client)) == 4_372
