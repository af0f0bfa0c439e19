"""The README stays true: its commands run, and each of its tables says what the code says."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from features.aging import MOST_ITEMS, SKETCH
from features.components import MEMBERS
from features.definitions import FEATURES
from features.folds import SEEN, SEEN_MS
from features.online.snapshot import AT_ONCE
from features.settings import VARIABLES, Settings
from features.states import RECENT
from features.windows import DAY, HOUR, window
from pipelines.cli import app
from pipelines.train import TRAINABLE
from serving.handlers import ROUTES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
KINDRED = str(Path(sys.executable).with_name("kindred"))
ENDLESS = {"align", "demo", "serve", "stream"}
DATA = ROOT.parent / "shared" / "data" / "online_retail.csv.gz"


def tables() -> dict[str, list[list[str]]]:
    """Rows of each table by the first cell of its head."""
    found: dict[str, list[list[str]]] = {}
    for block in re.findall(r"(?:^\|.*\|\n)+", README, re.M):
        head, _, *rows = [
            [cell.strip() for cell in line.strip("|").split(" | ")] for line in block.strip().splitlines()
        ]
        found[head[0].strip("| ")] = [[cell.strip("| ") for cell in row] for row in rows]
    return found


def code(cell: str) -> str:
    return cell.strip("`")


def commands() -> list[str]:
    """Every line of the README's shell blocks, and every `kindred ...` of its tables that has options."""
    blocks = [line for block in re.findall(r"```sh\n(.*?)```", README, re.S) for line in block.strip().splitlines()]
    inline = re.findall(r"`(kindred [^`]*--[^`]*)`", README)
    return blocks + inline


def run(words: list[str], environment: dict[str, str], folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False)


def known_commands() -> "dict[str, typer.core.TyperCommand | typer.core.TyperGroup]":
    """Every command of the command line by its full name."""
    found: dict[str, typer.core.TyperCommand | typer.core.TyperGroup] = {}

    def walk(prefix: str, group: typer.core.TyperGroup) -> None:
        for name, command in group.commands.items():
            if isinstance(command, typer.core.TyperGroup):
                walk(f"{prefix} {name}", command)
            if not isinstance(command, typer.core.TyperGroup) or command.invoke_without_command:
                found[f"{prefix} {name}"] = command

    walk("kindred", typer.main.get_command(app))
    return found


def test_the_tables_are_found() -> None:
    assert set(tables()) == {"folder", "to add", "what", "model", "command", "call", "variable"}


def test_every_folder_is_there_and_none_is_left_out() -> None:
    listed = {code(row[0]).rstrip("/") for row in tables()["folder"]}
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert all((ROOT / folder).is_dir() for folder in listed)
    assert packages <= listed


def test_every_place_to_add_something_is_there() -> None:
    assert all((ROOT / code(row[1])).exists() for row in tables()["to add"])


def test_the_command_table_lists_every_command() -> None:
    assert {code(row[0]) for row in tables()["command"]} == set(known_commands())


def test_the_http_table_lists_every_route() -> None:
    assert {tuple(code(row[0]).split(" ", 1)) for row in tables()["call"]} == set(ROUTES)


def test_the_settings_table_lists_every_variable() -> None:
    assert {code(row[0]): row[1] for row in tables()["variable"]} == VARIABLES


def test_the_table_of_models_lists_every_one() -> None:
    assert {code(row[0]) for row in tables()["model"]} == set(TRAINABLE)


def test_the_shipped_features_are_as_many_as_it_says() -> None:
    series = f"{len(FEATURES.features)} of {len(FEATURES.series)} series"
    assert f"`features/definitions.py`, which has {len(FEATURES.features)} of them" in README
    assert series in (ROOT / "benchmarks" / "streaming.md").read_text()
    told = "\n".join(path.read_text() for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
    numbers = {int(number) for number in re.findall(r"(\d+) (?:shipped |live )?features\b", told)}
    assert {number for number in numbers if number > 20} <= {len(FEATURES.features)}


def test_the_bounds_that_operating_names_are_those_of_the_code() -> None:
    told = " ".join((ROOT / "docs" / "operating.md").read_text().split())
    assert f"{RECENT} touches, {SKETCH} keys a feature ({MOST_ITEMS:,} items bought), {SEEN:,} messages" in told
    assert f"of the last {SEEN_MS // 3_600_000} hours, {MEMBERS} ids a person" in told
    assert f"buckets of at most {AT_ONCE:,} customers" in told
    hops = [window(text).hop for text in ("24h", "25h", "31d", "32d", "366d")]
    assert "Tiles of 5 minutes for 24 hours, of an hour for 31 days, of a day for a year" in told
    assert hops == [1, HOUR, HOUR, DAY, DAY]
    assert {number.replace(",", "") for number in re.findall(r"`KINDRED_BUCKETS`.*default ([\d,]+)", README)} == {
        str(Settings(data=ROOT).buckets)
    }


def test_the_files_it_links_to_are_there() -> None:
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert links
    assert all((ROOT / link).is_file() for link in links)


def test_make_targets_it_names_are_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)(?:`|$)", README, re.M))
    assert {"demo", "test", "test-all"} <= named
    assert all(re.search(rf"^{target}:", makefile, re.M) for target in named)


@pytest.mark.parametrize("line", [line for line in commands() if line.startswith("kindred ")])
def test_a_command_of_the_readme_is_parsed(line: str) -> None:
    words = shlex.split(line)
    name = next(known for known in sorted(known_commands(), key=len, reverse=True) if line.startswith(known))
    command = known_commands()[name]
    rest = words[len(name.split()) :]
    context = command.make_context(name, rest, resilient_parsing=False)
    assert context.params


def test_the_commands_of_the_readme_run(tmp_path: Path) -> None:
    lines = [line for line in commands() if line.startswith("kindred ") and line.split()[1] not in ENDLESS]
    elsewhere = ("online_retail", "orders.csv", "telco_churn")  # files of the reader's, or beside the project
    runnable = [line for line in lines if not any(name in line for name in elsewhere)]
    assert len(runnable) >= 6
    environment = {**os.environ, "KINDRED_DATA": str(tmp_path / "data")}
    for line in runnable:
        words = [KINDRED, *shlex.split(line)[1:]]
        done = run(words, environment, tmp_path)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


@pytest.mark.skipif(not DATA.is_file(), reason="UCI Online Retail is not beside the project")
def test_als_beats_popularity_as_the_readme_says(tmp_path: Path) -> None:
    row = next(row for row in tables()["what"] if "NDCG@10 on Online Retail" in row[0])
    words = shlex.split(code(row[2]).replace("online_retail.csv.gz", str(DATA), 1))
    environment = {**os.environ, "KINDRED_DATA": str(tmp_path / "data")}
    words = [KINDRED, *words[1:], "--json"]
    done = run(words, environment, tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    stated = {name.lower(): float(value) for name, value in re.findall(r"(\w+) (0\.\d+)", row[1])}
    assert set(stated) == {"als", "trending", "popularity"}
    assert {name: found[name]["ndcg@10"] for name in stated} == pytest.approx(stated, abs=0.005)
    assert found["als"]["ndcg@10"] > found["trending"]["ndcg@10"] > found["popularity"]["ndcg@10"]
