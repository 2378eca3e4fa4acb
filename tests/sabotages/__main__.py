"""Tries sabotages: `python -m tests.sabotages SERVICE [WORD ...]`, those whose name has one of the words, or all."""

import sys
from pathlib import Path

from . import all_sabotages, try_one


def main(service: str, *words: str) -> int:
    """Prints what became of each; returns 1 when one was not caught, or a neighbour turned red."""
    failed = 0
    for sabotage in all_sabotages():
        if words and not any(word in sabotage.id for word in words):
            continue
        caught = try_one(sabotage, Path(service).resolve())
        failed += bool(caught.problem)
        told = caught.problem or caught.reasons[sabotage.claim]
        sys.stdout.write(f"{'NOT CAUGHT' if caught.problem else 'caught'}  {sabotage.id}: {told}\n")
        sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
