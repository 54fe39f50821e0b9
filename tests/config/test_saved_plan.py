"""The saved plan: what is written is what is read, and what differs is named."""

import difflib
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
import toml
from hypothesis import given
from hypothesis import strategies as st

from jobtest.config.saved_plan import AGAIN, SavedJob, SavedPlan, differences, load, save
from jobtest.core.errors import Problem, UsageError
from jobtest.core.model import Outcome

ANY = st.characters(exclude_categories=())
HOSTILE = [
    "\0",
    "\\",
    "\\x41",
    "\\u0041",
    '"',
    "'",
    '"""',
    "'\"",
    "\x1b[31m",
    "\r\n",
    "\x7f",
    "\x85",
    "\ud800",
]
HOSTILE += [
    "\u2028",
    "\u202e",
    "\xa0",
    "\ufeff",
    "\U000e0001",
    "a = 1",
    "k\n",
    "[[job]]",
    "# no",
    "\\\n",
    " ",
    "\t",
    "",
]
TEXT = st.lists(st.one_of(st.sampled_from(HOSTILE), st.text(ANY, max_size=6)), max_size=4).map("".join)


@st.composite
def saved_plans(draw, least=0):
    ids = draw(
        st.lists(TEXT, unique_by=lambda id: SavedJob(id=id, verdict=Outcome.FAILED).id, min_size=least)
    )
    jobs = [
        SavedJob(
            id=id,
            verdict=draw(st.sampled_from(Outcome)),
            reason=draw(TEXT),
            definition=draw(TEXT),
            params=draw(st.dictionaries(TEXT, TEXT, max_size=3)),
            needs=tuple(draw(st.lists(st.sampled_from(ids), unique=True, max_size=3))),
        )
        for id in ids
    ]
    return SavedPlan(
        command=draw(TEXT),
        selection=draw(TEXT),
        made_at="2026-01-31T10:00:00Z",
        jobs=tuple(jobs),
        context=draw(TEXT),
    )


BUILD = SavedJob(id="ops/job_release.py::job_build[eu]", verdict=Outcome.UNCHANGED, reason="check holds")
DEPLOY = SavedJob(
    id="ops/job_release.py::job_deploy[eu]",
    verdict=Outcome.WOULD_RUN,
    reason="check did not hold: assert '1.4' == \"1.5\"",
    definition="5f3a",
    params={"region": "'eu'", "size of it": "3"},
    needs=(BUILD.id,),
)
PLAN = SavedPlan(command="apply", selection="-k deploy", made_at="2026-01-31T10:00:00Z", jobs=(BUILD, DEPLOY))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "plan.toml"


def problems(call, *args):
    with pytest.raises(UsageError) as caught:
        call(*args)
    return list(caught.value.problems)


# --- writing and reading ---


@given(plan=saved_plans())
def test_what_is_read_is_what_was_saved(tmp_path_factory, plan):
    path = tmp_path_factory.getbasetemp() / "any-plan.toml"
    save(path, plan)
    assert load(path) == plan
    assert [list(job.params) for job in load(path).jobs] == [list(job.params) for job in plan.jobs]


@given(plan=saved_plans())
def test_a_review_sees_every_character(tmp_path_factory, plan):
    path = tmp_path_factory.getbasetemp() / "any-plan.toml"
    save(path, plan)
    lines = path.read_bytes().decode().split("\n")
    assert all(line.isprintable() for line in lines)


@given(st.text(ANY))
def test_text_is_kept_but_for_half_pairs_which_are_written_out(text):
    kept = SavedJob(id=text, verdict=Outcome.FAILED, params={text: text}, needs=(text,))
    expected = "".join(f"\\u{ord(one):x}" if "\ud800" <= one <= "\udfff" else one for one in text)
    assert kept.id == expected
    assert kept.params == {expected: expected}
    assert kept.needs == (expected,)


def test_the_file_is_this(path):
    save(path, PLAN)
    assert (
        path.read_text()
        == """\
# A plan of jobtest: what would be done, and why. To do exactly this:
#
#   pytest --orchestrate --job-apply FILE
#
# That refuses if a job, a definition, a parameter or a verdict is another by then. This file is not meant to
# be edited. To make it again:
#
#   pytest --orchestrate --plan --job-plan-out FILE

schema = 1
command = "apply"
selection = "-k deploy"
made_at = "2026-01-31T10:00:00Z"

[[job]]
id = "ops/job_release.py::job_build[eu]"
verdict = "unchanged"
reason = "check holds"
params = {}
needs = []
definition = ""

[[job]]
id = "ops/job_release.py::job_deploy[eu]"
verdict = "would-run"
reason = "check did not hold: assert '1.4' == \\"1.5\\""
params = { region = "'eu'", "size of it" = "3" }
needs = ["ops/job_release.py::job_build[eu]"]
definition = "5f3a"
"""
    )


def test_what_does_not_print_is_escaped(path):
    save(path, replace(PLAN, selection='\\n\n\t\r\x1b\u202e\U000e0001"'))
    assert r'selection = "\\n\n\t\r\u001B\u202E\U000E0001\""' in path.read_text().splitlines()


def test_a_plan_without_jobs_is_a_plan(path):
    save(path, replace(PLAN, jobs=()))
    assert load(path) == replace(PLAN, jobs=())


def test_a_byte_order_mark_and_keys_of_later_versions_are_passed_over(path):
    save(path, PLAN)
    text = path.read_text().replace("schema = 1", 'schema = 1\nfuture = "x"')
    path.write_text("\ufeff" + text.replace("[[job]]", "[[job]]\nfuture = {a = 1}"))
    assert load(path) == PLAN


def test_one_change_is_a_diff_of_one_line(path):
    def lines(plan):
        save(path, plan)
        return path.read_text().splitlines()

    def changed(one, other):
        diff = difflib.unified_diff(lines(one), lines(other), lineterm="", n=0)
        return [line for line in diff if line[:2] not in ("--", "++", "@@")]

    many = replace(PLAN, jobs=(replace(BUILD, needs=tuple(f"job number {n}" for n in range(9))), DEPLOY))
    fewer = replace(PLAN, jobs=(replace(BUILD, needs=tuple(f"job number {n}" for n in range(8))), DEPLOY))
    assert lines(PLAN) == lines(PLAN)
    assert changed(PLAN, replace(PLAN, jobs=(replace(BUILD, reason="x"), DEPLOY))) == [
        '-reason = "check holds"',
        '+reason = "x"',
    ]
    assert changed(many, fewer) == ['-  "job number 8",']


# --- the file on the disk ---


def listing(folder):
    return sorted(file.name for file in folder.iterdir())


def test_folders_are_made_links_followed_and_permissions_kept(path):
    target = path.parent / "a/b/plan.toml"
    path.symlink_to(target)
    save(path, PLAN)
    target.chmod(0o640)
    save(path, replace(PLAN, jobs=()))
    assert path.is_symlink()
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert load(path).jobs == ()
    assert listing(target.parent) == ["plan.toml"]


def test_a_pipe_is_written_to(path):
    os.mkfifo(path)
    end = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    save(path, PLAN)
    assert os.read(end, 100_000).startswith(b"# A plan of jobtest")
    os.close(end)
    assert stat.S_ISFIFO(path.stat().st_mode)


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_a_file_that_cannot_be_written_stays_as_it_was(path, monkeypatch, name):
    def full(*_):
        raise OSError(28, "No space left on device", str(path))

    save(path, PLAN)
    monkeypatch.setattr(os, name, full)
    what = f"the plan cannot be written: [Errno 28] No space left on device: {str(path)!r}"
    assert problems(save, path, replace(PLAN, jobs=())) == [
        Problem(what=what, at=(str(path),), fix="name a file that can be written")
    ]
    assert load(path) == PLAN
    assert listing(path.parent) == ["plan.toml"]


def test_the_content_is_on_the_disk_before_it_takes_the_place_of_the_old(path, monkeypatch):
    done = []
    for name in ("fsync", "replace"):
        whole = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, name=name, whole=whole: [done.append(name), whole(*args)])
    save(path, PLAN)
    assert done == ["fsync", "replace"]


def test_a_folder_and_a_path_below_a_file_cannot_be_written(path):
    path.write_text("")
    for wrong in (path.parent, path / "plan.toml"):
        (problem,) = problems(save, wrong, PLAN)
        assert problem.what.startswith("the plan cannot be written: [Errno ")


@pytest.mark.parametrize("text", ["", "schema = ", 'schema = 1\ncommand = "other"'])
def test_what_would_not_be_read_as_it_is_is_not_written(path, monkeypatch, text):
    save(path, PLAN)
    monkeypatch.setattr(toml, "dumps", lambda *_: text)
    (problem,) = problems(save, path, PLAN)
    assert str(problem) == (
        "the plan would not be the same when it is read again; it was not written\n"
        f"  at: {path}\n  fix: this is a bug in jobtest"
    )
    assert load(path) == PLAN


def test_a_whole_plan_that_is_another_is_not_written(path, monkeypatch):
    dumps = toml.dumps
    monkeypatch.setattr(toml, "dumps", lambda *args: dumps(*args).replace("check holds", "check hold"))
    (problem,) = problems(save, path, PLAN)
    assert problem.what == "the plan would not be the same when it is read again; it was not written"
    assert listing(path.parent) == []


def test_a_plan_with_one_id_twice_is_not_written(path):
    (problem,) = problems(save, path, replace(PLAN, jobs=(BUILD, DEPLOY, BUILD)))
    assert problem.what == f"there are 2 jobs with the id {BUILD.id!r}"
    assert listing(path.parent) == []


# --- what cannot be read ---

HEAD = 'schema = 1\ncommand = "apply"\nselection = ""\nmade_at = "2026-01-31T10:00:00Z"\n'
JOB = '[[job]]\nid = "a"\nverdict = "failed"\nreason = ""\ndefinition = ""\nparams = {}\nneeds = []\n'
VERDICTS = ", ".join(one.value for one in Outcome)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("= 1", ["the plan cannot be read: Invalid statement (at line 1, column 1)"]),
        ("[project]\nname = 'x'", ["this is not a plan of jobtest: it has no schema"]),
        ("schema = true", ["this is not a plan of jobtest: it has no schema"]),
        ("schema = 0", ["this is not a plan of jobtest: it has no schema"]),
        ("schema = 2\ncommand = 1", ["this plan has schema 2, and this jobtest reads schema 1"]),
        (
            "schema = 1\nmade_at = 1",
            [
                "'command' is missing",
                "'selection' is missing",
                "'made_at' must be a time, as text, like 2026-01-31T10:00:00Z, not 1",
                "'job' is missing",
            ],
        ),
        (HEAD + "job = 3", ["'job' must be a list of tables, [[job]], not 3"]),
        (HEAD + "job = [{}, 3]", ["'job' must be a list of tables, [[job]], not [{}, 3]"]),
        (HEAD + "[[job]]\n" + JOB + JOB, [
            *(f"{key!r} of [[job]] number 1 is missing"
              for key in ("id", "verdict", "reason", "definition", "params", "needs")),
            "there are 2 jobs with the id 'a'",
        ]),
        (HEAD + JOB.replace('"failed"', '"lost"').replace("{}", "{a = 1}").replace("[]", '[["b"]]'), [
            f"'verdict' of job 'a' must be one of {VERDICTS}, not 'lost'",
            "'params' of job 'a' must be a table of texts, not {'a': 1}",
            "'needs' of job 'a' must be a list of ids, not [['b']]",
        ]),
        (HEAD + '[[job]]\nid = 1\nverdict = ["failed"]\nreason = ""\nparams = "b"\nneeds = "b"', [
            "'id' of [[job]] number 1 must be text, not 1",
            f"'verdict' of [[job]] number 1 must be one of {VERDICTS}, not ['failed']",
            "'definition' of [[job]] number 1 is missing",
            "'params' of [[job]] number 1 must be a table of texts, not 'b'",
            "'needs' of [[job]] number 1 must be a list of ids, not 'b'",
        ]),
    ],
)  # fmt: skip
def test_a_file_that_is_no_plan_is_refused_with_all_that_is_wrong(path, text, expected):
    path.write_text(text)
    found = problems(load, path)
    assert sorted(problem.what for problem in found) == sorted(expected)
    assert {problem.at for problem in found} == {(str(path),)}
    assert all(AGAIN in problem.fix for problem in found)


def test_a_newer_jobtest_may_be_what_is_needed(path):
    path.write_text("schema = 2")
    assert [problem.fix for problem in problems(load, path)] == [f"update jobtest, or {AGAIN}"]


@pytest.mark.parametrize("made_at", ["", "yesterday", "2026-01-31T10:00:00", "2026-01-31T10:00:00+01:00"])
def test_the_time_is_in_utc(path, made_at):
    path.write_text(HEAD.replace("2026-01-31T10:00:00Z", made_at) + JOB)
    (problem,) = problems(load, path)
    assert problem.what.endswith(f"like 2026-01-31T10:00:00Z, not {made_at!r}")


def test_a_file_that_is_not_there_is_told(path):
    assert problems(load, path) == [Problem(what="there is no such plan", at=(str(path),), fix=AGAIN)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff", "'utf-8' codec"),
        (b"a = " + b"[" * 5000, "nested too deep"),
        (b"a = " + b"1" * 5000, "4300 digits"),
        (
            (HEAD + JOB.replace("params = {}", f"params{'.a' * 3000} = 1")).encode(),
            "must be a table of texts",
        ),
    ],
    ids=["bytes", "deep", "long number", "deep by dots"],
)
def test_a_hostile_file_is_refused(path, content, said):
    path.write_bytes(content)
    (problem,) = problems(load, path)
    assert said in problem.what
    assert len(problem.what) < 200


def test_a_folder_is_no_plan(path):
    (problem,) = problems(load, path.parent)
    assert problem.what.startswith("the plan cannot be read: [Errno 21]")


@given(
    plan=saved_plans(least=1),
    cut=st.tuples(st.floats(0, 1), st.integers(0, 40)),
    put=st.text(ANY, max_size=3),
)
def test_a_damaged_plan_is_refused_or_read(tmp_path_factory, plan, cut, put):
    path = tmp_path_factory.getbasetemp() / "any-plan.toml"
    save(path, plan)
    content = path.read_bytes()
    at = int(cut[0] * len(content))
    path.write_bytes(content[:at] + put.encode("utf-8", "surrogatepass") + content[at + cut[1] :])
    try:
        found = load(path)
    except UsageError as error:
        found = error.problems
    assert isinstance(found, SavedPlan) or {problem.at for problem in found} == {(str(path),)}


# --- differences ---


@given(saved_plans(), st.randoms(use_true_random=False))
def test_order_reasons_and_the_head_make_no_difference(plan, random):
    jobs = [replace(job, reason="another", needs=job.needs[::-1]) for job in plan.jobs]
    random.shuffle(jobs)
    now = SavedPlan(command="x", selection="y", made_at="z", jobs=tuple(jobs))
    assert differences(plan, plan) == differences(plan, now) == []


OTHER = {
    "definition": lambda job: replace(job, definition=job.definition + "x"),
    "parameter": lambda job: replace(job, params={**job.params, "new": "1"}),
    "verdict": lambda job: replace(job, verdict=next(one for one in Outcome if one is not job.verdict)),
    "needs": lambda job: replace(job, needs=(*job.needs, "one more")),
    "no longer": lambda job: None,
}


@given(saved_plans(least=1), st.sampled_from(list(OTHER)), st.data())
def test_whatever_is_another_in_one_job_is_named_alone(plan, aspect, data):
    at = data.draw(st.integers(0, len(plan.jobs) - 1))
    changed = OTHER[aspect](plan.jobs[at])
    now = replace(plan, jobs=(*plan.jobs[:at], *([changed] if changed else []), *plan.jobs[at + 1 :]))
    (problem,) = differences(plan, now)
    assert problem.what.startswith("job ")
    assert aspect in problem.what
    assert problem.what.isprintable()
    assert problem.fix == AGAIN


def test_the_words_of_differences():
    before = SavedJob(id="deploy", verdict=Outcome.UNCHANGED, definition="1", needs=("a", "b", "b1", "b2"))
    gone = replace(before, id="go\nne")
    now = SavedJob(
        id="deploy",
        verdict=Outcome.WOULD_RUN,
        reason="check did not hold:\n1 == 2",
        definition="2",
        params={"y": "2", "z": "3"},
        needs=("c", "b", "d", "e", "f", "g"),
    )
    saved = replace(PLAN, jobs=(replace(before, params={"x": "1", "y": "1"}), gone))
    new = replace(now, id="new", reason="")
    assert [problem.what for problem in differences(saved, replace(PLAN, jobs=(new, now)))] == [
        "job deploy: its definition has changed since the plan was made",
        "job deploy: its parameter x was 1 and is now not there",
        "job deploy: its parameter y was 1 and is now 2",
        "job deploy: its parameter z was not there and is now 3",
        "job deploy: it now needs c, d, e, ... 2 more",
        "job deploy: it needs a, b1, b2 no longer",
        "job deploy: its verdict was unchanged and is now would-run: check did not hold:\\n1 == 2",
        "job go\\nne: it is in the plan and there no longer",
        "job new: it is not in the plan and is now would-run",
    ]


def test_a_plan_that_was_saved_and_loaded_differs_from_the_same_plan_in_nothing(path):
    odd = SavedPlan(
        command="",
        selection="",
        made_at=PLAN.made_at,
        jobs=(replace(DEPLOY, id="\udc80", params={"\0": "\ud800"}),),
    )
    save(path, odd)
    assert differences(load(Path(path)), odd) == []
