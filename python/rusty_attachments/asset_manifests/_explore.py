"""Looking at manifests: sizes by directory and extension, Jupyter, Arrow, pandas."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, cast

from .. import _native

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped,unused-ignore]

    from .base_manifest import BaseAssetManifest

__all__ = ["Explorable"]

_ROWS_SHOWN = 10
_LINES_SHOWN = 200


def _readable(size: int) -> str:
    """Gives a size in decimal units, as the reference prints sizes."""
    number = float(size)
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if abs(number) < 1000:
            return f"{size} B" if unit == "B" else f"{round(number, 2)} {unit}"
        number /= 1000
    return f"{round(number, 2)} PB"


def _count(files: int) -> str:
    return f"{files:,} file" if files == 1 else f"{files:,} files"


def _printable(name: str) -> str:
    """Gives a name that can be written anywhere: lone surrogates and control characters are spelled out."""
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in name)


class Explorable:
    """What manifests of all versions can show of themselves, without a Python object per entry."""

    def _table(self) -> _native.ManifestTable:
        return _native.manifest_table(cast("BaseAssetManifest", self))

    def __repr__(self) -> str:
        manifest = cast(Any, self)
        try:
            version = getattr(manifest.manifestVersion, "value", manifest.manifestVersion)
            files, size = len(manifest.paths), _readable(manifest.totalSize)
        except (AttributeError, TypeError):
            return f"<{type(self).__name__}, incomplete>"
        return f"<{type(self).__name__} {version}: {_count(files)}, {size}>"

    def du(self, depth: int = 1) -> list[tuple[str, int, int]]:
        """Adds up what directories hold, everything below them included.

        Args:
            depth: How many levels below the root to go.

        Returns:
            Directory (`""` for the root), number of files and bytes, sorted by directory.
        """
        return self._table().disk_usage(depth)

    def tree(self, depth: int = 3) -> str:
        """Draws the directories with their files' number and size.

        Args:
            depth: How many levels below the root to go.
        """
        usage = self.du(depth)
        lines = []
        for name, files, size in usage[:_LINES_SHOWN]:
            level, last = (name.count("/") + 1, name.rpartition("/")[2]) if name else (0, ".")
            lines.append(f"{'    ' * level}{_printable(last)}  {_count(files)}, {_readable(size)}")
        if len(usage) > _LINES_SHOWN:
            lines.append(f"… and {len(usage) - _LINES_SHOWN:,} more directories")
        return "\n".join(lines)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        r"""Gives the files as an Arrow stream, which pyarrow, polars, pandas and DuckDB read.

        The columns are `path`, `hash`, `size` in bytes and `mtime` in microseconds, UTC; for version 2025-12-04-beta
        also `runnable`, `symlink_target`, `deleted` and `chunks`, their number. A lone surrogate shows as `\udcXX`.
        """
        return self._table().__arrow_c_stream__(requested_schema)

    def to_pandas(self) -> pandas.DataFrame:
        """Gives the files as a pandas frame; pyarrow and pandas must be installed."""
        import pyarrow  # type: ignore[import-untyped,unused-ignore]

        return cast("pandas.DataFrame", pyarrow.table(self).to_pandas())

    def _repr_html_(self) -> str:
        table = self._table()
        parts = [f"<p><b>{escape(repr(self))}</b></p>"]
        largest = [(path, 1, size) for path, size in table.largest(_ROWS_SHOWN)]
        directories = sorted(table.disk_usage(1)[1:], key=lambda row: -row[2])
        for title, rows in (
            ("Largest files", largest),
            ("By extension", [(name or "(none)", files, size) for name, files, size in table.by_extension()]),
            ("By directory", directories),
        ):
            if rows:
                parts.append(_html_table(title, rows))
        return "".join(parts)


def _html_table(title: str, rows: list[tuple[str, int, int]]) -> str:
    left = "style='text-align:left'"
    cells = "".join(
        f"<tr><td {left}>{escape(_printable(name))}</td><td>{files:,}</td><td>{_readable(size)}</td></tr>"
        for name, files, size in rows[:_ROWS_SHOWN]
    )
    rest = f"<p>… and {len(rows) - _ROWS_SHOWN:,} more</p>" if len(rows) > _ROWS_SHOWN else ""
    head = f"<tr><th {left}>Name</th><th>Files</th><th>Size</th></tr>"
    return f"<table><caption>{escape(title)}</caption>{head}{cells}</table>{rest}"
