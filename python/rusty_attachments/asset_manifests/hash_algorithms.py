"""Hashing of contents."""

from __future__ import annotations

import os
from enum import Enum
from typing import Union

from .. import _native
from ..exceptions import UnsupportedHashingAlgorithmError

__all__ = ["HashAlgorithm", "hash_data", "hash_file"]


class HashAlgorithm(str, Enum):
    """The algorithms that manifests may name; XXH3 with 128 bits is the one there is."""

    XXH128 = "xxh128"


def _check(hash_alg: HashAlgorithm) -> None:
    if hash_alg != HashAlgorithm.XXH128:
        raise UnsupportedHashingAlgorithmError(f"Unsupported hashing algorithm provided: {hash_alg}")


def hash_file(
    file_path: Union[str, bytes, os.PathLike[str], os.PathLike[bytes]], hash_alg: HashAlgorithm
) -> str:
    """Hashes the contents of a file. Other Python threads run meanwhile.

    Args:
        file_path: The file; links are followed. Names that are no UTF-8 are fine.
        hash_alg: The algorithm.

    Returns:
        The hash as lower-case hex digits.

    Raises:
        UnsupportedHashingAlgorithmError: The algorithm is not known.
        OSError: The file can't be opened or read, as `open` would raise it.
    """
    _check(hash_alg)
    with open(file_path, "rb", buffering=0) as file:  # noqa: PTH123 - takes bytes, and raises what users expect
        return _native.hash_descriptor(file.fileno())


def hash_data(data: bytes, hash_alg: HashAlgorithm) -> str:
    """Hashes bytes. Other Python threads run meanwhile.

    Args:
        data: Anything that holds bytes one after another.
        hash_alg: The algorithm.

    Returns:
        The hash as lower-case hex digits.

    Raises:
        UnsupportedHashingAlgorithmError: The algorithm is not known.
    """
    _check(hash_alg)
    return _native.hash_data(data if isinstance(data, bytes) else bytes(memoryview(data)))
