"""Calling the user's functions, and what comes of it."""

import asyncio

import pytest

from jobtest.core.model import Failure, Job, Phase, Verdict
from jobtest.engine.calls import (
    NO_VALUE,
    FunctionCall,
    Output,
    Ticket,
    failure_of,
    judge,
    one_line,
    short_repr,
)

PHASES = [Phase.CHECK, Phase.RECHECK]


def ticket(phase=Phase.RUN):
    return Ticket(Job.of("a", check=True), 1, phase)


def call(function, phase=Phase.RUN, **arguments):
    return FunctionCall(ticket(phase), function, arguments)()


def raiser(error):
    def body():
        raise error

    return body


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize(
    ("value", "verdict"), [(None, Verdict.OK), (True, Verdict.OK), (False, Verdict.NOT_HOLDING)]
)
def test_a_check_holds_when_it_returns_none_or_true(phase, value, verdict):
    assert call(lambda: value, phase).verdict is verdict


def test_a_check_that_returns_false_says_so():
    assert call(lambda: False, Phase.CHECK).failure == Failure("it returned False")


@pytest.mark.parametrize("value", [0, 1, "x", "", [], 0.0])
def test_a_check_that_returns_anything_else_is_broken(value):
    result = call(lambda: value, Phase.CHECK)
    assert result.verdict is Verdict.BROKEN
    rule = "a check holds when it returns None or True, and does not when it returns False"
    assert str(result.failure) == f"it returned {value!r}; {rule}"
    assert str(result.error) == f"check of 'a': it returned {value!r}; {rule}"


@pytest.mark.parametrize(
    "error", [AssertionError("1 == 2"), OSError("gone"), SystemExit(3), KeyboardInterrupt()]
)
def test_a_check_that_raises_does_not_hold(error):
    result = call(raiser(error), Phase.CHECK)
    assert (result.verdict, result.error) == (Verdict.NOT_HOLDING, error)
    assert result.failure.text == ""


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize(
    "error", [NameError("x"), UnboundLocalError("x"), ModuleNotFoundError("x"), SyntaxError("x")]
)
def test_a_check_with_a_mistake_in_it_is_broken(phase, error):
    result = call(raiser(error), phase)
    assert result.verdict is Verdict.BROKEN
    assert "Traceback" in result.failure.text


def test_a_recheck_keeps_its_traceback():
    assert "Traceback" in call(raiser(OSError("gone")), Phase.RECHECK).failure.text


@pytest.mark.parametrize("phase", [Phase.RUN, Phase.DESCRIBE, Phase.CLOSE, Phase.CLEANUP])
@pytest.mark.parametrize("error", [NameError("x"), SystemExit(0), KeyboardInterrupt(), GeneratorExit()])
def test_whatever_another_phase_raises_is_its_failure(phase, error):
    result = call(raiser(error), phase)
    assert (result.verdict, result.error, result.value) == (Verdict.RAISED, error, NO_VALUE)
    assert "Traceback" in result.failure.text


def test_what_a_run_phase_returns_is_its_value():
    assert call(lambda x: x + 1, x=1).value == 2
    assert call(lambda: None).value is None


async def double(x):
    await asyncio.sleep(0)
    return 2 * x


def test_an_async_function_is_awaited():
    made = FunctionCall(ticket(), double, {"x": 2})
    assert made.is_async
    assert asyncio.run(made.awaited()).value == 4


def test_a_sync_function_that_returns_an_awaitable_is_awaited_too():
    made = FunctionCall(ticket(), lambda: double(3), {})
    assert not made.is_async
    assert made().value == 6
    assert asyncio.run(made.awaited()).value == 6


def test_an_async_check_is_judged_by_what_it_came_to():
    async def check():
        return False

    made = FunctionCall(ticket(Phase.CHECK), check, {})
    assert asyncio.run(made.awaited()).verdict is Verdict.NOT_HOLDING


def test_an_async_function_that_raises_is_a_failure():
    async def body():
        raise OSError("gone")

    made = FunctionCall(ticket(), body, {})
    assert asyncio.run(made.awaited()).failure.type == "OSError"


def test_a_plain_function_can_be_awaited():
    assert asyncio.run(FunctionCall(ticket(), lambda: 5, {}).awaited()).value == 5


def test_what_was_printed_around_a_call_belongs_to_its_result():
    class Around:
        def __enter__(self):
            return Output(stdout="hello")

        def __exit__(self, *_):
            return None

    made = FunctionCall(ticket(), lambda: 1, {}, around=Around)
    assert made().output == asyncio.run(made.awaited()).output == Output(stdout="hello")


def test_a_judge_of_ones_own_has_the_last_word():
    made = FunctionCall(ticket(), lambda: 1, {}, judged=lambda t, value, error: judge(t, value + 1, error))
    assert made().value == 2


class Silent(Exception):
    def __str__(self):
        raise RuntimeError("no words")


class Unformattable(Exception):
    @property
    def __cause__(self):
        raise RuntimeError("no words")


class Nameless:
    def __repr__(self):
        raise RuntimeError("no words")


def test_a_failure_names_the_types_by_which_it_may_be_tried_again():
    failure = failure_of(ConnectionResetError("reset"))
    assert (failure.type, failure.message, failure.text) == ("ConnectionResetError", "reset", "")
    assert failure.types[:4] == (
        "ConnectionResetError",
        "builtins.ConnectionResetError",
        "ConnectionError",
        "builtins.ConnectionError",
    )
    assert failure.types[-1] == "builtins.Exception"


def test_an_exception_that_cannot_be_shown_is_still_a_failure():
    assert failure_of(Silent(), with_text=True).message == "<unprintable Silent>"
    assert "Silent" in failure_of(Silent(), with_text=True).text
    assert failure_of(Unformattable("x"), with_text=True).text == "Unformattable (it cannot be shown)"


def test_a_message_is_one_line_of_bearable_length():
    assert one_line(ValueError("\n one \n two")) == "one "
    assert one_line(ValueError("x" * 500)) == "x" * 500
    assert one_line(ValueError("x" * 501)) == "x" * 500 + "..."


def test_a_value_is_shown_short():
    assert short_repr("x" * 78) == repr("x" * 78)
    assert short_repr("x" * 79) == "'" + "x" * 76 + "..."
    assert short_repr(Nameless()) == "<unprintable Nameless>"


def test_no_value_says_so():
    assert repr(NO_VALUE) == "<no value>"
