"""F1 to F10: what S3 and the network do."""

from __future__ import annotations

import socket
import stat
import sys
from typing import Any

from case import MIB, Case, Outcome, case, row

row("F1", "bursts of 500/503, 10 % at random, Retry-After")
row("F2", "503 for ever, connection refused, DNS failure")
row("F3", "connection reset at byte 0, 1, middle, last-1")
row("F4", "truncated and short bodies")
row("F5", "wrong bytes, swapped ranges, another object, Range ignored")
row("F6", "trickle, stalls, 10,000 files of one byte")
row("F7", "expired token, with and without new credentials")
row("F8", "403 (also kms), 404, 301, wrong owner")
row("F9", "multipart: error in a 200, lost reply, failed part, failing abort")
row("F10", "409/412 on If-None-Match; 8 writers of one key")

LARGE = 40 * MIB


def small_files(this: Case, count: int = 40, size: int = 3_000) -> dict[str, bytes]:
    """Files of different sizes in some folders."""
    return {f"folder {number % 5}/file {number}.exr": this.bytes(size + number) for number in range(count)}


def large_file(this: Case) -> dict[str, bytes]:
    """One file that both sides move in parts."""
    return {"large.bin": this.bytes(LARGE)}


def fault(kind: str, operation: str = "*", key: str = "*", **more: Any) -> dict[str, Any]:
    """A rule for the rig: what belongs to the rule and what to the fault is told apart by name."""
    of_rule = {"nth", "skip", "times", "per_key", "probability", "above_per_second", "bucket"}
    rule = {name: value for name, value in more.items() if name in of_rule}
    body = {name: value for name, value in more.items() if name not in of_rule}
    return {"operation": operation, "key": key, **rule, "fault": {"kind": kind, **body}}


def download_under(
    this: Case, contents: dict[str, bytes], *rules: dict[str, Any], must_succeed: bool
) -> Outcome:
    """A download among faults, judged."""
    manifest = this.store(contents)
    this.rig.rules(*rules)
    outcome = this.run("download", manifest=manifest)
    this.rig.rules()
    this.check_download(contents, outcome, must_succeed)
    return outcome


def submit_under(
    this: Case, contents: dict[str, bytes], *rules: dict[str, Any], must_succeed: bool, **more: Any
) -> Outcome:
    """Hash and upload among faults, judged."""
    this.write(contents)
    this.rig.rules(*rules)
    outcome = this.run("submit", **more)
    this.rig.rules()
    this.check_bucket(contents, outcome, must_succeed)
    return outcome


# -- F1 ----------------------------------------------------------------------------------------------------------


def _bursts(operation: str, length: int, status: int) -> None:
    @case("F1", f"burst of {length} × {status} on {operation}", quick=length in (5, 20))
    def burst(this: Case) -> None:
        rule = fault("status", operation, "*/Data/*", skip=5, times=length, status=status)
        contents = small_files(this)
        if operation == "GetObject":
            download_under(this, contents, rule, must_succeed=True)
        else:
            submit_under(this, contents, rule, must_succeed=True)


for _operation in ("GetObject", "PutObject"):
    for _length, _status in ((1, 500), (5, 503), (20, 503)):
        _bursts(_operation, _length, _status)


@case("F1", "10 % at random, download")
def f1_random_download(this: Case) -> None:
    rules = [fault("status", "*", "*", probability=0.05, status=status) for status in (500, 503)]
    download_under(this, small_files(this, 200), *rules, must_succeed=True)


@case("F1", "10 % at random, upload")
def f1_random_upload(this: Case) -> None:
    rules = [fault("status", "*", "*", probability=0.05, status=status) for status in (500, 503)]
    submit_under(this, small_files(this, 200), *rules, must_succeed=True)


@case("F1", "each object three times 503")
def f1_each_thrice(this: Case) -> None:
    rule = fault("status", "GetObject", "*/Data/*", times=3, per_key=True, status=503)
    download_under(this, small_files(this, 20), rule, must_succeed=True)


@case("F1", "Retry-After on parts")
def f1_retry_after(this: Case) -> None:
    rules = [
        fault("status", name, "*", nth=[2], status=503, retry_after=1) for name in ("UploadPart", "PutObject")
    ]
    submit_under(this, large_file(this), *rules, must_succeed=True)


# -- F2 ----------------------------------------------------------------------------------------------------------


@case("F2", "503 for ever, download", quick=False, patience=150)
def f2_download(this: Case) -> None:
    contents = small_files(this, 5)
    rule = fault("status", "GetObject", "*", status=503)
    outcome = download_under(this, contents, rule, must_succeed=False)
    this.expect_error(outcome, this.bucket, "root/Data/")


@case("F2", "503 for ever, upload", quick=False, patience=150)
def f2_upload(this: Case) -> None:
    outcome = submit_under(this, small_files(this, 5), fault("status", status=503), must_succeed=False)
    this.expect_error(outcome, this.bucket, "root/")


@case("F2", "a time-out of the endpoint's, for ever", patience=60)
def f2_time_out(this: Case) -> None:
    contents = small_files(this, 3)
    manifest = this.store(contents)
    # The status is none that says "again"; the code is.
    this.rig.rules(fault("status", "GetObject", status=400, code="RequestTimeout"))
    outcome = this.run("download", {"RUSTY_ATTACHMENTS_RETRY_SECONDS": "3"}, manifest=manifest)
    this.check_download(contents, outcome)
    this.expect_error(outcome, "RequestTimeout", this.bucket)


def _unreachable(name: str, endpoint: str) -> None:
    @case("F2", name)
    def unreachable(this: Case) -> None:
        contents = small_files(this, 3)
        manifest = this.store(contents)
        outcome = this.run("download", {"AWS_ENDPOINT_URL": endpoint}, manifest=manifest)
        this.check_download(contents, outcome)
        this.expect_error(outcome, this.bucket, "root/Data/")


def _closed_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


_unreachable("connection refused", f"http://127.0.0.1:{_closed_port()}")
_unreachable("no such host", "http://no-such-host.invalid")


# -- F3 ----------------------------------------------------------------------------------------------------------

_PLACES: dict[str, float] = {"0": 0, "1": 1, "middle": 0.5, "last-1": -1}


def _resets(place: str, at: float) -> None:
    @case("F3", f"reset at {place}, GET")
    def get(this: Case) -> None:
        rules = [fault("reset", "GetObject", "*/Data/*", times=1, per_key=True, at=at)]
        download_under(this, {**small_files(this, 10), **large_file(this)}, *rules, must_succeed=True)

    @case("F3", f"reset at {place}, PUT and parts")
    def put(this: Case) -> None:
        rules = [
            fault("reset_request", name, "*/Data/*", times=1, per_key=True, at=at)
            for name in ("PutObject", "UploadPart")
        ]
        submit_under(this, {**small_files(this, 10), **large_file(this)}, *rules, must_succeed=True)


for _place, _at in _PLACES.items():
    _resets(_place, _at)


@case("F3", "reset before the reply, everything once")
def f3_before_reply(this: Case) -> None:
    rule = fault("reset", "*", "*", times=1, per_key=True)
    submit_under(this, {**small_files(this, 10), **large_file(this)}, rule, must_succeed=True)


# -- F4, F5 --------------------------------------------------------------------------------------------------------


def _spoiled(row_name: str, name: str, rule: dict[str, Any], large: bool = False, quick: bool = True) -> None:
    """Bodies that stay wrong: an error that names the key, and no file; or all right in the end."""

    @case(row_name, f"{name}, always{', large' if large else ''}", quick=quick)
    def always(this: Case) -> None:
        contents = large_file(this) if large else {"one.exr": this.bytes(100_000)}
        this.rig.store(this.bytes(200_000), this.bucket, "root/Data/")
        outcome = download_under(this, contents, rule, must_succeed=False)
        if not outcome.ok:
            (body,) = contents.values()
            this.expect_error(outcome, this.rig.store(body))

    @case(row_name, f"{name}, once{', large' if large else ''}", quick=False)
    def once(this: Case) -> None:
        contents = large_file(this) if large else small_files(this, 10, 100_000)
        this.rig.store(this.bytes(200_000), this.bucket, "root/Data/")
        download_under(this, contents, {**rule, "times": 1, "per_key": True}, must_succeed=False)


for _place, _at in (("at 1", 1), ("in the middle", 0.5), ("at last-1", -1)):
    _spoiled("F4", f"truncated {_place}", fault("truncate", "GetObject", "*/Data/*", at=_at), quick=_at == -1)
    _spoiled("F4", f"short {_place}", fault("short", "GetObject", "*/Data/*", at=_at), quick=_at != 1)
_spoiled("F4", "empty", fault("short", "GetObject", "*/Data/*", at=0))
_spoiled("F4", "short", fault("short", "GetObject", "*/Data/*", at=-1), large=True)


@case("F4", "short, where sizes alone are verified")
def f4_only_sizes(this: Case) -> None:
    # The hash would see it as well: here the check of lengths stands alone.
    contents = {"one.exr": this.bytes(100_000)}
    manifest = this.store(contents)
    this.rig.rules(fault("short", "GetObject", "*/Data/*", at=-1))
    outcome = this.run("download", manifest=manifest, verify="size")
    this.check_download(contents, outcome)
    this.expect_error(outcome, this.rig.store(contents["one.exr"]))


for _place, _at in (("first", 0), ("middle", 0.5), ("last", -1)):
    _spoiled("F5", f"wrong {_place} byte", fault("wrong_byte", "GetObject", "*/Data/*", at=_at))
_spoiled("F5", "wrong byte in each range", fault("wrong_byte", "GetObject", "*/Data/*", at=0.5), large=True)
_spoiled("F5", "another object's body", fault("other_object", "GetObject", "*/Data/*"))
_spoiled(
    "F5",
    "another object's body of this length",
    fault("other_object", "GetObject", "*/Data/*", same_length=True),
)
_spoiled("F5", "another range's bytes", fault("other_range", "GetObject", "*/Data/*"), large=True)
_spoiled("F5", "Range ignored", fault("ignore_range", "GetObject", "*/Data/*"), large=True)


# -- F6 ----------------------------------------------------------------------------------------------------------


@case("F6", "trickle")
def f6_trickle(this: Case) -> None:
    rule = fault("trickle", "GetObject", "*/Data/*", bytes=16_384, every_ms=100)
    download_under(this, small_files(this, 3, 300_000), rule, must_succeed=True)


@case("F6", "stall after the head, once")
def f6_stall_head(this: Case) -> None:
    rule = fault("stall", "GetObject", "*/Data/*", times=1, per_key=True, at=0)
    download_under(this, small_files(this, 5), rule, must_succeed=True)


@case("F6", "stall in the body, once, large", quick=False)
def f6_stall_body(this: Case) -> None:
    rule = fault("stall", "GetObject", "*/Data/*", times=2, at=0.5)
    download_under(this, large_file(this), rule, must_succeed=True)


@case("F6", "stall before the reply to a PUT, once", quick=False, patience=180)
def f6_stall_put(this: Case) -> None:
    rule = fault("stall", "PutObject", "*/Data/*", times=1)
    submit_under(this, small_files(this, 5), rule, must_succeed=True)


def _one_byte_files(count: int, quick: bool) -> None:
    @case("F6", f"{count:,} files of one byte", quick=quick)
    def files(this: Case) -> None:
        contents = {f"{number // 1000}/{number}": bytes([number % 256]) for number in range(count)}
        manifest_rows = []
        digests = {value: this.rig.store(bytes([value]), this.bucket, "root/Data/") for value in range(256)}
        for name, body in contents.items():
            manifest_rows.append(
                {"hash": digests[body[0]], "mtime": 1_700_000_000_000_000, "path": name, "size": 1}
            )
        outcome = this.run("download", manifest=this.manifest(manifest_rows))
        this.check_download(contents, outcome, must_succeed=True)


_one_byte_files(1_000, True)
_one_byte_files(10_000, False)


# -- F7 ----------------------------------------------------------------------------------------------------------


@case("F7", "expired, nothing new to be had, download")
def f7_expired_download(this: Case) -> None:
    contents = small_files(this)
    manifest = this.store(contents)
    this.rig.config(token_requests=10)
    outcome = this.run("download", manifest=manifest)
    this.check_download(contents, outcome)
    this.expect_error(outcome, "ExpiredToken")


@case("F7", "expired, nothing new to be had, upload")
def f7_expired_upload(this: Case) -> None:
    contents = this.write(small_files(this))
    this.rig.config(token_requests=10)
    outcome = this.run("submit")
    this.check_bucket(contents, outcome)
    this.expect_error(outcome, "ExpiredToken")


def new_keys(this: Case) -> dict[str, str]:
    """A profile whose keys come from a program, new ones each time it is asked."""
    program = this.home / "keys.py"
    program.write_text(
        f"#!{sys.executable}\n"
        "import datetime, json, pathlib\n"
        f"count = pathlib.Path({str(this.home / 'count')!r})\n"
        "number = int(count.read_text()) + 1 if count.exists() else 1\n"
        "count.write_text(str(number))\n"
        "end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)\n"
        "print(json.dumps({'Version': 1, 'AccessKeyId': f'KEY{number}', 'SecretAccessKey': 's', 'SessionToken': 't',\n"
        "                  'AccountId': '123456789012', 'Expiration': end.isoformat()}))\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    config = this.home / "config"
    config.write_text(f"[default]\nregion = us-west-2\ncredential_process = {program}\n")
    keys = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ACCOUNT_ID"), "")
    return {**keys, "AWS_CONFIG_FILE": str(config)}


@case("F7", "expired, new credentials to be had, download")
def f7_renewed_download(this: Case) -> None:
    contents = small_files(this)
    manifest = this.store(contents)
    this.rig.config(expired_keys=["KEY1"])
    outcome = this.run("download", new_keys(this), manifest=manifest)
    this.check_download(contents, outcome, must_succeed=True)


@case("F7", "expired midway, new credentials to be had, upload")
def f7_renewed_upload(this: Case) -> None:
    contents = this.write(small_files(this))
    this.rig.config(token_requests=25)
    outcome = this.run("submit", new_keys(this))
    this.check_bucket(contents, outcome, must_succeed=True)


@case("F7", "credentials that last a few requests, upload")
def f7_short_lived_upload(this: Case) -> None:
    # Most requests that are sent again find that others have used up the new credentials meanwhile.
    contents = this.write(small_files(this, 60))
    this.rig.config(token_requests=8)
    outcome = this.run("submit", new_keys(this))
    this.check_bucket(contents, outcome, must_succeed=True)


# -- F8 ----------------------------------------------------------------------------------------------------------

_KMS = (
    "User: arn:aws:sts::1:assumed-role/x is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:k"
)


def _refused(name: str, status: int, operation: str, **more: Any) -> None:
    down = operation == "GetObject"

    @case("F8", f"{name} on {operation}")
    def refused(this: Case) -> None:
        rule = fault("status", operation, "*/Data/*", status=status, **more)
        judged = download_under if down else submit_under
        outcome = judged(this, small_files(this, 3), rule, must_succeed=False)
        this.expect_error(outcome, this.bucket, "root/Data/", classes=("JobAttachmentsS3ClientError",))
        told = outcome.error.get("fields", {})
        right = told.get("status_code") == status and told.get("bucket_name") == this.bucket
        this.surprise_unless(right, f"fields: {told}")
        if "message" in more:
            this.surprise_unless("kms" in outcome.text.lower(), f"no guidance on kms: {outcome.text[:300]}")


for _operation in ("GetObject", "PutObject"):
    _refused("403", 403, _operation)
    _refused("403 with kms", 403, _operation, message=_KMS)
    _refused("301", 301, _operation)


@case("F8", "404, also without the suffix")
def f8_absent(this: Case) -> None:
    contents = {"there": b"1" * 500, "absent": b"2" * 500}
    manifest = this.store(contents)
    this.rig.delete(this.bucket, f"root/Data/{this.rig.store(contents['absent'])}.xxh128")
    outcome = this.run("download", manifest=manifest)
    this.check_download(contents, outcome)
    this.expect_error(outcome, this.bucket, "root/Data/", classes=("JobAttachmentsS3ClientError",))
    this.surprise_unless(outcome.error.get("fields", {}).get("status_code") == 404, str(outcome.error)[:300])


@case("F8", "404, there without the suffix")
def f8_bare_key(this: Case) -> None:
    contents = {"old": b"1" * 500}
    manifest = this.store(contents)
    digest = this.rig.store(contents["old"])
    this.rig.delete(this.bucket, f"root/Data/{digest}.xxh128")
    this.rig.put(this.bucket, f"root/Data/{digest}", contents["old"])
    this.check_download(contents, this.run("download", manifest=manifest), must_succeed=True)


@case("F8", "the bucket is someone else's")
def f8_owner(this: Case) -> None:
    contents = this.write(small_files(this, 3))
    this.rig.config(account="999999999999")
    outcome = this.run("submit")
    this.check_bucket(contents, outcome)
    this.expect_error(outcome, this.bucket, classes=("JobAttachmentsS3ClientError",))


# -- F9 ----------------------------------------------------------------------------------------------------------


def _multipart(
    name: str, rules: list[dict[str, Any]], must_succeed: bool, may_leave: int = 0, quick: bool = True
) -> None:
    @case("F9", name, quick=quick, patience=150)
    def multipart(this: Case) -> None:
        contents = this.write(large_file(this))
        this.rig.rules(*rules)
        outcome = this.run("submit", log=True)
        this.rig.rules()
        orphans = [upload["upload_id"] for upload in this.rig.uploads(this.bucket)]
        this.check_bucket(contents, outcome, must_succeed, may_leave)
        # Of an upload whose id never arrived nobody can know.
        for orphan in orphans if name != "lost reply to Create" else []:
            this.surprise_unless(
                orphan in outcome.stderr + outcome.text, f"the log does not name the orphan {orphan}"
            )


_multipart("error in a 200, once", [fault("error_in_200", "CompleteMultipartUpload", times=1)], True)
_multipart("error in a 200, always", [fault("error_in_200", "CompleteMultipartUpload")], False, quick=False)
_multipart("lost reply to Complete", [fault("lost_reply", "CompleteMultipartUpload", times=1)], True)
_multipart("lost reply to Create", [fault("lost_reply", "CreateMultipartUpload", times=1)], True, may_leave=1)
_multipart("one part fails, once", [fault("status", "UploadPart", nth=[2], status=500)], True)
# All later ones too: a single refusal is asked about once more, and mended.
_multipart("parts are refused", [fault("status", "UploadPart", skip=1, status=403)], False)
_multipart(
    "parts are refused, and so is Abort",
    [fault("status", "UploadPart", skip=1, status=403), fault("status", "AbortMultipartUpload", status=403)],
    False,
    may_leave=1,
)


# -- F10 ---------------------------------------------------------------------------------------------------------


@case("F10", "409 on If-None-Match, once each")
def f10_conflict(this: Case) -> None:
    rule = fault("status", "PutObject", "*/Data/*", times=1, per_key=True, status=409)
    submit_under(this, small_files(this, 10), rule, must_succeed=True)


@case("F10", "412: it was there already")
def f10_there(this: Case) -> None:
    contents = this.write(small_files(this, 10))
    for body in contents.values():
        this.rig.store(body, this.bucket, "root/Data/")
    outcome = this.run("submit")
    this.check_bucket(contents, outcome, must_succeed=True)


def _writers(size_name: str, large: bool) -> None:
    @case("F10", f"8 writers of one key, {size_name}", quick=not large)
    def writers(this: Case) -> None:
        contents = this.write(large_file(this) if large else {"one": this.bytes(50_000)})
        this.rig.config(delay_ms=20)
        processes = [this.start("submit", {"HOME": f"{this.home}/{number}"}) for number in range(8)]
        for outcome in [this.finish(process) for process in processes]:
            this.check_bucket(contents, outcome, must_succeed=True)


_writers("small", False)
_writers("large", True)


@case("F10", "8 callers in one process, and the key can't be stored")
def f10_failing_owner(this: Case) -> None:
    # One of them sends it, the others wait for that: its failure is theirs too, or their manifests would dangle.
    this.write({"one": this.bytes(50_000)})
    this.rig.config(delay_ms=100)
    this.rig.rules(fault("status", "PutObject", "*/Data/*", status=403))
    outcome = this.run("submit_together", callers=8)
    this.rig.rules()
    this.check_bucket(None, None)
    succeeded = (outcome.value or []).count("ok")
    this.score.false_success += succeeded
    this.surprise_unless(
        outcome.ok and len(outcome.value) == 8 and not succeeded,
        f"{outcome.value} {outcome.error}",
    )


@case("F10", "the endpoint knows neither If-None-Match nor xxhash128")
def f10_simple_endpoint(this: Case) -> None:
    this.rig.config(if_none_match=False, xxhash128="reject")
    submit_under(this, {**small_files(this, 10), **large_file(this)}, must_succeed=True)
