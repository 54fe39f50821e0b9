"""Messages between processes: whole, in order, whatever pieces they arrive in."""

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobtest.engine.executors.process.frames import LONGEST, PIECE, Frames, pack

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
MESSAGES = st.lists(st.dictionaries(st.text(), JSON, max_size=3), max_size=5)


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    yield Frames(ours), theirs
    ours.close()
    theirs.close()


@given(MESSAGES, st.lists(st.integers(1, 9), max_size=30))
def test_messages_arrive_whole_and_in_order_in_whatever_pieces(messages, sizes):
    ours, theirs = socket.socketpair()
    data, found = b"".join(map(pack, messages)), []
    with ours, theirs:
        frames = Frames(ours)
        for size in sizes:
            theirs.sendall(data[:size])
            data = data[size:]
            found += frames.receive(wait=False)
        theirs.sendall(data)
        found += frames.drain()
    assert found == messages


@given(st.binary(min_size=1, max_size=200))
def test_noise_is_an_end_or_messages_and_never_an_error(noise):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        frames = Frames(ours)
        theirs.sendall(noise)
        found = frames.receive()
        assert found is None or all(isinstance(one, dict) for one in found)


@pytest.mark.parametrize(
    "noise",
    [
        struct.pack("!I", 2) + b"[]",
        struct.pack("!I", 2) + b"{]",
        struct.pack("!I", 100_000) + b"[" * 100_000,
        struct.pack("!I", 1) + b"\xff",
    ],
)
def test_what_is_no_message_ends_the_connection(pair, noise):
    frames, theirs = pair
    theirs.sendall(noise)
    found = []
    for _ in range(len(noise) // PIECE + 1):
        found = frames.receive()
    assert found is None


def test_a_message_that_is_too_long_or_too_deep_is_none():
    for noise in (struct.pack("!I", LONGEST + 1) + b"x", pack({"a": 1})[:4] + b"{" * 7):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall(noise)
            assert Frames(ours).receive() is None


def test_nothing_to_read_is_no_end(pair):
    frames, theirs = pair
    assert frames.receive(wait=False) == []
    theirs.close()
    assert frames.receive(wait=False) is None


def test_what_is_posted_waits_for_its_reader_and_arrives(pair):
    frames, theirs = pair
    message = {"long": "x" * 3_000_000}
    frames.post(message)
    frames.post({"after": 1})
    assert frames.backlog > 0
    other, found = Frames(theirs), []
    while len(found) < 2:
        found += other.receive(wait=False)
        frames.flush()
    assert found == [message, {"after": 1}]
    assert frames.backlog == 0


def test_what_was_sent_before_the_end_is_drained_however_much_it_is(pair):
    frames, theirs = pair
    message = {"long": "x" * (PIECE + 1000)}
    theirs.sendall(pack(message) + pack({"last": 1}))
    theirs.close()
    assert frames.drain() == [message, {"last": 1}]


def test_sending_to_nobody_raises(pair):
    frames, theirs = pair
    theirs.close()
    with pytest.raises(OSError, match="pipe"):
        frames.post({"a": "x" * PIECE})
