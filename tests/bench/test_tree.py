"""The processor time of a tree of programs has all that it used, also by those that have ended."""

import os
import subprocess
import sys

from bench import tree

BUSY = "import time\nwhile time.process_time() < 0.2: pass"
PARENT = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {BUSY!r}])\nprint(flush=True)\ninput()"


def test_time_of_a_reaped_grandchild_is_counted() -> None:
    """A program whose child was busy for 0.2 s and has ended has used at least that."""
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()

        assert tree.processor_ms([parent.pid]) >= 190
        assert tree.processor_ms([os.getpid()]) >= tree.processor_ms([parent.pid])

        parent.communicate(b"\n")


def test_what_has_ended_has_nothing() -> None:
    """A program that is gone counts nothing."""
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()

    assert tree.processor_ms([gone.pid]) == 0
