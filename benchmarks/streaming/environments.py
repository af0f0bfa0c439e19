"""Which Python runs a peer: this one, or one in an environment that is made for it once, under `.kindred/peers`."""

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

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
