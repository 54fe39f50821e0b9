"""Scenarios about what a run remembers: writing it down, coming again, going on after a kill."""

import signal
from collections.abc import Callable, Iterator
from dataclasses import replace

import scenarios
from bench import Bench, Entry, Side
from measure import Command, keep, once
from peers import PROJECTS, Toolbox, lines, said
from table import Row, Target, allowed_each, cost, count, whole

JOBS = 10_000
MEMORY = ("--job-state=memory://",)
FILES = ("--job-state=file:.jobtest/files",)
WIDE = ("-J", "16")
RECORDED = 2e-3  # seconds that a job may take with its record, on 16 workers

Proof = Callable[[int, str], bool]


def remember(bench: Bench) -> Iterator[Row]:
    """10 000 jobs that do nothing, remembered in several ways, against the same in memory."""
    series = bench.measure("remember", _ways(bench), bench.count(5, 1))
    ours, theirs = series["default"], series["memory"]
    yield whole(f"no-op {count(JOBS)}, default", ours, f"memory, {count(JOBS)}", theirs, Target(ratio=1.35))
    for way, other in (
        ("default -J 16", "memory -J 16"),
        ("file store", "memory"),
        ("full", "memory"),
        ("full -J 16", "memory -J 16"),
    ):
        pairs = [(series[key], series[f"one, {key}"]) for key in (way, other)]
        yield cost(f"no-op {count(series[way].jobs)}, {way}", pairs[0], other, pairs[1])
    wide = series["full -J 16"], series["one, full -J 16"]
    yield allowed_each(f"no-op {count(wide[0].jobs)}, full -J 16", *wide, RECORDED)


def _ways(bench: Bench) -> dict[str, Side]:
    """All ways to remember, with many jobs and with one; fewer where each job costs syncs of the disk."""
    beside, few = bench.count(JOBS, 2_000), bench.count(2_000, 500)
    slow = {"rounds": bench.count(2, 1), "warm": False}
    lineup: dict[str, Side] = {}
    for key, more, jobs, full, limits in (
        ("memory", MEMORY, JOBS, False, {}),
        ("default", (), JOBS, False, {"warm": False}),
        ("file store", FILES, beside, False, {}),
        ("memory -J 16", (*MEMORY, *WIDE), beside, False, {}),
        ("default -J 16", WIDE, beside, False, {"warm": False}),
        ("full", (), few, True, slow),
        ("full -J 16", WIDE, few, True, slow),
    ):
        lineup[key] = replace(_no_ops(jobs, full, more), limits=limits)
        lineup[f"one, {key}"] = _no_ops(1, full, more)
    return lineup


def _no_ops(jobs: int, full: bool, more: tuple[str, ...]) -> Entry:
    """So many jobs; those with the same settings share a project."""
    return Entry(
        tool="jobtest",
        shape=scenarios.independent(jobs),
        more=more,
        write=scenarios.with_settings('durability = "full"') if full else None,
        place=f"remember-{'full-' if full else ''}{jobs}",
    )


def _after(bench: Bench, side: Side, left: Proof, then: Proof, more: tuple[str, ...] = ()) -> Side:
    """The same command from where a run of it ends, with more arguments; `left` and `then` prove the two."""

    def make(_: Toolbox, place: str) -> Command:
        command = bench.command(side, place)
        once(replace(command, proof=left))
        return replace(
            command, argv=(*command.argv, *more), proof=then, start=keep(command.folder), warm=False
        )

    return make


def again(bench: Bench) -> Iterator[Row]:
    """A second run that finds every check to hold against the first one, and against second runs of peers."""
    first = _checked(JOBS, warm=False)
    lineup = {"second": _second(bench, first, JOBS), "first": first}
    series = bench.measure("again", lineup, bench.count(5, 1))
    scenario, against = f"second run, {count(JOBS)} checks hold", f"the first, {count(JOBS)}"
    yield whole(scenario, series["second"], against, series["first"], Target(ratio=1.0))
    yield from _again_peers(bench)


def _checked(jobs: int, **limits: float) -> Entry:
    return Entry(
        tool="jobtest",
        shape=scenarios.independent(jobs),
        write=scenarios.write_checked,
        place=f"checked-{jobs}",
        limits=limits,
    )


def _second(bench: Bench, side: Side, jobs: int) -> Side:
    return _after(bench, side, said(r"\b{} changed", jobs), said(r"\b{} unchanged", jobs))


def _again_peers(bench: Bench) -> Iterator[Row]:
    lineup: dict[str, Side] = {}
    for jobs in (1, 1_000):
        lineup[f"jobtest {jobs}"] = _second(bench, _checked(jobs), jobs)
        shape = scenarios.independent(jobs)
        for tool, write, left, then in (
            ("doit", scenarios.write_doit_once, lines(".  n:", jobs), lines("-- n:", jobs)),
            ("pytask", None, said(r"\b{}  Succeeded", jobs), said(r"\b{}  Skipped because", jobs)),
        ):
            lineup[f"{tool} {jobs}"] = _after(bench, Entry(tool=tool, shape=shape, write=write), left, then)
    series = bench.measure("again-peers", lineup, bench.count(5, 2))
    ours = series["jobtest 1000"], series["jobtest 1"]
    for tool in ("doit", "pytask"):
        theirs = series[f"{tool} 1000"], series[f"{tool} 1"]
        yield cost("second run, 1 000 checks hold", ours, f"{tool}'s", theirs)


def resume(bench: Bench) -> Iterator[Row]:
    """Going on with a run that was killed in its middle: what the jobs that have ended cost once more.

    Taken off on both sides is a first run of the other jobs alone: once of the same project, where they are
    selected, which takes off the collection of all jobs too; and once of a project of so many jobs.
    """
    half = JOBS // 2
    whole_ = Entry(
        tool="jobtest",
        shape=scenarios.independent(JOBS),
        write=scenarios.write_deadly,
        place="resume",
        limits={"warm": False},
    )
    resumed = said(rf"(?s)with {half} of {{0}} jobs done.*\b{{0}} passed", JOBS)
    files = [f"job_part{part:02}.py" for part in _parts(half, JOBS)]
    lineup: dict[str, Side] = {
        "resume": _after(bench, whole_, _killed, resumed, ("--job-resume",)),
        "all": _spared(bench, whole_, JOBS),
        "rest": _spared(bench, replace(whole_, more=tuple(files)), half),
        "half": Entry(tool="jobtest", shape=scenarios.independent(half)),
    }
    series = bench.measure("resume", lineup, bench.count(5, 1))
    for base, named, target in (
        ("rest", "selected rest", Target(ratio=0.5)),
        ("half", "project of the rest", None),
    ):
        ours, theirs = (series["resume"], series[base]), (series["all"], series[base])
        row = cost(f"{count(half)} done, resume - {named}", ours, "", theirs, target)
        yield replace(row, against=f"all - {named}")


def _killed(code: int, _: str) -> bool:
    return code == -signal.SIGKILL


def _parts(first: int, end: int) -> range:
    """Numbers of the files of which these jobs are."""
    return range(first // scenarios.FUNCTIONS_PER_FILE, -(-end // scenarios.FUNCTIONS_PER_FILE))


def _spared(bench: Bench, side: Side, jobs: int) -> Side:
    """A first run in which nothing is killed."""

    def make(_: Toolbox, place: str) -> Command:
        start = PROJECTS / "resume-spared"
        start.mkdir(exist_ok=True)
        (start / "killed.txt").touch()
        command = bench.command(side, place)
        return replace(command, start=start, jobs=jobs, proof=said(r"\b{} changed", jobs))

    return make


SCENARIOS = (remember, again, resume)
