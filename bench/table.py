"""Figures of the runs, judged and written as a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Any, Optional


@dataclass
class Row:
    """All runs of one operation.

    Attributes:
        target: the least ratio; none for a row that is only told.
        limit_mb: peak RSS that ours may have.
        problem: why it could not be measured.
    """

    workload: str
    operation: str
    target: Optional[float]
    limit_mb: Optional[int] = None
    runs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    problem: Optional[str] = None

    def figures(self, side: str, what: str) -> list[float]:
        """One figure of every run."""
        return [run[what] for run in self.runs.get(side, [])]

    def _ratio(self, side: str) -> Optional[float]:
        pairs = list(zip(self.figures("reference", "wall_s"), self.figures(side, "wall_s")))
        return median(reference / other for reference, other in pairs) if pairs and not self.problem else None

    @property
    def ratio(self) -> Optional[float]:
        """Median of the pairs' ratios."""
        return self._ratio("ours")

    @property
    def bare_ratio(self) -> Optional[float]:
        """The same of the bare loops, which do less than the work: what the machine allows. Only of bulk workloads."""
        return self._ratio("bare")

    @property
    def met(self) -> Optional[bool]:
        """Whether the time target holds, if there is one; a failed run holds none."""
        if self.target is None:
            return None
        return self.ratio is not None and self.ratio >= self.target

    @property
    def memory_met(self) -> Optional[bool]:
        """Whether the memory limit holds; none where there is no limit."""
        if self.limit_mb is None:
            return None
        ours = self.figures("ours", "rss_mb")
        return bool(ours) and not self.problem and max(ours) <= self.limit_mb


def _wall(row: Row, side: str) -> str:
    walls = row.figures(side, "wall_s")
    if not walls:
        return "–"
    return f"{median(walls):.3g} ({min(walls):.3g}–{max(walls):.3g})"


def _middle(row: Row, side: str, what: str, form: str) -> str:
    figures = row.figures(side, what)
    return format(median(figures), form) if figures else "–"


def _pair(row: Row, what: str, form: str) -> str:
    return f"{_middle(row, 'reference', what, form)} / {_middle(row, 'ours', what, form)}"


HEADER = [
    "workload",
    "operation",
    "reference wall s",
    "ours wall s",
    "CPU s",
    "peak RSS MB",
    "requests",
    "ratio",
    "bare loops",
    "target",
    "",
]


def cells(row: Row) -> list[str]:
    """The row as text; pairs are reference / ours."""
    ratio = "failed" if row.ratio is None else f"{row.ratio:.1f}×"
    bare = "" if row.bare_ratio is None else f"{row.bare_ratio:.1f}×"
    return [
        row.workload,
        row.operation,
        _wall(row, "reference"),
        _wall(row, "ours"),
        _pair(row, "cpu_s", ".2f"),
        _pair(row, "rss_mb", ".0f"),
        _pair(row, "requests", ",.0f"),
        ratio,
        bare,
        "" if row.target is None else f"≥ {row.target:g}×",
        "" if row.met is None else "met" if row.met else "missed",
    ]


def memory_cells(row: Row) -> list[str]:
    """The memory limit of a row, as a row of its own."""
    ours = row.figures("ours", "rss_mb")
    most = f"{max(ours):.0f} MB" if ours else "failed"
    verdict = "met" if row.memory_met else "missed"
    return [
        row.workload,
        f"{row.operation}: peak RSS",
        "",
        "",
        "",
        "",
        "",
        most,
        "",
        f"≤ {row.limit_mb} MB",
        verdict,
    ]


def lines(rows: list[Row]) -> list[str]:
    """The whole table, in Markdown with columns lined up."""
    table = [HEADER]
    for row in rows:
        table.append(cells(row))
        if row.limit_mb is not None:
            table.append(memory_cells(row))
    widths = [max(len(line[column]) for line in table) for column in range(len(HEADER))]
    text = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths)) for line in table]
    text.insert(1, " | ".join("-" * width for width in widths))
    return [f"| {line} |" for line in text]


def counts(rows: list[Row]) -> tuple[int, int]:
    """How many targets are met and missed: times and memory."""
    verdicts = [row.met for row in rows] + [row.memory_met for row in rows]
    return verdicts.count(True), verdicts.count(False)
