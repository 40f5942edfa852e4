"""A broker that sends anything: the connection ends with an error, and nothing else does.

Frames are known by their lengths, so whoever is at the other end decides what the decoder meets.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildapi.mq.txamqp import codec
from buildapi.mq.txamqp.client import FRAME_LIMIT
from tests.mq.peer import encode, encode_content
from tests.mq.test_client import Line, connect

VALID = [
    encode_content(
        1,
        "basic.deliver",
        {"message-id": "m", "headers": {"x": [1, {"y": "z"}], "n": None}},
        b"{}",
        consumer_tag="ctag",
        delivery_tag=1,
        exchange="e",
        routing_key="k",
    ),
    codec.frame(codec.METHOD, 1, encode("basic.ack", delivery_tag=1)),
    codec.frame(codec.METHOD, 1, encode("basic.cancel", consumer_tag="ctag")),
    codec.frame(codec.METHOD, 1, encode("channel.close", reply_code=406, reply_text="no")),
    codec.frame(codec.METHOD, 0, encode("connection.close", reply_code=320, reply_text="bye")),
    codec.frame(codec.METHOD, 0, encode("connection.blocked", reason="memory")),
    codec.frame(codec.HEARTBEAT, 0, b""),
]

PAYLOADS = st.binary(max_size=200) | st.builds(
    lambda klass, method, rest: struct.pack(">HH", klass, method) + rest,
    st.sampled_from((10, 20, 50, 60, 85, 90)),
    st.integers(0, 120),
    st.binary(max_size=100),
)
FRAMES = st.builds(codec.frame, st.integers(0, 9), st.integers(0, 3), PAYLOADS)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Draw valid frames of which some bytes are others."""
    data = bytearray(b"".join(draw(st.lists(st.sampled_from(VALID), min_size=1, max_size=3))))
    for _ in range(draw(st.integers(0, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data)


STREAMS = st.lists(damaged() | FRAMES | st.binary(max_size=60), min_size=1, max_size=5)


def fed(line: Line, chunks: Sequence[bytes]) -> None:
    """Let a client receive some chunks."""
    for chunk in chunks:
        line.peer.feed(chunk)
        line.clock.advance(0)


def nested(depth: int) -> bytes:
    """Return the header frame of a message whose header table is nested."""
    table = b""
    for _ in range(depth):
        entry = b"\x01aF" + struct.pack(">I", len(table)) + table
        table = entry
    content = struct.pack(">HHQH", 60, 0, 0, 1 << 13) + struct.pack(">I", len(table)) + table
    return codec.frame(codec.HEADER, 1, content)


@settings(max_examples=150, deadline=None)
@given(STREAMS)
def test_whatever_a_broker_sends_is_read_or_ends_the_connection(chunks: list[bytes]) -> None:
    line = connect()
    line.channel()
    unexpected: list[str] = []
    line.client.log = _Failures(unexpected)  # type: ignore[assignment]  # only its one method

    fed(line, chunks)

    assert not unexpected
    assert line.client.closed or len(line.client._buffer) <= FRAME_LIMIT + codec.FRAME_OVERHEAD
    assert line.peer.lost is bool(line.client.closed)


class _Failures:
    """Keep the failures that are logged."""

    def __init__(self, kept: list[str]) -> None:
        self._kept = kept

    def failure(self, text: str, **_: object) -> None:
        """Keep one."""
        self._kept.append(text)

    def __getattr__(self, name: str) -> object:
        return lambda *_, **__: None


@pytest.mark.parametrize(("depth", "fits"), [(64, True), (66, False), (5000, False)])
def test_tables_in_tables_are_read_up_to_a_depth(depth: int, *, fits: bool) -> None:
    _, channel, size = struct.unpack_from(">BHI", nested(depth))
    assert channel == 1
    payload = nested(depth)[7 : 7 + size]
    if fits:
        codec.read_header(payload)
        return
    with pytest.raises(ValueError, match="tables in each other"):
        codec.read_header(payload)


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_message_in_any_pieces_is_one_message(cut: int) -> None:
    line = connect()
    line.channel()
    data = VALID[0]
    fed(line, [data[n : n + cut] for n in range(0, len(data), cut)])
    assert not line.client.closed
