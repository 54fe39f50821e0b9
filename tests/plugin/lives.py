"""Job files, each with how its jobs end, why job `a` ends so, and what it noted; for test_life.py."""

HEADER = """
import asyncio, os, sys, time
import pytest
from seen import event, meet, note, notes
state = {"there": False}
"""

LIVES = {
    # D1
    "a check that holds leaves its job alone": (
        """
        def check_a(): note("check")
        def job_a(): note("run")
        """,
        {"a": "unchanged"},
        "check holds",
        ["check"],
    ),
    "a check that does not hold runs its job and is asked again": (
        """
        def check_a(): note("check"); assert state["there"]
        def job_a(): note("run"); state["there"] = True
        """,
        {"a": "changed"},
        "check did not hold: assert False",
        ["check", "run", "check"],
    ),
    "a job whose check never holds has failed": (
        """
        def check_a(): note("check"); assert state["there"]
        def job_a(): note("run")
        """,
        {"a": "failed"},
        "check did not hold after the run: assert False",
        ["check", "run", "check"],
    ),
    # D2
    "a check that returns False does not hold": (
        """
        def check_a(): note("check"); return state["there"]
        def job_a(): note("run"); state["there"] = True
        """,
        {"a": "changed"},
        "check did not hold: it returned False",
        ["check", "run", "check"],
    ),
    # D3
    "a run that raises does not matter if the check holds then": (
        """
        def check_a(): return state["there"]
        def job_a(): state["there"] = True; raise OSError("late")
        """,
        {"a": "changed"},
        "check did not hold: it returned False",
        [],
    ),
    "a run that raises and whose check does not hold has failed": (
        """
        def check_a(): return False
        def job_a(): raise OSError("no disk")
        """,
        {"a": "failed"},
        "run raised OSError: no disk; check did not hold after the run: it returned False",
        [],
    ),
    "a run that raises has no value for those who take it": (
        """
        def check_a(): return state["there"]
        def job_a(): state["there"] = True; raise OSError("late")
        def job_b(a): note("b")
        """,
        {"a": "failed", "b": "blocked"},
        "run raised OSError: late; its check holds, but there is no value and another job takes it",
        [],
    ),
    # D4
    "sys.exit in a job is a failure of that job": (
        """
        def job_a(): sys.exit(0)
        def job_b(): note("b")
        """,
        {"a": "failed", "b": "changed"},
        "run raised SystemExit: 0",
        ["b"],
    ),
    "sys.exit in a check says that it does not hold": (
        """
        def check_a(): note("check"); sys.exit("no")
        def job_a(): note("run")
        """,
        {"a": "failed"},
        "check did not hold after the run: SystemExit: no",
        ["check", "run", "check"],
    ),
    "a KeyboardInterrupt that a body raises is its own failure": (
        """
        def job_a(): raise KeyboardInterrupt
        def job_b(): note("b")
        """,
        {"a": "failed", "b": "changed"},
        "run raised KeyboardInterrupt",
        ["b"],
    ),
    "a job without a check has changed when it returns": (
        "def job_a(): note('run'); return 0",
        {"a": "changed"},
        "no check; a leaf",
        ["run"],
    ),
    "a check that returns 0 is broken and its job does not run": (
        """
        def check_a(): return 0
        def job_a(): note("run")
        """,
        {"a": "failed"},
        "its check is broken: it returned 0; a check holds when it returns None or True, "
        "and does not when it returns False",
        [],
    ),
    "a check that returns text is broken": (
        """
        def check_a(): return "x"
        def job_a(): note("run")
        """,
        {"a": "failed"},
        "its check is broken: it returned 'x'; a check holds when it returns None or True, "
        "and does not when it returns False",
        [],
    ),
    "a check with a NameError is broken and its job does not run": (
        """
        def check_a(): assert undefined
        def job_a(): note("run")
        """,
        {"a": "failed"},
        "its check is broken: NameError: name 'undefined' is not defined",
        [],
    ),
    "a check with an ImportError is broken": (
        """
        def check_a(): import nothing_of_that_name
        def job_a(): note("run")
        """,
        {"a": "failed"},
        "its check is broken: ModuleNotFoundError: No module named 'nothing_of_that_name'",
        [],
    ),
    "a check with a SyntaxError is broken": (
        """
        def check_a(): compile("(", "x", "exec")
        def job_a(): note("run")
        """,
        {"a": "failed"},
        None,
        [],
    ),
    "a check that breaks after the run is broken too": (
        """
        def check_a():
            if state["there"]: undefined
            return False
        def job_a(): state["there"] = True
        """,
        {"a": "failed"},
        "its check is broken: NameError: name 'undefined' is not defined",
        [],
    ),
    "all aspects must hold and each is asked": (
        """
        def check_a__one(): note("one")
        def check_a__two(): note("two"); assert state["there"]
        def check_a(): note("plain")
        def job_a(): state["there"] = True
        """,
        {"a": "changed"},
        "check did not hold: assert False",
        None,
    ),
    "a gate that holds is unchanged": (
        "def check_a(): note('asked')",
        {"a": "unchanged"},
        "check holds",
        ["asked"],
    ),
    "a gate that does not hold blocks what needs it": (
        """
        def check_a(): assert state["there"]
        @pytest.mark.job(needs="a")
        def job_b(): note("b")
        """,
        {"a": "failed", "b": "blocked"},
        "check did not hold: assert False",
        [],
    ),
    "a value is what the run returned": (
        """
        def job_a(): return {"url": "x"}
        def job_b(a): note(a)
        """,
        {"a": "changed", "b": "changed"},
        "no check; b takes its value",
        [{"url": "x"}],
    ),
    "a value is what describe returns, also if the check holds": (
        """
        def check_a(): pass
        def job_a(): note("run"); return "run"
        def describe_a(): note("describe"); return "described"
        def job_b(a): note(a)
        """,
        {"a": "unchanged", "b": "changed"},
        "check holds",
        ["describe", "described"],
    ),
    "describe comes after the recheck": (
        """
        def check_a(): note("check"); return state["there"]
        def job_a(): note("run"); state["there"] = True; return "run"
        def describe_a(): note("describe"); return "described"
        def job_b(a): note(a)
        """,
        {"a": "changed", "b": "changed"},
        "check did not hold: it returned False",
        ["check", "run", "check", "describe", "described"],
    ),
    "a describe that raises fails its job": (
        """
        def job_a(): pass
        def describe_a(): raise OSError("gone")
        def job_b(a): pass
        """,
        {"a": "failed", "b": "blocked"},
        "describe raised OSError: gone",
        [],
    ),
    "a job without check that nobody needs is a leaf and runs": (
        "def job_a(): note('run')",
        {"a": "changed"},
        "no check; a leaf",
        ["run"],
    ),
    "a job without check whose consumer does not run is not needed": (
        """
        def job_a(): note("a"); return 1
        def check_b(): pass
        def job_b(a): note("b")
        """,
        {"a": "unchanged", "b": "unchanged"},
        "not needed",
        [],
    ),
    "a job without check runs when a consumer will run": (
        """
        def job_a(): note("a"); return 1
        def check_b(): return state["there"]
        def job_b(a): note("b"); state["there"] = True
        """,
        {"a": "changed", "b": "changed"},
        "no check; b takes its value",
        ["a", "b"],
    ),
    "a chain of jobs without check that nobody wants does not run": (
        """
        def job_a(): note("a")
        def job_b(a): note("b")
        def check_c(): pass
        def job_c(b): note("c")
        """,
        {"a": "unchanged", "b": "unchanged", "c": "unchanged"},
        "not needed",
        [],
    ),
    "always runs a job that nobody needs": (
        """
        @pytest.mark.job(always=True)
        def job_a(): note("a"); return 1
        def check_b(): pass
        def job_b(a): note("b")
        """,
        {"a": "changed", "b": "unchanged"},
        None,
        ["a"],
    ),
    "needs runs a job without check": (
        """
        def job_a(): note("a")
        def check_b(): pass
        @pytest.mark.job(needs=["a"])
        def job_b(): note("b")
        """,
        {"a": "changed", "b": "unchanged"},
        None,
        ["a"],
    ),
    "a job whose check holds runs when its value is wanted and none is known": (
        """
        def check_a(): note("check")
        def job_a(): note("a"); return 1
        def job_b(a): note(a)
        """,
        {"a": "changed", "b": "changed"},
        "b takes its value, and none is known",
        ["check", "check", "a", "check", 1],
    ),
    "a check that takes a value has it made first": (
        """
        def job_a(): return 5
        def check_b(a): note(a); return True
        def job_b(): note("b")
        """,
        {"a": "changed", "b": "unchanged"},
        None,
        [5],
    ),
    "a check that takes its own job's value does not hold before the run": (
        """
        def check_a(a): note(a); return a == 7
        def job_a(): return 7
        """,
        {"a": "changed"},
        "check did not hold: its own value is not known yet",
        [7],
    ),
    "on_failure block blocks all that needs it, and the rest goes on": (
        """
        def job_a(): assert False
        def job_b(a): note("b")
        def job_c(b): note("c")
        @pytest.mark.job(after="a")
        def job_d(): note("d")
        """,
        {"a": "failed", "b": "blocked", "c": "blocked", "d": "changed"},
        "run raised assert False",
        ["d"],
    ),
    "on_failure continue lets others run": (
        """
        @pytest.mark.job(on_failure="continue")
        def job_a(): assert False
        @pytest.mark.job(needs="a")
        def job_b(): note("b")
        """,
        {"a": "failed", "b": "changed"},
        "run raised assert False",
        ["b"],
    ),
    "on_failure continue cannot give a value that is not there": (
        """
        @pytest.mark.job(on_failure="continue")
        def job_a(): assert False
        def job_b(a): note("b")
        """,
        {"a": "failed", "b": "blocked"},
        "run raised assert False",
        [],
    ),
    "a skip mark skips and blocks nobody but those who need it": (
        """
        @pytest.mark.skip(reason="not today")
        def job_a(): note("a")
        def job_b(a): note("b")
        def job_c(): note("c")
        @pytest.mark.skipif(True, reason="never")
        def job_d(): note("d")
        @pytest.mark.skipif(False, reason="always")
        def job_e(): note("e")
        """,
        {"a": "skipped", "b": "skipped", "c": "changed", "d": "skipped", "e": "changed"},
        "not today",
        None,
    ),
    "pytest.skip in a body skips": (
        """
        def job_a(): pytest.skip("no need")
        def job_b(a): note("b")
        def check_c(): pytest.skip("cannot tell")
        def job_c(): note("c")
        """,
        {"a": "skipped", "b": "skipped", "c": "skipped"},
        "no need",
        [],
    ),
    "pytest.fail in a body fails": (
        """
        def job_a(): pytest.fail("broken")
        def check_b(): pytest.fail("not there")
        def job_b(): note("b")
        """,
        {"a": "failed", "b": "failed"},
        "run raised Failed: broken",
        ["b"],
    ),
    # D24
    "an async check is awaited, and False does not hold": (
        """
        async def check_a():
            await asyncio.sleep(0)
            note("check")
            return state["there"]
        async def job_a():
            await asyncio.sleep(0)
            note("run")
            state["there"] = True
            return 3
        def job_b(a): note(a)
        """,
        {"a": "changed", "b": "changed"},
        "check did not hold: it returned False",
        ["check", "run", "check", 3],
    ),
    "async aspects are awaited": (
        """
        async def check_a__one(): return True
        async def check_a__two(): return state["there"]
        def check_a__three(): note("three")
        def job_a(): state["there"] = True
        """,
        {"a": "changed"},
        "check did not hold: it returned False",
        None,
    ),
    "a sync function that returns a coroutine is awaited": (
        """
        async def later(value): return value
        def check_a(): return later(state["there"])
        def job_a():
            state["there"] = True
            return later("value")
        def job_b(a): note(a)
        def check_c(): return later(False)
        def job_c(): pass
        """,
        {"a": "changed", "b": "changed", "c": "failed"},
        "check did not hold: it returned False",
        ["value"],
    ),
    "an async body that raises has failed": (
        """
        async def job_a(): raise OSError("no net")
        async def describe_b(): return 1
        async def job_b(): pass
        async def cleanup_b(): note("cleanup")
        """,
        {"a": "failed", "b": "changed"},
        "run raised OSError: no net",
        ["cleanup"],
    ),
}
