"""What happens in a run: written down, decided on, kept and told, in that order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from jobtest.core.events import Entry, Event, JobEnded
from jobtest.core.flow import GOOD
from jobtest.core.model import Outcome
from jobtest.core.scheduler import Scheduler
from jobtest.core.summary import Summary
from jobtest.engine.bodies import Bodies
from jobtest.engine.clock import Clock
from jobtest.engine.masked import masked_event
from jobtest.engine.memory import Memory

__all__ = ["Journal", "Observer"]

Observer = Callable[[Entry], None]


class Journal:
    """The entries of a run.

    What was appended is kept and told by `settle`, which comes before anything begins and before there is a
    wait: the end of a job and the beginning of the next are one commit.

    Args:
        memory: Writes them down.
        scheduler: Decides on them.
        summary: Folds them.
        bodies: Hear of the end of each job.
        clock: Tells the time.
        observers: Are told each entry after it is kept; one that raises is switched off.
        run: Id of the run.
        stop: Stops the run if it is given a reason, and returns the one for which it is to stop, or empty.

    Attributes:
        observers: Who is told.
        switched_off: Who is not any more, and what it raised.
        unkept: How jobs ended after the state was lost: label and outcome. It is on no record.
    """

    def __init__(
        self,
        memory: Memory,
        scheduler: Scheduler,
        summary: Summary,
        bodies: Bodies,
        clock: Clock,
        observers: Sequence[Observer],
        run: str,
        stop: Callable[[str], str],
    ) -> None:
        self.observers = list(observers)
        self.switched_off: list[tuple[Observer, Exception]] = []
        self.unkept: list[str] = []
        self._memory, self._scheduler, self._summary, self._bodies = memory, scheduler, summary, bodies
        self._clock, self._run, self._stop = clock, run, stop
        self._seq = 0
        self._untold: list[Entry] = []

    def append(self, event: Event) -> None:
        """Write down what happens, and decide on it."""
        event = masked_event(event, self._memory.secrets)
        entry = Entry(self._seq, self._clock.now(), self._run, event)
        if isinstance(event, JobEnded):
            found = self._bodies.files(event.job)
            if found is not None:
                self._memory.files(event.job, found)
        self._memory.entry(entry, self._summary, self._scheduler.inputs.taken)
        self._seq += 1
        self._scheduler.apply(event, entry.at)
        self._summary.apply(entry)
        self._untold.append(entry)

    def settle(self) -> str:
        """Keep what was appended, and tell it; return why the run is to stop, known before the last entry."""
        if not self._untold:
            return self._stop("")
        self._memory.commit()
        lost = self._memory.lost
        reason = self._stop(f"the state is lost: {lost.problem.what}" if lost is not None else "")
        untold, self._untold = self._untold, []
        for entry in untold:
            reason = self._stop("")
            self._tell(self._as_told(entry))
            if isinstance(entry.event, JobEnded):
                self._bodies.job_over(entry.event.job)
        return reason

    def _tell(self, entry: Entry) -> None:
        for observer in self.observers:
            try:
                observer(entry)
            except Exception as error:  # noqa: BLE001 - whatever an observer does, the run goes on
                self.switched_off.append((observer, error))
        if self.switched_off:
            broken = [observer for observer, _ in self.switched_off]
            self.observers = [observer for observer in self.observers if observer not in broken]

    def _as_told(self, entry: Entry) -> Entry:
        """Return what may be reported of an entry: nothing is said to be done that is on no record (G2)."""
        event = entry.event
        if self._memory.lost is None or not isinstance(event, JobEnded):
            return entry
        if event.outcome is not Outcome.CANCELLED:
            self.unkept.append(f"{self._summary.plan.graph[event.job].label} {event.outcome.value}")
        if event.outcome not in GOOD:
            return entry
        reason = f"it is {event.outcome.value}, and that is on no record: the state is lost"
        told = replace(entry, event=replace(event, outcome=Outcome.CANCELLED, reason=reason, notes=()))
        self._summary.apply(told)
        return told
