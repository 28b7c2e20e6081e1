"""F25: system calls that old kernels don't have and sandboxes refuse, on trees with links everywhere.

Each task is run with a seccomp filter that answers the calls with an error (tests_py/rig/refuse_calls.py). What comes
of it must be what comes of it with all calls: the expectations here name every file.
"""

from __future__ import annotations

import json
import shutil

from case import NOT_RUN, Case, Outcome, case, row
from rig.refuse_calls import can_refuse, refusing
from rows_files import f18_paths

row("F25", "no openat2, statx, copy_file_range, renameat2, …; links everywhere")

#: What is refused, by what it stands for. The first few are the quick cases.
_REFUSALS = {
    "openat2: ENOSYS": ["openat2=ENOSYS"],
    "openat2: EPERM": ["openat2=EPERM"],
    "an old kernel": [
        f"{call}=ENOSYS" for call in ("openat2", "statx", "copy_file_range", "renameat2", "getrandom")
    ],
    "a sandbox": [
        f"{call}=EPERM"
        for call in ("openat2", "statx", "copy_file_range", "FICLONE", "renameat2", "getrandom")
    ],
    "openat2: EACCES": ["openat2=EACCES"],
    "openat2: EINVAL": ["openat2=EINVAL"],
    "statx: ENOSYS": ["statx=ENOSYS"],
    "statx: EPERM": ["statx=EPERM"],
    "copy_file_range: ENOSYS": ["FICLONE=ENOTTY", "copy_file_range=ENOSYS"],
    "copy_file_range: EXDEV": ["FICLONE=EXDEV", "copy_file_range=EXDEV"],
    "copy_file_range: EOPNOTSUPP": ["FICLONE=EOPNOTSUPP", "copy_file_range=EOPNOTSUPP"],
    "copy_file_range: EPERM": ["FICLONE=EPERM", "copy_file_range=EPERM"],
    "copy_file_range: EINVAL": ["FICLONE=EINVAL", "copy_file_range=EINVAL"],
    "renameat2: ENOSYS": ["renameat2=ENOSYS"],
    "renameat2: EINVAL": ["renameat2=EINVAL"],
    "renameat2: EPERM": ["renameat2=EPERM"],
    "fallocate: ENOSYS": ["fallocate=ENOSYS"],
    "fallocate: EOPNOTSUPP": ["fallocate=EOPNOTSUPP"],
    "fallocate: EPERM": ["fallocate=EPERM"],
    "getrandom: ENOSYS": ["getrandom=ENOSYS"],
    "getrandom: EPERM": ["getrandom=EPERM"],
    "fstatfs: ENOSYS": ["fstatfs=ENOSYS"],
}
_QUICK = list(_REFUSALS)[:4]

#: Links of a tree of inputs, and what their text is.
_LINKS = {
    "latest": "v003",
    "chain": "latest/deep",
    "v003/up": "../v003/deep",
    "v003/deep/far": "../../real.exr",
    "file.exr": "v003/f.exr",
    "slash": "v003/",
}
#: Every path that the tree has a file at, links followed, without those on the other disk.
_LISTED = {
    "real.exr": "real",
    "v003/f.exr": "f",
    "v003/deep/g.exr": "g",
    "v003/deep/far": "real",
    "v003/up/g.exr": "g",
    "v003/up/far": "real",
    "latest/f.exr": "f",
    "latest/deep/g.exr": "g",
    "latest/deep/far": "real",
    "latest/up/g.exr": "g",
    "latest/up/far": "real",
    "chain/g.exr": "g",
    "chain/far": "real",
    "file.exr": "f",
    "slash/f.exr": "f",
    "slash/deep/g.exr": "g",
    "slash/deep/far": "real",
    "slash/up/g.exr": "g",
    "slash/up/far": "real",
}


def _tree(this: Case) -> dict[str, bytes]:
    """A tree full of links under the root; every path to a file, with its contents."""
    bodies = {name: this.bytes(3_000 + number) for number, name in enumerate(("real", "f", "g", "disk"))}
    this.write({"real.exr": bodies["real"], "v003/f.exr": bodies["f"], "v003/deep/g.exr": bodies["g"]})
    disk = this.home / "other-disk"
    disk.mkdir()
    (disk / "render.exr").write_bytes(bodies["disk"])
    for name, text in _LINKS.items():
        (this.root / name).symlink_to(text)
    (this.root / "out").symlink_to(disk)
    (this.root / "out.exr").symlink_to(disk / "render.exr")
    contents = {name: bodies[body] for name, body in _LISTED.items()}
    return {**contents, "out/render.exr": bodies["disk"], "out.exr": bodies["disk"]}


def _check_listed(this: Case, contents: dict[str, bytes], outcome: Outcome) -> None:
    """The verb's value lists exactly these files."""
    this.surprise_unless(outcome.ok, f"failed: {outcome.classes[:1]} {outcome.text[:300]}")
    listed = outcome.value or {}
    for name, body in contents.items():
        if name not in listed:
            this.score.lost += len(body)
            this.score.false_success += int(outcome.ok)
            this.surprises.append(f"left out: {name}")
        elif listed[name] != [this.rig.store(body), len(body)]:
            this.score.wrong += 1
    this.surprise_unless(set(listed) <= set(contents), f"too many: {sorted(set(listed) - set(contents))}")


def _snapshot(this: Case) -> None:
    contents = _tree(this)
    folder = str(this.home / "snapshots")
    _check_listed(this, contents, this.run("snapshot", destination=folder))
    below = {name: body for name, body in contents.items() if name.startswith("out/")}
    _check_listed(this, below, this.run("snapshot", destination=folder, include=["out/**"]))
    known = {"v003/f.exr": contents["v003/f.exr"], "latest/f.exr": contents["latest/f.exr"]}
    rows = [
        {"hash": this.rig.store(body), "mtime": (this.root / name).stat().st_mtime_ns // 1000, "path": name}
        | {"size": len(body)}
        for name, body in known.items()
    ]
    new = {name: body for name, body in contents.items() if name not in known}
    _check_listed(this, new, this.run("snapshot", destination=folder, diff=this.manifest(rows)))


def _submission(this: Case) -> None:
    contents = _tree(this)
    paths = sorted(str(this.root / name) for name in contents)
    _check_listed(this, contents, this.run("hash_files", paths=paths))
    outcome = this.run("submit", paths=paths)
    this.check_bucket(contents, outcome, must_succeed=True)


def _outputs(this: Case) -> None:
    contents = _tree(this)
    folders = ["out", "latest", "v003/up"]
    wanted = {
        name: body for name, body in contents.items() if name.startswith(tuple(f"{it}/" for it in folders))
    }
    outcome = this.run("upload_outputs", folder=str(this.home / "session"), folders=folders)
    this.surprise_unless(outcome.ok, f"failed: {outcome.classes[:1]} {outcome.text[:300]}")
    keys = [row["key"] for row in this.rig.objects(this.bucket) if "/Manifests/" in row["key"]]
    listed = [entry for key in keys for entry in json.loads(this.rig.get(this.bucket, key))["paths"]]
    value = {entry["path"]: [entry["hash"], entry["size"]] for entry in listed}
    _check_listed(this, wanted, Outcome(outcome.ok and outcome.value["status"] == 0, value))
    this.check_bucket(wanted, outcome, must_succeed=True)


def _downloads(this: Case) -> None:
    """Below links that stay in the root, over and beside a link to a file, and the same contents several times."""
    same = this.bytes(200_000)
    contents = {
        "latest/x.exr": this.bytes(2_000),
        "chain/y.exr": this.bytes(2_000),
        "v003/up/z.exr": this.bytes(2_000),
        "link.exr": this.bytes(2_000),
        **{f"same/{number}.exr": same for number in range(4)},
    }
    manifest = this.store(contents)
    (this.target / "v003" / "deep").mkdir(parents=True)
    (this.target / "old.exr").write_bytes(b"old")
    for name, text in {**_LINKS, "link.exr": "old.exr"}.items():
        if name not in ("file.exr", "v003/deep/far"):
            (this.target / name).symlink_to(text)
    for resolution, copies in (("OVERWRITE", 0), ("SKIP", 0), ("CREATE_COPY", len(contents))):
        outcome = this.run("download", manifest=manifest, resolution=resolution)
        this.surprise_unless(outcome.ok, f"{resolution}: {outcome.classes[:1]} {outcome.text[:300]}")
        for name, body in contents.items():
            path = this.target / name
            found = [path] if not copies else [path, path.with_name(f"{path.stem} (1){path.suffix}")]
            for one in found:
                if not one.is_file():
                    this.score.lost += len(body)
                    this.score.false_success += int(outcome.ok)
                else:
                    this.score.wrong += one.read_bytes() != body
        files = [path for path in this.target.rglob("*") if path.is_file() and not path.is_symlink()]
        # What the link led to is still there.
        this.score.leftovers += max(len(files) - len(contents) - copies - 1, 0)
    this.score.lost += 3 * ((this.target / "old.exr").read_bytes() != b"old")


_TASKS = {"snapshots": _snapshot, "submission": _submission, "outputs": _outputs, "downloads": _downloads}


def _refused(what: str, rules: list[str], task: str) -> None:
    @case("F25", f"{task}, {what}", quick=what in _QUICK)
    def refused(this: Case) -> None:
        this.wrapper = refusing(*rules)
        _TASKS[task](this)


def _contained(what: str, rules: list[str]) -> None:
    @case("F25", f"hostile paths, {what}", quick=what in _QUICK, patience=200)
    def hostile(this: Case) -> None:
        this.wrapper = refusing(*rules)
        f18_paths(this)

    @case("F25", f"links that lead out, {what}", quick=what in _QUICK)
    def out(this: Case) -> None:
        this.wrapper = refusing(*rules)
        body = this.bytes(64)
        digest = this.rig.store(body, this.bucket, "root/Data/")
        links = {
            "up": "../outside",
            "far": "in/../../outside",
            "twice": "up/.",
            "absolute": str(this.outside),
            "loop": "loop",
            "to_file": "../outside/precious",
        }
        (this.target / "in" / "deep").mkdir(parents=True)
        for name, text in {**links, "in/deep/up": "../../../outside"}.items():
            (this.target / name).symlink_to(text)
        folders = ["up", "far", "twice", "absolute", "in/deep/up", "loop"]
        paths = [f"{folder}/{name}" for folder in folders for name in ("precious", "new", "deep/new")]
        manifests = [
            this.manifest([{"hash": digest, "mtime": 1, "path": path, "size": 64}], f"manifest-{number}")
            for number, path in enumerate([*paths, "to_file"])
        ]
        outcome = this.run("download_each", manifests=manifests)
        accepted = [path for path, (kind, _) in zip(paths, outcome.value or []) if kind == "ok"]
        this.score.false_success += len(accepted)
        this.surprise_unless(outcome.ok and not accepted, f"accepted: {accepted} {outcome.text[:200]}")


def _swapped(what: str, rules: list[str]) -> None:
    @case("F25", f"swaps while downloading, {what}", quick=False, patience=200)
    def swaps(this: Case) -> None:
        this.wrapper = refusing(*rules)
        contents = {f"folder/sub/f{number}": this.bytes(200) for number in range(50)}
        outcome = this.run(
            "download_among_swaps",
            manifest=this.store(contents),
            folder="folder",
            outside=str(this.outside),
            wanted_swaps=100_000,
            most_seconds=90,
        )
        this.surprise_unless(outcome.ok, f"{outcome.classes} {outcome.text[:300]}")
        if outcome.ok:
            this.surprise_unless(outcome.value["swaps"] > 1_000, f"only {outcome.value['swaps']} swaps")


def _count() -> None:
    @case("F25", "a call that is missing is not made for every file", quick=False)
    def count(this: Case) -> None:
        contents = {f"d{number % 3}/f{number}": this.bytes(1_000 + number) for number in range(60)}
        manifest = this.store(contents)
        this.write(contents)
        log = this.folder / "case-strace"
        this.wrapper = ["strace", "-f", "-qq", "-o", str(log), "-e", "trace=openat2"]
        this.wrapper += ["-e", "inject=openat2:error=ENOSYS"]
        for verb in ("submit", "download"):
            outcome = this.run(verb, manifest=manifest)
            this.surprise_unless(outcome.ok, f"{verb}: {outcome.classes[:1]} {outcome.text[:200]}")
            calls = log.read_text(errors="replace").count("openat2(")
            # Threads may find it out at the same time.
            this.surprise_unless(0 < calls <= 8, f"{verb}: openat2 was asked for {calls} times")


if can_refuse():
    for _what, _rules in _REFUSALS.items():
        for _task in _TASKS:
            _refused(_what, _rules, _task)
        if any(rule.startswith("openat2") for rule in _rules):
            _contained(_what, _rules)
    for _what in ("openat2: ENOSYS", "openat2: EPERM"):
        _swapped(_what, _REFUSALS[_what])
else:
    NOT_RUN["F25"] = "seccomp filters for this machine are not known here"
if shutil.which("strace"):
    _count()
