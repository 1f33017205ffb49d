"""Coverage-guided fuzzing with atheris (libFuzzer): ``make fuzz`` runs all targets.

    python -m tests.fuzz.run --seconds 60            all targets, so long in all
    python -m tests.fuzz.run yaml --seconds 600      one of them
    python -m tests.fuzz.run yaml --again FILE       one input that failed

What it has learnt stays in build/fuzz/TARGET and is where the next run begins; from a clean checkout
each run begins alike. An input that fails is written beside it, named TARGET-crash-..., and belongs
into ``test_targets.py`` as a test.
"""

import re
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["policyd", "yaml"]):
    from tests.fuzz.targets import TARGETS

BUILD = Path("build/fuzz")


def main() -> None:
    """Fuzz for some seconds; the exit status is 0 when nothing failed."""
    parser = ArgumentParser(description="fuzz one target, or all")
    parser.add_argument("target", nargs="?", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--again", type=Path, metavar="FILE")
    asked = parser.parse_args()
    if asked.target is None:
        sys.exit(run_all(asked.seconds))
    if asked.again:
        TARGETS[asked.target].run(asked.again.read_bytes())
    else:
        fuzz(asked.target, asked.seconds)


def run_all(seconds: int) -> int:
    """Fuzz all targets, say what came of it in the last line, and return the exit status."""
    inputs = {name: run_alone(name, seconds) for name in TARGETS}
    failed = [name for name, count in inputs.items() if count is None]
    if failed:
        print(f"{', '.join(failed)}: failed; the inputs are in {BUILD}, as TARGET-crash-..., -timeout-... or -oom-...")
        return 1
    print(f"{', '.join(inputs)}: {sum(count or 0 for count in inputs.values()):,} inputs, nothing crashed")
    return 0


def run_alone(name: str, seconds: int) -> int | None:
    """Fuzz a target for its share of the time, since libFuzzer never returns.

    Returns how many inputs it had; None if it failed, and only then what libFuzzer says is shown.
    """
    share = round(seconds * TARGETS[name].share)
    print(f"{name}: {share} s", flush=True)
    command = [sys.executable, "-m", __spec__.name, name, "--seconds", str(share)]
    done = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True, errors="replace")
    executed = re.search(r"stat::number_of_executed_units: *([0-9]+)", done.stderr)
    if done.returncode == 0 and executed:
        return int(executed[1])
    print(f"{done.stderr}\nonce more: python -m {__spec__.name} {name} --again {BUILD}/{name}-crash-...")
    return None


def fuzz(name: str, seconds: int) -> None:
    """Fuzz a target."""
    target, corpus = TARGETS[name], BUILD / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [f"-max_total_time={seconds}", "-seed=1", "-timeout=10", "-max_len=70000", "-verbosity=0"]
    options += [f"-artifact_prefix={BUILD}/{name}-", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
