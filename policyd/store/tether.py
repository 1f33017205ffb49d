"""Becomes a program that does not outlive the process that started it.

It is run as a script, by its path:

    python -I -S tether.py PARENT PROGRAM [ARGUMENT ...]

This is a program of its own because the request to the kernel must be made by the child between
fork and exec, where Python code must not run once the parent has threads (subprocess, preexec_fn).
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def tie(parent: int) -> bool:
    """Have the kernel send SIGTERM when the parent ends; False when it has ended already.

    The parent is the thread that started us (prctl(2)): a loop that runs in a thread which ends
    before the process takes the child with it.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    # Only now: a parent that ended before the call above sends nothing.
    return os.getppid() == parent


if __name__ == "__main__":
    if not tie(int(sys.argv[1])):
        sys.exit(1)
    try:
        os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - what this program is for
    except OSError as error:
        sys.exit(f"cannot run {sys.argv[2]}: {error.strerror}")
