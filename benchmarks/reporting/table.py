"""The one table: for people, for RESULTS.md, and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich import box
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.measuring.results import Measure
    from benchmarks.reporting.comparisons import Outcome

COLUMNS: Final = ("what", "of whom", "median", "lowest..highest", "compared with")
_NUMBERS: Final = {"median", "lowest..highest"}


def rows(measures: Sequence[Measure], outcomes: Sequence[Outcome]) -> list[list[str]]:
    """One row for each measure; its quantity is named only in the first row of several."""
    made = []
    before = None
    for one in measures:
        quantity = one.quantity
        compared = [
            str(outcome)
            for outcome in outcomes
            if (outcome.comparison.quantity, outcome.comparison.candidate) == (quantity, one.candidate)
        ]
        made.append(
            [
                "" if quantity == before else quantity.name,
                one.candidate,
                quantity.text(one.median),
                "..".join(quantity.text(value) for value in one.spread),
                "; ".join(compared),
            ]
        )
        before = quantity
    return made


def for_terminal(cells: Sequence[Sequence[str]]) -> Table:
    """Make the table that is printed."""
    table = Table(box=box.SIMPLE)
    for column in COLUMNS:
        table.add_column(column, justify="right" if column in _NUMBERS else "left")
    for row in cells:
        table.add_row(*row)
    return table


def for_markdown(cells: Sequence[Sequence[str]]) -> str:
    """Make the table of RESULTS.md."""
    ruler = ["---:" if column in _NUMBERS else "---" for column in COLUMNS]
    return "\n".join("| " + " | ".join(row) + " |" for row in [COLUMNS, ruler, *cells])


def for_json(
    measures: Sequence[Measure], outcomes: Sequence[Outcome], circumstances: Mapping[str, Any]
) -> dict[str, Any]:
    """Make the content of results.json: all values, and where and when they were measured."""
    return {
        **circumstances,
        "measures": [
            {
                "quantity": one.quantity.name,
                "candidate": one.candidate,
                "median": one.median,
                "lowest": one.spread[0],
                "highest": one.spread[1],
                "rounds": list(one.values),
            }
            for one in measures
        ],
        "comparisons": [
            {
                "quantity": outcome.comparison.quantity.name,
                "candidate": outcome.comparison.candidate,
                "beside": outcome.comparison.beside,
                "value": outcome.value,
                "wanted": outcome.comparison.wanted,
                "limit": outcome.comparison.limit if outcome.comparison.wanted else None,
                "kept": outcome.kept if outcome.comparison.wanted else None,
            }
            for outcome in outcomes
        ],
    }
