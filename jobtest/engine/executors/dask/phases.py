"""What a phase means for its attempt, and what becomes of one that has no result. Data only."""

from __future__ import annotations

from jobtest.core.model import TAIL, Failure, Phase, Verdict
from jobtest.engine.calls import Output, Result, Ticket, timed_out
from jobtest.engine.executors.process.frames import Message

__all__ = ["is_held_open", "is_last", "result_without"]

CUT_SHORT = "was cut short"


def is_last(ticket: Ticket) -> bool:
    """Tell whether no phase of the attempt can follow, so that it may be torn down at once."""
    job = ticket.job
    if ticket.phase in TAIL:
        return True
    if job.has_describe or job.is_generator:
        return False
    return ticket.phase is Phase.RECHECK or (ticket.phase is Phase.RUN and not job.has_check)


def is_held_open(ticket: Ticket | None, answer: Message) -> bool:
    """Tell whether a job holds something open by now, for others that its worker must have room for."""
    return (
        ticket is not None
        and ticket.job.is_generator
        and ticket.phase in (Phase.RUN, Phase.RECHECK)
        and answer.get("result", {}).get("verdict") == Verdict.OK.value
    )


def result_without(ticket: Ticket, answer: Message, *, cancelled: bool) -> Result:
    """Return what became of a phase that has no result."""
    output = Output(**answer.get("output", {}))
    why = answer.get("why", "")
    if why == "timeout":
        return Result(Verdict.TIMED_OUT, timed_out(ticket), output=output)
    if why == "cancel" or cancelled:
        return Result(Verdict.INTERRUPTED, Failure("interrupted"), output=output)
    said = answer["gone"]
    if why == "lease":
        said = "its worker had not heard of the run for too long, and ended it"
    elif said.startswith("ended"):
        said = f"its process {said}"
    return Result(Verdict.CRASHED, Failure(f"{CUT_SHORT}: {said}"), output=output)
