"""The built-in check of a job that names files: `inputs=` and `outputs=` of the mark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from jobtest.core.past import Past
from jobtest.core.summary import JobRecord
from jobtest.plugin.mark import MarkOptions
from jobtest.state.prints import missing, prints, record, verdict

__all__ = ["FileCheck", "FilesDiffer"]


class FilesDiffer(AssertionError):
    """Files of a job are not there, or not as they were at its last success. Its text is the whole reason."""


class FileCheck:
    """Asks for the files of jobs; on any thread, for one job on one thread at a time.

    Attributes:
        found: What is to be kept of a job if it ends well, by its id: digests by path.
    """

    def __init__(self, root: Path) -> None:
        self.found: dict[str, Mapping[str, str]] = {}
        self._root = root
        self._before: dict[str, dict[str, str]] = {}

    def check(self, job: str, options: MarkOptions, past: Past | None) -> None:
        """Ask before the run phase.

        Raises:
            FilesDiffer: why it must run.
        """
        known = past.files if past is not None and past.run else None
        with _readable():
            now = self._before[job] = prints(self._root, options.inputs)
            reason = verdict(self._root, options.inputs, options.outputs, known, now)
            if reason:
                raise FilesDiffer(reason)
            if known is None:
                self.found[job] = record(self._root, options.outputs, now)

    def there(self, options: MarkOptions, *, asked_again: bool) -> None:
        """Ask whether what a job has made is there; of one that makes no files nobody can tell.

        Raises:
            FilesDiffer: it is not, for all that is known.
        """
        with _readable():
            reason = missing(self._root, (), options.outputs)
        if reason or (asked_again and not options.outputs):
            raise FilesDiffer(reason or "it has no outputs")

    def recheck(self, job: str, options: MarkOptions, so_far: JobRecord) -> None:
        """Ask after the run phase. If that raised, files that are there may be old or incomplete.

        Raises:
            FilesDiffer: why it has not succeeded.
        """
        run = so_far.attempts[-1].phases[-2]
        if not run.ok:
            raise FilesDiffer("its run phase raised, so its outputs may be old or incomplete")
        with _readable():
            reason = missing(self._root, options.inputs, options.outputs)
            if reason:
                raise FilesDiffer(reason)
            self.found[job] = record(self._root, options.outputs, self._before.get(job, {}))


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FilesDiffer(f"files cannot be read: {error}") from None
