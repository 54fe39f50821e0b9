"""Runs and names that the tests of reports share."""

from hypothesis import strategies as st

from jobtest import Functions, Graph, Job, Retry, make_plan, run

PLAYED_AT = 1_769_853_600.0
"""2026-01-31T10:00:00Z"""

RUN = "01000000-0000-7000-8000-000000000000"

NASTY = [
    "quotes \" and ' and `",
    "brackets [eu] (x) {y} <b>",
    "]]> <![CDATA[ <!-- -->",
    "a\nb\r\nc\td",
    "&amp; & &#34; #quot; #35;",
    "back\\slash \\n \\N \\",
    "\x1b[31mred\x00\x07\x7f\x9b",
    "lone \ud800 surrogate \udfff",
    "no characters \ufffe \uffff \U0001ffff",
    "right \u202e to left, line\u2028end",
    "发布 🚀 e\u0301 ß",
    "%% %%{init: {}}%% --> end",
    "1. a list",
    "- another",
    "_em_ *strong* snake_case",
    "",
    " ",
]

names = st.one_of(
    st.sampled_from(NASTY),
    st.text(st.characters(), max_size=12),
    st.text(st.sampled_from("\"'`\\<>&#;[]{}()|%-=.:_*~ \n\t\x00\x1b\ud800\ufffeaé"), max_size=12),
)


class TickingClock:
    """Every look at it takes a quarter of a second; a binary fraction, so that sums are exact."""

    def __init__(self, start=PLAYED_AT):
        self._now = start - 0.25

    def now(self):
        self._now += 0.25
        return self._now


class Played:
    """A run with all that reports are made of."""

    def __init__(self, plan, functions=None, *, run_id=RUN, start=PLAYED_AT, **settings):
        self.entries = []
        self.summary = run(
            plan,
            functions or {},
            clock=TickingClock(start),
            observers=[self.entries.append],
            run_id=run_id,
            **settings,
        )
        self.plan = plan
        self.values = self.summary.values


def raises(error):
    def body(**_):
        raise error

    return body


def not_yet(words):
    """Return a check that does not hold the first time and holds from then on."""
    left = [AssertionError(words)]

    def check(**_):
        if left:
            raise left.pop()

    return check


def of_all_kinds():
    """Play a run in which most of what can happen to a job happens."""
    graph = Graph(
        [
            Job.of("fetch", has_cleanup=True),
            Job.of("settings", check=True, has_run=False),
            Job.of("install", check=True, takes=["fetch"], needs=["settings"]),
            Job.of("flaky", needs=["fetch"], retry=Retry(retries=1)),
            Job.of("broken", needs=["fetch"], after=["flaky"]),
            Job.of("on top", takes=["broken"], needs=["install"]),
            Job.of("far", needs=["on top"]),
            Job.of("elsewhere", skip="not in this context"),
            Job.of("param[eu]", params={"region": "eu", "at": {1}}),
        ]
    )
    attempts = [ConnectionError("no route")]

    def flaky():
        if attempts:
            raise attempts.pop()

    functions = {
        "fetch": Functions(run=lambda: {"url": "http://x", "at": (1, 2.5)}, cleanup=lambda: None),
        "settings": Functions(check=lambda: True),
        "install": Functions(run=lambda fetch: {1, 2}, check=not_yet("'1.4' == '1.5'")),
        "flaky": flaky,
        "broken": raises(ValueError("kaputt")),
        "on top": lambda broken: None,
        "far": lambda: None,
        "param[eu]": lambda: None,
    }
    return Played(make_plan(graph), functions)
