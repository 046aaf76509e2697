"""All node tests of the package onnx: each passes or is refused, as the committed scores say."""

import node_scores
import node_tests
import pytest

CHUNKS = 40
"""Of about 45 cases: small enough for several processes, few enough to cost nothing."""
NUM_CASES, FEWEST_PASSED = 1765, 1500


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_node_tests(chunk: int) -> None:
    outcomes = [node_tests.run(name) for name in node_tests.names()[chunk::CHUNKS]]
    assert not node_scores.changes(outcomes)


def test_the_scores_are_of_all_cases_and_the_page_is_made_of_them() -> None:
    names = set(node_tests.names())
    refused = set(node_scores.committed())
    assert len(names) == NUM_CASES
    assert len(names) - len(refused) >= FEWEST_PASSED
    assert refused <= names
    assert set(node_tests.RANDOM) <= names
    assert node_scores.PAGE.read_text() == node_scores.page(), "run scripts/onnx_scores.py --update"


def test_changes_are_named() -> None:
    refused = next(iter(node_scores.committed()))
    passing = next(name for name in node_tests.names() if name not in node_scores.committed())
    outcomes = [
        node_tests.Outcome(refused, "pass"),
        node_tests.Outcome(passing, "unsupported", "why"),
        node_tests.Outcome(passing, "wrong", "1 instead of 2"),
        node_tests.Outcome(passing, "pass"),
    ]
    assert node_scores.changes(outcomes) == [
        f"{refused} passes now: run scripts/onnx_scores.py --update",
        f"{passing} passed before and is refused: why",
        f"{passing}: wrong: 1 instead of 2",
    ]
