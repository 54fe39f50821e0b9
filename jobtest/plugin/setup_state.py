"""What is set up, for jobs that run side by side: a tree where pytest has a stack.

A collector is set up for the first job below it that needs it, and torn down after the last one; each job
has its own level. All methods are called on the main thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from jobtest.plugin.items import JobItem

__all__ = ["JobSetupState", "together"]

Finalizer = Callable[[], object]
SETUP_ERRORS = (Exception, SystemExit, pytest.skip.Exception, pytest.fail.Exception, pytest.exit.Exception)
"""What a fixture may raise that is its own failure; the rest ends the session."""


class JobSetupState:
    """Stands in for pytest's `SetupState`: a tree instead of a stack.

    Attributes:
        stack: The nodes that are set up, with their finalizers and the error of their set-up.
    """

    def __init__(self) -> None:
        self.stack: dict[Any, tuple[list[Finalizer], BaseException | None]] = {}
        self._pending: dict[Any, int] = {}
        self._replayed: JobItem | None = None

    def expect(self, items: Iterable[JobItem]) -> None:
        """Count the jobs below each collector."""
        for item in items:
            for node in item.above:
                self._pending[node] = self._pending.get(node, 0) + 1

    def enter(self, item: JobItem) -> None:
        """Set up the collectors above an item that are not, and open its own level.

        Raises:
            BaseException: what the set-up of a collector raised, now or for an earlier item.
        """
        for node in item.above:
            if node not in self.stack:
                self.stack[node] = ([node.teardown], None)
                try:
                    node.setup()
                except SETUP_ERRORS as error:
                    self.stack[node] = (self.stack[node][0], error)
            failed = self.stack[node][1]
            if failed is not None:
                raise failed
        self.stack[item] = ([], None)

    def holds(self, item: JobItem) -> bool:
        """Tell whether there is something to tear down on the own level of an item."""
        level = self.stack.get(item)
        return level is not None and bool(level[0])

    def leave(self, item: JobItem) -> list[BaseException]:
        """Tear down the own level of an item; return what was raised."""
        return self._pop(item)

    def is_last(self, item: JobItem) -> bool:
        """Tell whether some collector has no other item left."""
        return self._pending[item.above[-1]] == 1

    def done(self, item: JobItem) -> list[BaseException]:
        """Count an item as done, tear down the collectors that have no other, return what was raised."""
        errors = []
        for node in reversed(item.above):
            left = self._pending[node] = self._pending[node] - 1
            if not left:
                errors += self._pop(node)
        return errors

    def _pop(self, node: Any) -> list[BaseException]:
        finalizers, _ = self.stack.get(node, ([], None))
        errors: list[BaseException] = []
        while finalizers:
            try:
                finalizers.pop()()
            except SETUP_ERRORS as error:
                errors.append(error)
        self.stack.pop(node, None)
        return errors

    # --- what pytest asks of a set-up state ---

    def is_node_active(self, node: Any) -> bool:
        """Tell whether a node is set up."""
        return node in self.stack

    def addfinalizer(self, finalizer: Finalizer, node: Any) -> None:
        """Have something called when a node is torn down."""
        self.stack[node][0].append(finalizer)

    def setup(self, item: JobItem) -> None:
        """Replay the set-up of a job that has ended."""
        self._replayed = item
        item.replay("setup")

    def teardown_exact(self, nextitem: object) -> None:
        """Replay the teardown of the job; without one, at the end of the session, tear down what is left."""
        item, self._replayed = self._replayed, None
        if item is not None:
            item.replay("teardown")
        elif nextitem is None:
            errors = [error for node in reversed(list(self.stack)) for error in self._pop(node)]
            if errors:
                raise together(errors)


def together(errors: Sequence[BaseException]) -> BaseException:
    """Return one exception for several of a teardown."""
    if len(errors) == 1:
        return errors[0]
    return BaseExceptionGroup("errors during job teardown", list(errors))
