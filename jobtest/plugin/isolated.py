"""Phases that are called in a process of their own: what goes there, and what comes back, as data."""

from __future__ import annotations

import builtins
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from jobtest.core.data import from_data, to_data
from jobtest.core.errors import StateLost
from jobtest.core.model import EdgeKind, Failure, Job, Phase, Verdict
from jobtest.engine.calls import NO_VALUE, Isolated, Output, Result, Ticket
from jobtest.plugin.items import Elsewhere, JobItem
from jobtest.state.codec import Home, NotStorable, decode, encode

if TYPE_CHECKING:
    from jobtest.plugin.bodies import JobBodies
    from jobtest.plugin.checkpoint import Keeper

__all__ = [
    "PHASES",
    "Crossing",
    "Homes",
    "answer",
    "outputs_of",
    "values_from",
    "warning_from",
    "warning_to",
]

Homes = Callable[[str], Home]


class Crossing:
    """Makes messages for children, and results of their answers.

    Args:
        bodies: Of this process; takes in what belongs to a report.
        homes: From the id of a job to the place whose types its value may have.
    """

    def __init__(self, bodies: JobBodies, homes: Homes) -> None:
        self._bodies, self._homes = bodies, homes

    def call(self, item: JobItem, ticket: Ticket, values: Mapping[str, object]) -> Isolated | Result:
        """Return a phase as something that can cross; a result if a value that it takes cannot."""
        bodies, job = self._bodies, ticket.job
        try:
            crossing = self._values(job, values)
        except NotStorable as error:
            return Result(Verdict.SETUP_ERROR, Failure(f"{error}; it cannot cross into a process of its own"))
        options, past = item.source.options, bodies.engine.plan.pasts.get(job.id)
        message = {
            "op": "phase",
            "job": job.id,
            "attempt": ticket.attempt,
            "phase": ticket.phase.value,
            "calls": job.calls,
            "failure": to_data(ticket.error) if ticket.error is not None else None,
            "values": crossing,
            "past": to_data(past) if past is not None and (options.inputs or options.outputs) else None,
            "checkpoints": bodies.engine.memory.checkpoints(job.id),
            "ends": self._ends(ticket),
            **bodies.facts(item, ticket),
        }
        return Isolated(message, lambda body: self._result(item, ticket, body))

    def _ends(self, ticket: Ticket) -> str:
        """Return after which verdict of a phase no other follows: `any`, `ok`, or empty if one always may."""
        job, plan = ticket.job, self._bodies.engine.plan
        if ticket.phase in (Phase.CLOSE, Phase.CLEANUP):
            return "any"
        if job.is_generator:
            return ""
        if ticket.phase is Phase.DESCRIBE:
            return "" if job.has_check and job.own_value else "any"
        if job.has_describe:
            return ""
        if ticket.phase is Phase.RECHECK or (ticket.phase is Phase.RUN and not job.has_check):
            return "any"
        if ticket.phase is not Phase.CHECK:
            return ""
        runs = plan.verb or job.takes or self._is_taken(job) or plan.decisions[job.id].must_run
        return "ok" if not job.has_run or not runs else ""

    def _values(self, job: Job, values: Mapping[str, object]) -> dict[str, object]:
        """Return values with the jobs that made them, whose types they may have."""
        makers: dict[str, tuple[str, ...]] = {job.name: (job.id,)}
        keyed: dict[str, bool] = {job.name: False}
        for take in job.takes:
            makers[take.parameter], keyed[take.parameter] = take.upstream, take.keys is not None
        found: dict[str, object] = {}
        for name, value in values.items():
            of = makers.get(name, (job.id,))
            many = value if keyed.get(name) and isinstance(value, dict) else {"": value}
            found[name] = [
                [key, id, self._encoded(id, one)] for (key, one), id in zip(many.items(), of, strict=True)
            ]
            if keyed.get(name):
                found[name] = {"keyed": found[name]}
        return found

    def _encoded(self, id: str, value: object) -> str:
        try:
            return encode(value, self._homes(id)).text
        except NotStorable as error:
            label = self._bodies.engine.plan.graph[id].label if id in self._bodies.engine.plan.graph else id
            raise NotStorable(f"the value of {label}: {error}") from None

    def _result(self, item: JobItem, ticket: Ticket, body: Mapping[str, Any]) -> Result:
        """Take in the answer of a child; on another thread."""
        result: Mapping[str, Any] = body["result"]
        failure = from_data(Failure, result["failure"]) if result["failure"] else None
        made = Result(Verdict(result["verdict"]), failure, output=Output(**result["output"]))
        assert made.output is not None
        bodies = self._bodies
        bodies.take_in(item, body)
        if result["error"]:
            bodies.show(ticket, Elsewhere(result["error"], str(failure)))
        if result["value"] is not None:
            made.value = decode(result["value"], self._homes(ticket.job.id))
        if result["unstorable"]:
            said = f"its value cannot leave its process: {result['unstorable']}"
            if self._is_taken(ticket.job):
                made = Result(Verdict.RAISED, Failure(said), NO_VALUE, output=made.output)
            else:
                made.output = made.output or Output()
                made.output.notes.append(said)
        return made

    def _is_taken(self, job: Job) -> bool:
        down = self._bodies.engine.plan.graph.downstream(job.id)
        return job.own_value or any(kind is EdgeKind.VALUE for _, kind in down)


def values_from(crossing: Mapping[str, Any], homes: Homes) -> dict[str, object]:
    """Return the values of a message."""

    def one(id: str, text: str) -> object:
        return decode(text, homes(id))

    found: dict[str, object] = {}
    for name, values in crossing.items():
        if isinstance(values, dict):
            found[name] = {key: one(id, text) for key, id, text in values["keyed"]}
        else:
            ((_, id, text),) = values
            found[name] = one(id, text)
    return found


def answer(keeper: Keeper, job: str, question: Mapping[str, Any]) -> dict[str, object]:
    """Answer what a child asks: to keep a checkpoint."""
    try:
        keeper.put_checkpoint(job, question["checkpoint"], question["text"])
    except StateLost as error:
        return {"op": "answer", "lost": error.problem.what}
    return {"op": "answer", "lost": ""}


def outputs_of(sections: list[list[Any]]) -> list[tuple[Any, Output]]:
    """Return what fixtures printed, with the part of a report that it belongs to."""
    return [(when, Output(**output)) for when, output in sections]


def warning_from(data: Mapping[str, Any]) -> warnings.WarningMessage:
    """Return a warning that came as data; its class is looked up, never imported."""
    home: Any = sys.modules.get(data["module"], builtins)
    found = getattr(home, data["category"], UserWarning)
    category = found if isinstance(found, type) and issubclass(found, Warning) else UserWarning
    try:
        message = category(data["text"])
    except Exception:  # noqa: BLE001 - the user's class may want other arguments
        category, message = UserWarning, UserWarning(data["text"])
    return warnings.WarningMessage(message, category, data["file"], data["line"])


def warning_to(message: warnings.WarningMessage) -> dict[str, object]:
    """Return a warning as data."""
    return {
        "text": str(message.message),
        "module": message.category.__module__,
        "category": message.category.__qualname__,
        "file": message.filename,
        "line": message.lineno,
    }


PHASES = {phase.value: phase for phase in Phase}
