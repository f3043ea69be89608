"""This module is the door to OpenTelemetry: spans of decisions, sent in the background over OTLP.

A request that says that its caller keeps a trace, by the W3C header `traceparent`, is kept as well;
of all others a share is. A lane without an address to send to knows nothing of all this.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from headrace.clock import current_clock
from headrace.errors import ServiceError

if TYPE_CHECKING:
    from serving.lane.exchange import Answer, Asked

_STEPS = ("lookup", "score", "log")
_HEX = frozenset("0123456789abcdef")


class Trace:
    """This is a sampled request on its way.

    Args:
        span: Its span, of OpenTelemetry.
    """

    __slots__ = ("moments", "record", "span")

    def __init__(self, span: Any) -> None:
        self.span = span
        self.record: Mapping[str, Any] = {}
        self.moments: tuple[float, float, float, float] | None = None

    @property
    def id(self) -> str:
        """The trace that it belongs to, in hexadecimal digits."""
        return f"{self.span.get_span_context().trace_id:032x}"

    def decided(
        self, record: Mapping[str, Any], moments: tuple[float, float, float, float]
    ) -> None:
        """Note what was decided, and when its batch was begun, looked up, scored and logged."""
        self.record, self.moments = record, moments


class Tracing:
    """This keeps the traces of one endpoint's replica.

    Args:
        endpoint: Name of the endpoint.
        address: Of an OTLP receiver over HTTP, without `/v1/traces`.
        ratio: The share of requests without a trace of their own that begin one.

    Raises:
        ServiceError: OpenTelemetry is not installed.
    """

    def __init__(self, endpoint: str, address: str, ratio: float) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.sdk.trace.sampling import ALWAYS_ON
            from opentelemetry.trace import SpanKind
        except ImportError as error:
            raise ServiceError(
                f"The setting 'otlp_endpoint' asks for traces, and OpenTelemetry is not installed: "
                f"{error}.",
                remedy="Install it with `pip install 'headrace[traces]'`, or remove the setting.",
            ) from None
        self._endpoint, self._ratio = endpoint, ratio
        resource = Resource.create(
            {"service.name": "headrace-lane", "service.instance.id": f"{endpoint}-{os.getpid()}"}
        )
        # what is sampled is decided here, before anything is made for a request
        self._provider = TracerProvider(
            resource=resource, sampler=ALWAYS_ON, shutdown_on_exit=False
        )
        exporter = OTLPSpanExporter(endpoint=f"{address.rstrip('/')}/v1/traces", timeout=5)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("headrace")
        self._kind = SpanKind.SERVER

    def begin(self, asked: Asked) -> Trace | None:
        """Return the trace of a request; None where none is kept of it."""
        header = asked.header(b"traceparent")
        caller = None if header is None else _parsed(header)
        if caller is None:
            is_kept, parent = random.random() < self._ratio, None  # noqa: S311  no secret
        else:
            is_kept = caller[2]
            parent = _context(*caller[:2], asked.header(b"tracestate")) if is_kept else None
        if not is_kept:
            return None
        name = asked.path.rpartition("/")[2] or "lane"
        return Trace(self._tracer.start_span(name, context=parent, kind=self._kind))

    def end(self, trace: Trace, asked: Asked, answer: Answer) -> None:
        """Hand the spans of a request that is answered now to the exporter."""
        from opentelemetry.trace import StatusCode, set_span_in_context

        clock, span = current_clock(), trace.span
        now, wall = clock.monotonic(), clock.now_us() * 1000
        if trace.moments is not None:
            within = set_span_in_context(span)
            moments = [wall - int((now - moment) * 1e9) for moment in trace.moments]
            for step, start, end in zip(_STEPS, moments, moments[1:], strict=False):
                self._tracer.start_span(step, context=within, start_time=start).end(end_time=end)
        span.set_attributes(self._attributes(trace, asked, answer))
        if answer.status >= 500:
            span.set_status(StatusCode.ERROR)
        span.end(end_time=wall)

    def _attributes(self, trace: Trace, asked: Asked, answer: Answer) -> dict[str, Any]:
        record = trace.record
        told = {
            "headrace.endpoint": self._endpoint,
            "headrace.decision.id": record.get("id"),
            "headrace.model": record.get("model"),
            "headrace.generation": record.get("generation"),
            "headrace.experiment": record.get("experiment"),
            "headrace.fallback": record.get("fallback"),
            "http.request.method": asked.method,
            "http.response.status_code": answer.status,
            "url.path": asked.path,
        }
        return {name: value for name, value in told.items() if value is not None}

    def close(self) -> None:
        """Send what is left, and end the exporter's thread."""
        self._provider.shutdown()


def _parsed(header: bytes) -> tuple[str, str, bool] | None:
    """Return trace, span and whether it is kept, of a header `traceparent`; None of a wrong one."""
    parts = header.decode("latin-1").strip().split("-")
    if len(parts) < 4 or [len(part) for part in parts[:4]] != [2, 32, 16, 2]:
        return None
    version, trace_id, span_id, flags = parts[:4]
    if not _HEX.issuperset("".join(parts[:4])) or version == "ff":
        return None
    if (version == "00" and len(parts) > 4) or not int(trace_id, 16) or not int(span_id, 16):
        return None
    return trace_id, span_id, bool(int(flags, 16) & 1)


def trace_id_of(asked: Asked) -> str | None:
    """Return the id of the trace that a request belongs to, None when it belongs to none."""
    if asked.trace is not None:
        return str(asked.trace.id)
    header = asked.header(b"traceparent")
    told = None if header is None else _parsed(header)
    return None if told is None else told[0]


def _context(trace_id: str, span_id: str, state: bytes | None) -> Any:
    from opentelemetry.trace import (
        NonRecordingSpan,
        SpanContext,
        TraceFlags,
        TraceState,
        set_span_in_context,
    )

    told = TraceState.from_header([state.decode("latin-1")]) if state else TraceState()
    context = SpanContext(
        int(trace_id, 16), int(span_id, 16), True, TraceFlags(TraceFlags.SAMPLED), told
    )
    return set_span_in_context(NonRecordingSpan(context))
