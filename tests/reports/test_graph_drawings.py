"""The drawings of a graph: what they show, and that no name breaks them."""

import json
import os
import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_scenes import NASTY, Played, names, of_all_kinds, raises

from jobtest import Graph, Job, make_plan
from jobtest.core.errors import UsageError
from jobtest.core.model import EdgeKind, Outcome
from jobtest.reports.graph import graph_format, graph_tree, write_graph
from jobtest.reports.graph.data import to_json
from jobtest.reports.graph.dot import quoted, to_dot
from jobtest.reports.graph.layout import BEND_ROOM, NODE_ROOM, lay_out
from jobtest.reports.graph.mermaid import escaped, to_mermaid
from jobtest.reports.graph.svg import to_svg
from jobtest.reports.graph.tree import DEEPEST, to_tree
from jobtest.reports.graph.view import COLOURS, View, plain

SVG = "{http://www.w3.org/2000/svg}"


def planned(*jobs):
    return make_plan(Graph(jobs))


def release():
    """Return the plan of a small release; a value, a need and an order in it."""
    return planned(
        Job.of("build"),
        Job.of("lint"),
        Job.of("test", takes=["build"], needs=["lint"]),
        Job.of("deploy", takes=["build"], needs=["test"], after=["lint"]),
    )


def failed_release():
    played = Played(release(), {"test": raises(ValueError("kaputt"))})
    return played.plan, played.summary


def chain(length):
    return planned(Job.of("0"), *(Job.of(str(at), takes=[str(at - 1)]) for at in range(1, length)))


@st.composite
def views(draw, job_names=None):
    """Draw the view of a graph, with any names, that has been run or not."""
    count = draw(st.integers(0, 9))
    jobs = []
    for at in range(count):
        some = st.lists(st.integers(0, at - 1), unique=True, max_size=3) if at else st.just([])
        edges = {kind: [f"id{one}" for one in draw(some)] for kind in ("takes", "needs", "after")}
        name = draw(job_names) if job_names is not None else f"job {at}"
        jobs.append(Job.of(f"id{at}", name=name, **edges))
    plan = planned(*jobs)
    return View.of(plan, Played(plan).summary if draw(st.booleans()) else None)


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
        "  n0 -> n2",
        "  n1 -> n2 [style=dashed penwidth=2.5]",
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
        "  linkStyle 1 stroke-width:4px\n"
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
    assert data["edges"][1] == {"from": "lint", "to": "test", "kind": "needs", "critical": True}
    assert [edge["kind"] for edge in data["edges"]] == ["value", "needs", "value", "needs", "after"]
    assert data["critical_path"] == ["lint", "test"]
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


# --- picture ---


def texts(root, look):
    return [text.text or "" for text in root.iter(f"{SVG}text") if text.get("class") == look]


def test_a_picture_tells_without_colour_what_came_of_each_job():
    plan, summary = failed_release()
    root = ET.fromstring(to_svg(View.of(plan, summary)))
    assert texts(root, "name") == ["build", "lint", "test", "deploy"]
    assert texts(root, "said") == ["changed", "changed", "failed", "blocked"]
    outcomes, lines = texts(root, "key")[:3], texts(root, "key")[3:]
    assert outcomes == ["changed 2", "failed 1", "blocked 1"]
    assert lines == ["takes the value", "needs success", "comes after", "critical path"]
    assert [title.text for title in root.iter(f"{SVG}title")][
        2
    ] == "test\nfailed: run raised ValueError: kaputt"
    assert root.get("aria-label") == "4 jobs: 2 changed, 1 failed, 1 blocked"


def test_a_picture_of_a_plan_shows_names_only():
    root = ET.fromstring(to_svg(View.of(release())))
    assert texts(root, "said") == []
    assert texts(root, "name") == ["build", "lint", "test", "deploy"]


def test_the_kinds_of_edges_differ_in_a_picture():
    root = ET.fromstring(to_svg(View.of(release())))
    (edges,) = [group for group in root.iter(f"{SVG}g") if group.get("class") == "edge"]
    looks = {path.get("class") for path in edges}
    assert looks >= {"value", "needs", "after"}
    style = root.find(f"{SVG}style").text
    assert ".needs { stroke-dasharray" in style
    assert ".after { stroke-dasharray" in style


def drawn_edges(view):
    (edges,) = [
        group for group in ET.fromstring(to_svg(view)).iter(f"{SVG}g") if group.get("class") == "edge"
    ]
    return [(path.get("class"), path.get("d")) for path in edges]


def test_what_is_critical_is_drawn_on_top_of_the_rest():
    looks = [look for look, _ in drawn_edges(View.of(release()))]
    assert [look.endswith(" critical") for look in looks] == [False, False, False, True, True]


def test_what_edges_share_is_drawn_once_or_its_dashes_would_run_together():
    plan = planned(
        Job.of("a"),
        Job.of("b", takes=["a"]),
        Job.of("c", takes=["b"]),
        Job.of("d", takes=["c"]),
        Job.of("e", takes=["c"], needs=["a"]),
        Job.of("f", takes=["c"], needs=["a"]),
    )
    starts = [re.match(r"M\d+ \d+", path)[0] for look, path in drawn_edges(View.of(plan)) if look == "needs"]
    assert len(set(starts)) == len(starts) == 2


def test_a_picture_asks_nobody_for_anything():
    text = to_svg(View.of(*failed_release()))
    assert re.findall(r"https?://[^\"<\s]+", text) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"<script|@import|href|url\((?!#jobtest-)", text)


@given(views(names))
def test_a_picture_is_well_formed_whatever_the_names_hold(view):
    root = ET.fromstring(to_svg(view).encode("utf-8"))
    shown = texts(root, "name")
    assert len(shown) == len(view.nodes)
    for name, node in zip(shown, view.nodes, strict=True):
        assert name == node.label or (name.endswith("…") and node.label.startswith(name[:-1]))
    boxes = [group for group in root.iter(f"{SVG}g") if (group.get("class") or "").startswith("job")]
    width, height = int(root.get("width")), int(root.get("height"))
    for box in boxes:
        rect = box.find(f"{SVG}rect")
        x, y = int(rect.get("x")), int(rect.get("y"))
        assert 0 < x < x + int(rect.get("width")) < width
        assert 0 < y < y + int(rect.get("height")) < height


def test_a_long_name_is_cut_and_whole_in_the_tooltip():
    long, wide = "x" * 500, "发" * 30
    root = ET.fromstring(to_svg(View.of(planned(Job.of(long), Job.of(wide), Job.of("y" * 40)))))
    assert texts(root, "name") == ["x" * 39 + "…", "发" * 21 + "…", "y" * 40]
    assert [title.text for title in root.iter(f"{SVG}title")] == [long, wide, "y" * 40]


def test_an_empty_plan_has_drawings_too():
    view = View.of(planned())
    assert to_tree(view) == ""
    assert ET.fromstring(to_svg(view)).get("aria-label") == "0 jobs"
    assert scan_dot(to_dot(view))
    assert to_mermaid(view).startswith("flowchart LR\n")


# --- layout ---


def laid_out(view):
    return lay_out(view.waves, [(arrow.source, arrow.target, arrow.kind) for arrow in view.arrows])


@given(views())
def test_every_place_is_in_one_column_and_none_overlap(view):
    layout = laid_out(view)
    assert sorted(place for column in layout.columns for place in column) == list(range(len(layout.heights)))
    assert [sorted(p for p in column if p < len(view.nodes)) for column in layout.columns] == [
        sorted(wave) for wave in view.waves
    ]
    room = [NODE_ROOM if place < len(view.nodes) else BEND_ROOM for place in range(len(layout.heights))]
    for column in layout.columns:
        for above, below in pairwise(column):
            assert layout.heights[below] - layout.heights[above] >= (room[above] + room[below]) / 2 - 1e-6
    assert min(layout.heights, default=0) == 0


@given(views())
def test_every_edge_goes_from_column_to_column(view):
    layout = laid_out(view)
    column_of = {place: at for at, column in enumerate(layout.columns) for place in column}
    for arrow, route in zip(view.arrows, layout.routes, strict=True):
        assert (route.places[0], route.places[-1]) == (arrow.source, arrow.target)
        assert all(column_of[b] == column_of[a] + 1 for a, b in pairwise(route.places))
        assert all(place >= len(view.nodes) for place in route.places[1:-1])


def test_crossings_that_need_not_be_are_taken_away():
    layout = lay_out([[0, 1, 2], [3, 4, 5]], [(0, 5, ""), (1, 4, ""), (2, 3, "")])
    assert [layout.columns[0].index(at) for at in (0, 1, 2)] == [
        layout.columns[1].index(at) for at in (5, 4, 3)
    ]
    assert [layout.heights[at] for at in (0, 1, 2)] == pytest.approx([layout.heights[at] for at in (5, 4, 3)])


def test_edges_of_one_job_share_their_bends_but_not_with_those_of_another_kind():
    waves = [[0], [1], [2], [3]]
    edges = [(0, 1, "v"), (1, 2, "v"), (2, 3, "v"), (0, 3, "v"), (0, 2, "v"), (0, 3, "n")]
    routes = [route.places for route in lay_out(waves, edges).routes]
    assert routes[3] == (0, 4, 5, 3)
    assert routes[4] == (0, 4, 2)
    assert not set(routes[5][1:-1]) & set(routes[3])


def test_bends_are_bounded_where_everybody_waits_for_everybody():
    count = 120
    plan = planned(*(Job.of(str(at), takes=[str(one) for one in range(at)]) for at in range(count)))
    view = View.of(plan)
    layout = laid_out(view)
    assert len(layout.heights) - count <= 3 * count + 1000
    assert any(len(route.places) == 2 for route in layout.routes[-count:])
    ET.fromstring(to_svg(view))


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
