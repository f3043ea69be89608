"""This module answers with a model in ONNX; it needs ONNX Runtime alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from headrace.errors import DataError
from operators._encoding import Matrix, Vector

ONNX_FILE = "model.onnx"


def onnx_scores(content: bytes, *, threads: int) -> Callable[[Matrix], Vector]:
    """Return the function from the encoded matrix to scores, answered by ONNX Runtime.

    Args:
        content: From `to_onnx`.
        threads: Most threads for one call.

    Raises:
        DataError: ONNX Runtime cannot read the bytes.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # a thread that spins while it waits would take the processor from other replicas
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions share no public base
        raise DataError(
            f"ONNX Runtime {onnxruntime.__version__} cannot read '{ONNX_FILE}': {error}",
            remedy="Write the bundle anew.",
        ) from error
    run, wanted = session.run, ["score"]

    def scores(matrix: Matrix) -> Vector:
        answer: Vector = run(wanted, {"rows": matrix})[0][:, 0].astype(np.float64)
        return answer

    return scores
