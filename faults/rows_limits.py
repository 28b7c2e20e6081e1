"""F31 and F35: few descriptors, many calls at once, and endpoints that allow only so many requests."""

from __future__ import annotations

from case import MIB, Case, Side, case, end_all
from rows_network import fault, small_files

# -- F31 ---------------------------------------------------------------------------------------------------------


def _few_descriptors(limit: int, used: int, quick: bool) -> None:
    def contents(this: Case) -> dict[str, bytes]:
        many = {f"d{number % 40}/e{number % 7}/f{number}": this.bytes(500 + number) for number in range(400)}
        return {**many, "large.bin": this.bytes(20 * MIB)}

    @case("F31", f"download, {used} of {limit} in use", quick=quick, patience=200)
    def download(this: Case) -> None:
        wanted = contents(this)
        manifest = this.store(wanted)
        this.rig.config(delay_ms=20)
        outcome = this.run("download", manifest=manifest, descriptors=[limit, used])
        this.check_download(wanted, outcome, must_succeed=True)

    @case("F31", f"upload, {used} of {limit} in use", quick=quick, patience=200)
    def upload(this: Case) -> None:
        wanted = this.write(contents(this))
        this.rig.config(delay_ms=20)
        outcome = this.run("submit", descriptors=[limit, used])
        this.check_bucket(wanted, outcome, must_succeed=True)


for _limit, _used in ((64, 0), (96, 0), (256, 0), (1024, 800), (1024, 900)):
    _few_descriptors(_limit, _used, quick=(_limit, _used) in ((64, 0), (1024, 900)))


@case("F31", "the last descriptor is taken for good: a clear error", quick=False)
def f31_none_left(this: Case) -> None:
    manifest = this.store(small_files(this, 40))
    outcome = this.run("download", manifest=manifest, descriptors=[64, 57])
    # Whether one more can be had depends on what the interpreter has open.
    if not outcome.ok:
        named = "descriptor" in outcome.text.lower() or "open files" in outcome.text.lower()
        this.surprise_unless(named, f"the error does not say what is short: {outcome.text[:300]}")


# -- F35 ---------------------------------------------------------------------------------------------------------


def _together(calls: int, quick: bool) -> None:
    @case("F35", f"{calls} downloads at once in one process, 1,024 descriptors", quick=quick, patience=300)
    def together(this: Case) -> None:
        contents = small_files(this, 3)
        manifest = this.store(contents)
        this.rig.config(delay_ms=20)
        outcome = this.run(
            "download_together", manifest=manifest, calls=calls, descriptors=[1024, 0], rest_s=17
        )
        if not outcome.ok:
            this.score.lost += calls
            this.surprises.append(f"failed: {outcome.classes[:1]} {outcome.text[:300]}")
            return
        told = outcome.value
        this.score.lost += len(told["failed"])
        this.surprise_unless(not told["failed"], f"{len(told['failed'])} failed: {told['failed'][:1]}")
        for number in range(calls):
            this.check_download(contents, outcome, must_succeed=True, target=this.target / str(number))
        this.surprise_unless(told["descriptors"] < 60, f"{told['descriptors']} descriptors stay open")
        this.surprise_unless(told["most_mb"] < 300, f"{told['most_mb']:.0f} MB of memory were used")


_together(300, quick=True)
_together(1000, quick=False)


@case("F35", "20 large downloads at once in one process", quick=False, patience=300)
def f35_memory(this: Case) -> None:
    contents = {f"large {number}.bin": this.bytes(24 * MIB) for number in range(2)}
    manifest = this.store(contents)
    outcome = this.run("download_together", manifest=manifest, calls=20)
    this.surprise_unless(
        outcome.ok and not outcome.value["failed"], f"failed: {outcome.text} {outcome.value}"
    )
    if outcome.ok:
        for number in range(20):
            this.check_download(contents, outcome, must_succeed=True, target=this.target / str(number))
        most = outcome.value["most_mb"]
        this.surprise_unless(most < 300, f"{most:.0f} MB of memory were used")


def _refused(this: Case, successes: int, most: float) -> None:
    """How many requests were refused, for each that was not."""
    refused = sum(this.rig.stats()["faults"])
    this.surprise_unless(
        refused <= most * successes, f"{refused} requests were refused and {successes} were not"
    )


@case("F35", "one client under a limit of 500 requests a second")
def f35_one_throttled(this: Case) -> None:
    contents = small_files(this, 3_000, size=200)
    manifest = this.store(contents)
    this.rig.rules(fault("status", "GetObject", "*/Data/*", status=503, above_per_second=500))
    outcome = this.run("download", manifest=manifest)
    this.check_download(contents, outcome, must_succeed=True)
    _refused(this, len(contents), 0.3)
    # At 500 a second this takes 6 s: 0.9 of what is allowed, and the interpreter's start.
    this.surprise_unless(outcome.seconds <= 6 / 0.9 + 3, f"it took {outcome.seconds:.1f} s instead of 6")


@case("F35", "beside the reference under a limit of 500 requests a second", quick=False, patience=300)
def f35_beside_the_reference(this: Case) -> None:
    contents = small_files(this, 3_000, size=200)
    manifest = this.store(contents)
    this.rig.config(log=True)
    this.rig.rules(fault("status", "GetObject", "*/Data/*", status=503, above_per_second=500))
    reference = Side("deadline.job_attachments", this.side.python)
    theirs_at, ours_at = this.target / "theirs", this.target / "ours"
    beside = this.start("download", side=reference, manifest=manifest, target=str(theirs_at))
    outcome = this.run("download", manifest=manifest, target=str(ours_at))
    log = this.rig.log()
    end_all(beside)
    this.check_download(contents, outcome, must_succeed=True, target=ours_at)
    theirs = [entry for entry in log if "Boto3" in (entry["user_agent"] or "")]
    refused = sum(entry["status"] == 503 for entry in theirs)
    # What it asks for is little, and it gets that.
    this.surprise_unless(
        bool(theirs) and refused <= 0.3 * len(theirs), f"{refused} of its {len(theirs)} requests were refused"
    )
    _refused(this, len(contents), 0.3)


@case("F35", "16 clients under a limit of 20 requests a second", quick=False, patience=300)
def f35_many_throttled(this: Case) -> None:
    contents = small_files(this, 40, size=200)
    manifest = this.store(contents)
    this.rig.rules(fault("status", "GetObject", "*/Data/*", status=503, above_per_second=20))
    clients = [
        this.start("download", manifest=manifest, target=str(this.target / str(number)))
        for number in range(16)
    ]
    for number, client in enumerate(clients):
        outcome = this.finish(client)
        this.check_download(contents, outcome, must_succeed=True, target=this.target / str(number))
    _refused(this, 16 * len(contents), 1.0)
