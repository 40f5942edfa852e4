"""What a benchmark makes of what it measured: goals, tables, the page and its picture."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from bench import document, plot, table
from bench.load import Reading
from bench.mix import percentile
from bench.rows import Figure, Goal, Row, at_least, at_most, below, cpu_below, interleaved
from bench.statements import Statement, transactions


def row(goal: Goal | None = None, *, ours: float = 30, reference: float | None = 20) -> Row:
    beside = None if reference is None else Figure(reference, 0.5)
    return Row("hot", "is_done & more", "/s", Figure(ours, 0.2), beside, "bare Klein", goal)


def figures(*rows: Row) -> dict[str, object]:
    return {
        "builds": 100_000,
        "databases": "MariaDB",
        "broker": "RabbitMQ",
        "cores": 2,
        "python": "3.11",
        "rounds": 5,
        "seconds": 600,
        "load": [1.5, 1.0, 0.5],
        "rows": json.loads(json.dumps([one.document() for one in rows])),
    }


@pytest.mark.parametrize(
    ("goal", "reached", "share"),
    [
        (at_least(1.5), True, 1.0),
        (at_least(3), False, 0.5),
        (at_most(1.5), True, 1.0),
        (at_most(0.75), False, 0.5),
        (below(60, "ms"), True, 2.0),
        (below(15, "ms"), False, 0.5),
        (cpu_below(0.2), True, 1.0),
        (cpu_below(0.1), False, 0.5),
    ],
    ids=str,
)
def test_a_goal_is_one_of_the_ratio_the_figure_or_the_processor_time(
    goal: Goal, reached: bool, share: float
) -> None:
    found = row(goal).document()
    assert (found["reached"], found["share_of_goal"]) == (reached, pytest.approx(share))


def test_nothing_is_reached_without_a_goal_or_without_the_reference_of_a_ratio() -> None:
    assert row().document()["reached"] is None
    assert row(at_least(1), reference=None).document()["reached"] is None


@pytest.mark.parametrize(("ours", "reached", "share"), [(0, True, 1.0), (3, False, 0.0)])
def test_the_goal_of_none_at_all(ours: float, reached: bool, share: float) -> None:
    found = row(below(0, ""), ours=ours).document()
    assert (found["reached"], found["share_of_goal"]) == (reached, share)


def test_rounds_take_turns_and_their_medians_count() -> None:
    order: list[str] = []

    def one(name: str, *values: float) -> tuple[float, float | None]:
        order.append(name)
        return values[order.count(name) - 1], None

    found = interleaved(
        3, {"ours": lambda: one("ours", 1, 9, 2), "bare": lambda: one("bare", 5, 4, 6)}
    )
    assert order == ["ours", "bare"] * 3
    assert found == {"ours": Figure(2, None, 1, 9), "bare": Figure(5, None, 4, 6)}


def test_an_answer_is_read_up_to_its_length_however_it_arrives() -> None:
    answers = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    answers += b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"
    reading, found = Reading(), []
    for at in range(len(answers)):
        if reading.feed(answers[at : at + 1]):
            found.append((at + 1, reading.status))
    assert found == [(answers.index(b"HTTP/1.1 304"), 200), (len(answers), 304)]


def test_an_answer_without_a_length_is_not_measured() -> None:
    with pytest.raises(ValueError, match="without Content-Length"):
        Reading().feed(b"HTTP/1.1 200 OK\r\n\r\n")


def test_a_percentile_lies_within_its_bucket() -> None:
    before = {0.01: 100.0, 0.1: 100.0, float("inf"): 100.0}
    after = {0.01: 150.0, 0.1: 199.0, float("inf"): 200.0}
    assert percentile(before, after, 0.5) == pytest.approx(10)
    assert percentile(before, after, 0.99) == pytest.approx(100)
    assert percentile(before, after, 0.745) == pytest.approx(55)


def test_transactions_are_whole_and_in_the_order_in_which_they_ended() -> None:
    sent = [(1, "BEGIN"), (2, "START TRANSACTION READ ONLY"), (1, "INSERT a"), (3, "SELECT 1")]
    sent += [(2, "SELECT b"), (2, "COMMIT"), (1, "rollback"), (4, "BEGIN"), (4, "SELECT c")]
    found = transactions([Statement(thread, "farm", text) for thread, text in sent])
    assert [[s.text for s in one] for one in found] == [
        ["SELECT 1"],
        ["START TRANSACTION READ ONLY", "SELECT b", "COMMIT"],
        ["BEGIN", "INSERT a", "rollback"],
        ["BEGIN", "SELECT c"],
    ]


def test_only_selects_without_locks_are_reads() -> None:
    texts = {"SELECT 1": True, " select 1": True, "SELECT 1 FOR UPDATE": False, "COMMIT": False}
    assert {text: Statement(1, "farm", text).reads for text in texts} == texts


def test_the_page_has_the_figures_between_its_marks_and_writing_it_again_changes_nothing() -> None:
    measured = figures(row(at_least(1.3)), row(at_least(2)), row())
    page = document.PAGE.read_text()
    once = document.replaced(page, measured)
    assert document.replaced(once, measured) == once
    assert once.partition(document.BEGIN)[0] == page.partition(document.BEGIN)[0]
    assert once.partition(document.END)[2] == page.partition(document.END)[2]
    assert "1 of 2 goals are reached" in once
    line = "| is_done & more | 30 /s | 0.200 | 20 (bare Klein) | 0.500 | 1.50 | ≥ 1.3 | yes |"
    assert line in once
    with pytest.raises(ValueError, match="has no"):
        document.replaced("# A page", measured)


def test_the_picture_has_a_bar_for_each_figure_with_a_goal() -> None:
    text = plot.svg(figures(row(at_least(1.3)), row(at_least(2)), row()))
    rects = ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}rect")
    assert [rect.get("class") for rect in rects] == ["back", "reached", "missed"]
    assert "is_done &amp; more" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (0, "0"), (0.25, "0.250"), (2.345, "2.35"), (12.34, "12.3"), (3250.4, "3,250")],
)
def test_numbers_have_three_digits_that_count(value: float | None, text: str) -> None:
    assert table.number(value) == text
