"""What of a project takes part, and in which order it starts (PRODUCT 7.3, 7.4)."""

import pytest

SHOP = """
    import pytest
    from seen import note
    def job_base(): note("base"); return "base"
    @pytest.mark.slow
    @pytest.mark.parametrize("region", ["eu", "us"])
    def job_build(region, base): note("build " + region); return region
    @pytest.mark.parametrize("region", ["eu", "us"])
    def job_deploy(region, build): note("deploy " + region)
    def check_site(): note("check site"); assert "site" in state
    @pytest.mark.job(needs=["deploy"])
    def job_site(): note("site"); state.append("site")
    def job_report(): note("report")
    @pytest.mark.job(after=["report"])
    def job_mail(): note("mail")
    state = []
"""
ALL = {"base", "build[eu]", "build[us]", "deploy[eu]", "deploy[us]", "site", "report", "mail"}
EU = {"base", "build[eu]", "deploy[eu]"}
BUILDS = {"base", "build[eu]", "build[us]"}

CASES = {
    "everything": ([], ALL),
    "a path": (["job_it.py"], ALL),
    "the folder": (["."], ALL),
    "a node id": (["job_it.py::job_deploy"], {*BUILDS, "deploy[eu]", "deploy[us]"}),
    "a node id with parameters": (["job_it.py::job_deploy[eu]"], EU),
    "two node ids": (["job_it.py::job_deploy[eu]", "job_it.py::job_report"], {*EU, "report"}),
    "a node id and its file": (["job_it.py::job_report", "job_it.py"], ALL),
    "-k": (["-k", "deploy and eu"], EU),
    "-k not": (["-k", "not (build or deploy or base)"], ALL),
    "-m": (["-m", "slow"], BUILDS),
    "--deselect": (
        ["--deselect=job_it.py::job_site", "--deselect=job_it.py::job_deploy"],
        {*BUILDS, "report", "mail"},
    ),
    "--deselect of an upstream": (["--deselect=job_it.py::job_base"], ALL),
    "only": (["--job-only", "site"], ALL - {"report", "mail"}),
    "only one without upstream": (["--job-only", "report"], {"report"}),
    "only two": (["--job-only", "report", "--job-only", "mail"], {"report", "mail"}),
    "only an instance": (["--job-only", "deploy[eu]"], EU),
    "only by full reference": (["--job-only", "job_it.py::job_base"], {"base"}),
    "only by function": (["--job-only", "job_base"], {"base"}),
    "only, after": (["--job-only", "mail"], {"mail"}),
    "downstream": (["--job-only", "build[eu]", "--job-downstream"], ALL - {"report", "mail"}),
    "downstream of -k": (["-k", "report", "--job-downstream"], {"report"}),
    "downstream of all": (["--job-downstream"], ALL),
    "-k and only": (["-k", "eu", "--job-only", "deploy"], EU),
    "node id and -k": (["job_it.py::job_deploy", "-k", "us"], {"base", "build[us]", "deploy[us]"}),
}


@pytest.fixture
def shop(jobs):
    """Run the shop."""
    (jobs.path / "pytest.ini").write_text("[pytest]\nmarkers = slow\n")
    return lambda *args: jobs(SHOP, *args)


@pytest.mark.parametrize(("args", "expected"), list(CASES.values()), ids=list(CASES))
def test_what_is_selected_comes_with_all_it_needs_and_nothing_else(shop, args, expected):
    run = shop(*args)
    assert run.ret == 0, run.text + run.errors
    assert set(run.outcomes) == expected
    notes = {note.replace("[", " ").replace("]", "") for note in run.seen} - {"check site"}
    assert notes == {name.replace("[", " ").replace("]", "") for name in expected}


def test_what_is_left_out_is_counted_as_deselected(shop):
    run = shop("-k", "report")
    assert run.counts() == {"passed": 1, "deselected": 7}
    run = shop("--job-only", "deploy[eu]")
    assert run.counts() == {"passed": 3, "deselected": 5}


def test_an_excluded_job_is_skipped_with_what_needs_it(shop):
    run = shop("--job-exclude", "build[eu]")
    assert run.ret == 0
    assert {name for name, outcome in run.outcomes.items() if outcome == "skipped"} == {
        "build[eu]",
        "deploy[eu]",
        "site",
    }
    assert set(run.outcomes) == ALL
    assert run.reasons["build[eu]"] == "excluded by --job-exclude"
    assert run.reasons["site"] == "upstream build[eu] is skipped: excluded by --job-exclude"
    assert "build eu" not in run.seen


def test_excluding_what_another_only_follows_skips_nothing_else(shop):
    run = shop("--job-exclude", "report")
    assert run.outcomes["report"] == "skipped"
    assert run.outcomes["mail"] == "changed"


def test_exclude_wins_over_only(shop):
    run = shop("--job-only", "deploy[eu]", "--job-exclude", "build")
    assert run.outcomes == {"base": "unchanged", "build[eu]": "skipped", "deploy[eu]": "skipped"}


def test_a_forced_job_runs_although_its_check_holds(jobs):
    source = """
        from seen import note
        def check_a(): pass
        def job_a(): note("a")
        def check_b(a): pass
        def job_b(a): note("b")
    """
    assert jobs(source).seen == ["a"]
    run = jobs.run("--job-force", "b")
    assert run.seen == ["a", "b"]
    assert run.outcomes["b"] == "changed"
    assert run.reasons["b"] == "forced"


def test_force_is_for_exactly_that_job(jobs):
    run = jobs(
        """
        from seen import note
        def check_a(): pass
        def job_a(): note("a")
        def check_b(): pass
        def job_b(a): note("b")
        def check_c(): pass
        def job_c(): note("c")
        """,
        "--job-force",
        "c",
    )
    assert run.seen == ["c"]
    assert run.outcomes == {"a": "unchanged", "b": "unchanged", "c": "changed"}


def test_a_forced_job_takes_part_whatever_is_selected(shop):
    run = shop("--job-force", "base", "--job-only", "report")
    assert run.seen == ["base", "report"]


def test_one_root_and_only_what_it_needs_exists(jobs):
    """D6."""
    run = jobs(
        """
        from seen import note
        def job_a(): note("a")
        def job_b(): note("b")
        def job_root(a): note("root")
        def job_other(b): note("other")
        """,
        "--job-only",
        "root",
        "--job-report=r.json",
    )
    assert run.seen == ["a", "root"]
    assert '"other"' not in (jobs.path / "r.json").read_text()


# --- what runs of what is selected (4.5) ---


def test_a_job_without_check_that_nobody_needs_now_does_not_run(jobs):
    run = jobs("""
        from seen import note
        def job_build(): note("build")
        def check_deploy(): pass
        def job_deploy(build): note("deploy")
    """)
    assert run.seen == []
    assert run.outcomes == {"build": "unchanged", "deploy": "unchanged"}
    assert run.reasons["build"] == "not needed"


@pytest.mark.parametrize("args", [["job_it.py::job_build"], ["--job-only", "build"]])
def test_a_job_without_check_runs_when_it_is_named(jobs, args):
    source = """
        from seen import note
        def job_build(): note("build")
        def check_deploy(): pass
        def job_deploy(build): note("deploy")
    """
    assert jobs(source, *args, "--job-downstream").seen == ["build"]


def test_a_job_that_is_always_runs_although_nobody_needs_it(jobs):
    run = jobs("""
        import pytest
        from seen import note
        @pytest.mark.job(always=True)
        def job_build(): note("build")
        def check_deploy(): pass
        def job_deploy(build): note("deploy")
    """)
    assert run.seen == ["build"]


# --- order ---


def test_among_ready_jobs_the_definition_order_decides(jobs):
    names = "delta alpha charlie bravo"
    source = "from seen import note\n" + "".join(f"def job_{one}(): note({one!r})\n" for one in names.split())
    assert jobs(source).seen == names.split()


def test_files_go_in_the_order_of_collection(jobs):
    for name in ("b/job_1", "a/job_2", "job_3"):
        jobs.write({f"{name}.py": f"from seen import note\ndef job_{name[-1]}(): note({name!r})"})
    assert jobs.run().seen == ["a/job_2", "b/job_1", "job_3"]


def test_a_higher_priority_goes_first(jobs):
    run = jobs("""
        import pytest
        from seen import note
        def job_a(): note("a")
        @pytest.mark.job(priority=1)
        def job_b(): note("b")
        @pytest.mark.job(priority=-1)
        def job_c(): note("c")
        @pytest.mark.job(priority=10)
        def job_d(c): note("d")
        def job_e(): note("e")
    """)
    assert run.seen == ["b", "a", "e", "c", "d"]


def test_the_longer_way_to_the_end_goes_first(jobs):
    run = jobs("""
        from seen import note
        def job_short(): note("short")
        def job_middle(): note("middle")
        def job_middle_end(middle): note("middle end")
        def job_long(): note("long")
        def job_long_more(long): note("long more")
        def job_long_end(long_more): note("long end")
    """)
    assert run.seen == ["long", "middle", "long more", "short", "middle end", "long end"]


def test_a_plan_and_a_list_are_in_the_order_of_starting(jobs):
    source = """
        import pytest
        def job_a(): 1/0
        def job_b(): 1/0
        def job_c(b): 1/0
        @pytest.mark.job(priority=1)
        def job_d(): 1/0
    """
    run = jobs(source, "--plan")
    assert [id[-1] for id in run.plan.order] == ["d", "b", "a", "c"]
    lines = [line[2] for line in run.text.splitlines() if line.startswith("~ ")]
    assert lines == ["d", "b", "a", "c"]
    assert run.seen == []


def test_priority_goes_before_the_longer_way(jobs):
    run = jobs("""
        import pytest
        from seen import note
        def job_long(): note("long")
        def job_end(long): note("end")
        @pytest.mark.job(priority=1)
        def job_short(): note("short")
    """)
    assert run.seen == ["short", "long", "end"]


def test_upstream_goes_first_whatever_its_priority(jobs):
    run = jobs("""
        import pytest
        from seen import note
        @pytest.mark.job(priority=99)
        def job_b(a): note("b")
        @pytest.mark.job(priority=-99)
        def job_a(): note("a")
    """)
    assert run.seen == ["a", "b"]


def test_the_leaf_of_a_diamond_runs_once(jobs):
    """D5."""
    run = jobs("""
        from seen import note
        def job_top(left, right): note("top")
        def job_left(leaf): note("left")
        def job_right(leaf): note("right")
        def job_leaf(): note("leaf")
    """)
    assert run.seen == ["leaf", "left", "right", "top"]
