"""What a mutant is: a safeguard, how to take it away, and the cases that should notice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Edit:
    """One replacement: the old text must be in the file exactly once."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """A safeguard, how to take it away, and the cases that should notice."""

    safeguard: str
    edits: tuple[Edit, ...]
    row: str
    #: Part of the names of the cases.
    cases: str
