r"""JUnit XML of a run: a pure function of what the run came to, so that it can be made at any later time.

One testcase for each job, however many attempts it took. Names are those that pytest's own `--junitxml` gives
to the same job. The structure is that of the schema of Jenkins, and beyond it a testcase has `properties`, as
pytest's has. Characters that XML does not allow, or that control a terminal, are visible escapes like `\x1b`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree

from jobtest.core.model import Job, Kind, Outcome, Phase, Verdict
from jobtest.core.summary import AttemptRecord, JobRecord, PhaseRecord, Summary
from jobtest.reports.times import iso_utc
from jobtest.state.store import RunRecord

__all__ = ["junit_xml"]

Element = ElementTree.Element

BEFORE_CALL = frozenset({Kind.SETUP_ERROR, Kind.BROKEN_CHECK, Kind.CRASHED})
"""Kinds that are errors, not failures."""

GOOD = frozenset({Outcome.CHANGED, Outcome.UNCHANGED, Outcome.WOULD_RUN, Outcome.UNKNOWN})
RESULTS = {"failures": "failure", "errors": "error", "skipped": "skipped"}
KILLED = "the run was killed"
RUNNING = "the run has not ended yet"
LOG = "--- log ---\n"

_NOT_SHOWN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_KINDS = {
    Verdict.NOT_HOLDING: Kind.CHECK_FAILED,
    Verdict.SETUP_ERROR: Kind.SETUP_ERROR,
    Verdict.BROKEN: Kind.BROKEN_CHECK,
}


def junit_xml(summary: Summary, *, record: RunRecord | None = None, running: bool = False) -> str:
    """Return a run as JUnit XML, with its declaration, for a file in UTF-8.

    `failures`, `errors` and `skipped` count elements, as pytest counts them: a job that failed and whose
    cleanup raised counts as a failure and as an error, and is one of the `tests`.

    Args:
        summary: What the run came to, whole or as far as it came.
        record: What the store says of it: where it ran.
        running: It is still under way. Otherwise a job without an outcome is one of a run that was killed.
    """
    unended = RUNNING if running else KILLED
    suite = Element("testsuite", name="pytest")
    suite.extend([_testcase(summary, job, unended) for job in summary.plan.graph])
    for total, tag in RESULTS.items():
        suite.set(total, str(sum(1 for _ in suite.iterfind(f"testcase/{tag}"))))
    suite.set("tests", str(len(summary.jobs)))
    suite.set("time", f"{summary.seconds:.3f}")
    suite.set("timestamp", iso_utc(summary.started_at))
    suite.set("hostname", _shown(record.host if record is not None else ""))
    suites = Element("testsuites", name="pytest tests")
    suites.append(suite)
    ElementTree.indent(suites, " ")
    text = ElementTree.tostring(suites, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def _shown(text: str) -> str:
    return _NOT_SHOWN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def _element(tag: str, text: str = "", **attributes: str) -> Element:
    made = Element(tag, {name: _shown(value) for name, value in attributes.items()})
    made.text = _shown(text) or None
    return made


def _testcase(summary: Summary, job: Job, unended: str) -> Element:
    record = summary.jobs[job.id]
    classname, name = _address(job.id)
    case = _element("testcase", classname=classname, name=name, time=f"{record.seconds:.3f}")
    case.append(_properties(summary.run_id, record))
    case.extend(_result(summary, record, unended))
    case.extend(_after(record, unended))
    again = "flakyFailure" if record.outcome in GOOD else "rerunFailure"
    case.extend(_earlier(attempt, again) for attempt in record.attempts[:-1])
    if record.attempts:
        case.extend(_output(record.attempts[-1]))
    return case


def _address(id: str) -> tuple[str, str]:
    """Return class name and name: of `dir/job_x.py::job_a[1]` they are `dir.job_x` and `job_a[1]`."""
    path, in_a_file, rest = id.partition("::")
    if not in_a_file:
        return "", id
    name, bracket, params = rest.partition("[")
    names = [path.replace("/", ".").removesuffix(".py"), *name.split("::")]
    return ".".join(names[:-1]), names[-1] + bracket + params


def _properties(run_id: str, record: JobRecord) -> Element:
    said = {
        "outcome": record.outcome.value if record.outcome is not None else "",
        "attempts": str(len(record.attempts)),
        "reason": record.reason,
        "run_id": run_id,
        "started_at": iso_utc(record.started_at) if record.started_at is not None else "",
        "injected": ", ".join(record.injected),
    }
    made = Element("properties")
    made.extend(
        _element("property", name=f"jobtest.{name}", value=value)
        for name, value in said.items()
        if value or name not in ("started_at", "injected")
    )
    return made


def _result(summary: Summary, record: JobRecord, unended: str) -> Iterator[Element]:
    """Yield how a job ended, unless it ended well."""
    text = _text(record.attempts[-1:])
    if record.outcome is None:
        said = f"{_progress(record)}\n{text}" if text else _progress(record)
        yield _element("error", said, type="unended", message=unended)
    elif record.outcome is Outcome.FAILED:
        kind = record.kind or Kind.RUN_ERROR
        tag = "error" if kind in BEFORE_CALL else "failure"
        yield _element(tag, text or record.reason, type=kind.value, message=record.reason)
    elif record.outcome not in GOOD:
        causes = "".join(f"\nroot cause: {_because(summary, cause)}" for cause in record.causes)
        said = f"{record.reason}{causes}" + (f"\n{text}" if text else "")
        yield _element("skipped", said, type=record.outcome.value, message=record.reason)


def _because(summary: Summary, cause: str) -> str:
    found = summary.jobs.get(cause)
    return f"{cause}: {found.reason}" if found is not None and found.reason else cause


def _progress(record: JobRecord) -> str:
    """Return how far a job came that has no outcome."""
    last = [phase for attempt in record.attempts[-1:] for phase in attempt.phases[-1:]]
    if not last:
        return "it had not started"
    at = f"the {last[0].phase.value} of attempt {record.attempts[-1].number}"
    return f"{at} was under way" if last[0].ended_at is None else f"{at} had ended"


def _after(record: JobRecord, unended: str) -> Iterator[Element]:
    """Yield what went wrong after a job had ended."""
    wrong = [phase for phase in record.tails if not phase.ok]
    if wrong:
        said = "; ".join(f"{phase.phase.value}: {_of_the_tail(phase, unended)}" for phase in wrong)
        text = "\n".join(phase.failure.text for phase in wrong if phase.failure is not None)
        yield _element("error", text or said, type="teardown", message=f'failed on teardown with "{said}"')


def _of_the_tail(phase: PhaseRecord, unended: str) -> str:
    return unended if phase.ended_at is None else str(phase.failure or "it failed")


def _text(attempts: list[AttemptRecord]) -> str:
    """Return the tracebacks of an attempt; a check that sent its job into the run phase is no failure."""
    found = []
    for attempt in attempts:
        for at, phase in enumerate(attempt.phases, 1):
            expected = phase.phase is Phase.CHECK and at < len(attempt.phases)
            if phase.failure is not None and not expected:
                found.append((phase.phase.value, phase.failure.text or str(phase.failure)))
    if len(found) == 1:
        return found[0][1]
    return "\n".join(f"--- {phase} ---\n{text}" for phase, text in found)


def _earlier(attempt: AttemptRecord, tag: str) -> Element:
    said = attempt.failure
    made = _element(tag, type=_kind(attempt).value, message=str(said) if said is not None else "failed")
    made.append(_element("stackTrace", _text([attempt])))
    made.extend(_output(attempt))
    return made


def _kind(attempt: AttemptRecord) -> Kind:
    """Return the kind that an attempt would have given its job, had it been the last one."""
    verdicts = [phase.verdict for phase in attempt.phases if phase.verdict is not None]
    if Verdict.RAISED in verdicts or not verdicts:
        return Kind.RUN_ERROR
    return _KINDS.get(verdicts[-1], Kind.RUN_ERROR)


def _output(attempt: AttemptRecord) -> Iterator[Element]:
    if attempt.stdout:
        yield _element("system-out", attempt.stdout)
    if attempt.stderr or attempt.log:
        between = "\n" if attempt.stderr and not attempt.stderr.endswith("\n") else ""
        log = f"{between}{LOG}{attempt.log}" if attempt.log else ""
        yield _element("system-err", attempt.stderr + log)
