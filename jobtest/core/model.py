"""The nouns: jobs, edges, outcomes, failures.

Data only; the callables of a job are looked up by id at the edge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

__all__ = [
    "Command",
    "Edge",
    "EdgeKind",
    "Failure",
    "Job",
    "Kind",
    "OnFailure",
    "Outcome",
    "Phase",
    "Retry",
    "Take",
    "Verdict",
]

EMPTY: Mapping[str, object] = MappingProxyType({})
NO_AMOUNTS: Mapping[str, int] = MappingProxyType({})
FILES_DIFFER = "FilesDiffer"
"""Type of a failure whose message is the whole reason: files of a job are not as they should be."""
NOT_AS_WANTED = "NotAsWanted"
"""Type of a failure that needs no name: the check of a built-in task type does not hold."""

NOTHING: Mapping[str, str] = MappingProxyType({})


class Command(Enum):
    """What a run is for."""

    APPLY = "apply"
    PLAN = "plan"
    DRIFT = "drift"
    CLEANUP = "cleanup"
    DESCRIBE = "describe"
    DELETE = "delete"
    ROLLBACK = "rollback"
    VERB = "verb"
    """Something that the project has a word of its own for."""


class Phase(Enum):
    """The parts of a job that call the user's code."""

    CHECK = "check"
    RUN = "run"
    RECHECK = "recheck"
    DESCRIBE = "describe"
    CLOSE = "close"
    ROLLBACK = "rollback"
    CLEANUP = "cleanup"


TAIL = frozenset({Phase.CLOSE, Phase.ROLLBACK, Phase.CLEANUP})
"""What comes after a job has ended."""


class Outcome(Enum):
    """How a job ended. Each job ends exactly once."""

    UNCHANGED = "unchanged"
    CHANGED = "changed"
    FAILED = "failed"
    BLOCKED = "blocked"
    SKIPPED = "skipped"
    POSTPONED = "postponed"
    CANCELLED = "cancelled"
    WOULD_RUN = "would-run"
    UNKNOWN = "unknown"


class Kind(Enum):
    """Why a job failed."""

    CHECK_FAILED = "check_failed"
    RUN_ERROR = "run_error"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    SETUP_ERROR = "setup_error"
    BROKEN_CHECK = "broken_check"
    NOT_STORABLE = "not_storable"
    CANCELLED = "cancelled"


class Verdict(Enum):
    """What came of one phase."""

    OK = "ok"
    NOT_HOLDING = "not_holding"
    RAISED = "raised"
    BROKEN = "broken"
    SETUP_ERROR = "setup_error"
    SKIPPED = "skipped"
    INTERRUPTED = "interrupted"
    WOULD_RUN = "would_run"
    UNKNOWN = "unknown"
    DRIFTED = "drifted"
    TIMED_OUT = "timed_out"
    ABANDONED = "abandoned"
    """Timed out, and its body cannot be ended: it goes on in this process."""
    NOT_BEGUN = "not_begun"
    """Interrupted before its body was called."""
    CRASHED = "crashed"
    """Its process ended before it answered."""


NOT_ENTERED = frozenset(
    {Verdict.SETUP_ERROR, Verdict.NOT_BEGUN, Verdict.WOULD_RUN, Verdict.UNKNOWN, Verdict.DRIFTED}
)
"""What comes of a run phase whose body was not called."""


class EdgeKind(Enum):
    """What a job wants from an upstream job."""

    VALUE = "value"
    """Its value; implies its success."""
    NEEDS = "needs"
    """Its success."""
    AFTER = "after"
    """Only to come later, if the other is in the run at all."""


class OnFailure(Enum):
    """What the failure of a job does to others."""

    BLOCK = "block"
    CONTINUE = "continue"
    ESCALATE = "escalate"


@dataclass(frozen=True, slots=True)
class Edge:
    """One job waits for another.

    Attributes:
        upstream: Id of the job waited for.
        kind: What is wanted of it.
        at: Where the user asked for it, as `file:line name`.
    """

    upstream: str
    kind: EdgeKind = EdgeKind.NEEDS
    at: str = ""


@dataclass(frozen=True, slots=True)
class Take:
    """How one parameter gets its value.

    Attributes:
        parameter: Name of the parameter.
        upstream: Ids of the jobs whose values are taken, in definition order.
        keys: None if the value is that of the only upstream job; else the keys of the dict that is handed
            over, one for each upstream job.
    """

    parameter: str
    upstream: tuple[str, ...]
    keys: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """How often and how fast a job is tried again.

    Attributes:
        retries: Further attempts after the first, >= 0.
        delay: Seconds before the second attempt.
        backoff: Factor from one delay to the next; 1 is a fixed delay.
        linear: The delays are once, twice, three times the first, whatever the factor.
        max_delay: Seconds that no delay exceeds, jitter included, or None: a year.
        jitter: Fraction of the delay by which it may be longer or shorter, 0 to 1.
        on: Names of exception types (as in a traceback, or with their module); empty means any failure.
    """

    retries: int = 0
    delay: float = 0.0
    backoff: float = 1.0
    linear: bool = False
    max_delay: float | None = None
    jitter: float = 0.0
    on: tuple[str, ...] = ()


NO_RETRY = Retry()


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A unit of work, as data.

    Attributes:
        id: Unique in a graph; the node id under pytest.
        name: The bare name; the id if not given.
        description: First line of its docstring.
        at: Where it is defined, as `file:line name`.
        params: Parameter name to plain value, for parametrised jobs.
        edges: What it waits for, in the order asked for.
        takes: How its parameters get the values of upstream jobs.
        early: Parameters (of `takes`) that its check asks for: those values must be there before the check.
        has_check: It has a check that decides whether it is in its desired state.
        has_run: It has a run phase; without one it is a gate.
        has_describe: It has a describe function, whose return is its value.
        has_cleanup: It has a cleanup, owed once its run phase was entered.
        has_rollback: It is rolled back when it has failed for good.
        functions: Prefixes of its further functions, in alphabetical order: `delete`, `update`, ...
        calls: Prefix of the function that its run phase calls.
        unasked: Its attempts begin with its run phase, though it has a check.
        own_value: Its check takes its own value.
        is_generator: Its run phase holds something open until its last consumer has ended.
        always: A job without check that runs even if nobody needs it.
        exclusive: It runs while nothing else does. The text says why; empty means it does not.
        priority: Higher goes first among ready jobs.
        resources: Amounts it holds while it runs.
        retry: How often it is tried again.
        on_failure: What its failure does to others.
        skip: Reason to skip it that is known before the run, or empty.
        definition: Digest of all that defines it: source of its functions, marks, parameters. Empty: unknown.
        tracks: It runs although its check holds if a value that it takes has changed since its last success.
        once: It must not run twice: if a run was killed while it ran, it fails until it is forced.
        isolated: Its phases are called in a process of their own.
        timeout: Seconds that each of its phases may take; None: no limit.
        memory: Bytes of address space that its process may have; 0: no limit.
    """

    id: str
    name: str = ""
    description: str = ""
    at: str = ""
    params: Mapping[str, object] = field(default_factory=lambda: EMPTY)
    edges: tuple[Edge, ...] = ()
    takes: tuple[Take, ...] = ()
    early: frozenset[str] = frozenset()
    has_check: bool = False
    has_run: bool = True
    has_describe: bool = False
    has_cleanup: bool = False
    has_rollback: bool = False
    functions: tuple[str, ...] = ()
    calls: str = "job"
    unasked: bool = False
    own_value: bool = False
    is_generator: bool = False
    always: bool = False
    exclusive: str = ""
    priority: int = 0
    resources: Mapping[str, int] = field(default_factory=lambda: NO_AMOUNTS)
    retry: Retry = NO_RETRY
    on_failure: OnFailure = OnFailure.BLOCK
    skip: str = ""
    definition: str = ""
    tracks: bool = True
    once: bool = False
    isolated: bool = False
    timeout: float | None = None
    memory: int = 0

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.id)

    @property
    def goes(self) -> bool:
        """Whether its run phase takes it away: all is well then if its check does not hold."""
        return self.calls == "delete"

    @property
    def word(self) -> str:
        """What its run phase is called in what is said of it."""
        return "run" if self.calls == "job" else self.calls

    @property
    def label(self) -> str:
        """The name, with the parameters as the id has them: `deploy[eu]`; for people."""
        at = self.id.find(f"{self.name}[") if self.params else -1
        return self.id[at:] if at >= 0 else self.name

    @classmethod
    def of(
        cls,
        id: str,
        *,
        takes: Sequence[str] = (),
        needs: Sequence[str] = (),
        after: Sequence[str] = (),
        check: bool = False,
        **rest: object,
    ) -> Job:
        """Return a job with its edges spelled by ids; the short form for programs and tests.

        Args:
            id: Its id.
            takes: Ids of jobs whose values it takes, each as the parameter of that name.
            needs: Ids of jobs that must succeed before it.
            after: Ids of jobs that it follows if they are in the run.
            check: Whether it has a check.
            rest: Further attributes of a job.
        """
        edges = (
            *(Edge(up, EdgeKind.VALUE) for up in takes),
            *(Edge(up, EdgeKind.NEEDS) for up in needs),
            *(Edge(up, EdgeKind.AFTER) for up in after),
        )
        taken = tuple(Take(up, (up,)) for up in takes)
        return cls(id=id, edges=edges, takes=taken, has_check=check, **rest)  # type: ignore[arg-type]  # see the class


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong, as text: no live exception outlives the phase that raised it.

    Attributes:
        type: Name of the exception type, or empty if nothing was raised.
        message: One line.
        text: The traceback as the user should see it; may be empty.
        types: Names of the type and its bases, bare and with their module, for `retry_on`.
    """

    message: str
    type: str = ""
    text: str = ""
    types: tuple[str, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        if self.type and not self.message:
            return self.type
        plain = self.type in ("", "AssertionError", FILES_DIFFER, NOT_AS_WANTED)
        return self.message if plain else f"{self.type}: {self.message}"
