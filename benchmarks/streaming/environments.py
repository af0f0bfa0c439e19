"""What the benchmarks run on: a Kafka, and for each peer a Python that is made once, under `.kindred/peers`."""

import contextlib
import hashlib
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

from features.kafka.broker import EmbeddedBroker
from features.kafka.topics import ensure_topics
from tests.apache_kafka import ApacheKafka, fetched, jars_folder

INSTALL_S = 300.0


class NotInstalled(Exception):
    """A peer's packages can't be had here; the message says why."""


def python_of(packages: tuple[str, ...], folder: Path) -> str:
    """A Python that has these packages; other ones are another environment.

    Raises:  NotInstalled: with pip's last word.
    """
    if not packages:
        return sys.executable
    home = folder / hashlib.sha256("\n".join(packages).encode()).hexdigest()[:12]
    python = home / "bin" / "python"
    done = home / "installed"
    if not done.is_file():
        venv.create(home, with_pip=True, clear=True)
        _pip(python, packages)
        done.touch()
    return str(python)


def _pip(python: Path, packages: tuple[str, ...]) -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_S)
    except subprocess.CalledProcessError as error:
        raise NotInstalled(
            f"pip can't install {' '.join(packages)}: {error.stderr.strip().splitlines()[-1]}"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise NotInstalled(f"pip didn't install {' '.join(packages)} within {INSTALL_S:g} s") from error


@contextlib.contextmanager
def kafka_of(kind: str, folder: Path) -> Iterator[str]:
    """Address of a Kafka with Kindred's topics, for as long as the block runs."""
    if kind == "embedded":
        with EmbeddedBroker() as broker:
            yield broker.bootstrap
        return
    home = folder / "kafka"
    home.mkdir()
    kafka = ApacheKafka(fetched(jars_folder()), home)
    try:
        kafka.start()
        ensure_topics(kafka.bootstrap)
        yield kafka.bootstrap
    finally:
        kafka.stop()
