"""What is asked of workers before anything runs, and how the code gets there."""


def test_a_project_that_workers_do_not_see_is_shipped(place, cluster):
    (place.folder / "deep").mkdir()
    (place.folder / "deep" / "__init__.py").write_text("")
    (place.folder / "deep" / "beside.py").write_text("WORD = 'shipped'\n")
    (place.folder / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    place.write(
        conftest="""
            import pytest

            @pytest.fixture
            def word():
                from deep.beside import WORD
                return WORD
        """,
        job_a="def job_a(word): note(f'{word} {os.getcwd()}')",
    )
    run = place.run(cluster.url, JOBTEST_TEST_ELSEWHERE="1")
    assert run.outcomes == {"a": "changed"}, run.text
    word, where = run.notes[0].split()
    assert word == "shipped"
    assert where != str(place.folder)
    assert "jobtest-code-" in where


def test_all_problems_of_all_workers_are_told_at_once(place, cluster, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "only_here.py").write_text("")
    place.write(job_a="import only_here\ndef job_a(): note('ran')")
    run = place.run(cluster.url, PYTHONPATH=str(tmp_path / "outside"))
    assert run.status == 4
    assert "a worker cannot collect the project" in run.text
    assert "No module named 'only_here'" in run.text
    assert run.text.count("at: Dask worker tcp://") == 2
    assert run.notes == []


def test_jobs_that_workers_do_not_find_are_named(place, cluster):
    place.write(
        job_a="""
            if os.environ.get("ONLY_HERE"):
                def job_missing(): note("ran")
            else:
                def job_too_much(): note("ran")
            def job_a(): note("ran")
        """
    )
    run = place.run(cluster.url, ONLY_HERE="1")
    assert run.status == 4
    assert "a worker does not find jobs: job_a.py::job_missing" in run.text
    assert "a worker finds jobs that this run does not have: job_a.py::job_too_much" in run.text
    assert run.notes == []


def test_inputs_that_a_worker_does_not_see_are_named(place, cluster):
    (place.folder / "data.csv").write_text("1")
    place.write(
        job_a="""
            import pytest

            @pytest.mark.job(inputs=["data.csv"])
            def job_a(): note("ran")
        """
    )
    assert place.run(cluster.url).outcomes == {"a": "changed"}
    run = place.run(cluster.url, JOBTEST_TEST_ELSEWHERE="1")
    assert run.status == 4
    assert "a worker does not see files that jobs name as inputs: data.csv" in run.text
