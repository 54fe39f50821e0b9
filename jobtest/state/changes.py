"""Changes as JSON data and back, for stores that keep them as text. To data and back is the identity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast, get_args

from jobtest.core.data import from_data, to_data
from jobtest.core.events import Entry, event_from_data, event_to_data
from jobtest.state.store import Change, Owed

__all__ = ["change_from_data", "change_to_data"]

_BY_NAME: Mapping[str, type] = {cls.__name__: cls for cls in (*get_args(Change), Owed)}


def change_to_data(change: Change | Owed) -> dict[str, object]:
    """Return a change, or a cleanup that is owed with its turn, as JSON data; `change` is the first key."""
    name = type(change).__name__
    if isinstance(change, Entry):
        event = event_to_data(change.event)
        return {"change": name, "seq": change.seq, "at": change.at, "run": change.run, "event": event}
    return {"change": name, **to_data(change)}


def change_from_data(data: Mapping[str, object]) -> Change | Owed:
    """Return the change that `change_to_data` made `data` from; fields of later versions are passed over.

    Raises:
        ValueError: `data` is not a change.
    """
    cls = _BY_NAME.get(str(data.get("change")))
    if cls is None:
        raise ValueError(f"not a change of jobtest: {data.get('change')!r}")
    if cls is not Entry:
        return cast("Change", from_data(cls, data))
    try:
        event = event_from_data(cast("Mapping[str, object]", data["event"]))
        return Entry(cast("int", data["seq"]), cast("float", data["at"]), cast("str", data["run"]), event)
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError("not an entry of jobtest") from error
