"""Where a job applies: contexts, verbs, flags."""

import pytest

from jobtest.core.scope import Scope, Situation

DEV = Situation(context="dev", command="apply", flags={"beta": True, "gamma": False})
NONE = Situation()

CASES = [
    (Scope(), DEV, ""),
    (Scope(), NONE, ""),
    (Scope(contexts=("dev", "prod")), DEV, ""),
    (Scope(contexts=("prod", "qa")), DEV, "not in context dev (contexts: prod, qa)"),
    (Scope(contexts=("prod",)), NONE, "no context is chosen (contexts: prod)"),
    (Scope(not_contexts=("prod",)), DEV, ""),
    (Scope(not_contexts=("dev",)), DEV, "not in context dev (not_contexts: dev)"),
    (Scope(not_contexts=("dev",)), NONE, ""),
    (Scope(contexts=("dev",), not_contexts=("dev",)), DEV, "not in context dev (not_contexts: dev)"),
    (Scope(commands=("apply",)), DEV, ""),
    (Scope(commands=("delete",)), DEV, "not for command apply (commands: delete)"),
    (Scope(not_commands=("apply",)), DEV, "not for command apply (not_commands: apply)"),
    (Scope(commands=("apply",), not_commands=("apply",)), DEV, "not for command apply (not_commands: apply)"),
    (Scope(contexts=("dev",), commands=("delete",)), DEV, "not for command apply (commands: delete)"),
    (Scope(flag="beta"), DEV, ""),
    (Scope(flag="gamma"), DEV, "flag gamma is off"),
    (Scope(flag="beta", flag_off=True), DEV, "flag beta is on"),
    (Scope(flag="gamma", flag_off=True), DEV, ""),
    (Scope(flag="beta"), NONE, "flag beta is off"),
]


@pytest.mark.parametrize(("scope", "now", "reason"), CASES)
def test_a_scope_says_why_it_does_not_apply(scope, now, reason):
    assert scope.outside(now) == reason
