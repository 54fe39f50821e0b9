"""Drives a scheduler by a script, without an engine: asks, applies, lets time go by."""

from collections.abc import Callable, Mapping

from jobtest.core.events import (
    AttemptSuspended,
    Entry,
    Event,
    PhaseEnded,
    PhaseStarted,
    RetryPlanned,
    RunStopped,
)
from jobtest.core.graph import Graph
from jobtest.core.model import Job, Outcome, Phase, Verdict
from jobtest.core.planner import Plan, make_plan
from jobtest.core.scheduler import Scheduler, State
from jobtest.engine.calls import NO_VALUE, Result, Ticket
from jobtest.testing import Act, ScriptedExecutor

Watch = Callable[[Scheduler, Event | None], None]


class Drive:
    """One run, event by event.

    Args:
        plan: What is to be done; a list of jobs becomes a plan for all of them.
        script: What comes of it.
        settings: Those of the scheduler.
    """

    def __init__(self, plan: Plan | list[Job], script=None, **settings):
        self.plan = plan if isinstance(plan, Plan) else make_plan(Graph(plan))
        self.settings = settings
        self.scheduler = Scheduler(self.plan, **settings)
        self.executor = ScriptedExecutor(script)
        self.entries: list[Entry] = []
        self.valued: set[str] = set()
        self.digests: dict[str, str] = {}

    @property
    def now(self) -> float:
        return self.executor.clock.now()

    @property
    def events(self) -> list[Event]:
        return [entry.event for entry in self.entries]

    def outcomes(self) -> dict[str, Outcome | None]:
        return {id: self.scheduler.outcome(id) for id in self.plan.graph.jobs}

    def apply(self, event: Event) -> None:
        self.entries.append(Entry(len(self.entries), self.now, "run", event))
        self.scheduler.apply(event, self.now)
        if isinstance(event, RetryPlanned | AttemptSuspended):
            self.valued.discard(event.job)

    def step(self) -> Event | None:
        """Carry out the next command and return it, or let time go by until something ends."""
        command = self.scheduler.command(self.now)
        if command is None:
            self._wait()
        else:
            self.apply(command)
            if isinstance(command, PhaseStarted):
                ticket = Ticket(self.plan.graph[command.job], command.attempt, command.phase)
                self.executor.start(ticket, lambda: Result(Verdict.OK))
        return command

    def to_the_end(self, watch: Watch = lambda _, __: None, stop_after: int | None = None) -> "Drive":
        while not self.scheduler.done:
            watch(self.scheduler, self.scheduler.command(self.now))
            self.step()
            if stop_after is not None and len(self.entries) >= stop_after and not self.scheduler.stopped:
                self.apply(RunStopped("that is enough"))
        return self

    def started(self, phase: Phase | None = None) -> list[str]:
        """Return the jobs whose phases were started, in order."""
        events = [event for event in self.events if isinstance(event, PhaseStarted)]
        return [event.job for event in events if phase is None or event.phase is phase]

    def _wait(self) -> None:
        wakes_at = self.scheduler.wakes_at()
        timeout = None if wakes_at is None else wakes_at - self.now
        for ticket, result in self.executor.collect(timeout):
            id = ticket.job.id
            if result.value is not NO_VALUE:
                self.valued.add(id)
            verdict, failure = result.verdict, result.failure
            has_value = id in self.valued
            digest = self.digests.get(id, "") if ticket.phase in (Phase.RUN, Phase.DESCRIBE) else ""
            self.apply(
                PhaseEnded(id, ticket.attempt, ticket.phase, verdict, failure, has_value, value=digest)
            )


def until(drive: Drive, state: State, job: str = "a") -> Drive:
    """Go on until a job is in a state."""
    for _ in range(100):
        if drive.scheduler.state(job) is state:
            return drive
        drive.step()
    raise AssertionError(f"{job} is never {state}")


def said(acts: Mapping[str, Verdict | Act]):
    """Return a script from `job phase` or `job phase attempt`; what is not in it is well."""

    def script(ticket: Ticket) -> Act:
        key = f"{ticket.job.id} {ticket.phase.value}"
        act = acts.get(f"{key} {ticket.attempt}", acts.get(key, Act()))
        return act if isinstance(act, Act) else Act(act)

    return script
