"""Interpreters without a GIL: not supported, and nothing is installed on one by mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

tags = pytest.importorskip("packaging.tags")
REPOSITORY = Path(__file__).resolve().parents[2]


def accepts(abi: str) -> bool:
    """Whether pip takes a `cp39-abi3` wheel on CPython 3.14 with this ABI."""
    accepted = tags.cpython_tags((3, 14), abis=[abi], platforms=["manylinux_2_17_x86_64"])
    return any((tag.interpreter, tag.abi) == ("cp39", "abi3") for tag in accepted)


def test_pip_takes_the_wheel_only_with_a_gil():
    assert accepts("cp314")
    assert not accepts("cp314t")


def test_the_module_says_that_it_uses_the_gil():
    """Only builds for CPython 3.13 and later have the slot, so the source is read."""
    assert "#[pymodule(gil_used = true)]" in (REPOSITORY / "src/python/mod.rs").read_text(encoding="utf-8")
