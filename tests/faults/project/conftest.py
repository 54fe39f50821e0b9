import pytest
import stores
from world import Act, fault, note


def pytest_sessionstart(session):
    stores.wrap(session.config)


@pytest.fixture
def act(request, attempt):
    """What a job does; named like the job, set up for each attempt."""
    job = request.node.name.removeprefix("job_").removeprefix("check_")
    fault(job, "fixture", "setup")
    yield Act(job, attempt)
    fault(job, "fixture", "teardown")


@pytest.fixture(scope="module")
def machine():
    """Something that several jobs share."""
    fault("machine", "fixture", "setup")
    note("machine", 0, "fixture", "begin")
    yield "machine"
    fault("machine", "fixture", "teardown")
    note("machine", 0, "fixture", "end")
