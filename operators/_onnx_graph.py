"""This module builds ONNX graphs by saying what is computed from what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


class Graph:
    """This collects nodes and constants; each method returns the name of what it adds."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: Any, dtype: npt.DTypeLike = np.float32) -> str:
        """Add a constant."""
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def add(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add an ONNX operator on named inputs."""
        from onnx import helper

        output = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def picked(self, columns: Sequence[int], source: str = "rows") -> str:
        """Take columns by position."""
        return self.add("Gather", source, self.constant(columns, np.int64), axis=1)
