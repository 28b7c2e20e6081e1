"""The program on a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

from command.program import Command

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A run on a terminal of a width."""

    def __init__(self, command: Command, columns: int, *arguments: str) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        environment = {**os.environ, "TERM": "xterm"}
        self.process = subprocess.Popen(
            [*command.program, *arguments],
            cwd=command.folder,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
        )
        os.close(slave)
        self.text = ""

    def read(self, seconds: float) -> bool:
        """Reads what comes within the time; false at the end."""
        if not select.select([self.master], [], [], seconds)[0]:
            return True
        try:
            piece = os.read(self.master, 65536)
        except OSError:  # Linux: the other side is closed
            return False
        self.text += piece.decode()
        return bool(piece)

    def wait_for(self, pattern: str, seconds: float = 60) -> None:
        until = time.monotonic() + seconds
        while not re.search(pattern, self.text):
            assert time.monotonic() < until, self.text
            assert self.read(1), self.text

    def end(self) -> int:
        while self.read(60):
            pass
        os.close(self.master)
        return self.process.wait(60)

    def lines(self) -> list[str]:
        """What stood in one line at a time, drawn over or not."""
        return [line for line in re.split(r"[\r\n]+", ANSI.sub("", self.text)) if line.strip()]
