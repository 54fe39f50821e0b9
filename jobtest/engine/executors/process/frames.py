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

    def fileno(self) -> int:
        """Return the descriptor, for selectors."""
        return self.sock.fileno()

    def send(self, message: Message) -> None:
        """Send a message.

        Raises:
            OSError: nobody reads it any more.
        """
        self.sock.sendall(pack(message))

    def receive(self) -> list[Message] | None:
        """Wait for bytes, and return the messages that are whole now; None if no more can come.

        What is no message ends the connection, as if the other side had.
        """
        try:
            piece = self.sock.recv(PIECE)
        except OSError:
            return None
        if not piece:
            return None
        self._read += piece
        found: list[Message] = []
        while len(self._read) >= 4:
            (length,) = struct.unpack_from("!I", self._read)
            if length > LONGEST:
                return None
            if len(self._read) < 4 + length:
                break
            try:
                message = json.loads(self._read[4 : 4 + length])
            except ValueError:
                return None
            del self._read[: 4 + length]
            if not isinstance(message, dict):
                return None
            found.append(message)
        return found

    def close(self) -> None:
        """End the connection."""
        self.sock.close()
