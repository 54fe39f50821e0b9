"""Hand mutants: small lies about jobtest.core and jobtest.config that the tests must not believe.

Run `python tests/mutants.py` (or with words to run only the mutants whose line has them). Each mutant is
put into a copy of the tree, and tests/core and tests/engine, or tests/config, are run there until one fails.
Exit 1 if a mutant survives, 2 if one is stale: its old text is not in its file exactly once.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mutant import Mutant
from mutants_config import CONFIG
from mutants_core import CORE

ROOT = Path(__file__).resolve().parent.parent
PARALLEL = 2
LONGEST = 100.0
"""Seconds after which a mutant that makes the tests hang counts as killed."""


MUTANTS = [*CORE, *CONFIG]

FIRST = {
    "flow": ["core/test_inputs.py", "core/test_resume.py", "core/test_scheduler.py"],
    "graph": ["core/test_graph.py"],
    "inputs": ["core/test_inputs.py"],
    "config/arguments": ["config/test_arguments.py"],
    "config/job_file": ["config/test_job_file.py"],
    "config/job_tables": ["config/test_job_file.py"],
    "config/places": ["config/test_places.py"],
    "config/substitution": ["config/test_substitution.py"],
    "config/template": ["config/test_substitution.py"],
    "data": ["core/test_events.py"],
    "errors": ["core/test_errors.py"],
    "events": ["core/test_events.py"],
    "model": ["core/test_model.py"],
    "names": ["core/test_names.py", "core/test_names_labels.py"],
    "planner": ["core/test_planner.py"],
    "policies": ["core/test_policies.py", "core/test_downstream_table.py"],
    "queue": ["core/test_queue.py"],
    "resume": ["core/test_resume.py", "core/test_rollbacks.py"],
    "rollbacks": ["core/test_rollbacks.py"],
    "scope": ["core/test_scope.py"],
    "summary": ["core/test_summary.py"],
    "tail": ["core/test_tail.py", "core/test_resume.py", "core/test_scheduler.py", "core/test_rollbacks.py"],
    "verbs": ["core/test_verb_plans.py"],
}
SCHEDULER_FIRST = ["core/test_scheduler.py", "core/test_transitions.py", "core/test_downstream_table.py"]


def stale(mutant: Mutant) -> bool:
    return mutant.path(ROOT).read_text().count(mutant.old) != 1


def survives(mutant: Mutant) -> bool:
    """Run the tests on a copy with the mutant in it."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder)
        leave_out = shutil.ignore_patterns("__pycache__", ".hypothesis")
        shutil.copytree(ROOT / "jobtest", copy / "jobtest", ignore=leave_out)
        for name in ("core", "engine", "config"):
            shutil.copytree(ROOT / "tests" / name, copy / "tests" / name, ignore=leave_out)
        shutil.copy(ROOT / "tests" / "conftest.py", copy / "tests")
        shutil.copy(ROOT / "pyproject.toml", copy)
        target = mutant.path(copy)
        target.write_text(target.read_text().replace(mutant.old, mutant.new))
        first = [f"tests/{name}" for name in FIRST.get(mutant.file, SCHEDULER_FIRST)]
        rest = ["tests/config"] if mutant.file.startswith("config/") else ["tests/core", "tests/engine"]
        return passes(copy, first) and passes(copy, rest)


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
