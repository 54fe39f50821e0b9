"""Forgetting runs, in transactions that are short.

A run is first taken out of all lists, then its rows go, then its number. If that is cut short, the next time
goes on with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jobtest.state.postgres.reading import Reader
from jobtest.state.postgres.rows import column_of
from jobtest.state.postgres.writing import Writer
from jobtest.state.sqlite.rows import event_id

__all__ = ["drop"]

AT_A_TIME = 500
"""Rows of one transaction: some milliseconds."""

_OUT = "UPDATE jobtest.run SET record = NULL WHERE id = %s"
_PLAN = "DELETE FROM jobtest.plan WHERE digest = %s"
_VALUE = "DELETE FROM jobtest.value WHERE id = %s"


def drop(runs: Iterable[str], writer: Writer, reader: Reader) -> None:
    """Forget runs, and plans and values that nothing names any more.

    Raises:
        StateLost: that could not be kept.
        StateError: what is left cannot be read.
    """
    writer.let_go_of_events()
    writer.commit([(_OUT, (column_of(run),)) for run in runs])
    for number in reader.forgotten():
        for rows, bound in (
            ("jobtest.event WHERE id >= %s AND id < %s", (event_id(number, 0), event_id(number + 1, 0))),
            ("jobtest.outcome WHERE run = %s", (number,)),
        ):
            some = f"id IN (SELECT id FROM {rows} LIMIT {AT_A_TIME})"
            while reader.has_rows(rows, *bound):
                writer.commit([(f"DELETE FROM {rows} AND {some}", (*bound, *bound))])
        writer.commit([("DELETE FROM jobtest.run WHERE number = %s", (number,))])
    _delete(_PLAN, reader.unnamed_plans(), writer)
    _delete(_VALUE, reader.unnamed_values(), writer)


def _delete(statement: str, keys: Sequence[object], writer: Writer) -> None:
    for first in range(0, len(keys), AT_A_TIME):
        writer.commit([(statement, (key,)) for key in keys[first : first + AT_A_TIME]])
