"""This module is the process that `isolated` starts for one body: `python -m` errand answer."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

from headrace.errors import ServiceError
from headrace.execution.isolated import run_errand


def main(errand_file: str, answer_file: str) -> None:
    """Do the errand in one file and write what came of it into another."""
    result = run_errand(pickle.loads(Path(errand_file).read_bytes()))  # noqa: S301  our parent's
    try:
        content = pickle.dumps(result)
    except Exception:  # some libraries' errors do not pickle
        shown = f"{type(result[1]).__name__}: {result[1]}"
        content = pickle.dumps(({}, ServiceError(shown, remedy="See the output above.")))
    Path(answer_file).write_bytes(content)


if __name__ == "__main__":
    main(*sys.argv[1:])
