"""This module starts Ray Serve as it comes, with its own HTTP proxy, and runs `_stock_app` on it.

`python -m benchmarks._stock_ray BUNDLE FOLDER PORT`; Ray is started below this process, with its
files in FOLDER.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from typing import Any


def main(bundle: str, folder: str, port: str) -> None:
    """Serve until told to stop."""
    import ray
    from ray import serve

    ray.init(
        address="local",
        num_cpus=4,  # two replicas ask for one each; a small machine has fewer
        object_store_memory=100 << 20,
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
        _temp_dir=folder,
    )
    ends = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ends.set())  # Ray has put its own there
    try:
        serve.start(http_options={"host": "127.0.0.1", "port": int(port)})
        from benchmarks import _stock_app

        app: Any = _stock_app  # Ray's decorator is untyped
        serve.run(app.Ingress.bind(app.Model.bind(bundle)), name="stock", route_prefix="/")
        sys.stdout.write(json.dumps({"url": f"http://127.0.0.1:{port}"}) + "\n")
        sys.stdout.flush()
        ends.wait()
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
