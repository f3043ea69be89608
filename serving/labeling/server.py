"""This module is the process of the labeling page: `python -m serving.labeling.server`."""

from __future__ import annotations

import logging
import signal
import sys
from typing import Any

from headrace.settings import settings


def main() -> None:
    """Listen until the process is stopped."""
    import uvicorn

    from headrace.labels.queue import LabelQueue
    from headrace.labels.raters import Raters
    from headrace.lineage.database import Database
    from serving.labeling.app import labeling_app
    from serving.labeling.fetching import fetcher_of
    from serving.labeling.notices import Chores

    # uvicorn ends the process by the signal that it was told with; what is below would not be run
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    of = settings()
    database = Database(of.database_url)
    queue, raters = LabelQueue(database), Raters(database)
    fetcher = fetcher_of(of, queue)
    heard = None if fetcher is None else fetcher.heard
    app: Any = labeling_app(of, queue=queue, raters=raters, heard=heard)
    chores = Chores(queue, prefect_api_url=of.prefect_api_url)
    chores.start()
    if fetcher is not None:
        fetcher.start()
    try:
        uvicorn.run(
            app,
            host=of.labels_host,
            port=of.labels_port,
            log_level="warning",
            log_config=None,
            server_header=False,
            # an address that a header tells could be anybody's: attempts are counted by it
            proxy_headers=False,
            ws="none",
            timeout_graceful_shutdown=5,
        )
    finally:
        if fetcher is not None:
            fetcher.stop()
        chores.stop()
        database.close()


if __name__ == "__main__":
    main()
