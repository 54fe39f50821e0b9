"""Who may write to a state in PostgreSQL: leases, take-overs, and what a late owner can do no more."""

import os
import re
import signal
import subprocess
import sys
from contextlib import closing, contextmanager

import pytest
from postgres_scenes import (
    expire,
    fresh_server,  # noqa: F401 - the fixture `pg`
    in_thread,
    opened,
    store_at,
    until,
    waiting,
)
from server import missing
from sqlite_scenes import changed, fill, read, said, started
from stores import ME, RIVAL

from jobtest.core.errors import StateError, StateLocked, StateLost
from jobtest.state.store import RunKept, RunRecord

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


@contextmanager
def killed(*processes):
    """Kill processes at the end, whatever has become of them."""
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def epoch(pg):
    return pg.rows("SELECT epoch FROM jobtest.lease")[0][0]


def test_who_comes_second_is_told_who_it_is_and_when_its_hold_ends(pg):
    # R38
    rival = store_at(pg.url())
    with closing(opened(pg.url(), lease=30)) as store, closing(rival), pytest.raises(StateLocked) as error:
        rival.own(RIVAL)

    assert said(error).what == (
        "the state is in use by process 4711 on 'box' since 2023-11-14 22:13:20 UTC: pytest --orchestrate"
    ) or said(error).what.startswith(
        "the state is in use by process 1 on 'here' since 1970-01-01 00:00:00 UTC"
    )
    assert re.fullmatch(
        r"wait with --job-lock-timeout SECONDS, or stop process 1; if it is dead, its hold ends by itself at "
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, in (30|2\d) s",
        said(error).fix,
    )
    assert said(error).at == (store.url,)


def test_who_waits_gets_it_as_soon_as_it_is_let_go_of(pg):
    # R39
    store, rival = opened(pg.url()), store_at(pg.url())
    join = in_thread(lambda: rival.own(RIVAL, timeout=60))
    with pytest.raises(StateLocked):
        store_at(pg.url()).own(RIVAL, timeout=0.1)
    store.close()
    join()
    assert rival.owner() == RIVAL
    rival.close()
    assert rival.owner() is None


def test_the_hold_of_a_dead_owner_ends_by_itself(pg):
    dead = opened(pg.url(), lease=0.2)
    dead._lease.abandon()
    with closing(store_at(pg.url())) as rival:
        rival.own(RIVAL, timeout=60)
        assert (rival.owner(), epoch(pg)) == (RIVAL, 2)
    with pytest.raises(StateLost):
        dead.commit()
    dead.close()


def test_a_live_owner_renews_its_lease(pg):
    with closing(opened(pg.url(), lease=1.5)) as store:
        first = pg.rows("SELECT expires FROM jobtest.lease")
        until(lambda: pg.rows("SELECT expires FROM jobtest.lease") > first)
        store.write(RunKept(RunRecord(id="r")))
        store.commit()


def test_a_late_owner_writes_nothing_and_is_told_who_has_it_now(pg):
    # R47, E23
    late, rival = opened(pg.url()), store_at(pg.url())
    fill(late, ["r1"])
    expire(pg)
    with closing(rival):
        rival.own(RIVAL)
        before = read(rival)
        for change in changed("r1", 3):
            late.write(change)
        for use in (late.commit, late.commit, lambda: late.write(started("r2")[0])):
            with pytest.raises(StateLost) as error:
                use()
            assert error.value.problem.what == (
                "another run has taken the state over: process 2 on 'there' since 1970-01-01 00:00:01 UTC: "
                "pytest --orchestrate elsewhere"
            )
        late.close()
        assert read(rival) == before
        assert rival.owner() == RIVAL
        fill(rival, ["r2"])


def test_a_lease_that_has_ended_is_lost_even_if_nobody_has_taken_it(pg):
    late = opened(pg.url())
    late.write(started("r1")[0])
    expire(pg)
    with pytest.raises(StateLost, match="this run has not renewed its hold on the state for 3000 s"):
        late.commit()
    late.close()
    assert late.runs() == []
    late.close()


def test_a_renewal_that_comes_too_late_finds_out(pg):
    late, rival = opened(pg.url()), store_at(pg.url())
    expire(pg)
    with closing(rival):
        rival.own(RIVAL)
        late._lease.renew()
        with pytest.raises(StateLost, match="another run has taken the state over: process 2 on 'there'"):
            late.commit()
        late.close()
        assert rival.owner() == RIVAL


@pytest.mark.parametrize("seconds", [25, 100])
def test_an_owner_that_could_not_renew_gives_up_before_anybody_else_can_have_it(pg, seconds):
    # R139
    late = opened(pg.url(), lease=30)
    late._lease._renewed -= seconds
    with pytest.raises(StateLost, match=f"the state could not be reached for {seconds:.0f} s"):
        late.write(started("r1")[0])
    late.close()


def test_a_take_over_waits_for_what_the_old_owner_is_about_to_commit(pg):
    old, rival = opened(pg.url()), store_at(pg.url())
    with pg.connect() as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT jobtest.insist(%s)", (old._lease.epoch,))
        expire(pg)
        join = in_thread(lambda: rival.own(RIVAL))
        until(lambda: waiting(pg))
        assert epoch(pg) == 1
        connection.execute("COMMIT")
    join()
    assert (epoch(pg), rival.owner()) == (2, RIVAL)
    for store in (old, rival):
        store.close()


def test_renewals_and_transactions_do_not_wait_for_each_other(pg):
    with closing(opened(pg.url())) as store, pg.connect() as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT jobtest.insist(%s)", (store._lease.epoch,))
        first = pg.rows("SELECT expires FROM jobtest.lease")
        store._lease.renew()
        assert pg.rows("SELECT expires FROM jobtest.lease") > first
        connection.execute("COMMIT")


def test_of_many_at_once_one_after_the_other_owns_it(pg):
    # R40
    pg.rows("DROP SCHEMA IF EXISTS jobtest CASCADE")
    epochs = []

    def life(number):
        with closing(store_at(pg.url())) as store:
            store.own(ME, timeout=60)
            epochs.append(epoch(pg))
            fill(store, [f"r{number}"])

    for join in [in_thread(lambda number=number: life(number)) for number in range(8)]:
        join()
    assert epochs == [*range(1, 9)]
    with closing(store_at(pg.url())) as store:
        assert [run.id for run in store.runs()] == [f"r{number}" for number in reversed(range(8))]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_cannot_write_and_does_no_harm(pg):
    with closing(opened(pg.url())) as store:
        fill(store, ["r1"])
        child = os.fork()
        if not child:
            try:
                store.close()
                store.write(started("r2")[0])
            except StateError as error:
                os._exit(7 * ("without being owned" in str(error)))
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        fill(store, ["r2"])
        assert [run.id for run in store.runs()] == ["r2", "r1"]


LIFE = """
import sys
from jobtest.core.errors import StateLost
from jobtest.core.events import BackoffEnded, Entry
from jobtest.state.postgres import PostgresStore
from jobtest.state.store import Owner

store = PostgresStore(sys.argv[1], lease=0.6)
store.own(Owner(host="here", pid=1, since=0.0, command="life"))
seq = 0
try:
    while True:
        store.write(Entry(seq, 1.0, "r", BackoffEnded("a")))
        store.commit()
        seq += 1
        if seq == 1:
            print("writing", flush=True)
except StateLost:
    print("lost", flush=True)
"""


def test_an_owner_that_was_stopped_and_goes_on_writes_nothing_more(pg):
    # R47, R139
    command = [sys.executable, "-c", LIFE, pg.url()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as life, killed(life):
        assert life.stdout.readline() == "writing\n"
        life.send_signal(signal.SIGSTOP)
        with closing(store_at(pg.url())) as rival:
            rival.own(RIVAL, timeout=60)
            before = read(rival)
            life.send_signal(signal.SIGCONT)
            assert life.communicate(timeout=60)[0] == "lost\n"
            assert read(rival) == before


JOBS = """
import os
from pathlib import Path

HERE = Path(__file__).parent


def note(line):
    with open(HERE / "ledger", "a") as ledger:
        ledger.write(f"{line} {os.getpid()}\\n")


def check_a():
    assert (HERE / "a").exists()


def job_a():
    note("a")
    (HERE / "a").touch()


def check_b(a):
    assert (HERE / "b").exists()


def job_b(a):
    note("b")
    (HERE / "b").touch()
"""


def test_two_runs_on_one_state_run_each_job_once(pg, tmp_path):
    # E23
    (tmp_path / "job_it.py").write_text(JOBS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "--orchestrate", f"--job-state={pg.url()}"]
    runs = [
        subprocess.Popen([*command, "--job-lock-timeout=60"], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    with killed(*runs):
        told = [run.communicate(timeout=120)[0] for run in runs]

    assert [run.returncode for run in runs] == [0, 0], told
    ran = [line.split() for line in (tmp_path / "ledger").read_text().splitlines()]
    assert [job for job, _ in ran] == ["a", "b"]
    assert len({process for _, process in ran}) == 1
    with closing(store_at(pg.url())) as store:
        assert sorted(str(run.totals) for run in store.runs()) == ["{'changed': 2}", "{'unchanged': 2}"]
        assert [len(list(store.entries(run.id))) > 4 for run in store.runs()] == [True, True]
