"""What else a job can be: async, described, in steps, over files; and the last, which needs all."""

import asyncio
from pathlib import Path

import pytest
from world import HERE, there


async def check_later(act):
    await asyncio.sleep(0)
    return act.check()


async def job_later(act):
    await asyncio.sleep(0.001)
    return act.run(7)


async def cleanup_later(act):
    await asyncio.sleep(0)
    act.clean()


def check_version(act):
    return act.check()


def job_version(act):
    act.run()


def describe_version(act):
    return act.describe("1.0")


def check_deploy(act):
    return act.check()


def job_deploy(act, version, later):
    assert (version, later) == ("1.0", 7)
    act.run()


def check_steps(act):
    return act.check()


def job_steps(act, checkpoint):
    for step in range(checkpoint.get("done", 0), 3):
        act.note(f"step {step}")
        act.fault(f"step {step}")
        checkpoint.set("done", step + 1)
    act.run()


@pytest.mark.job(inputs="world.py", outputs="copied.txt")
def job_copied(act):
    act.run()
    Path(HERE, "copied.txt").write_text("the same whenever it is written")


@pytest.mark.job(always=True)
def job_beat(act):
    act.run()


def check_final(act):
    return act.check()


@pytest.mark.job(needs=["report", "notice", "flaky", "client", "deploy", "steps", "copied", "gate"])
def job_final(act, merge):
    assert all(map(there, ("report", "notice", "flaky", "client[jp]", "deploy", "steps", "copied")))
    return act.run(merge)


def cleanup_final(act):
    act.clean()


def job_last(act, final):
    assert final == 60
    act.run()
