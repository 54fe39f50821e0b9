"""Projects with one mistake each, and what is told of it."""

import textwrap

FINE = """\
import pytest
from seen import note
def job_fine(): note("ran")
"""
"""Stands before each source below, so that their first line is line 4."""


def source(text):
    return FINE + textwrap.dedent(text).lstrip("\n")


UNKNOWN_NAMES = {
    "a parameter that is spelled almost like a job": (
        """
        def job_build(): note("ran")
        def job_deploy(biuld): note("ran")
        """,
        """
        job 'deploy' asks for 'biuld', which is neither a job nor a fixture
          at: job_it.py:5 job_deploy
          fix: did you mean 'build' (job_it.py:4)?
        """,
    ),
    "a parameter that is spelled almost like a fixture of the project": (
        """
        @pytest.fixture
        def server(): return 1
        def job_deploy(sevrer): note("ran")
        """,
        """
        job 'deploy' asks for 'sevrer', which is neither a job nor a fixture
          at: job_it.py:6 job_deploy
          fix: did you mean 'server'?
        """,
    ),
    "a parameter that is spelled almost like a fixture of pytest": (
        """
        def job_deploy(tmp_pth): note("ran")
        """,
        """
        job 'deploy' asks for 'tmp_pth', which is neither a job nor a fixture
          at: job_it.py:4 job_deploy
          fix: did you mean 'tmp_path'?
        """,
    ),
    "a parameter like nothing else": (
        """
        def job_deploy(xxxxxxxx): note("ran")
        """,
        """
        job 'deploy' asks for 'xxxxxxxx', which is neither a job nor a fixture
          at: job_it.py:4 job_deploy
          fix: jobs and fixtures are: fine
        """,
    ),
    "a parameter of a check": (
        """
        def check_deploy(fien): note("ran")
        def job_deploy(): note("ran")
        """,
        """
        job 'deploy' asks for 'fien', which is neither a job nor a fixture
          at: job_it.py:4 check_deploy
          fix: did you mean 'fine' (job_it.py:3)?
        """,
    ),
    "a parameter of a cleanup": (
        """
        def job_deploy(): note("ran")
        def cleanup_deploy(fien): note("ran")
        """,
        """
        job 'deploy' asks for 'fien', which is neither a job nor a fixture
          at: job_it.py:5 cleanup_deploy
          fix: did you mean 'fine' (job_it.py:3)?
        """,
    ),
    "a parameter of a fixture": (
        """
        @pytest.fixture
        def server(fien): return 1
        def job_deploy(server): note("ran")
        """,
        """
        job 'deploy' asks for 'fien', which is neither a job nor a fixture
          at: job_it.py:4 fixture server, for job_it.py:6 job_deploy
          fix: did you mean 'fine' (job_it.py:3)?
        """,
    ),
    "usefixtures": (
        """
        @pytest.mark.usefixtures("fien")
        def job_deploy(): note("ran")
        """,
        """
        job 'deploy' needs 'fien', which is not a job
          at: job_it.py:4 job_deploy
          fix: did you mean 'fine' (job_it.py:3)?
        """,
    ),
    "a name spelled as a function": (
        """
        def job_deploy(job_fien): note("ran")
        """,
        """
        job 'deploy' asks for 'job_fien', which is neither a job nor a fixture
          at: job_it.py:4 job_deploy
          fix: did you mean 'fine' (job_it.py:3)?
        """,
    ),
    "needs": (
        """
        @pytest.mark.job(needs=["fien"])
        def job_deploy(): note("ran")
        """,
        """
        job 'deploy' needs 'fien', which is not a job
          at: job_it.py:4 job_deploy
          fix: did you mean 'fine' (job_it.py:3)?
        """,
    ),
    "after": (
        """
        @pytest.mark.job(after="fien")
        def job_deploy(): note("ran")
        """,
        """
        job 'deploy' comes after 'fien', which is not a job
          at: job_it.py:4 job_deploy
          fix: did you mean 'fine' (job_it.py:3)?
        """,
    ),
    "a full reference": (
        """
        @pytest.mark.job(needs={"build": "job_it.py::job_fien"})
        def job_deploy(build): note("ran")
        """,
        """
        job 'deploy' needs 'job_it.py::job_fien', which is not a job
          at: job_it.py:4 job_deploy
          fix: did you mean 'job_it.py::job_fine'?
        """,
    ),
    "a parameter in needs that the job does not have": (
        """
        @pytest.mark.job(needs={"biuld": "job_it.py::job_fine"})
        def job_deploy(build): note("ran")
        def job_build(): note("ran")
        """,
        """
        job 'deploy': needs names 'biuld', which is none of its parameters
          at: job_it.py:4 job_deploy
          fix: did you mean 'build'?
        """,
    ),
    "an instance that does not exist": (
        """
        @pytest.mark.parametrize("region", ["eu", "us"])
        def job_build(region): note("ran")
        @pytest.mark.job(needs=["build[asia]"])
        def job_deploy(): note("ran")
        """,
        """
        job 'deploy' needs 'build[asia]', which is not a job
          at: job_it.py:6 job_deploy
          fix: its instances are: job_it.py::job_build[eu], job_it.py::job_build[us]
        """,
    ),
    "a counterpart that does not exist": (
        """
        @pytest.mark.parametrize("region", ["eu", "us"])
        def job_build(region): note("ran")
        @pytest.mark.parametrize("region", ["eu", "asia"])
        def job_deploy(region, build): note("ran")
        """,
        """
        job 'job_it.py::job_deploy[asia]' asks for 'build' with region='asia', which does not exist
          at: job_it.py:6 job_deploy
          at: job_it.py:4 job_build
          fix: its instances are: job_it.py::job_build[eu], job_it.py::job_build[us]
        """,
    ),
}

CYCLES = {
    "of one job": (
        """
        def job_deploy(deploy): note("ran")
        """,
        """
        job 'deploy' waits for itself
          at: deploy takes the value of deploy: job_it.py:4 job_deploy
          fix: take one of these edges away
        """,
    ),
    "of two jobs": (
        """
        def job_build(deploy): note("ran")
        @pytest.mark.job(needs=["build"])
        def job_deploy(): note("ran")
        """,
        """
        jobs wait for each other in a circle: build -> deploy -> build
          at: build takes the value of deploy: job_it.py:4 job_build
          at: deploy needs build: job_it.py:5 job_deploy
          fix: take one of these edges away
        """,
    ),
    "of three jobs": (
        """
        def job_build(deploy): note("ran")
        @pytest.mark.job(after=["build"])
        def job_sign(): note("ran")
        @pytest.mark.usefixtures("sign")
        def job_deploy(): note("ran")
        """,
        """
        jobs wait for each other in a circle: build -> deploy -> sign -> build
          at: build takes the value of deploy: job_it.py:4 job_build
          at: deploy needs sign: job_it.py:7 job_deploy
          at: sign comes after build: job_it.py:5 job_sign
          fix: take one of these edges away
        """,
    ),
    "through a fixture": (
        """
        @pytest.fixture(scope="session")
        def server(deploy): return 1
        def job_deploy(server): note("ran")
        """,
        """
        job 'deploy' waits for itself
          at: deploy takes the value of deploy: job_it.py:4 fixture server, for job_it.py:6 job_deploy
          fix: take one of these edges away
        """,
    ),
    "through two fixtures and two jobs": (
        """
        @pytest.fixture
        def inner(deploy): return 1
        @pytest.fixture
        def server(inner): return 1
        def job_build(server): note("ran")
        def job_deploy(build): note("ran")
        """,
        """
        jobs wait for each other in a circle: build -> deploy -> build
          at: build takes the value of deploy: job_it.py:4 fixture inner, for job_it.py:8 job_build
          at: deploy takes the value of build: job_it.py:9 job_deploy
          fix: take one of these edges away
        """,
    ),
}

NAMES = {
    "a job and a fixture of one name": (
        """
        @pytest.fixture
        def build(): return 1
        def job_build(): note("ran")
        def job_deploy(build): note("ran")
        """,
        """
        job 'deploy' asks for 'build', which is both a job and a fixture
          at: job_it.py:7 job_deploy
          at: job_it.py:4 fixture build
          fix: write job_build for the job, or rename one of them
        """,
    ),
    "a cleanup without a job": (
        """
        def cleanup_fien(): note("ran")
        """,
        """
        cleanup_fien has no job
          at: job_it.py:4 cleanup_fien
          fix: did you mean cleanup_fine?
        """,
    ),
    "a describe like no job": (
        """
        def describe_xxxxxxxx(): note("ran")
        """,
        """
        describe_xxxxxxxx has no job
          at: job_it.py:4 describe_xxxxxxxx
          fix: write job_xxxxxxxx, or remove it
        """,
    ),
    "a rollback without a job": (
        """
        def rollback_fien(): note("ran")
        """,
        """
        rollback_fien has no job
          at: job_it.py:4 rollback_fien
          fix: did you mean rollback_fine?
        """,
    ),
    "a check that is a slip of the pen": (
        """
        def check_fnie(): note("ran")
        """,
        """
        check_fnie has no job, and job_fine has no check
          at: job_it.py:4 check_fnie
          at: job_it.py:3 job_fine
          fix: rename it to check_fine, or give the gate a name less like it
        """,
    ),
    "a function that is there twice": (
        """
        def job_build(): note("ran")
        def job_build(): note("ran")
        """,
        """
        job_build is defined twice in one file
          at: job_it.py:4 job_build
          at: job_it.py:5 job_build
          fix: rename one of them
        """,
    ),
    "a check that is there twice": (
        """
        async def check_fine(): note("ran")
        def check_fine(): note("ran")
        """,
        """
        check_fine is defined twice in one file
          at: job_it.py:4 check_fine
          at: job_it.py:5 check_fine
          fix: rename one of them
        """,
    ),
}

KINDS = {
    "an async generator": (
        """
        async def job_build(): yield note("ran")
        """,
        """
        job_build is an async generator
          at: job_it.py:4 job_build
          fix: use async def with return, or def with yield
        """,
    ),
    "a check that is an async generator": (
        """
        async def check_fine(): yield note("ran")
        """,
        """
        check_fine is an async generator
          at: job_it.py:4 check_fine
          fix: use async def with return, or def with yield
        """,
    ),
    "two yields": (
        """
        def job_build():
            yield note("ran")
            yield 2
        """,
        """
        job_build yields more than once
          at: job_it.py:4 job_build
          fix: one yield: before it set up, after it tear down
        """,
    ),
    "a check that yields": (
        """
        def check_fine(): yield note("ran")
        """,
        """
        check_fine yields; only a job can hold something open
          at: job_it.py:4 check_fine
          fix: use return
        """,
    ),
    "parametrize on a check": (
        """
        @pytest.mark.parametrize("x, y", [(1, 2)])
        def check_fine(x, y): note("ran")
        """,
        """
        check_fine has the mark parametrize
          at: job_it.py:4 check_fine
          fix: put it on job_fine
        """,
    ),
    "skip on a check": (
        """
        @pytest.mark.skip
        def check_fine(): note("ran")
        """,
        """
        check_fine has the mark skip
          at: job_it.py:4 check_fine
          fix: put it on job_fine
        """,
    ),
    "job on a check": (
        """
        @pytest.mark.job(retries=1)
        def check_fine(): note("ran")
        """,
        """
        check_fine has the mark job
          at: job_it.py:4 check_fine
          fix: put it on job_fine
        """,
    ),
    "xfail": (
        """
        @pytest.mark.xfail
        def job_build(): note("ran")
        """,
        """
        job_build has the mark xfail, which says nothing about a job
          at: job_it.py:4 job_build
          fix: remove it
        """,
    ),
}
