"""This module speaks HTTP for a lane: raw ASGI, because a framework costs more than the answer.

What answers at which path is in the modules `*_paths`; here a request finds its way to them.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any

from headrace.decisions import DecisionLog
from headrace.errors import HeadraceError
from serving._request_errors import RequestError
from serving._requests import RequestReader
from serving.lane.about_paths import about_paths
from serving.lane.batch_paths import batch_paths
from serving.lane.decide_paths import decide_paths
from serving.lane.deciding import Decider
from serving.lane.exchange import Answer, Asked, GoneError, Path, Receive, Send, send_answer
from serving.lane.explaining import Explainer
from serving.lane.gate import Gate
from serving.lane.outcome_paths import outcome_paths
from serving.lane.page_paths import page_paths
from serving.lane.watching import Watch

_log = logging.getLogger("headrace.lane")


class LaneApp:
    """This is the ASGI application of one lane.

    Args:
        endpoint: Name of the endpoint.
        log: Its decision log.
        gate: Who may ask; everybody by default.
        watch: What is seen of it; its own by default.
    """

    def __init__(
        self,
        endpoint: str,
        log: DecisionLog,
        gate: Gate | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.log = log
        self.leaving = False  # its replica answers what has begun, and wants nothing new
        self.watch = watch or Watch(endpoint)
        self.meters = self.watch.meters
        self.gate = gate or Gate()
        self.explainer = Explainer(log)
        self._decider: Decider | None = None
        self._reader: RequestReader | None = None
        self._paths: dict[str, Path] = {
            **decide_paths(self),
            **batch_paths(self),
            **outcome_paths(self),
            **about_paths(self),
            **page_paths(self),
        }
        self.meters.watch({path: each.verb == "decide" for path, each in self._paths.items()})

    def answer_with(self, decider: Decider) -> None:
        """Answer with another table from the next request on; those begun end with theirs."""
        table = decider.table
        self._reader = RequestReader(
            endpoint=table.endpoint,
            inputs=decider.inputs,
            lookups=decider.lookups,
            clock=table.clock,
            outputs=decider.outputs,
        )
        self._decider = decider
        self.watch.follow(decider)

    @property
    def decider(self) -> Decider | None:
        """What answers now; None before the first table."""
        return self._decider

    def ready(self) -> tuple[Decider, RequestReader]:
        """Return what answers now, and what reads its requests.

        Raises:
            RequestError: There is no table yet.
        """
        if self._decider is None or self._reader is None:
            raise RequestError.starting(self.endpoint)
        return self._decider, self._reader

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        asked, meters, tracing = Asked(scope, receive), self.meters, self.watch.tracing
        if tracing is not None:
            asked.trace = tracing.begin(asked)
        meters.in_flight += 1
        try:
            answer = await self._way_of(asked).handle(asked)
        except RequestError as error:
            answer = self._refusal(asked, error)
        except HeadraceError as error:  # only the log can fail in a way that no request explains
            answer = self._refusal(asked, RequestError.log_unreadable(error))
        except GoneError:
            meters.refused("gone")
            return
        except Exception as error:  # whatever it is: the client is told in our words
            _log.exception("A request of '%s' to %s failed.", self.endpoint, scope["path"])
            answer = self._refusal(asked, RequestError.internal(error))
        finally:
            meters.in_flight -= 1
        meters.ended(asked, answer)
        if tracing is not None and asked.trace is not None:
            tracing.end(asked.trace, asked, answer)
        await send_answer(send, answer)

    def _way_of(self, asked: Asked) -> Path:
        """Return what answers a request, which is let in."""
        path = self._paths.get(asked.path)
        if path is None:
            raise self._no_such_path(asked.path)
        if asked.method != path.method:
            raise RequestError.method_not_allowed(asked.method, path.method, asked.path)
        self.gate.admit(asked, path.verb)
        return path

    def _refusal(self, asked: Asked, error: RequestError) -> Answer:
        self.meters.refused(error.code)
        if error.status >= 500:
            self.meters.events.refusal(asked, error)
        headers: list[tuple[bytes, bytes]] = []
        if error.retry_after is not None:
            headers.append((b"retry-after", b"%d" % error.retry_after))
        if error.status == 401:
            headers.append((b"www-authenticate", b'Bearer realm="headrace"'))
        return Answer(error.to_json(), error.status, headers=tuple(headers))

    def _no_such_path(self, path: str) -> RequestError:
        parts = path.split("/")
        if len(parts) > 2 and parts[1] == "v1" and parts[2] != self.endpoint:
            return RequestError.unknown_endpoint(parts[2], [self.endpoint])
        return RequestError.unknown_path(path, [p for p in self._paths if p != "/healthz"])
