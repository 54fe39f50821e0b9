"""The picture of a graph and its layout."""

import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from graph_scenes import failed_release, planned, release, views
from hypothesis import given
from report_scenes import names

from jobtest import Job
from jobtest.reports.graph.layout import BEND_ROOM, NODE_ROOM, lay_out
from jobtest.reports.graph.svg import to_svg
from jobtest.reports.graph.view import View

SVG = "{http://www.w3.org/2000/svg}"


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
