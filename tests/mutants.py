"""Hand mutants: small lies about jobtest.core that the tests must not believe.

Run `python tests/mutants.py` (or with words to run only the mutants whose line has them). Each mutant is
put into a copy of the tree, and tests/core and tests/engine are run there until one fails. Exit 1 if a
mutant survives, 2 if one is stale: its old text is not in its file exactly once.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARALLEL = 2
LONGEST = 300.0
"""Seconds after which a mutant that makes the tests hang counts as killed."""


@dataclass(frozen=True)
class Mutant:
    """One lie: where, what is said there, what is said instead, and what that breaks."""

    file: str
    old: str
    new: str
    breaks: str


MUTANTS = [
    Mutant(
        "graph",
        "for edge in missing if edge.kind is not EdgeKind.AFTER",
        "for edge in missing",
        "an order-only edge may lead nowhere",
    ),
    Mutant("graph", "if e.kind is not EdgeKind.AFTER)", ")", "`after` pulls jobs into the closure"),
    Mutant("graph", "if kind is not EdgeKind.AFTER)", ")", "`after` makes descendants"),
    Mutant(
        "graph",
        "return steps[list(path).index(id) :]",
        "return steps",
        "a reported cycle has a tail that is none",
    ),
    Mutant(
        "graph",
        "while id not in walked:",
        "while id not in path:",
        "a cycle is reported once for each way into it",
    ),
    Mutant("graph", "> LONGEST_CYCLE_SHOWN", ">= LONGEST_CYCLE_SHOWN", "a cycle of sixteen is cut"),
    Mutant("errors", "listed[:12]", "listed[:13]", "a list of names grows by one"),
    Mutant("errors", "cutoff=0.6", "cutoff=0.0", "anything is near"),
    Mutant(
        "data", "or this != default", "or this == default", "what is said is left out, what is not is said"
    ),
    Mutant(
        "data",
        "_reader_of_many(tuple, ",
        "_reader_of_many(list, ",
        "a tuple comes back as a list",
    ),
    Mutant("data", "return sorted(value)", "return []", "a set is forgotten"),
    Mutant("names", "return type(value), value", "return type(0), value", "1 joins with True"),
    Mutant("names", "if not known.issuperset(names))", "if names)", "gathered keys repeat what is shared"),
    Mutant("names", "if one.path == path)", "if one)", "the same file is no nearer than others"),
    Mutant("names", "and len(matched) == 1", "", "two instances of one set of parameters pass for one"),
    Mutant("names", "- {definition.name}", "", "a job is told to mean itself"),
    Mutant("policies", "if attempt > retry.retries:", "if attempt >= retry.retries:", "one retry is lost"),
    Mutant("policies", "** (attempt - 1)", "** attempt", "the first delay is already a longer one"),
    Mutant(
        "policies",
        "(2 * chance - 1)), longest)",
        "(2 * chance - 1)), 1e99)",
        "jitter passes the longest delay",
    ),
    Mutant("policies", "if job.has_run and progress.must_run:", "if progress.must_run:", "a gate is run"),
    Mutant(
        "policies",
        "progress.wanted and not progress.has_value:",
        "progress.wanted:",
        "a known value is held back",
    ),
    Mutant(
        "policies",
        "raised or ended.failure",
        "ended.failure",
        "retry_on looks at the recheck, not at the run",
    ),
    Mutant(
        "policies",
        'if progress.entered:\n        note = f"its check held',
        'if False:\n        note = f"its check held',
        "what an earlier attempt brought about is unchanged",
    ),
    Mutant(
        "policies",
        "or (kind is EdgeKind.NEEDS and upstream.is_generator)",
        "",
        "what is held open is closed before who needs it has ended",
    ),
    Mutant(
        "policies",
        "if ended.verdict not in _DECIDED_BY",
        "if False and ended.verdict not in _DECIDED_BY",
        "nonsense from an executor passes",
    ),
    Mutant(
        "policies",
        "if job.has_check:\n        return Go(Phase.DESCRIBE if",
        "if job.has_check and ended.verdict is Verdict.OK:\n        return Go(Phase.DESCRIBE if",
        "the recheck does not decide after a run that raised",
    ),
    Mutant("planner", "max((ranks[other]", "min((ranks[other]", "the rank is the shortest way"),
    Mutant("planner", "waves[id] = 1 + max(", "waves[id] = 1 + min(", "a wave holds a job and its upstream"),
    Mutant(
        "planner",
        "return -self.graph[id].priority, -self.decisions",
        "return -self.graph[id].priority, self.decisions",
        "the shorter way goes first",
    ),
    Mutant(
        "planner",
        "if kind is not EdgeKind.AFTER and id not in skips:",
        "if id not in skips:",
        "who only comes after a skipped job is skipped",
    ),
    Mutant(
        "planner",
        "if id in skipped:\n            continue",
        "if id in skipped:\n            pass",
        "a skipped consumer makes its upstream run",
    ),
    Mutant(
        "planner",
        "return bool(needs[consumer.id])",
        "return True",
        "what nobody wants is made for an idle consumer",
    ),
    Mutant(
        "queue",
        "self._starts // AGEING - job.priority",
        "-job.priority",
        "a newcomer with a higher priority always passes",
    ),
    Mutant(
        "queue",
        "if place.job.exclusive and self._inside:",
        "if False:",
        "who must be alone starts beside others",
    ),
    Mutant(
        "queue",
        "self._alone = bool(place.job.exclusive)",
        "self._alone = False",
        "others start beside who must be alone",
    ),
    Mutant(
        "queue",
        "len(self._inside) < self._capacity",
        "len(self._inside) <= self._capacity",
        "one more at once than places",
    ),
    Mutant(
        "queue",
        "self._in_use[name] + amount > self._limits[name] or (",
        "self._in_use[name] + amount > self._limits[name] + 1 or (",
        "one more of a resource than there is",
    ),
    Mutant("queue", " or (parked and parked[0] < place.key)", "", "small requests pass a large one for ever"),
    Mutant(
        "queue",
        "place.waiting = False\n            self._call_back(place.job.resources)",
        "place.waiting = False",
        "who waits behind one that gave up waits for ever",
    ),
    Mutant("queue", "or (lacking and self._overdue(place))", "", "who needs two resources starves"),
    Mutant(
        "queue", "self._in_use[name] -= amount", "self._in_use[name] -= 0", "a resource is never given back"
    ),
    Mutant(
        "scheduler",
        "if self._flow.backoff and self._flow.backoff[0][0] <= now:",
        "if self._flow.backoff:",
        "a retry does not wait for its delay",
    ),
    Mutant(
        "scheduler",
        "if self._escalated:\n            return self._escalated\n",
        "",
        "a failure that escalates does not stop the run",
    ),
    Mutant("scheduler", "not self._unended", "True", "cleanups begin while jobs run"),
    Mutant(
        "scheduler",
        "if tail and self._flow.queue.free else None",
        "if tail else None",
        "a close runs though no place is free",
    ),
    Mutant(
        "scheduler",
        "if live.state is not State.DECIDING or self._flow.decided.get(job) != event:",
        "if live.state is not State.DECIDING:",
        "a decision that was not made is carried out",
    ),
    Mutant(
        "scheduler",
        "if event.phase is Phase.CHECK or may_take_back(decided) else None",
        "if may_take_back(decided) else None",
        "a check under way outlives the failure of its upstream",
    ),
    Mutant(
        "scheduler",
        "if event.phase is Phase.CHECK or may_take_back(decided) else None",
        "if event.phase is Phase.CHECK else None",
        "a further attempt begins though the upstream failed",
    ),
    Mutant(
        "scheduler",
        "if event.verdict in NOT_ENTERED:\n            return",
        "if False:\n            return",
        "a cleanup is owed by what was never entered",
    ),
    Mutant(
        "scheduler",
        "if live.job.has_cleanup and not live.entered and",
        "if live.job.has_cleanup and",
        "each attempt owes a cleanup",
    ),
    Mutant(
        "scheduler",
        "self._retries_left -= 1",
        "self._retries_left -= 0",
        "the retries of the run are not counted",
    ),
    Mutant(
        "scheduler",
        "if self.stopped:\n                return JobEnded(id, Outcome.CANCELLED, self.stopped)\n",
        "",
        "a run phase begins after the stop",
    ),
    Mutant(
        "scheduler",
        "if self.stopped or self._retries_left == 0:",
        "if self._retries_left == 0:",
        "a stopped run tries again",
    ),
    Mutant(
        "scheduler",
        "if not live.holds:\n            self._flow.tell_upstream(live)",
        "self._flow.tell_upstream(live)",
        "what is in use is closed",
    ),
    Mutant(
        "scheduler",
        "progress.run_failure, progress.has_value = progress.attempt + 1, None, False",
        "progress.run_failure, progress.has_value = progress.attempt + 1, None, progress.has_value",
        "an attempt has the value of the one before",
    ),
    Mutant(
        "policies",
        "return kind is EdgeKind.VALUE and not has_value",
        "return not has_value",
        "`continue` blocks who takes no value",
    ),
    Mutant("policies", "return kind is not EdgeKind.AFTER", "return True", "`after` is blocked by a failure"),
    Mutant(
        "policies",
        "causes = ended.causes or (ended.job,)",
        "causes = (ended.job,)",
        "the nearest job is named instead of the root cause",
    ),
    Mutant(
        "flow",
        "if live.state is State.IDLE and live.takers <= live.resting:",
        "if False:",
        "what nobody wants any more never ends",
    ),
    Mutant(
        "flow",
        "if maker.state is State.IDLE:",
        "if maker.state is not State.ENDED:",
        "a value in the making is asked for again",
    ),
    Mutant(
        "scheduler",
        "live.holds = live.job.is_generator and event.verdict is Verdict.OK",
        "live.holds = live.job.is_generator",
        "what was never opened is closed",
    ),
    Mutant(
        "tail",
        "(-turn, job))\n\n    def owe",
        "(turn, job))\n\n    def owe",
        "what was opened first is closed first",
    ),
    Mutant(
        "tail",
        "heapq.heappush(self._owed, (-turn, job))",
        "heapq.heappush(self._owed, (turn, job))",
        "who began first is cleaned up after first",
    ),
    Mutant("tail", "if self._under_way:\n            return None\n", "", "two cleanups run side by side"),
    Mutant(
        "summary",
        "record.attempts[-1].number == event.attempt",
        "False",
        "an attempt that begins anew counts twice",
    ),
    Mutant(
        "summary", "if held_by:", "if not held_by:", "waiting for a worker and for a resource are confused"
    ),
    Mutant(
        "model",
        'plain = self.type in ("", "AssertionError", FILES_DIFFER)',
        'plain = self.type == ""',
        "an assert is told with its type",
    ),
    Mutant("flow", "unmade, rests=True) if unmade else", "unmade, rests=True) if 0 else", "nobody rests"),
    Mutant("flow", "self.live[last].resting -= 1", "pass", "who has rested is never counted again"),
    Mutant("flow", "self.live[last].resting += 1", "pass", "who rests keeps its makers from ending"),
    Mutant("flow", "elif len(live.pending) == 1:", "else:", "an input ends while another may change"),
    Mutant(
        "policies",
        "if raised is not None and progress.must_run:",
        "if False:",
        "a check that held proves all",
    ),
    Mutant(
        "flow",
        "progress.has_value and not left.entered",
        "progress.has_value",
        "a stale value passes for new",
    ),
    Mutant(
        "flow", "elif live.not_before:", "elif False:", "a delay that an earlier run planned is forgotten"
    ),
    Mutant("inputs", "and now != past.inputs[id]", "and False", "inputs never change"),
    Mutant("inputs", "if now and past", "if past", "what is not known has changed"),
    Mutant(
        "planner", "left.lost >= MOST_LOST", "left.lost > MOST_LOST", "what kills runs is tried once more"
    ),
    Mutant(
        "planner",
        "if job.once and past is not None and past.doubt:",
        "if False:",
        "once is as often as you like",
    ),
    Mutant("planner", "done.union(skips)", "skips", "jobs that are done want values"),
    Mutant(
        "tail",
        "if self._earlier:\n            self._earlier.pop()",
        "if False:\n            pass",
        "never done",
    ),
    Mutant("scheduler", "tried = attempt - left.lost", "tried = attempt", "lost attempts use up retries"),
    Mutant(
        "scheduler", "if live.decision.refused:", "if False:", "a job with a check runs though it is refused"
    ),
    Mutant("resume", "lost=left.lost + 1", "lost=left.lost", "lost attempts are not counted"),
    Mutant(
        "resume",
        "attempt=left.attempt + 1, lost",
        "attempt=left.attempt, lost",
        "a lost attempt has no number",
    ),
    Mutant(
        "resume",
        "graph[id].definition == plan.graph[id].definition",
        "True",
        "what was defined otherwise is taken for done",
    ),
    Mutant(
        "resume",
        "if job.is_generator and left.entered and",
        "if False and",
        "what was open is taken for open",
    ),
    Mutant(
        "resume",
        "cleaned = job.has_cleanup and",
        "cleaned = False and",
        "what was cleaned up is taken for there",
    ),
    Mutant("resume", "return has_value or", "return True or", "a value that is gone is taken for there"),
    Mutant("queue", "self._lingering[id] = held", "self._free(held)", "who lingers keeps nothing"),
    Mutant(
        "queue", "self._free(self._lingering.pop(id))", "self._lingering.pop(id)", "what lingers stays taken"
    ),
    Mutant(
        "scheduler",
        "if not live.lingers or live.state is not State.ENDED:",
        "if live.state is not State.ENDED:",
        "a body ends twice",
    ),
    Mutant(
        "policies",
        '            return End(Outcome.FAILED, f"{word} {said}", Kind.TIMEOUT)',
        "            return Again(End(Outcome.FAILED, said, Kind.TIMEOUT), ended.failure)",
        "a body that goes on is started once more",
    ),
    Mutant(
        "model",
        "{Verdict.SETUP_ERROR, Verdict.NOT_BEGUN, ",
        "{Verdict.SETUP_ERROR, ",
        "what has not begun was entered",
    ),
    Mutant("verbs", "- stay)", ")", "what is there and is skipped loses what it needs"),
    Mutant("rollbacks", "and event.job not in self._entered:", "and True:", "a retry changes the order"),
    Mutant(
        "resume",
        "return Left() if event.phase is Phase.ROLLBACK and left.outcome in KEPT else left",
        "return left",
        "what was rolled back counts as done",
    ),
]

FIRST = {
    "flow": ["core/test_inputs.py", "core/test_resume.py", "core/test_scheduler.py"],
    "graph": ["core/test_graph.py"],
    "inputs": ["core/test_inputs.py"],
    "data": ["core/test_events.py"],
    "errors": ["core/test_errors.py"],
    "events": ["core/test_events.py"],
    "model": ["core/test_model.py"],
    "names": ["core/test_names.py"],
    "planner": ["core/test_planner.py"],
    "policies": ["core/test_policies.py", "core/test_downstream_table.py"],
    "queue": ["core/test_queue.py"],
    "resume": ["core/test_resume.py", "core/test_rollbacks.py"],
    "rollbacks": ["core/test_rollbacks.py"],
    "summary": ["core/test_summary.py"],
    "tail": ["core/test_resume.py", "core/test_scheduler.py", "core/test_rollbacks.py"],
    "verbs": ["core/test_verbs.py"],
}
SCHEDULER_FIRST = ["core/test_scheduler.py", "core/test_transitions.py", "core/test_downstream_table.py"]


def stale(mutant: Mutant) -> bool:
    return (ROOT / "jobtest" / "core" / f"{mutant.file}.py").read_text().count(mutant.old) != 1


def survives(mutant: Mutant) -> bool:
    """Run the tests on a copy with the mutant in it."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder)
        leave_out = shutil.ignore_patterns("__pycache__", ".hypothesis")
        shutil.copytree(ROOT / "jobtest", copy / "jobtest", ignore=leave_out)
        for name in ("core", "engine"):
            shutil.copytree(ROOT / "tests" / name, copy / "tests" / name, ignore=leave_out)
        shutil.copy(ROOT / "tests" / "conftest.py", copy / "tests")
        shutil.copy(ROOT / "pyproject.toml", copy)
        target = copy / "jobtest" / "core" / f"{mutant.file}.py"
        target.write_text(target.read_text().replace(mutant.old, mutant.new))
        first = [f"tests/{name}" for name in FIRST.get(mutant.file, SCHEDULER_FIRST)]
        return passes(copy, first) and passes(copy, ["tests/core", "tests/engine"])


def passes(copy: Path, tests: list[str]) -> bool:
    plain = ["-x", "-q", "-p", "no:cacheprovider", "--no-header", "--override-ini=addopts="]
    environment = {
        **os.environ,
        "PYTHONPATH": str(copy),
        "HYPOTHESIS_PROFILE": "quick",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "pytest", *plain, *tests]
    try:
        done = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, text=True, timeout=LONGEST, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    if done.returncode not in (0, 1, 2):
        raise RuntimeError(f"pytest ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.returncode == 0


def main(words: list[str]) -> int:
    chosen = [one for one in MUTANTS if all(word in f"{one.file} {one.breaks}" for word in words)]
    old = [one for one in chosen if stale(one)]
    for one in old:
        print(f"stale     {one.file:<10} {one.breaks}: {one.old!r} is not there exactly once")
    if old:
        return 2
    survivors = 0
    with ThreadPoolExecutor(PARALLEL) as pool:
        for one, alive in zip(chosen, pool.map(survives, chosen), strict=True):
            print(f"{'SURVIVED' if alive else 'killed':<9} {one.file:<10} {one.breaks}", flush=True)
            survivors += alive
    print(f"{len(chosen)} mutants, {len(chosen) - survivors} killed, {survivors} survived")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
