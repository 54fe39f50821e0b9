"""One run on a cluster that is started for it."""


def test_jobs_run_on_a_cluster_of_their_own(place):
    place.write(
        job_a="""
            import os
            import pytest

            @pytest.fixture
            def folder(tmp_path):
                print("made")
                return tmp_path

            def job_a(folder):
                print("from a")
                os.system("echo from its child")
                return {"parent": os.getpid()}

            def check_b(a, checkpoint):
                assert checkpoint.get("seen") == a["parent"]

            def job_b(a, checkpoint):
                checkpoint.set("seen", a["parent"])
                assert os.getpid() == a["parent"], "both on the only worker"

            def job_c(b):
                raise ValueError("so what")
        """
    )
    run = place.run("dask://", "-J", "1", "-rA")
    assert run.outcomes == {"a": "changed", "b": "changed", "c": "failed"}, run.text
    assert run.status == 1
    assert "from a\nfrom its child" in run.text
    assert "ValueError: so what" in run.text
