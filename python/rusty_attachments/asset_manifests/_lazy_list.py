"""A list whose elements are made when they are touched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from copy import deepcopy
from typing import Any, Generic, Optional, Protocol, SupportsIndex, TypeVar, Union, overload

__all__ = ["LazyList"]

Element = TypeVar("Element")

_WALKED_FAR = 1024
"""How many elements a walk hands out one by one before the rest are made all at once."""

_SHOWN = 1000
"""The longest list that `repr` spells out."""


class _Rows(Protocol):
    """Where elements come from: native columns."""

    def __len__(self) -> int: ...

    def element(self, row: int) -> Any: ...

    def elements(self, start: int, stop: int) -> list[Any]: ...


class LazyList(list[Element], Generic[Element]):
    """A list over native rows.

    Until something needs all elements, none is held but those that were handed out, and these are always the same
    objects: what is changed in them stays. Anything that only a real list can do (sorting, inserting, walking far)
    makes all elements and puts them into the list itself, which is an ordinary one from then on.

    It derives from `list` so that `dataclasses.asdict`, `json` and `isinstance` take it for one. `LazyList(iterable)`
    gives a plain list: what copies a list by its type, as `asdict` does, wants no rows.
    """

    __slots__ = ("_rows", "_touched")

    _rows: Optional[_Rows]
    _touched: dict[int, Element]

    def __new__(cls, iterable: Iterable[Element] = ()) -> Any:
        """Gives a plain list; lazy ones come from `over`."""
        return list(iterable)

    @classmethod
    def over(cls, rows: Any, touched: Optional[dict[int, Element]] = None) -> LazyList[Element]:
        """Makes a list over rows, some of which may have objects already."""
        made: LazyList[Element] = list.__new__(cls)
        made._rows = rows
        made._touched = {} if touched is None else touched
        return made

    # What works without all elements.

    def __len__(self) -> int:
        return list.__len__(self) if self._rows is None else len(self._rows)

    @overload
    def __getitem__(self, index: SupportsIndex) -> Element: ...

    @overload
    def __getitem__(self, index: slice) -> list[Element]: ...

    def __getitem__(self, index: Union[SupportsIndex, slice]) -> Union[Element, list[Element]]:
        rows = self._rows
        if rows is None:
            return list.__getitem__(self, index)
        if isinstance(index, slice):
            return [self._at(row) for row in range(*index.indices(len(rows)))]
        try:
            row = range(len(rows))[index]
        except IndexError:
            raise IndexError("list index out of range") from None
        except TypeError:
            name = type(index).__name__
            raise TypeError(f"list indices must be integers or slices, not {name}") from None
        return self._at(row)

    def _at(self, row: int) -> Element:
        if self._rows is None:
            return list.__getitem__(self, row)
        element = self._touched.get(row)
        if element is None:
            element = self._touched[row] = self._rows.element(row)
        return element

    def __iter__(self) -> Iterator[Element]:
        index = 0
        while index < len(self):
            if index == _WALKED_FAR:
                self._settle()
            yield self._at(index)
            index += 1

    def __reversed__(self) -> Iterator[Element]:
        for index in range(len(self) - 1, -1, -1):
            if index < len(self):
                yield self._at(index)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if isinstance(other, LazyList):
            rows, others = self._rows, other._rows
            if rows is not None and others is not None and not self._touched and not other._touched:
                return bool(rows == others)
            other._settle()
        if not isinstance(other, list) or len(self) != len(other):
            return NotImplemented if not isinstance(other, list) else False
        return list.__eq__(self._settled(), other)

    def __ne__(self, other: object) -> bool:
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    def __deepcopy__(self, memo: dict[int, Any]) -> list[Element]:
        if self._rows is None:
            plain: list[Element] = []
            memo[id(self)] = plain
            plain.extend(deepcopy(element, memo) for element in list.__iter__(self))
            return plain
        lazy = type(self).over(self._rows)
        memo[id(self)] = lazy
        lazy._touched.update((row, deepcopy(element, memo)) for row, element in self._touched.items())
        return lazy

    def __repr__(self) -> str:
        if self._rows is not None and len(self) > _SHOWN:
            return f"<{type(self).__name__} of {len(self)} elements>"
        return list.__repr__(self._settled())

    # What needs them all.

    def _settle(self) -> None:
        """Makes all elements and becomes an ordinary list."""
        rows = self._rows
        if rows is None:
            return
        elements = rows.elements(0, len(rows))
        for row, element in self._touched.items():
            elements[row] = element
        self._rows = None
        self._touched = {}
        list.extend(self, elements)

    def _settled(self) -> list[Element]:
        self._settle()
        return self

    def __copy__(self) -> list[Element]:
        return list(self._settled())

    def __reduce_ex__(self, protocol: SupportsIndex) -> Union[str, tuple[Any, ...]]:
        if self._rows is None or self._touched:
            return list, (list(self._settled()),)
        return _over, (type(self), self._rows)

    def __add__(self, other: Any) -> Any:
        if isinstance(other, LazyList):
            other._settle()
        return list.__add__(self._settled(), other)

    def __radd__(self, other: Any) -> Any:
        return list.__add__(other, self._settled()) if isinstance(other, list) else NotImplemented

    __hash__ = None  # type: ignore[assignment,unused-ignore]


def _over(cls: type[LazyList[Any]], rows: Any) -> LazyList[Any]:
    return cls.over(rows)


def _settling(name: str) -> Any:
    inherited = getattr(list, name)

    def method(self: LazyList[Any], *arguments: Any, **keywords: Any) -> Any:
        self._settle()
        return inherited(self, *arguments, **keywords)

    method.__name__ = name
    method.__qualname__ = f"LazyList.{name}"
    method.__doc__ = inherited.__doc__
    return method


for _name in [
    "__setitem__",
    "__delitem__",
    "__contains__",
    "__iadd__",
    "__mul__",
    "__rmul__",
    "__imul__",
    "__lt__",
    "__le__",
    "__gt__",
    "__ge__",
    "append",
    "extend",
    "insert",
    "remove",
    "pop",
    "clear",
    "index",
    "count",
    "sort",
    "reverse",
    "copy",
]:
    setattr(LazyList, _name, _settling(_name))
