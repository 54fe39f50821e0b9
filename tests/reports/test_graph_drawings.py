"""The drawings of a graph: what they show, and that no name breaks them."""

import json
import os
import re
import xml.etree.ElementTree as ET

import pytest
from graph_scenes import chain, failed_release, planned, release, views
from hypothesis import given
from report_scenes import NASTY, names, of_all_kinds

from jobtest import Job
from jobtest.core.errors import UsageError
from jobtest.core.model import EdgeKind, Outcome
from jobtest.reports.graph import graph_format, graph_tree, write_graph
from jobtest.reports.graph.data import to_json
from jobtest.reports.graph.dot import quoted, to_dot
from jobtest.reports.graph.mermaid import escaped, to_mermaid
from jobtest.reports.graph.svg import to_svg
from jobtest.reports.graph.tree import DEEPEST, to_tree
from jobtest.reports.graph.view import COLOURS, View, plain

SVG = "{http://www.w3.org/2000/svg}"


# --- what is drawn ---


def test_a_view_shows_labels_outcomes_the_strongest_edges_and_the_critical_path():
    plan, summary = failed_release()
    view = View.of(plan, summary)
    assert [node.label for node in view.nodes] == ["build", "lint", "test", "deploy"]
    assert [node.outcome.value for node in view.nodes] == ["changed", "changed", "failed", "blocked"]
    assert [view.nodes[at].id for at in view.critical_path] == summary.critical_path()
    both = View.of(planned(Job.of("a"), Job.of("b", after=["a"], takes=["a"], needs=["a"])))
    assert [arrow.kind for arrow in both.arrows] == [EdgeKind.VALUE]


def test_without_a_run_there_are_no_outcomes_and_the_critical_path_is_that_of_the_plan():
    view = View.of(release())
    assert not view.totals
    assert [view.nodes[at].label for at in view.critical_path] == list(release().critical_path)


def test_a_label_tells_instances_and_equal_names_apart():
    view = View.of(
        planned(
            Job.of("a.py::job_x[eu]", name="x", params={"region": "eu"}),
            Job.of("a.py::job_x[us-[1]]", name="x", params={"region": "us-[1]"}),
            Job.of("a.py::job_y[eu]", name="y[eu]", params={"region": "eu"}),
            Job.of("a.py::job_z", name="z"),
            Job.of("b.py::job_z", name="z"),
        )
    )
    assert [node.label for node in view.nodes] == [
        "x[eu]",
        "x[us-[1]]",
        "y[eu]",
        "a.py::job_z",
        "b.py::job_z",
    ]


def test_every_outcome_has_a_look_of_its_own():
    assert set(COLOURS) == set(Outcome)
    assert len(set(COLOURS.values())) == len(Outcome)


@given(names)
def test_plain_text_is_one_line_that_xml_and_utf_8_can_hold(text):
    found = plain(text)
    assert len(found) == len(text)
    assert found.encode("utf-8").decode("utf-8") == found
    assert ET.fromstring(f"<a>{re.sub('[&<>]', '', found)}</a>").tag == "a"
    assert len(found.splitlines()) <= 1
    assert plain(found) == found


def test_plain_text_keeps_what_can_be_read():
    assert plain('发布 🚀 e\u0301 "x" <b>') == '发布 🚀 e\u0301 "x" <b>'
    assert plain("a\tb\nc\x1b[1m\ud800\u202e\uffff") == "a b c\ufffd[1m\ufffd\ufffd\ufffd"


# --- tree ---


def test_a_tree_hangs_what_is_waited_for_under_what_waits():
    assert graph_tree(*failed_release()) == (
        "deploy: blocked\n"
        "├── build: changed\n"
        "├── test (needs): failed\n"
        "│   ├── build: changed\n"
        "│   └── lint (needs): changed\n"
        "└── lint (after): changed\n"
    )


def test_a_tree_can_be_ascii_and_refers_to_what_stands_above():
    plan = planned(
        Job.of("a"),
        Job.of("bé", takes=["a"]),
        Job.of("c", takes=["bé"]),
        Job.of("d", needs=["c", "bé"]),
        Job.of("e"),
    )
    assert graph_tree(plan, unicode=False) == (
        "d\n"
        "|-- c (needs)\n"
        "|   `-- b\\xe9\n"
        "|       `-- a\n"
        "`-- b\\xe9 (needs) (see above)\n"
        "e\n"
    )  # fmt: skip


def test_a_tree_paints_outcomes_and_nothing_else():
    plan, summary = failed_release()
    painted = graph_tree(plan, summary, paint=lambda outcome, text: f"<{outcome.name} {text}>")
    assert painted.splitlines()[0] == "deploy: <BLOCKED blocked>"
    assert re.sub(r"<\w+ (\w+)>", r"\1", painted) == graph_tree(plan, summary)


@given(views())
def test_a_tree_shows_every_job_and_every_edge_once(view):
    lines = to_tree(view, unicode=False).splitlines()
    hanging = [line for line in lines if "-- " in line]
    assert len(hanging) == len(view.arrows)
    assert len(lines) <= len(view.nodes) + len(view.arrows)
    shown = {re.search(r"job \d+", line)[0] for line in lines}
    assert shown == {node.label for node in view.nodes}


@given(views(names))
def test_no_name_breaks_a_line_of_a_tree(view):
    text = to_tree(view)
    assert len(text.splitlines()) == text.count("\n") >= len(view.nodes) - len(view.arrows)
    assert "\x1b" not in text
    assert to_tree(view, unicode=False).isascii()


def test_a_chain_of_10_000_jobs_is_a_tree_whose_text_grows_with_its_length_only():
    text = graph_tree(chain(10_000))
    lines = text.splitlines()
    assert {re.search(r"\d+", line)[0] for line in lines} == {str(at) for at in range(10_000)}
    assert max(map(len, lines)) < 4 * (DEEPEST + 1) + len("9999 (see below)")
    assert len(lines) < 10_500
    assert (
        sum("(see below)" in line for line in lines)
        == sum(not line.startswith((" ", "└")) for line in lines) - 1
    )


def test_a_ladder_in_which_everything_is_shared_is_a_short_tree():
    jobs = [Job.of("0")]
    jobs += [Job.of(str(at), takes=[str(one) for one in range(max(0, at - 2), at)]) for at in range(1, 2000)]
    assert len(graph_tree(planned(*jobs)).splitlines()) <= 2000 + 4000


# --- text formats ---


def test_a_small_graph_in_dot():
    assert to_dot(View.of(*failed_release())).splitlines()[5:] == [
        '  n0 [label="build\\nchanged" fillcolor="#d3f2d6" color="#2b8a3e" tooltip="build"]',
        '  n1 [label="lint\\nchanged" fillcolor="#d3f2d6" color="#2b8a3e" tooltip="lint"]',
        '  n2 [label="test\\nfailed" fillcolor="#ffd8d2" color="#c92a2a" tooltip="test"]',
        '  n3 [label="deploy\\nblocked" fillcolor="#ffe6c7" color="#c4610a" tooltip="deploy"]',
        "  n0 -> n2 [penwidth=2.5]",
        "  n1 -> n2 [style=dashed]",
        "  n0 -> n3",
        "  n2 -> n3 [style=dashed]",
        '  n1 -> n3 [style=dotted arrowhead=vee color="#868e96"]',
        "}",
    ]


def test_a_small_graph_in_mermaid():
    assert to_mermaid(View.of(*failed_release())) == (
        "flowchart LR\n"
        "  %% --> takes the value, -.-> needs success, -. after .-> only comes later\n"
        '  n0["build<br/>changed"]:::changed\n'
        '  n1["lint<br/>changed"]:::changed\n'
        '  n2["test<br/>failed"]:::failed\n'
        '  n3["deploy<br/>blocked"]:::blocked\n'
        "  n0 --> n2\n"
        "  n1 -.-> n2\n"
        "  n0 --> n3\n"
        "  n2 -.-> n3\n"
        "  n1 -. after .-> n3\n"
        "  classDef changed fill:#d3f2d6,stroke:#2b8a3e,color:#1b1f24\n"
        "  classDef failed fill:#ffd8d2,stroke:#c92a2a,color:#1b1f24\n"
        "  classDef blocked fill:#ffe6c7,stroke:#c4610a,color:#1b1f24\n"
        "  linkStyle 0 stroke-width:4px\n"
    )


def test_a_small_graph_in_json():
    data = json.loads(to_json(View.of(*failed_release())))
    assert data["schema"] == 1
    assert data["nodes"][2] == {
        "id": "test",
        "label": "test",
        "wave": 1,
        "outcome": "failed",
        "critical": True,
    }
    assert data["edges"][0] == {"from": "build", "to": "test", "kind": "value", "critical": True}
    assert [edge["kind"] for edge in data["edges"]] == ["value", "needs", "value", "needs", "after"]
    assert data["critical_path"] == ["build", "test"]
    assert json.loads(to_json(View.of(release())))["nodes"][0]["outcome"] is None
    assert json.loads(to_json(View.of(planned())))["nodes"] == []


def test_mermaid_says_what_it_needs_for_many_edges():
    few, many = to_mermaid(View.of(chain(501))), to_mermaid(View.of(chain(502)))
    assert "maxEdges" not in few
    assert "must set maxEdges to 501" in many


def scan_dot(text):
    """Return the strings of a DOT text, undone as Graphviz does, in a scan that allows nothing unexpected."""
    strings, rest, at = [], [], 0
    while at < len(text):
        if text[at] != '"':
            rest.append(text[at])
            at += 1
            continue
        string, at = "", at + 1
        while text[at] != '"':
            assert text[at] != "\n"
            if text[at] == "\\":
                assert text[at + 1] in '\\"n', "an escape that Graphviz gives a meaning"
                string += "\n" if text[at + 1] == "n" else text[at + 1]
                at += 2
            else:
                string += text[at]
                at += 1
        at += 1
        assert not re.search("&(?!amp;)", string), "an entity that Graphviz undoes"
        strings.append(string.replace("&amp;", "&"))
    assert re.fullmatch(r"[\w\s{}\[\]=.;:,>/#-]*", "".join(rest))
    return strings


@given(views(names))
def test_no_name_escapes_from_its_quotes_in_dot(view):
    strings = scan_dot(to_dot(view))
    for node in view.nodes:
        assert (f"{node.label}\n{node.outcome.value}" if node.outcome else node.label) in strings
    lines = to_dot(view).splitlines()
    assert sum(" -> " in line and '"' not in line.partition(" -> ")[0] for line in lines) == len(view.arrows)


@given(names)
def test_dot_gives_back_what_it_was_given(text):
    assert scan_dot(quoted(text)) == [plain(text)]


@given(names)
def test_a_mermaid_label_holds_no_mark_and_gives_back_what_it_was_given(text):
    found = escaped(text)
    unescaped = re.sub(r"#(\d+);", lambda match: chr(int(match[1])), found)
    assert unescaped == plain(text)
    assert not set(re.sub(r"#\d+;", "", found)) & set("\"'`\\<>&#;{}|%*~$!?^\n\r\t")
    assert not re.match(r"\s*(\d+[.)]|[-+*]\s)", found)


@given(views(names))
def test_no_name_escapes_from_its_quotes_in_mermaid(view):
    head, *lines = to_mermaid(view).split("\n")
    assert head == "flowchart LR"
    statement = re.compile(
        r'  (%% [^"]*|n\d+\["[^"\n]+"\](:::\w+)?|n\d+ (-->|-\.->|-\. after \.->) n\d+'
        r"|classDef \w+ [\w:,# -]+|linkStyle [\d,]+ stroke-width:4px)"
    )
    assert all(statement.fullmatch(line) for line in lines[:-1])
    assert lines[-1] == ""
    assert sum('["' in line for line in lines) == len(view.nodes)


@given(views(names))
def test_the_json_of_a_graph_is_ascii_and_keeps_ids_as_they_are(view):
    text = to_json(view)
    assert text.isascii()
    data = json.loads(text)
    assert [node["id"] for node in data["nodes"]] == [node.id for node in view.nodes]
    assert len(data["edges"]) == len(view.arrows)


def test_ids_that_hold_anything_survive_in_every_format():
    plan = planned(*(Job.of(f"{at} {text}") for at, text in enumerate(NASTY)))
    view = View.of(plan)
    assert [node["id"] for node in json.loads(to_json(view))["nodes"]] == list(plan.graph.jobs)
    titles = [title.text for title in ET.fromstring(to_svg(view)).iter(f"{SVG}title")]
    assert titles == [plain(id) for id in plan.graph.jobs]
    assert {plain(id) for id in plan.graph.jobs} <= set(scan_dot(to_dot(view)))


# --- writing ---


def test_every_format_is_written_by_the_ending_of_the_name(tmp_path):
    plan, summary = failed_release()
    view = View.of(plan, summary)
    for name, text in {
        "g.mmd": to_mermaid(view), "g.dot": to_dot(view), "G.SVG": to_svg(view), "new/g.json": to_json(view)
    }.items():  # fmt: skip
        assert write_graph(tmp_path / name, plan, summary) == ""
        assert (tmp_path / name).read_text(encoding="utf-8") == text
    assert write_graph("tree", plan, summary) == graph_tree(plan, summary)
    assert write_graph("tree", plan, unicode=False).isascii()
    assert not os.path.exists("tree")


@pytest.mark.parametrize("name", ["graph.png", "tree.txt", "graph", "", "svg", ".svg"])
def test_a_name_of_no_known_format_is_an_error_that_lists_them(tmp_path, name):
    with pytest.raises(UsageError) as error:
        write_graph(name, release())
    assert str(error.value) == (
        f"a graph cannot be written to {name!r}: its name says no known format\n"
        "  fix: give 'tree', or the name of a file that ends in one of .mmd, .dot, .svg, .json"
    )
    assert graph_format("a.b/c.SVG") == ".svg"
    assert graph_format("tree") == "tree"


def test_the_same_run_is_always_drawn_the_same(tmp_path):
    for name in ("g.mmd", "g.dot", "g.svg", "g.json"):
        drawn = set()
        for time in ("one", "two"):
            played = of_all_kinds()
            write_graph(tmp_path / time / name, played.plan, played.summary)
            drawn.add((tmp_path / time / name).read_bytes())
        assert len(drawn) == 1


def test_a_graph_drawn_half_way_shows_the_outcomes_that_are_known():
    played = of_all_kinds()
    played.summary.jobs["far"].outcome = None
    view = View.of(played.plan, played.summary)
    assert sum(view.totals.values()) == len(view.nodes) - 1
    assert "far\n" in to_tree(view)
    ET.fromstring(to_svg(view))


def test_an_empty_plan_has_drawings_too():
    view = View.of(planned())
    assert to_tree(view) == ""
    assert ET.fromstring(to_svg(view)).get("aria-label") == "0 jobs"
    assert scan_dot(to_dot(view))
    assert to_mermaid(view).startswith("flowchart LR\n")
