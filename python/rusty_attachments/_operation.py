"""Waiting for long calls of the native module, in a thread or in an event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Optional, TypedDict

from ._native import wait

if TYPE_CHECKING:
    from ._native import Operation


class StoreArguments(TypedDict):
    """How a call reaches S3."""

    session: Optional[Any]
    max_connections: Optional[int]
    checksums: bool


def store_arguments(
    session: Optional[Any], max_connections: Optional[int] = None, checksums: bool = True
) -> StoreArguments:
    """Names an S3 endpoint: that of a boto3 session, or of the environment where there is none.

    Args:
        session: The boto3 session, or `None`.
        max_connections: The most requests under way at once.
        checksums: Whether requests carry checksums that S3 does not ask for.
    """
    return {"session": session, "max_connections": max_connections, "checksums": checksums}


async def run_async(operation: Operation) -> Any:
    """Waits for an operation in the running event loop.

    Callbacks are made from the loop's thread. Cancelling the awaiting task cancels the operation.

    Args:
        operation: The operation, just begun.

    Returns:
        What the operation gives.
    """
    try:
        while not operation.step():
            await wait(operation)
    except asyncio.CancelledError:
        operation.cancel()
        raise
    return operation.result()
