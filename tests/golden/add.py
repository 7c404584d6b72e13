"""Write the golden files that are missing: ``python -m tests.golden.add``. One that is there is never touched."""

import sys
from pathlib import Path

from tests.golden.cases import CASES, Case


def add_missing(cases: tuple[Case, ...] = CASES) -> list[Path]:
    """The files that were missing, now written."""
    added = []
    for case in cases:
        case.path.parent.mkdir(exist_ok=True)
        try:
            with case.path.open("xb") as file:
                file.write(case.encode())
        except FileExistsError:
            continue
        added.append(case.path)
    return added


if __name__ == "__main__":
    for path in add_missing():
        sys.stdout.write(f"added {path.parent.name}/{path.name}\n")
