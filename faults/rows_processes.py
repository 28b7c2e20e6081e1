"""F35: several processes that fill one folder at the same time."""

from __future__ import annotations

from case import Case, case, row

row("F35", "300 and 1,000 calls at once, throttled clients, 8 processes into one folder")


def _into_one_folder(resolution: str, count: int, quick: bool) -> None:
    @case("F35", f"8 processes, {count:,} files, {resolution}", quick=quick, patience=200)
    def together(this: Case) -> None:
        contents = {f"d{number % 20}/f{number}": this.bytes(3_000) for number in range(count)}
        manifest = this.store(contents)
        processes = [this.start("download", manifest=manifest, resolution=resolution) for _ in range(8)]
        for outcome in [this.finish(process) for process in processes]:
            this.check_download(contents, outcome, must_succeed=True)
            counted = sum((outcome.value or {}).values())
            this.surprise_unless(counted == count, f"counted {outcome.value} of {count} files")
        # At the beginning all fetch the same, then each goes its own way; what several have under way at the same time,
        # 64 requests each, may still meet. Without a second look it is nearly eight times the files.
        fetched = this.rig.count("GetObject")
        this.surprise_unless(fetched <= 3 * count, f"{fetched} requests for {count} files")


_into_one_folder("SKIP", 2_000, False)
_into_one_folder("RESUME", 2_000, True)
