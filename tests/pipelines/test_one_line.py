"""Adding a feature is one line: it is then live, in training frames, listed, and folded beside the old ones."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from features.definitions import FEATURES
from features.events import decode, iso
from features.feature import count
from features.offline import EventLog, LoggedEvent, append_events, training_frame
from features.online import Client, connect, generations, snapshot
from features.online.state import bucket_of_customer
from features.profiles import Profile
from features.table import Table, table
from pipelines.backfill import restore_all
from pipelines.inventory import definitions, distributions

ROOT = Path(__file__).parents[2]
T = 1_767_225_600_000
BUCKETS = 8
LINE = count("shares_7d", "Product Shared", "7d", description="Products shared in 7 days")


def shared(offset: int) -> LoggedEvent:
    sent = {"type": "track", "userId": "u1", "event": "Product Shared", "messageId": f"m{offset}"}
    raw = json.dumps(sent | {"timestamp": iso(T + offset), "properties": {"product_id": "i1"}}).encode()
    return LoggedEvent(0, offset, T + offset, decode(raw, T + offset), False, raw)


@pytest.fixture
def client(redis_server: str) -> Client:
    return connect(redis_server)


@pytest.fixture
def longer() -> Table:
    """The table as shipped, with one line more."""
    return table((*FEATURES.features.values(), LINE))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    append_events(EventLog(tmp_path).source("import.a.p1"), 0, 0, 3, [shared(n) for n in range(3)])
    return tmp_path


def live(client: Client, features: Table) -> Profile:
    found = snapshot(client, bucket_of_customer("u:u1", BUCKETS), features.generation, ["u:u1"])
    return Profile([found.states["u:u1"]], features)


def test_a_line_more_is_found_online_offline_and_in_the_list(client: Client, data: Path, longer: Table) -> None:
    restore_all(client, data, BUCKETS, table=longer)
    assert live(client, longer).features(T + 1_000, ["shares_7d"]) == {"shares_7d": 3}
    labels = pd.DataFrame({"user_id": "u1", "as_of": [T - 1, T + 1, T + 1_000]})
    assert training_frame(EventLog(data), labels, ["shares_7d"], table=longer)["shares_7d"].tolist() == [0, 2, 3]
    (listed,) = [row for row in definitions(longer) if row["name"] == "shares_7d"]
    assert (listed["definition"], listed["unit"], listed["owner"]) == ("sum of Product Shared 7d", "events", "kindred")
    (told,) = distributions(client, BUCKETS, longer, [listed], 10, T + 1_000)
    assert (told["coverage"], told["distribution"]) == ("100.0%", "3 .. 3 .. 3")


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of what the command needs, to be edited."""
    for folder in ("features", "pipelines"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def with_a_line(house: Path, line: str) -> "subprocess.CompletedProcess[str]":
    """What `kindred features` says once there is a line more in the file."""
    definitions = house / "features" / "definitions.py"
    before = "CUSTOMER: tuple[Feature, ...] = (\n"
    assert before in definitions.read_text()
    definitions.write_text(definitions.read_text().replace(before, f"{before}    {line}\n"))
    words = [sys.executable, "-m", "pipelines.cli", "features", "--json"]
    return subprocess.run(words, cwd=house, capture_output=True, text=True, timeout=240, check=False)


def test_a_line_in_the_file_is_all_that_the_list_needs(house: Path) -> None:
    done = with_a_line(house, 'count("shares_7d", "Product Shared", "7d", description="Products shared in 7 days"),')
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["name"] == "shares_7d"


def test_a_wrong_line_is_refused_in_one_line_with_where_and_why(house: Path) -> None:
    done = with_a_line(house, 'count("shares_7d", "Product Sharred", "7d"),')
    said = "kindred: feature shares_7d: there is no event 'Product Sharred'; features/events.py lists them\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)


def test_a_line_more_is_a_generation_of_its_own_and_the_old_one_serves_until_readers_go_over(
    client: Client, data: Path, longer: Table
) -> None:
    assert longer.generation != FEATURES.generation
    restore_all(client, data, BUCKETS)
    restore_all(client, data, BUCKETS, table=longer)
    assert generations.live(client) == FEATURES.generation
    assert live(client, FEATURES).features(T + 1_000, ["event_counts"]) == {"event_counts": {"Product Shared": 3}}
    assert generations.make_live(client, longer.generation, FEATURES.generation)
    assert generations.drop(client, FEATURES.generation, BUCKETS) > 0
    assert live(client, longer).features(T + 1_000, ["shares_7d"]) == {"shares_7d": 3}


def test_a_line_that_reads_what_is_there_already_needs_no_new_generation() -> None:
    again = count("views_in_a_week", "Product Viewed", "7d")
    assert table((*FEATURES.features.values(), again)).generation == FEATURES.generation


def test_what_a_feature_means_changes_its_fingerprint_and_its_description_does_not() -> None:
    def fingerprint(**more: str) -> str:
        return table([count("x", "Product Viewed", **{"window": "7d"} | more)]).fingerprint("x")

    assert fingerprint(description="other words", owner="somebody") == fingerprint()
    assert fingerprint(window="8d") != fingerprint()
    assert fingerprint(entity="item") != fingerprint()
