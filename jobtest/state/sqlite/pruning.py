"""Forgetting runs, in transactions that are short.

A run is first taken out of all lists, then its rows go, then its number. If that is cut short, the next time
goes on with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jobtest.state.sqlite.reading import Reader
from jobtest.state.sqlite.rows import event_id, key
from jobtest.state.sqlite.values import ValueFiles
from jobtest.state.sqlite.writing import Writer

__all__ = ["drop"]

AT_A_TIME = 500
"""Rows of one transaction: some milliseconds."""


def drop(runs: Iterable[str], writer: Writer, reader: Reader, files: ValueFiles) -> None:
    """Forget runs, and plans and values that nothing names any more.

    Raises:
        StateLost: that could not be kept.
        StateError: what is left cannot be read.
    """
    writer.commit([("UPDATE run SET record = NULL WHERE id = ?", (key(run),)) for run in runs])
    for number in reader.forgotten():
        for rows, key_of, bound in (
            ("event WHERE id >= ? AND id < ?", "id", (event_id(number, 0), event_id(number + 1, 0))),
            ("outcome WHERE run = ?", "job", (number,)),
        ):
            some = f"{key_of} IN (SELECT {key_of} FROM {rows} LIMIT {AT_A_TIME})"
            while reader.has_rows(rows, *bound):
                writer.commit([(f"DELETE FROM {rows} AND {some}", (*bound, *bound))])
        writer.commit([("DELETE FROM run WHERE number = ?", (number,))])
    _delete("DELETE FROM plan WHERE digest = ?", reader.unnamed_plans(), writer)
    _delete("DELETE FROM value WHERE id = ?", reader.unnamed_values(), writer)
    files.keep_only(reader.digests_in_files())


def _delete(statement: str, keys: Sequence[object], writer: Writer) -> None:
    for first in range(0, len(keys), AT_A_TIME):
        writer.commit([(statement, (key,)) for key in keys[first : first + AT_A_TIME]])
