"""F18 once more: manifests with absolute paths, and the root that has no name."""

from __future__ import annotations

import os
import time

from case import Case, case

BODY = b"0123456789abcdef"


def _outcomes(this: Case, paths: list[str], target: str) -> list[tuple[str, str]]:
    """What became of a download of each path, in the target as the working directory."""
    digest = this.rig.store(BODY, this.bucket, "root/Data/")
    manifests = []
    for number, path in enumerate(paths):
        entry = {"hash": digest, "mtime": 1_700_000_000_000_000, "path": path, "size": len(BODY)}
        manifests.append(this.manifest([entry], f"{'named' if target else 'unnamed'}-{number}"))
    outcome = this.run(
        "download_each", manifests=manifests, target=target, working_directory=str(this.target)
    )
    this.surprise_unless(outcome.ok, f"{outcome.classes} {outcome.text[:300]}")
    return outcome.value or []


def _links(this: Case) -> None:
    (this.target / "out").symlink_to(this.outside)
    (this.target / "precious").symlink_to(this.outside / "precious")
    (this.target / "real").mkdir()
    (this.target / "in").symlink_to(this.target / "real")


def _judge(this: Case, hostile: list[str], harmless: dict[str, str], target: str) -> None:
    """Hostile paths are refused; harmless ones, with where they lead below the target, are delivered."""
    outcomes = _outcomes(this, [*hostile, *harmless], target)
    for path, (kind, text) in zip(hostile, outcomes):
        if kind == "ok":
            this.score.false_success += 1
            this.surprises.append(f"accepted: {path!r}")
        this.surprise_unless(kind in ("ok", "PathOutsideDirectoryError"), f"{path!r}: {kind} {text}")
    for (path, place), (kind, text) in zip(harmless.items(), outcomes[len(hostile) :]):
        this.surprise_unless(kind == "ok", f"{path!r}: {kind} {text}")
        file = this.target / place
        if not file.is_file():
            this.score.lost += len(BODY)
        elif file.read_bytes() != BODY:
            this.score.wrong += 1
    if (this.target / "precious").resolve().read_bytes() != b"precious":
        this.score.outside += 1


@case("F18", "absolute paths, below a root")
def f18_below_a_root(this: Case) -> None:
    _links(this)
    root = str(this.target)
    (this.folder / "target-2.json").mkdir()
    hostile = [
        f"{this.outside}/escaped",
        f"{root}-2.json/escaped",
        f"{root}/../outside/escaped",
        f"{root}/real/../../outside/escaped",
        f"{root}/out/escaped",
        f"{root}/out/deep/escaped",
        f"{root}/./out//escaped",
        f"/{root}/out/escaped",
        f"{root}/nul\0",
        root,
        f"{root}/",
        "/",
        "//",
        "/..",
    ]
    harmless = {
        f"{root}/one": "one",
        f"/{root}//new/./two": "new/two",
        f"{root}/in/three": "real/three",
        "four": "four",
    }
    _judge(this, hostile, harmless, root)
    this.surprise_unless(not any((this.folder / "target-2.json").iterdir()), "written beside the root")


@case("F18", "absolute paths, and no root")
def f18_no_root(this: Case) -> None:
    _links(this)
    root = str(this.target)
    hostile = [
        "../outside/escaped",
        "real/../../outside/escaped",
        "out/escaped",
        "out/deep/escaped",
        f"{root}/../outside/escaped",
        f"{root}/real/../../outside/escaped",
        "/..",
        "/",
        "",
        f"{root}/nul\0",
    ]
    harmless = {f"{root}/one": "one", f"{root}/new/two": "new/two", f"{root}/in/three": "real/three"}
    _judge(this, hostile, {**harmless, "four": "four", "new/five": "new/five"}, "")
    # Relative paths beside absolute ones: the same rules hold for them.
    digest = this.rig.store(BODY, this.bucket, "root/Data/")
    for number, path in enumerate(hostile[:4]):
        rows = [
            {"hash": digest, "mtime": 1_700_000_000_000_000, "path": each, "size": len(BODY)}
            for each in (f"{root}/six-{number}", path)
        ]
        manifest = this.manifest(rows, f"mixed-{number}")
        outcome = this.run(
            "download_each", manifests=[manifest], target="", working_directory=str(this.target)
        )
        (kind, text), *_ = outcome.value or [("nothing", outcome.text)]
        this.surprise_unless(kind == "PathOutsideDirectoryError", f"{path!r}: {kind} {text}")
        this.surprise_unless(not (this.target / f"six-{number}").exists(), "written before all was checked")


@case("F18", "a link swapped in on the way to an absolute path")
def f18_swapped_in(this: Case) -> None:
    folder = this.target / "folder"
    folder.mkdir()
    manifest = this.store({str(folder / "escaped"): BODY})
    this.rig.config(delay_ms=1_500)
    process = this.start("download_each", manifests=[manifest], target="", working_directory=str(this.target))
    deadline = time.monotonic() + 30
    while this.rig.count("GetObject") == 0 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    # The contents are on their way, and the path was checked.
    folder.rename(this.target / "aside")
    # A relative one: it does not even lead out of the directory that absolute paths are below.
    folder.symlink_to(os.path.relpath(this.outside, this.target))
    outcome = this.finish(process)
    (kind, text), *_ = outcome.value or [("nothing", outcome.text)]
    if kind == "ok" and not (this.target / "aside" / "escaped").exists():
        this.score.false_success += 1
    this.surprise_unless(kind in ("ok", "PathOutsideDirectoryError"), f"{kind} {text}")
