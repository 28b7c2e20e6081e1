"""Runs `cargo test` with the arguments given, and fails as well when no test ran.

Runs on any CPython from 3.9 on, without packages.
"""

from __future__ import annotations

import re
import subprocess
import sys

RESULT = re.compile(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored")


def main() -> int:
    """Exit status: that of cargo, or 1 where nothing ran."""
    command = ["cargo", "test", "--workspace", "--no-fail-fast", *sys.argv[1:]]
    totals = [0, 0, 0]
    # Only standard output is read: cargo's own messages stay as they are, colours included.
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace") as process:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            found = RESULT.match(line)
            if found:
                totals = [total + int(count) for total, count in zip(totals, found.groups())]
    passed, failed, ignored = totals
    print(f"cargo test: {passed} passed, {failed} failed, {ignored} ignored", flush=True)
    if process.returncode == 0 and passed == 0:
        print("cargo test: no test ran", file=sys.stderr)
        return 1
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())
