"""How reports spell time."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["iso_utc", "micro"]


def iso_utc(seconds: float) -> str:
    """Return seconds since the epoch as UTC in ISO 8601, always with six digits of microseconds and a Z."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def micro(seconds: float) -> float:
    """Return seconds without the digits that only floating point put there."""
    return round(seconds, 6)
