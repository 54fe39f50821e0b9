"""Messages between processes: JSON objects, each behind its length in four bytes."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping
from typing import Any

__all__ = ["Frames", "Message", "pack"]

Message = Mapping[str, Any]
LONGEST = 1 << 30
"""Bytes of the longest message; more is taken for noise."""

PIECE = 1 << 16
_dump = json.JSONEncoder(separators=(",", ":")).encode


def pack(message: Message) -> bytes:
    """Return a message as bytes."""
    body = _dump(message).encode("ascii")
    return struct.pack("!I", len(body)) + body


class Frames:
    """The messages of one socket. For one thread that reads and, with a lock of its own, others that write.

    Args:
        sock: Connected; owned.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._read = bytearray()
        self._posted = bytearray()
        self._received = 0

    def fileno(self) -> int:
        """Return the descriptor; negative once it is closed."""
        return self.sock.fileno()

    @property
    def backlog(self) -> int:
        """Bytes that were posted and not sent yet."""
        return len(self._posted)

    def send(self, message: Message) -> None:
        """Send a message, however long that takes.

        Raises:
            OSError: nobody reads it any more.
        """
        self.sock.sendall(pack(message))

    def post(self, message: Message) -> None:
        """Send a message as far as that goes without waiting; `flush` sends the rest.

        Raises:
            OSError: nobody reads it any more.
        """
        self._posted += pack(message)
        self.flush()

    def flush(self) -> None:
        """Send what was posted, as far as that goes without waiting.

        Raises:
            OSError: nobody reads it any more.
        """
        while self._posted:
            try:
                sent = self.sock.send(memoryview(self._posted)[:PIECE], socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            del self._posted[:sent]

    def receive(self, *, wait: bool = True) -> list[Message] | None:
        """Take the bytes that are there; return the messages that are whole now, None if no more can come.

        What is no message ends the connection, as if the other side had.

        Args:
            wait: For bytes, if there are none.
        """
        try:
            piece = self.sock.recv(PIECE, 0 if wait else socket.MSG_DONTWAIT)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not piece:
            return None
        self._read += piece
        self._received += len(piece)
        try:
            return self._whole()
        except (ValueError, RecursionError):
            return None

    def drain(self) -> list[Message]:
        """Return all messages that have arrived, without waiting; for when no more will be sent."""
        found: list[Message] = []
        while True:
            before = self._received
            found += self.receive(wait=False) or []
            if self._received == before:
                return found

    def _whole(self) -> list[Message]:
        found: list[Message] = []
        while len(self._read) >= 4:
            (length,) = struct.unpack_from("!I", self._read)
            if length > LONGEST:
                raise ValueError("no message is that long")
            if len(self._read) < 4 + length:
                break
            message = json.loads(self._read[4 : 4 + length])
            del self._read[: 4 + length]
            if not isinstance(message, dict):
                raise ValueError("no message is like that")
            found.append(message)
        return found

    def close(self) -> None:
        """End the connection."""
        self.sock.close()
