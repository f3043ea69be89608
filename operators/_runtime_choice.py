"""This module holds which runtime answers for a model, and what was measured to say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from operators._parity import TOLERANCE, Parity

Runtime: TypeAlias = Literal["library", "onnxruntime"]
RUNTIMES: tuple[Runtime, ...] = ("library", "onnxruntime")


@dataclass(frozen=True, kw_only=True)
class RuntimeChoice:
    """This says which runtime answers how many rows, and what was measured to say so.

    Args:
        small: The runtime for single rows and small batches: "library" is the model's own,
            "onnxruntime" reads `model.onnx`.
        large: The runtime for batches from `switch_at` rows on.
        switch_at: Rows from which `large` is faster; None when both are one.
        parity: Runtime to how near its answers are to the trained model's.
        timings: Runtime to number of rows to microseconds a call, the median.
        refused: Runtime to why it may not answer.
        packages: Versions of what was measured; another version is another measurement.
        tolerance: The largest difference that passes; see `choose_runtime`.
    """

    small: Runtime
    large: Runtime
    switch_at: int | None = None
    parity: Mapping[Runtime, Parity] = field(default_factory=dict)
    timings: Mapping[Runtime, Mapping[int, float]] = field(default_factory=dict)
    refused: Mapping[Runtime, str] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    tolerance: float = TOLERANCE

    def to_json(self) -> dict[str, Any]:
        """Return the choice as JSON-like data, with text for keys."""
        timings = {
            name: {str(rows): value for rows, value in measured.items()}
            for name, measured in self.timings.items()
        }
        return asdict(self) | {"timings": timings}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RuntimeChoice:
        """Rebuild a choice from `to_json`."""
        timings = {
            name: {rows: measured[str(rows)] for rows in sorted(map(int, measured))}
            for name, measured in data["timings"].items()
        }
        parity = {name: Parity(**found) for name, found in data["parity"].items()}
        return cls(**{**data, "timings": timings, "parity": parity})
