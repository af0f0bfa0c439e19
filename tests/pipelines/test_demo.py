"""`kindred demo` as a newcomer runs it: from nothing to a changed slate, and nothing left behind."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import httpx
import psutil
import pytest

from features.offline import EventLog, summary
from features.settings import Settings
from pipelines import demo

KINDRED = str(Path(sys.executable).with_name("kindred"))


def environment(folder: Path) -> dict[str, str]:
    """A machine that has never seen Kindred: an empty home, and no setting."""
    (folder / "home").mkdir(exist_ok=True)
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("KINDRED_", "XDG_"))}
    return {**plain, "HOME": str(folder / "home"), "KINDRED_DATA": str(folder / "data")}


def left_running(folder: Path) -> list[str]:
    """Command lines of processes that work in this data folder."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        words = [*(process.info["cmdline"] or []), *(process.info["environ"] or {}).values()]
        if process.pid != os.getpid() and any(str(folder / "data") in word for word in words):
            found.append(" ".join(process.info["cmdline"] or []))
    return found


def wait_until_gone(folder: Path) -> None:
    until = time.monotonic() + 40
    while (alive := left_running(folder)) and time.monotonic() < until:
        time.sleep(0.2)
    assert alive == []


@contextmanager
def running_demo(folder: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A demo that has said its address; killed in the end if it still runs."""
    process = subprocess.Popen(
        [KINDRED, "demo"],
        cwd=folder,
        env={**environment(folder), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "Ctrl-C stops everything" in line:
                break
        shop = re.search(r"the shop: +(http://127\.0\.0\.1:\d+)", "".join(lines))
        assert shop, "".join(lines)
        yield process, shop.group(1)
    finally:
        process.kill()
        process.communicate()


def once(folder: Path, *options: str) -> str:
    done = subprocess.run(
        [KINDRED, "demo", "--once", *options],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_demo_shows_a_changed_slate_leaves_nothing_running_and_starts_again_from_what_is_there(
    tmp_path: Path,
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = once(tmp_path, "--port", str(port))
    assert f"port {port} is taken" in said
    assert re.search(r"[1-8] of 8 items are new, \d+ ms from event to changed slate", said)
    assert "because_you_" in said
    assert "degraded" not in said
    assert left_running(tmp_path) == []
    assert list((tmp_path / "home").iterdir()) == []
    again = once(tmp_path)
    assert "als version 1 is champion already" in again
    assert " 0 folded just now" in again


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_however_the_demo_ends_its_processes_end_too(tmp_path: Path, number: signal.Signals) -> None:
    with running_demo(tmp_path) as (process, url):
        assert httpx.get(f"{url}/").status_code == 200
        process.send_signal(number)
        assert process.wait(60) == (0 if number == signal.SIGINT else -number)
    wait_until_gone(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["redis-server", "pipelines.cli"])
def test_the_crash_of_a_part_ends_everything_and_is_said(tmp_path: Path, part: str) -> None:
    with running_demo(tmp_path) as (process, _):
        crashed = next(
            child
            for child in psutil.Process(process.pid).children(recursive=True)
            if part in " ".join(child.cmdline()) and "pipelines.lifeline" not in child.cmdline()
        )
        crashed.kill()
        assert process.stdout is not None
        said = process.stdout.read()
        assert process.wait(60) == 1
    assert "ended, so everything was stopped" in said
    wait_until_gone(tmp_path)


def test_a_simulation_that_was_interrupted_starts_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, log = Settings(data=tmp_path), EventLog(tmp_path)
    monkeypatch.setattr(demo, "SHOP_EVENTS", 12_000)
    whole = demo.events

    def interrupted(shop: demo.Shop) -> Iterator[bytes]:
        yield from islice(whole(shop), 11_000)
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "events", interrupted)
    with pytest.raises(KeyboardInterrupt):
        demo._simulate(settings, log)
    assert 0 < summary(log)["events"] < 12_000
    assert not (tmp_path / demo.SIMULATED).exists()
    monkeypatch.setattr(demo, "events", whole)
    demo._simulate(settings, log)
    assert summary(log)["events"] == 12_000
    assert (tmp_path / demo.SIMULATED).is_file()
    assert demo._holdout(settings) == demo.HOLDOUT_MS


def test_a_short_history_holds_out_a_fifth_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "summary", lambda _: {"since": 1_000, "until": 1_000 + 10 * 86_400_000})
    assert demo._holdout(Settings(data=tmp_path)) == 2 * 86_400_000
