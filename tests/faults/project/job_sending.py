"""Jobs without a check, jobs that fail at first, and one that holds something open."""

import pytest

to = pytest.mark.parametrize("to", ["eu", "us", "jp"])


def job_token(act):
    return act.run("secret")


def check_send(act):
    return act.check()


@to
def job_send(act, to, token):
    assert token == "secret"
    return act.run(to)


@pytest.mark.job(needs=["send"])
def job_notice(act):
    act.run()


def cleanup_notice(act):
    act.clean()


def check_flaky(act):
    return act.check()


@pytest.mark.job(retries=2, retry_delay=0.004)
def job_flaky(act):
    act.run(fails=2)


def cleanup_flaky(act):
    act.clean()


@pytest.mark.job(retries=1)
def job_stubborn(act):
    act.run(fails=1)


def job_server(act):
    yield act.run("open")
    act.note("closed")


def check_client(act):
    return act.check()


@to
def job_client(act, to, server):
    assert server == "open"
    return act.run(to)
