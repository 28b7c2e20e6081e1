"""Waiting for long calls of the native module, in a thread or in an event loop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Generic, Optional, TypedDict, TypeVar

from .._logs import logger
from ..exceptions import AssetSyncCancelledError
from .event_loop import Watch
from .session_settings import StoreSettings, settings_of

if TYPE_CHECKING:
    from .._native import Operation
    from ..progress_tracker import ProgressTracker


_Result = TypeVar("_Result")

#: How long a cancelled task stays with its workers while they put things in order, as the pump does for plain calls.
_STOP_PATIENCE_SECONDS = 0.45


class StoreArguments(TypedDict):
    """How a call reaches S3."""

    session: Optional[Any]
    max_connections: Optional[int]
    checksums: Optional[bool]
    settings: Optional[StoreSettings]


def store_arguments(
    session: Optional[Any], max_connections: Optional[int] = None, checksums: Optional[bool] = None
) -> StoreArguments:
    """Names an S3 endpoint: that of a boto3 session, or of the environment where there is none.

    Args:
        session: The boto3 session, or `None`.
        max_connections: The most requests under way at once; `None` for the default.
        checksums: Whether requests carry checksums that S3 does not ask for; `None` for the default.
    """
    return {
        "session": session,
        "max_connections": max_connections,
        "checksums": checksums,
        "settings": settings_of(session),
    }


async def run_async(operation: Operation) -> Any:
    """Waits for an operation in the running event loop.

    Callbacks are made from the loop's thread. Cancelling the awaiting task cancels the operation; the task ends once
    the workers have aborted what they had begun, or after half a second. A task that is dropped cancels the operation
    too, also where its loop was closed before.

    Args:
        operation: The operation, just begun.

    Returns:
        What the operation gives.
    """
    with Watch(operation) as watch:
        try:
            while not operation.step():
                await watch.wait()
        except asyncio.CancelledError:
            operation.cancel()
            await _settle(operation, watch)
            raise
        except BaseException:
            operation.cancel()
            raise
    return operation.result()


@dataclass(frozen=True)
class Begun(Generic[_Result]):
    """A long call that has begun: what its plain form and its awaitable form share.

    Attributes:
        operation: The operation.
        finish: Makes the call's result from what the operation gives.
    """

    operation: Operation
    finish: Callable[[Any], _Result]

    def run(self) -> _Result:
        """Waits for the call in this thread."""
        return self.finish(self.operation.run())

    async def run_async(self) -> _Result:
        """Waits for the call in the running event loop, as `run_async` does."""
        return self.finish(await run_async(self.operation))


async def _settle(operation: Operation, watch: Watch) -> None:
    """Waits for the workers of a cancelled operation, but not for long."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _STOP_PATIENCE_SECONDS
    try:
        while loop.time() < deadline and not operation.step():
            await watch.wait()
    except Exception:
        # The cancellation is on its way to the caller already.
        logger().warning("A callback of a cancelled call raised an exception.", exc_info=True)


def report_end(progress_tracker: Optional[ProgressTracker], text: str) -> None:
    """Reports once more at the end, and sees whether that cancelled the call."""
    if progress_tracker is not None:
        progress_tracker.report_progress()
        if not progress_tracker.continue_reporting:
            raise AssetSyncCancelledError(text, progress_tracker.get_summary_statistics())
