"""F31: no thread can be made, or few, or there is little address space."""

from __future__ import annotations

import os
import platform
from typing import Any, Optional

from case import MIB, Case, case, row
from verbs_calls import CALLS

row("F31", "descriptors 64 to 1,024 with most in use; no thread can be made; 256 MiB of address space")

MOVES = ("download", "awaited download", "upload", "snapshot")
#: Nobody else's processes count for this user's limit.
LONELY_USER = 63_417


def _few(name: str, quick: bool = True, user: Optional[int] = None, **how: Any) -> None:
    @case("F31", name, quick=quick, patience=120)
    def few(this: Case) -> None:
        contents = {f"d/f{number}": this.bytes(2_000) for number in range(20)} | {
            "large": this.bytes(12 * MIB)
        }
        this.write(contents)
        manifest = this.store(contents)
        if user is not None:
            this.user = user
            for folder in (this.folder, this.root, this.target, this.home):
                os.chown(folder, user, user)
        outcome = this.run(
            "with_few_threads", manifest=manifest, second_target=str(this.home / "second"), **how
        )
        if not outcome.ok:
            this.surprises.append(f"failed: {outcome.classes[:1]} {outcome.text[:300]}")
            return
        ended = {verb: (kind, text) for verb, kind, text in outcome.value}
        for verb, (kind, text) in ended.items():
            # One clear error is as good as slow work; a panic is neither.
            this.score.panics += "panick" in text or kind in ("PanicException", "InternalError")
            named = "thread" in text or "memory" in text
            this.surprise_unless(kind == "ok" or named, f"{verb}: {kind} {text[:300]}")
            if how.get("refuse") == "later":
                this.surprise_unless(kind == "ok", f"{verb}: {kind} {text[:300]}")
        this.surprise_unless("panicked" not in outcome.stderr, outcome.stderr[-300:])
        for verb, target in (("download", this.target), ("awaited download", this.home / "second")):
            if ended.get(verb, ("",))[0] == "ok":
                this.check_download(contents, outcome, target=target)


if platform.machine() in CALLS and platform.system() == "Linux":
    _few("no thread at all", verbs=("decode", *MOVES), refuse="all")
    for _first in MOVES:
        _others = [verb for verb in MOVES if verb != _first]
        _few(f"no more threads after the first {_first}", verbs=(_first, *_others), refuse="later")
for _mebibytes in (192, 256, 384, 512):
    _few(
        f"{_mebibytes} MiB of address space",
        quick=_mebibytes == 256,
        verbs=("decode", *MOVES),
        address_space=_mebibytes * MIB,
    )
if hasattr(os, "geteuid") and os.geteuid() == 0:
    for _more in range(9):
        _few(
            f"{_more} more threads",
            quick=_more in (1, 2),
            # The system counts by user.
            user=LONELY_USER + _more,
            verbs=("decode", *MOVES),
            more_threads=_more,
        )
