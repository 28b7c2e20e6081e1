"""`python -m rusty_attachments`: the program `rusty-attachments`."""

from __future__ import annotations

import sys

from rusty_attachments_command import main

if __name__ == "__main__":
    sys.exit(main())
