"""psycopg, where it is installed. Without it these modules can be imported, and no store can be made."""

from __future__ import annotations

try:
    import psycopg
except ImportError:
    psycopg = None  # type: ignore[assignment]  # `Address` needs it first, and raises then

__all__ = ["psycopg"]
