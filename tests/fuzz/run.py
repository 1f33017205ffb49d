"""Coverage-guided fuzzing of one target with atheris (libFuzzer): ``make fuzz`` runs all.

    python -m tests.fuzz.run postfix --seconds 600

What it has learnt stays in build/fuzz/TARGET and is where the next run begins. An input that fails
is written beside it, named crash-..., and belongs into ``test_targets.py`` as a test.
"""

import sys
from argparse import ArgumentParser
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["policyd", "yaml"]):
    from tests.fuzz.targets import TARGETS

BUILD = Path("build/fuzz")


def main() -> None:
    """Fuzz for some seconds; the exit status is 0 when nothing failed."""
    parser = ArgumentParser(description="fuzz one target")
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=600)
    asked = parser.parse_args()
    target, corpus = TARGETS[asked.target], BUILD / asked.target
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [f"-max_total_time={asked.seconds}", "-timeout=10", "-max_len=70000", "-verbosity=0"]
    options += [f"-artifact_prefix={BUILD}/{asked.target}-", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
