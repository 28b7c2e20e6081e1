"""Waiting in an event loop for operations of the native module.

Workers never touch Python. They write to a socket that the loop watches, and the loop wakes the tasks whose operations
have something to deal with.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import Any, Optional
from weakref import WeakValueDictionary

from .._logs import logger
from .._native import Operation, WakeupSocket

#: How long a wait lasts at most, so that progress is shown while nothing else happens.
_TICK_SECONDS = 0.1
#: In a loop that watches no descriptors: how long until the first look, and between later ones at most.
_FIRST_LOOK_SECONDS, _LONGEST_LOOK_SECONDS = 0.001, 0.05

#: What loops raise that can't watch a descriptor: Windows' default one, loops of other makers, one that waits by
#: `select()` and a descriptor above its limit, and a process that has no descriptor left.
_REFUSALS = (NotImplementedError, AttributeError, OSError, ValueError)


class LoopWaker:
    """Wakes the tasks of one event loop that wait for operations.

    All of them share one socket, which is open while there are any.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._numbers = itertools.count()
        self._waiting: WeakValueDictionary[int, asyncio.Future[None]] = WeakValueDictionary()
        self._operations: set[int] = set()
        self._socket: Optional[WakeupSocket] = None

    @classmethod
    def of_running_loop(cls) -> LoopWaker:
        """The waker of the running loop."""
        loop = asyncio.get_running_loop()
        waker = _wakers.get(id(loop))
        if waker is None:
            waker = _wakers[id(loop)] = cls(loop)
        return waker

    @property
    def is_woken(self) -> bool:
        """Whether the loop watches the socket."""
        return self._socket is not None

    def enter(self, operation: Operation) -> int:
        """Has the loop woken for an operation, and gives its number here."""
        number = next(self._numbers)
        if not self._operations:
            self._watch()
        self._operations.add(number)
        if self._socket is not None:
            operation.wake_through(self._socket, number)
        return number

    def leave(self, number: int) -> None:
        """The counterpart of `enter`, from any thread: Python collects a dropped task in whichever it likes."""
        if asyncio._get_running_loop() is self._loop:
            self._leave(number)
            return
        try:
            self._loop.call_soon_threadsafe(self._leave, number)
        except RuntimeError:
            # The loop is closed, and with it what watched the descriptor.
            self._leave(number)

    def _leave(self, number: int) -> None:
        self._operations.discard(number)
        if not self._operations:
            self._unwatch()

    async def wait(self, number: int, seconds: float = _TICK_SECONDS) -> None:
        """Waits until there is something to deal with, but not for long."""
        future: asyncio.Future[None] = self._loop.create_future()
        timer = self._loop.call_later(seconds, _wake, future)
        self._waiting[number] = future
        try:
            await future
        finally:
            timer.cancel()

    def _watch(self) -> None:
        try:
            self._socket = WakeupSocket()
            self._loop.add_reader(self._socket.fileno(), self._wake_ready)
        except _REFUSALS as error:
            logger().debug(
                "The event loop can't watch a descriptor, so that it looks at short intervals: %r", error
            )
            self._close()

    def _unwatch(self) -> None:
        if self._socket is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._socket.fileno())
        self._close()

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def _wake_ready(self) -> None:
        if self._socket is None:
            return
        for number in self._socket.take_ready():
            future = self._waiting.get(number)
            # A task that does not wait now looks before it waits again.
            if future is not None:
                _wake(future)


#: By the loop's id: a waker holds its loop, so that no other loop has that id meanwhile. Nothing here keeps a waker, a
#: loop or a task alive: a task that its program has dropped is collected, which cancels its operation.
_wakers: WeakValueDictionary[int, LoopWaker] = WeakValueDictionary()


class Watch:
    """An operation that is awaited in the running loop, from beginning to end.

    Args:
        operation: The operation, just begun.
    """

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        self._waker = LoopWaker.of_running_loop()
        self._look_seconds = _FIRST_LOOK_SECONDS

    def __enter__(self) -> Watch:
        self._number = self._waker.enter(self._operation)
        return self

    def __exit__(self, *raised: Any) -> None:
        self._waker.leave(self._number)

    async def wait(self) -> None:
        """Waits until the operation has something to deal with, but not for long."""
        if self._waker.is_woken:
            await self._waker.wait(self._number)
        else:
            await self._waker.wait(self._number, self._look_seconds)
            self._look_seconds = min(2 * self._look_seconds, _LONGEST_LOOK_SECONDS)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
