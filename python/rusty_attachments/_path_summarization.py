"""Lists of paths for people: sequences as one line, directories with totals, long lists cut short."""

from __future__ import annotations

import ntpath
import os
import posixpath
import re
from collections.abc import Collection, Iterable
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple, Optional, Union

from .models import PathFormat

_UNITS = ("B", "KB", "MB", "GB", "TB", "PB")


def human_readable_file_size(size_in_bytes: int) -> str:
    """A size in decimal units, rounded to two decimals: 1000 is `1.0 KB`, 999999 is `1.0 MB`."""
    size: float = size_in_bytes
    for unit in _UNITS:
        rounded = round(size, ndigits=2)
        if rounded < 1000:
            return f"{rounded} {unit}"
        size /= 1000
    return f"{rounded} {_UNITS[-1]}"


# The last number of a name, before an extension if there is one: `frame_0010.exr`, `take12`.
_NUMBERED = re.compile(r"^(.*\D|)(\d+)(\.[^/\\]+)?$")


class _NumberedPath(NamedTuple):
    """A path with a number in it: what comes before, the digits, and what comes after."""

    path: str
    before: str
    digits: str
    after: str

    @property
    def padding_min(self) -> int:
        """The least padding that writes the number like this."""
        return len(self.digits) if self.digits[0] == "0" else 1

    @property
    def padding_max(self) -> int:
        """The greatest padding that writes the number like this."""
        return len(self.digits)


class _Sequence(NamedTuple):
    """Paths that are summed up as one: a path or a printf pattern, the numbers, and the paths."""

    name: str
    indexes: set[int]
    paths: list[str]


def _divide_numbered_path_group(group: list[_NumberedPath]) -> list[_Sequence]:
    """Splits paths that differ in their numbers alone into sequences of one padding each.

    Fewer than three make no sequence. The greatest of the least paddings is taken first: it is that of the
    zeros in front.
    """
    found: list[_Sequence] = []
    while len(group) > 2:
        padding = max(numbered.padding_min for numbered in group)
        members = [numbered for numbered in group if numbered.padding_max >= padding]
        pattern = f"%0{padding}d" if padding > 1 else "%d"
        found.append(
            _Sequence(
                f"{members[0].before}{pattern}{members[0].after}",
                {int(numbered.digits) for numbered in members},
                [numbered.path for numbered in members],
            )
        )
        group = [numbered for numbered in group if numbered.padding_max < padding]
    return found + [_Sequence(numbered.path, set(), [numbered.path]) for numbered in group]


class PathSummary:
    """A file, a sequence of files, or a directory with what is in it.

    Attributes:
        path: A path, or a printf pattern for a sequence; a directory's ends with a separator.
        index_set: The numbers of a sequence, else empty.
        file_count: Files in it.
        total_size: Their size in bytes, where it is known.
        children: A directory's contents by name, where they are known.
    """

    path: str
    index_set: set[int]
    file_count: int
    total_size: Optional[int]
    children: Optional[dict[str, PathSummary]]

    def __init__(
        self,
        path: str,
        *,
        path_format: Optional[PathFormat] = None,
        index_set: Optional[set[int]] = None,
        file_count: Optional[int] = None,
        total_size: Optional[int] = None,
        children: Optional[dict[str, PathSummary]] = None,
    ) -> None:
        # `Any`: the three modules have the same functions, which their types don't say.
        self._os_path: Any = os.path if path_format is None else _os_path(path_format)
        self.path = path
        self.index_set = index_set or set()
        if index_set:
            file_count = len(index_set)
        elif file_count is None:
            file_count = 0 if self.is_dir() else 1
        self.file_count = file_count
        self.total_size = total_size
        self.children = children

    def is_dir(self) -> bool:
        """Whether it is a directory, by the separator at its end."""
        separators = tuple(filter(None, (self._os_path.sep, self._os_path.altsep)))
        return self.path.endswith(separators)

    def summary(
        self, *, include_totals: bool = True, relative_to: Optional[Union[PurePath, str]] = None
    ) -> str:
        """One line: the path, relative to another if asked for, and in brackets what it holds."""
        shown = self.path
        if relative_to is not None:
            try:
                shown = self._os_path.relpath(self.path, relative_to)
            except ValueError:
                return self.summary(include_totals=include_totals)  # another drive: nothing is relative to it
            if self.is_dir():
                shown = self._os_path.join(shown, "")
        if include_totals:
            return f"{shown} ({self.summary_totals()})"
        if self.index_set:
            return f"{shown} (sequence indexes {_int_set_to_range_expr(self.index_set)})"
        return shown

    def summary_totals(self) -> str:
        """What it holds: `3 files, 30.0 MB, sequence 1-3`."""
        parts = [f"{self.file_count} file{'' if self.file_count == 1 else 's'}"]
        if self.total_size is not None:
            parts.append(human_readable_file_size(self.total_size))
        if self.index_set:
            parts.append(f"sequence {_int_set_to_range_expr(self.index_set)}")
        return ", ".join(parts)

    def __str__(self) -> str:
        return self.summary()

    def __repr__(self) -> str:
        parts = [repr(self.path)]
        if self.is_dir():
            if self.file_count != 0:
                parts.append(f"file_count={self.file_count!r}")
        elif self.index_set:
            parts.append(f"index_set={{{', '.join(map(str, sorted(self.index_set)))}}}")
        if self.total_size is not None:
            parts.append(f"total_size={self.total_size!r}")
        if self.children is not None:
            parts.append(f"children={self.children!r}")
        return f"PathSummary({', '.join(parts)})"

    def __eq__(self, value: object) -> bool:
        if not isinstance(value, PathSummary):
            return False
        names = ("path", "index_set", "file_count", "total_size", "children")
        return all(getattr(self, name) == getattr(value, name) for name in names)

    # Its fields change while a summary is built.
    __hash__ = None  # type: ignore[assignment]


def _os_path(path_format: PathFormat) -> Any:
    return ntpath if path_format == PathFormat.WINDOWS else posixpath


def _int_set_to_range_expr(int_set: set[int]) -> str:
    """Numbers as ranges: `{1, 2, 3, 5}` is `1-3,5`."""
    ranges: list[list[int]] = []
    for number in sorted(int_set):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def summarize_paths_by_sequence(
    path_list: Collection[Union[PurePath, str]],
    *,
    path_format: Optional[PathFormat] = None,
    total_size_by_path: Optional[dict[str, int]] = None,
) -> list[PathSummary]:
    """Finds numbered sequences of at least three files.

    Args:
        path_list: The paths; duplicates count once.
        path_format: Whose rules they follow; by default this machine's.
        total_size_by_path: The size of each path in bytes. Where it is given and not empty it must have all
            of them.

    Returns:
        Files and sequences, sorted by path or pattern: `frame_%04d.exr` with its numbers in `index_set`.
    """
    if not path_list:
        return []
    path_format = path_format or PathFormat.get_host_path_format()
    paths = {str(path) for path in path_list}
    sizes = total_size_by_path
    if path_format == PathFormat.WINDOWS:
        paths = {path.replace("/", "\\") for path in paths}
        sizes = {path.replace("/", "\\"): size for path, size in (sizes or {}).items()}

    plain: list[_Sequence] = []
    groups: dict[tuple[str, str], list[_NumberedPath]] = {}
    for path in paths:
        match = _NUMBERED.match(path)
        if match is None:
            plain.append(_Sequence(path, set(), [path]))
        else:
            before, digits, after = match.group(1), match.group(2), match.group(3) or ""
            groups.setdefault((before, after), []).append(_NumberedPath(path, before, digits, after))
    divided = (sequence for group in groups.values() for sequence in _divide_numbered_path_group(group))

    return [
        PathSummary(
            sequence.name,
            path_format=path_format,
            index_set=sequence.indexes,
            total_size=sum(sizes[path] for path in sequence.paths) if sizes else None,
        )
        for sequence in sorted([*plain, *divided], key=lambda sequence: sequence.name)
    ]


def _collapse_each_path_summary(path_summary_list: Iterable[PathSummary]) -> list[PathSummary]:
    """Replaces each directory that holds one thing by that thing, again and again."""

    def collapse(summary: PathSummary) -> PathSummary:
        while summary.children is not None and len(summary.children) == 1:
            summary = next(iter(summary.children.values()))
        return summary

    return [collapse(summary) for summary in path_summary_list]


def summarize_paths_by_nested_directory(
    path_list: Collection[Union[PurePath, str]],
    *,
    path_format: Optional[PathFormat] = None,
    total_size_by_path: Optional[dict[str, int]] = None,
) -> list[PathSummary]:
    """Finds sequences, and nests them in their directories.

    Args:
        path_list: The paths; duplicates count once.
        path_format: Whose rules they follow; by default this machine's.
        total_size_by_path: The size of each path in bytes.

    Returns:
        One summary for each distinct root (a drive, a relative path's first directory, …), from where it
        branches.
    """
    if not path_list:
        return []
    path_format = path_format or PathFormat.get_host_path_format()
    pure_path = PureWindowsPath if path_format == PathFormat.WINDOWS else PurePosixPath
    join = _os_path(path_format).join
    no_size = 0 if total_size_by_path else None

    roots: dict[str, PathSummary] = {}
    for summary in summarize_paths_by_sequence(
        path_list, total_size_by_path=total_size_by_path, path_format=path_format
    ):
        parts = pure_path(summary.path).parts or (summary.path,)
        level = roots
        for depth, part in enumerate(parts[:-1], start=1):
            directory = level.get(part)
            if directory is None:
                name = join(*parts[:depth], "")
                directory = level[part] = PathSummary(name, path_format=path_format, total_size=no_size)
            directory.file_count += summary.file_count
            if directory.total_size is not None and summary.total_size is not None:
                directory.total_size += summary.total_size
            if directory.children is None:
                directory.children = {}
            level = directory.children
        level[parts[-1]] = summary
    return _collapse_each_path_summary(roots.values())


def summarize_path_list(
    path_list: Collection[Union[PurePath, str]],
    *,
    path_format: Optional[PathFormat] = None,
    total_size_by_path: Optional[dict[str, int]] = None,
    max_entries: int = 10,
    include_totals: bool = True,
) -> str:
    """Lines that sum up a list of paths: roots, and one level below each, largest first.

    Args:
        path_list: The paths; duplicates count once.
        path_format: Whose rules they follow; by default this machine's.
        total_size_by_path: The size of each path in bytes.
        max_entries: How many lines to show before "… more".
        include_totals: Whether to say how many files, and how large.
    """
    if not path_list:
        return ""
    roots = summarize_paths_by_nested_directory(
        path_list, total_size_by_path=total_size_by_path, path_format=path_format
    )
    if len(roots) == 1 and roots[0].children is not None and len(roots[0].children) <= max_entries / 2:
        # One shallow root: its children make better headings.
        roots = _collapse_each_path_summary(roots[0].children.values())
    has_sizes = bool(total_size_by_path)
    roots = _largest_first(roots, has_sizes)
    shown = _entries_to_show(roots, max_entries)

    lines: list[str] = []
    for count, root in zip(shown, roots):
        lines.extend(_root_lines(root, count, has_sizes, include_totals))
    hidden = roots[len(shown) :]
    if hidden:
        totals = ""
        if include_totals:
            totals = f"{sum(root.file_count for root in hidden)} files"
            if has_sizes:
                totals += f", {human_readable_file_size(sum(root.total_size or 0 for root in hidden))}"
            totals = f" ({totals})"
        lines.append(f"... and {len(hidden)} more{totals}\n")
    return "".join(lines)


def _largest_first(summaries: Iterable[PathSummary], has_sizes: bool) -> list[PathSummary]:
    def key(summary: PathSummary) -> tuple[int, str]:
        weight = (summary.total_size or 0) if has_sizes else summary.file_count
        return -weight, summary.path

    return sorted(summaries, key=key)


def _entries_to_show(roots: list[PathSummary], max_entries: int) -> list[int]:
    """How many children of each shown root to show, so that all lines together are at most `max_entries`."""
    counts = [min(len(root.children or ()), max_entries) for root in roots[:max_entries]]
    while len(counts) + sum(counts) > max_entries:
        largest = max(counts)
        if largest > len(counts):
            # More children under one root than roots: one child less, at the last root that has so many.
            at = len(counts) - 1 - counts[::-1].index(largest)
            counts[at] -= 1
        else:
            counts.pop()
    if len(counts) == len(roots) - 1 and not roots[-1].is_dir():
        # The last root takes no more room than "... and 1 more".
        counts.append(0)
    return counts


def _root_lines(root: PathSummary, count: int, has_sizes: bool, include_totals: bool) -> Iterable[str]:
    heading = root.summary(include_totals=include_totals)
    if root.children is None:
        yield f"{heading}\n"
        return
    yield f"{heading}:\n"
    children = _largest_first(root.children.values(), has_sizes)
    if count == len(children) - 1:
        # The last child takes no more room than "... and 1 more".
        count += 1
    for child in children[:count]:
        yield f"  {child.summary(include_totals=include_totals, relative_to=root.path)}\n"
    if len(children) > count:
        yield f"  ... and {len(children) - count} more\n"
