"""F34: what callbacks and sessions raise, and whatever else they do, in every phase of a call."""

from __future__ import annotations

from case import Case, Outcome, case, row
from rows_network import small_files

row("F34", "Ctrl-C or SystemExit in the session's credentials; callbacks of every kind in every phase")

PHASES = ("hashing", "upload", "snapshot", "download", "awaited upload", "awaited download")
RAISED = ("OwnError", "OwnBaseError", "KeyboardInterrupt", "SystemExit")
CANCELS = ("returns None", "returns False")
GOES_ON = ("calls again", "sleeps", "does well")


def _callback(phase: str, kind: str) -> None:
    @case("F34", f"{phase}: callback {kind}", patience=60)
    def callback(this: Case) -> None:
        if phase.startswith("awaited") and this.side.package != "rusty_attachments":
            this.surprises.append("the reference has no awaitable calls")
            return
        contents = small_files(this, 60, 200)
        second = this.store({"again": b"again"}, "second")
        manifest = this.store(contents) if "download" in phase else None
        if not manifest:
            this.write(contents)
        # Callbacks come while requests are under way, not only at the end.
        this.rig.config(delay_ms=20)
        outcome = this.run(
            "call_back",
            phase=phase,
            callback=kind,
            manifest=manifest,
            second_manifest=second,
            second_target=str(this.home / "second"),
            caches=str(this.home / "caches"),
        )
        if kind in RAISED:
            this.expect_error(outcome, classes=(kind,))
        elif kind in CANCELS:
            this.expect_error(outcome, "cancelled", classes=("AssetSyncCancelledError",))
        else:
            this.surprise_unless(outcome.ok, f"failed: {outcome.classes[:1]} {outcome.text[:300]}")
        if "download" in phase:
            this.check_download(contents, outcome)
        elif phase != "snapshot":
            this.rig.wait_until_idle()
            this.check_bucket(None, None)


for _phase in PHASES:
    # A snapshot as small as this makes no callback, ours and the reference's.
    for _kind in GOES_ON if _phase == "snapshot" else (*RAISED, *CANCELS, *GOES_ON):
        _callback(_phase, _kind)

#: What a session raises, and the class that the call raises, as the reference's does.
SESSIONS = {
    "OwnError": "AssetSyncError",
    "OwnBaseError": "OwnBaseError",
    "KeyboardInterrupt": "KeyboardInterrupt",
    "SystemExit": "SystemExit",
    "expired login": "JobAttachmentS3BotoCoreError",
    "refused role": "JobAttachmentsS3ClientError",
}


def _session(raised: str, awaited: bool) -> None:
    how = "an awaited call" if awaited else "a call"

    @case("F34", f"the session of {how} raises: {raised}", patience=60)
    def session(this: Case) -> None:
        contents = {"a": b"contents"}
        outcome = this.run("fetch_credentials", manifest=this.store(contents), raised=raised, awaited=awaited)
        this.check_download(contents, outcome)
        this.expect_error(outcome, classes=(SESSIONS[raised],))
        if raised == "refused role":
            this.surprise_unless(
                outcome.error.get("fields", {}).get("status_code") == 403, outcome.text[:300]
            )
            this.expect_error(outcome, "no such luck")
        if raised == "OwnError":
            this.expect_error(outcome, "from the program")


for _raised in SESSIONS:
    for _awaited in (False, True):
        _session(_raised, _awaited)

#: Key, secret and token as secret stores hand them out, and what the error must name.
FLAWED = {
    "key with a line end": (("key\n", "secret", None), "access key id"),
    "key with a blank": ((" key", "secret", None), "access key id"),
    "key with an umlaut": (("schl\u00fcssel", "secret", None), "access key id"),
    "secret with a line end": (("key", "secret\r\n", None), "secret access key"),
    "token with a line end": (("key", "secret", "token\n"), "session token"),
    "token with a NUL": (("key", "secret", "to\0ken"), "session token"),
}


def _flawed(name: str, credentials: tuple[object, ...], mention: str) -> None:
    @case("F34", f"the session's credentials: {name}", patience=60)
    def flawed(this: Case) -> None:
        contents = {"a": b"contents"}
        outcome = this.run(
            "fetch_credentials", manifest=this.store(contents), raised="", credentials=credentials
        )
        if this.side.package == "rusty_attachments":
            this.expect_error(outcome, mention, classes=("JobAttachmentsError", "AssetSyncError"))
        this.check_download(contents, Outcome(outcome.ok))
        this.surprise_unless("panick" not in outcome.text + outcome.stderr, outcome.stderr[-300:])


for _name, (_credentials, _mention) in FLAWED.items():
    _flawed(_name, _credentials, _mention)
