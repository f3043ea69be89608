"""This module runs one benchmark and writes its rows, a JSON object a line, to its parent."""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from typing import Any

from headrace.errors import HeadraceError


def main(name: str) -> None:
    """Run `benchmarks.<name>.run` and write its rows, then that it finished or why it did not."""
    # what a library prints belongs on standard error; only rows go where rows are read
    rows = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def write(answer: dict[str, Any]) -> None:
        rows.write(json.dumps(answer) + "\n")
        rows.flush()

    try:
        for row in importlib.import_module(f"benchmarks.{name}").run():
            if row["name"].partition(".")[0] != name:
                write({"failure": f"it made a row named '{row['name']}', which is not its own"})
                return
            write(row)
        write({"finished": True})
    except Exception as error:  # whatever it is, the other benchmarks are to run
        if not isinstance(error, HeadraceError):
            traceback.print_exc()
        write({"failure": str(error) or type(error).__name__})


if __name__ == "__main__":
    main(sys.argv[1])
