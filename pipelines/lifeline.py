"""Runs a command that dies with whoever started it: `python -m pipelines.lifeline COMMAND...`.

The starter holds the other end of this process's stdin. When that closes, for whatever reason (an orderly stop, Ctrl-C,
`kill -9`), or when the command ends by itself, the command and every process it has started are ended.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading

import psutil

GRACE_S = 6.0
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
ON_LINUX = sys.platform == "linux"


def main() -> int:
    """Run until the command ends or stdin closes; returns the command's exit status."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if ON_LINUX:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)  # orphans of the command become ours
    # No thread runs yet, so a function between fork and exec is safe.
    command = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, preexec_fn=_die_with_parent)  # noqa: PLW1509
    signal.signal(signal.SIGTERM, lambda *_: command.terminate())
    threading.Thread(target=_watch, args=(command,), daemon=True).start()
    status = command.wait()
    _end(psutil.Process().children(recursive=True))
    return status


def _watch(command: "subprocess.Popen[bytes]") -> None:
    """Ask the command to stop once the starter is gone, then insist."""
    while os.read(0, 4096):
        pass
    command.terminate()
    try:
        command.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        command.kill()


def _end(family: list[psutil.Process]) -> None:
    """The same for whatever the command has left behind."""
    for process in family:
        _send(process, signal.SIGTERM)
    _, alive = psutil.wait_procs(family, timeout=GRACE_S)
    for process in alive:
        _send(process, signal.SIGKILL)


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _die_with_parent() -> None:
    """On Linux the command is told when this process itself is killed."""
    if ON_LINUX:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
