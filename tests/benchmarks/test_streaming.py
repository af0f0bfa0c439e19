"""The benchmark measures what it says: the traffic is a shop's, and each peer takes all of it."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import redis

from benchmarks.streaming.environments import NotInstalled, python_of
from benchmarks.streaming.peers import PEERS, ceiling, commands
from benchmarks.streaming.peers.reading import decode
from benchmarks.streaming.traffic import CHUNK, NAMES, Traffic, messages, produce
from features import events
from features.kafka.broker import EmbeddedBroker

ROOT = Path(__file__).parents[2]


def test_the_same_seed_gives_the_same_bytes_and_another_one_others() -> None:
    first, same, other = (list(messages(Traffic(500, seed=seed))) for seed in (1, 1, 2))
    assert first == same
    assert [key for key, _ in first] != [key for key, _ in other]


def test_every_event_is_one_that_kindred_takes_under_its_own_key() -> None:
    for key, value in messages(Traffic(2_000)):
        event = events.decode(value, 0)
        assert events.partition_key(event) == key
        assert len(event.lines) == 1


def test_the_traffic_is_as_large_and_as_uneven_as_a_shop_s() -> None:
    made = list(messages(Traffic(CHUNK + 1)))
    assert len(made) == CHUNK + 1
    assert 300 < sum(len(value) for _, value in made) / len(made) < 400
    names = Counter(decode(value).event for _, value in made)
    assert [name for name, _ in names.most_common()] == list(NAMES)
    customers = Counter(key for key, _ in made).most_common()
    assert customers[0][1] > 100 * customers[-1][1]


def test_times_go_on_and_fill_the_days() -> None:
    times = [decode(value).timestamp for _, value in messages(Traffic(1_000, days=3))]
    assert times == sorted(times)
    assert (times[-1] - times[0]).total_seconds() == pytest.approx(3 * 86_400, rel=0.01)


def test_plain_loops_take_every_event_once(redis_server: str) -> None:
    with EmbeddedBroker({"t": 4}) as broker:
        produce(broker.bootstrap, "t", Traffic(3_000, customers=50))
        assert ceiling.run(broker.bootstrap, "t", "", 3_000)["events"] == 3_000
        found = commands.run(broker.bootstrap, "t", redis_server, 3_000)
    assert found["events"] == 3_000
    assert min(found["wall_s"], found["cpu_s"], found["peak_rss_mb"]) > 0
    with redis.Redis.from_url(redis_server) as client:
        counted = sum(int(client.hget(key, name) or 0) for key in client.scan_iter("p:*") for name in NAMES)
        assert counted == 3_000
        assert max(client.zcard(key) for key in client.scan_iter("r:*")) == commands.TOUCHES


def test_one_command_prints_the_table_and_writes_the_figures(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    options = ["--kafka", "embedded", "--events", "2000", "--repeats", "2", "--peers", "ceiling,quixstreams"]
    command = [sys.executable, "-m", "benchmarks.streaming", *options, "--json", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(file.read_text())
    assert [run["events"] for run in report["peers"]["ceiling"]["runs"]] == [2_000, 2_000]
    assert report["absent"] == {"quixstreams": "it needs --kafka real"}
    assert "events/CPU-s" in done.stdout
    assert "quixstreams is left out: it needs --kafka real" in done.stdout


@pytest.mark.slow
def test_a_peer_that_cannot_be_installed_says_why(tmp_path: Path) -> None:
    with pytest.raises(NotInstalled, match="pip can't install"):
        python_of((str(tmp_path / "nothing-here"),), tmp_path / "peers")


def test_a_peer_without_packages_runs_here(tmp_path: Path) -> None:
    assert python_of((), tmp_path) == sys.executable


def test_each_peer_has_its_module() -> None:
    assert all((ROOT / "benchmarks/streaming/peers" / f"{peer.module}.py").is_file() for peer in PEERS.values())
