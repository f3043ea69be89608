"""Traces of decisions, as a real receiver of OTLP over HTTP gets them."""

from __future__ import annotations

import asyncio
import gzip
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from headrace.errors import ParameterError, ServiceError
from headrace.settings import using_settings
from serving.lane.notices import read_lane
from serving.lane.replica import LaneReplica
from serving.lane.tracing import Tracing

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
JSON = {"content-type": "application/json"}
BODY = {
    "id": "UA1",
    "entity": {"origin": "EWR", "tail": "N1"},
    "features": {"carrier": "UA", "distance": 719},
}


class Receiver:
    """This is an OTLP receiver: it decodes what comes, and keeps the spans."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.resources: list[dict[str, str]] = []
        kept = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                assert self.path == "/v1/traces"
                kept.take(ExportTraceServiceRequest.FromString(body))
                answer = ExportTraceServiceResponse().SerializeToString()
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def take(self, request: ExportTraceServiceRequest) -> None:
        for each in request.resource_spans:
            self.resources.append({a.key: a.value.string_value for a in each.resource.attributes})
            for scope in each.scope_spans:
                self.spans.extend(scope.spans)

    def named(self, name: str) -> Any:
        [span] = [span for span in self.spans if span.name == name]
        return span

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.stop()


def sent(lane: Any) -> None:
    """Have the lane send what it has; its exporter would in some seconds."""
    lane.replica._app.watch.tracing.close()


def attributes(span: Any) -> dict[str, Any]:
    kinds = {a.key: a.value.WhichOneof("value") for a in span.attributes}
    return {a.key: getattr(a.value, kinds[a.key]) for a in span.attributes}


def test_a_decision_is_part_of_its_callers_trace_with_a_span_for_each_step(
    start_lane, table, receiver
):
    with using_settings(otlp_endpoint=receiver.url, trace_ratio=0):
        lane = start_lane(table(generation=3))
    parent = {"traceparent": f"00-{TRACE}-{SPAN}-01"}

    assert lane.ask("/v1/flight_delay/decide", BODY, headers=JSON | parent).status == 200
    sent(lane)

    decide = receiver.named("decide")
    assert (decide.trace_id.hex(), decide.parent_span_id.hex()) == (TRACE, SPAN)
    assert attributes(decide) == {
        "headrace.endpoint": "flight_delay",
        "headrace.decision.id": "UA1",
        "headrace.model": "flight_delay/1",
        "headrace.generation": 3,
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "url.path": "/v1/flight_delay/decide",
    }
    steps = [receiver.named(name) for name in ("lookup", "score", "log")]
    assert {span.parent_span_id for span in steps} == {decide.span_id}
    assert {span.trace_id.hex() for span in steps} == {TRACE}
    times = [decide.start_time_unix_nano]
    for span in steps:
        times += [span.start_time_unix_nano, span.end_time_unix_nano]
    times.append(decide.end_time_unix_nano)
    # the wall clock and the monotonic one are read one after the other
    assert all(later - earlier > -1_000_000 for earlier, later in pairwise(times))
    assert 0 < decide.end_time_unix_nano - decide.start_time_unix_nano < 20_000_000_000
    assert receiver.resources[0]["service.name"] == "headrace-lane"


def test_a_trace_that_the_caller_does_not_keep_is_not_kept(start_lane, table, receiver):
    with using_settings(otlp_endpoint=receiver.url, trace_ratio=1):
        lane = start_lane(table())
    parent = {"traceparent": f"00-{TRACE}-{SPAN}-00"}

    lane.ask("/v1/flight_delay/decide", BODY, headers=JSON | parent)
    sent(lane)

    assert receiver.spans == []


@pytest.mark.parametrize("ratio", [0, 1])
def test_of_requests_without_a_trace_a_share_begins_one(start_lane, table, receiver, ratio: int):
    with using_settings(otlp_endpoint=receiver.url, trace_ratio=ratio):
        lane = start_lane(table())

    lane.ask("/v1/flight_delay/decide", BODY)
    sent(lane)

    names = sorted(span.name for span in receiver.spans)
    assert names == (["decide", "log", "lookup", "score"] if ratio else [])


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00-0-0-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-x",
        f"00-{TRACE.upper()}-{SPAN}-01",
    ],
)
def test_a_header_that_is_no_traceparent_is_as_none(start_lane, table, receiver, header: str):
    with using_settings(otlp_endpoint=receiver.url, trace_ratio=1):
        lane = start_lane(table())

    lane.ask("/v1/flight_delay/decide", BODY, headers=JSON | {"traceparent": header})
    sent(lane)

    decide = receiver.named("decide")
    assert decide.parent_span_id == b""
    assert decide.trace_id.hex() != TRACE


def test_a_refusal_is_a_span_without_steps_and_5xx_is_an_error(
    start_lane, table, receiver, tmp_path
):
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"no database " * 1000)
    with using_settings(otlp_endpoint=receiver.url, trace_ratio=1):
        lane = start_lane(table(online=broken))

    assert lane.ask("/v1/flight_delay/decide", BODY).status == 503
    sent(lane)

    [span] = receiver.spans
    assert attributes(span)["http.response.status_code"] == 503
    assert span.status.code == 2


def test_a_receiver_that_is_away_changes_no_answer(start_lane, table):
    with using_settings(otlp_endpoint="http://127.0.0.1:9", trace_ratio=1):
        lane = start_lane(table())

    answers = [lane.decide(id=f"UA{number}").status for number in range(3)]

    assert answers == [200, 200, 200]
    sent(lane)  # gives up


def test_without_a_receiver_nothing_of_opentelemetry_is_made(start_lane, table):
    lane = start_lane(table())

    assert lane.replica._app.watch.tracing is None
    assert not lane.replica._app.meters.is_tracing


def test_a_lane_that_is_to_trace_without_opentelemetry_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)

    with pytest.raises(ServiceError) as raised:
        Tracing("flight_delay", "http://127.0.0.1:4318", 0.5)

    assert str(raised.value).startswith(
        "The setting 'otlp_endpoint' asks for traces, and OpenTelemetry is not installed: "
    )
    assert raised.value.remedy == (
        "Install it with `pip install 'headrace[traces]'`, or remove the setting."
    )


def test_such_a_lane_does_not_start_and_its_notice_says_why(monkeypatch, table):
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    chosen = table()

    with using_settings(otlp_endpoint="http://127.0.0.1:4318"):
        replica = LaneReplica()
        asyncio.run(replica.take(chosen.to_json()))

    notice = read_lane(chosen.notices, "flight_delay")
    assert notice is not None
    assert (notice.generation, notice.failed) == (0, 1)
    assert "`pip install 'headrace[traces]'`" in notice.message
    replica._decisions.close()


def test_an_address_that_is_none_is_refused_by_the_settings():
    with pytest.raises(ParameterError) as raised, using_settings(otlp_endpoint="collector:4318"):
        pass

    assert str(raised.value) == (
        "The setting 'otlp_endpoint' is 'collector:4318': it is no address that begins with http "
        "or https.\n  Fix: Correct it in the call."
    )
