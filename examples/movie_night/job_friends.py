"""The friends: each is invited, each comes, and what they bring goes on the table."""

import pytest

each_friend = pytest.mark.parametrize("friend", ["Mia", "Noor", "Pavel", "Yuki"])

BRINGS = {"Mia": "lemonade", "Noor": "dates", "Pavel": "crisps", "Yuki": "green tea"}


def check_invite(flat, friend, params):
    assert flat.look(f"letter to {friend}") == f"Dear {friend}, come and see {params.movie}!"


@each_friend
def job_invite(flat, friend, params):
    """Write to a friend which movie there is."""
    flat.put(f"letter to {friend}", f"Dear {friend}, come and see {params.movie}!")


def check_arrive(flat, friend):
    assert flat.look(friend) == f"on the couch, brought {BRINGS[friend]}"


@each_friend
@pytest.mark.job(needs=["invite", "couch"])
def job_arrive(flat, friend):
    """Open the door: nobody comes without an invitation, and nobody stands."""
    flat.put(friend, f"on the couch, brought {BRINGS[friend]}")


def describe_arrive(flat, friend):
    return flat.look(friend).removeprefix("on the couch, brought ")


def check_table(flat, arrive):
    assert flat.look("table") == ", ".join(arrive.values())


def job_table(flat, arrive):
    """Lay the table with what everybody brought: `arrive` maps each friend to it."""
    flat.put("table", ", ".join(arrive.values()))
