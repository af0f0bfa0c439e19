"""Runs a command that dies with whoever started it: `python -m pipelines.lifeline COMMAND...`.

The starter holds the other end of this process's stdin. When that closes, for whatever reason (an orderly stop, Ctrl-C,
`kill -9`), the command and every process it has started are ended.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading

import psutil

GRACE_S = 8.0
PR_SET_PDEATHSIG = 1


def main() -> int:
    """Run until the command ends or stdin closes; returns the command's exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    command = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, preexec_fn=_die_with_parent)  # noqa: PLW1509
    signal.signal(signal.SIGTERM, lambda *_: _end(command))
    threading.Thread(target=_watch, args=(command,), daemon=True).start()
    return command.wait()


def _watch(command: "subprocess.Popen[bytes]") -> None:
    while os.read(0, 4096):
        pass
    _end(command)


def _end(command: "subprocess.Popen[bytes]") -> None:
    """Ask the whole family to stop, wait, then insist."""
    try:
        family = [psutil.Process(command.pid), *psutil.Process(command.pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    command.terminate()
    _, alive = psutil.wait_procs(family, timeout=GRACE_S)
    for process in alive:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


def _die_with_parent() -> None:
    """On Linux the command is told when this process itself is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
