"""F28 and F33: others who upload the same objects, and servers that speak S3 in their own way."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Optional

from case import MIB, Case, Outcome, case, end_all, row
from gateway import Gateway, Reply, Request, refusal
from verbs import FARM, QUEUE

row("F28", "another client's live multipart upload of the same key, killed, cancelled, under SSE-KMS")
row("F33", "servers that differ: refused headers, listings, dates, no Content-Length, silly lengths")

PART = 8 * MIB


# -- F28 ---------------------------------------------------------------------------------------------------------


class RandomTags:
    """ETags of parts that are no hash of anything, new for each request: as under SSE-KMS."""

    def __init__(self) -> None:
        self.real: dict[str, str] = {}
        self.last: dict[tuple[str, str], str] = {}

    def before(self, request: Request) -> Optional[Reply]:
        """Gives the rig the tags that it knows; what is no part's last tag is unknown to it."""
        if request.operation == "CompleteMultipartUpload":
            upload = request.query["uploadId"]
            current = {tag for (of, _), tag in self.last.items() if of == upload}

            def real(found: re.Match[str]) -> str:
                tag = found.group(1)
                return f"<ETag>{self.real[tag] if tag in current else 'unknown'}</ETag>"

            text = request.body.decode().replace("&quot;", "")
            request.body = re.sub(r'<ETag>"?([^<"]*)"?</ETag>', real, text).encode()
        return None

    def after(self, request: Request, reply: Reply) -> None:
        """Gives the client tags of its own."""
        if reply.status != 200:
            return
        if request.operation == "UploadPart":
            tag = secrets.token_hex(16)
            self.real[tag] = reply.headers["etag"].strip('"')
            self.last[request.query["uploadId"], request.query["partNumber"]] = tag
            reply.headers["etag"] = f'"{tag}"'
        if request.operation == "ListParts":
            upload = request.query["uploadId"]

            def listed(found: re.Match[str]) -> str:
                tag = self.last[upload, found.group(1)]
                return f"<PartNumber>{found.group(1)}</PartNumber>{found.group(2)}<ETag>{tag}</ETag>"

            reply.replace(r"<PartNumber>(\d+)</PartNumber>(.*?)<ETag>.*?</ETag>", listed)  # type: ignore[arg-type]


class Halt:
    """Holds one client's requests of one operation, from the nth on, until it is let go."""

    def __init__(self, access_key: str, operation: str, nth: int) -> None:
        self.access_key, self.operation, self.left = access_key, operation, nth
        self.reached, self.released = threading.Event(), threading.Event()
        self.is_dropped = False

    def drop(self) -> None:
        """Lets it go without having it done: the client is dead."""
        self.is_dropped = True
        self.released.set()

    def before(self, request: Request) -> Optional[Reply]:
        """Waits where it should."""
        if (request.access_key, request.operation) == (self.access_key, self.operation):
            self.left -= 1
            if self.left <= 0:
                self.reached.set()
                self.released.wait(120)
                return refusal(500, "Dropped") if self.is_dropped else None
        return None


class Clients:
    """Two clients of one bucket, behind a gateway: the first is held in the middle of its upload."""

    def __init__(self, this: Case, operation: str = "UploadPart", kms: bool = True) -> None:
        self.this = this
        self.contents = this.write({"large": this.bytes(4 * PART)})
        self.halt = Halt("FIRST", operation, 3 if operation == "UploadPart" else 1)
        self.tags = RandomTags()

        def before(request: Request) -> Optional[Reply]:
            held = self.halt.before(request)
            return self.tags.before(request) if kms and held is None else held

        self.gateway = Gateway(this.rig.endpoint, before, self.tags.after if kms else lambda *_: None)

    def start(self, access_key: str, home: str = ""):
        """A client that submits the file, with caches of its own unless `home` is another's."""
        place = self.this.home / (home or access_key)
        place.mkdir(exist_ok=True)
        environment = {**self.gateway.environment, "AWS_ACCESS_KEY_ID": access_key, "HOME": str(place)}
        return self.this.start("submit", environment, log=True)

    def start_held(self):
        """The first client, once it is held."""
        first = self.start("FIRST")
        if not self.halt.reached.wait(60):
            self.this.surprises.append("the first client did not get to where it should be held")
        return first

    def finish(self, *processes) -> list[Outcome]:
        """Waits for all; what is stored must be right, and nothing left."""
        outcomes = [self.this.finish(process) for process in processes]
        for outcome in outcomes:
            self.this.check_bucket(self.contents, outcome, must_succeed=True)
        self.gateway.close()
        return outcomes

    def uploads_of(self, access_key: str, operation: str) -> set[str]:
        """The uploads that a client's requests of an operation were about."""
        mine = [request for request in self.gateway.requests if request.access_key == access_key]
        return {request.query["uploadId"] for request in mine if request.operation == operation}

    def expect_apart(self, one: str, other: str) -> None:
        """Neither has sent a part to an upload of the other's, nor ended it."""
        for operation in ("UploadPart", "CompleteMultipartUpload", "AbortMultipartUpload"):
            both = self.uploads_of(one, "UploadPart") & self.uploads_of(other, operation)
            self.this.surprise_unless(not both, f"{other}'s {operation} was about {one}'s upload")


def _live(name: str, operation: str, kms: bool) -> None:
    @case("F28", name)
    def live(this: Case) -> None:
        clients = Clients(this, operation, kms)
        first = clients.start_held()
        second = clients.start("SECOND")
        outcome = this.finish(second)
        this.surprise_unless(outcome.ok, f"the second failed: {outcome.text[:200]}")
        clients.halt.released.set()
        clients.finish(first)
        clients.expect_apart("FIRST", "SECOND")
        clients.expect_apart("SECOND", "FIRST")


_live("a live upload in the middle of its parts", "UploadPart", kms=False)
_live("a live upload in the middle of its parts, SSE-KMS", "UploadPart", kms=True)
_live("a live upload that is about to complete, SSE-KMS", "CompleteMultipartUpload", kms=True)


@case("F28", "another process with the same caches is at it")
def f28_same_caches(this: Case) -> None:
    clients = Clients(this)
    first = clients.start_held()
    second = clients.start("SECOND", home="FIRST")
    outcome = this.finish(second)
    this.surprise_unless(outcome.ok, f"the second failed: {outcome.text[:200]}")
    clients.halt.released.set()
    clients.finish(first)
    clients.expect_apart("FIRST", "SECOND")
    clients.expect_apart("SECOND", "FIRST")


@case("F28", "the other is cancelled: what it drops is its own")
def f28_cancelled(this: Case) -> None:
    clients = Clients(this)
    first = clients.start_held()
    hold = Halt("SECOND", "UploadPart", 2)
    before = clients.gateway.before

    def both(request: Request) -> Optional[Reply]:
        return hold.before(request) or before(request)

    clients.gateway.before = both
    second = clients.start("SECOND")
    this.surprise_unless(hold.reached.wait(60), "the second did not begin")
    second.send_signal(2)
    outcome = this.finish(second, expect_kill=True)
    this.surprise_unless(not outcome.ok, "the second was not cancelled")
    hold.released.set()
    clients.halt.released.set()
    clients.finish(first)
    clients.expect_apart("FIRST", "SECOND")


@case("F28", "killed, then again: the parts that S3 has are not sent again, SSE-KMS")
def f28_killed(this: Case) -> None:
    clients = Clients(this, "CompleteMultipartUpload")
    first = clients.start_held()
    end_all(first)
    this.finish(first, expect_kill=True)
    before = clients.gateway.count("UploadPart")
    clients.halt.drop()
    clients.finish(clients.start("AGAIN", home="FIRST"))
    if this.side.package == "rusty_attachments":
        this.surprise_unless(clients.gateway.count("UploadPart") == before, "parts were sent again")
        this.surprise_unless(
            clients.gateway.count("ListMultipartUploads") == 0, "others' uploads were listed"
        )


@case("F28", "killed, and another machine sends it: what is left is not touched")
def f28_killed_elsewhere(this: Case) -> None:
    clients = Clients(this, "CompleteMultipartUpload")
    first = clients.start_held()
    end_all(first)
    this.finish(first, expect_kill=True)
    clients.halt.drop()
    (left,) = [upload["upload_id"] for upload in this.rig.uploads(this.bucket)]
    outcome = this.finish(clients.start("SECOND"))
    this.check_bucket(clients.contents, outcome, must_succeed=True, may_leave=1)
    clients.expect_apart("FIRST", "SECOND")
    still = [upload["upload_id"] for upload in this.rig.uploads(this.bucket)]
    this.surprise_unless(still == [left], f"of {left} there is {still}")
    clients.gateway.close()


@case("F28", "an old upload that still gets parts is not stale")
def f28_stale(this: Case) -> None:
    if this.side.package != "rusty_attachments":
        return  # the reference has nothing of the kind
    clients = Clients(this, kms=False)
    first = clients.start_held()
    clients.gateway.after = lambda request, reply: (
        reply.replace("<Initiated>.*?</Initiated>", "<Initiated>2020-01-01T00:00:00Z</Initiated>")
        if request.operation == "ListMultipartUploads"
        else None
    )
    outcome = this.run("abort_stale_uploads", clients.gateway.environment)
    this.surprise_unless(outcome.ok and outcome.value == [], f"dropped {outcome.value} {outcome.text[:200]}")
    clients.halt.released.set()
    clients.finish(first)


# -- F33 ---------------------------------------------------------------------------------------------------------


def _under(
    this: Case,
    before: Callable[[Request], Optional[Reply]] = lambda _: None,
    after: Callable[[Request, Reply], None] = lambda *_: None,
) -> Gateway:
    return Gateway(this.rig.endpoint, before, after)


def _refuses(name: str, header: str, status: int, code: str, *, value: str = "", quick: bool = False) -> None:
    """A server that refuses a header, or a value of it, whatever else a request has."""

    @case("F33", f"refused: {name}", quick=quick)
    def refused(this: Case) -> None:
        contents = this.write({f"s{number}": this.bytes(3_000) for number in range(6)})
        contents |= this.write({"medium": this.bytes(MIB), "large": this.bytes(2 * PART + 1)})

        def before(request: Request) -> Optional[Reply]:
            has = any(name.startswith(header) and value in text for name, text in request.headers.items())
            return refusal(status, code) if has and request.method in ("PUT", "POST") else None

        with _under(this, before) as gateway:
            outcome = this.run("submit", gateway.environment)
        this.check_bucket(contents, outcome, must_succeed=True)


for _status, _code in (
    (501, "NotImplemented"),
    (400, "InvalidArgument"),
    (403, "AccessDenied"),
    (405, "MethodNotAllowed"),
    (412, "PreconditionFailed"),
):
    _refuses(f"If-None-Match with {_status}", "if-none-match", _status, _code, quick=_status in (403, 412))
for _status, _code in (
    (501, "NotImplemented"),
    (400, "InvalidDigest"),
    (400, "BadRequest"),
    (403, "SignatureDoesNotMatch"),
):
    _refuses(
        f"xxhash128 with {_status} {_code}",
        "x-amz-checksum-xxhash128",
        _status,
        _code,
        quick=_code == "BadRequest",
    )
_refuses("every checksum", "x-amz-checksum-", 400, "InvalidRequest", quick=True)
_refuses(
    "unsigned bodies with 403",
    "x-amz-content-sha256",
    403,
    "AccessDenied",
    value="UNSIGNED-PAYLOAD",
    quick=True,
)
_refuses(
    "unsigned bodies with 400",
    "x-amz-content-sha256",
    400,
    "XAmzContentSHA256Mismatch",
    value="UNSIGNED-PAYLOAD",
)


@case("F33", "refused: If-None-Match, checksums and unsigned bodies, each with another status")
def f33_everything_refused(this: Case) -> None:
    contents = this.write({f"s{number}": this.bytes(3_000) for number in range(6)})
    contents |= this.write({"medium": this.bytes(MIB), "large": this.bytes(2 * PART + 1)})

    def before(request: Request) -> Optional[Reply]:
        if request.method not in ("PUT", "POST"):
            return None
        if "if-none-match" in request.headers:
            return refusal(501, "NotImplemented")
        if request.headers.get("x-amz-content-sha256") == "UNSIGNED-PAYLOAD":
            return refusal(403, "AccessDenied")
        has_checksum = any(name.startswith("x-amz-checksum-") for name in request.headers)
        return refusal(400, "InvalidRequest") if has_checksum else None

    with _under(this, before) as gateway:
        outcome = this.run("submit", gateway.environment)
    this.check_bucket(contents, outcome, must_succeed=True)


@case("F33", "a 403 that is one: an error, after one confirmation of each request")
def f33_denied(this: Case) -> None:
    this.write({"one": this.bytes(3_000)})

    def before(request: Request) -> Optional[Reply]:
        return refusal(403, "AccessDenied") if request.method == "PUT" else None

    with _under(this, before) as gateway:
        outcome = this.run("submit", gateway.environment)
    this.check_bucket()
    this.expect_error(outcome, "bucket", "AccessDenied", classes=("JobAttachmentsS3ClientError",))
    if this.side.package == "rusty_attachments":
        sent = gateway.count("PutObject")
        this.surprise_unless(sent <= 2, f"{sent} requests were made")


def _output(this: Case, name: str, folder: str, prefix: str = "root") -> bytes:
    """An output manifest of one file in a folder of a job; what the file has in it."""
    body = this.bytes(100)
    digest = this.rig.store(body, this.bucket, f"{prefix}/Data/")
    path = this.manifest([{"hash": digest, "mtime": 1, "path": name, "size": len(body)}])
    key = f"{prefix}/Manifests/{FARM}/{QUEUE}/job-1/{folder}/h_output"
    this.rig.put(this.bucket, key, Path(path).read_bytes(), {"x-amz-meta-asset-root": "/proj"})
    return body


def _job(this: Case, count: int = 3) -> dict[str, bytes]:
    """A job with outputs of some tasks."""
    run = "2025-01-01T00:00:00.000000Z_sessionaction-1"
    return {
        f"out/f{number}": _output(this, f"out/f{number}", f"step-1/task-{number}/{run}-{number}")
        for number in range(count)
    }


def _root_prefix(prefix: str, quick: bool = False) -> None:
    """A root prefix that has the words of keys in it, a task that ran twice, chunks, and folder objects."""

    @case("F33", f"root prefix '{prefix}'", quick=quick)
    def named(this: Case) -> None:
        contents = {}
        for number, folder in enumerate(
            (
                "step-1/task-1/2025-02_sessionaction-2-0",
                "step-1/task-2/2025-01_sessionaction-1-1",
                "step-2/2025-01_sessionaction-3-0",
            )
        ):
            contents[f"f{number}"] = _output(this, f"f{number}", folder, prefix)
        _output(this, "gone", "step-1/task-1/2025-01_sessionaction-1-0", prefix)
        for folder in ("", "step-1/", "step-1/task-1/", "step-1/task-1/output/", "output/"):
            this.rig.put(this.bucket, f"{prefix}/Manifests/{FARM}/{QUEUE}/job-1/{folder}", b"")
        outcome = this.run("outputs", prefix=prefix)
        _expect_outputs(this, outcome, contents)
        found = set((outcome.value or {}).get("/proj", []))
        this.score.wrong += int("gone" in found)


for _prefix in (
    "night-task-data",
    "task-",
    "step-x/task-y",
    "my_output",
    "job-1",
    "sessionaction-1-1",
    "a//b",
):
    _root_prefix(_prefix, quick=_prefix in ("night-task-data", "my_output"))


def _expect_outputs(this: Case, outcome: Outcome, contents: dict[str, bytes]) -> None:
    """All outputs; none missing without an error."""
    found = set((outcome.value or {}).get("/proj", [])) if outcome.ok else set()
    missing = [body for name, body in contents.items() if name not in found]
    this.score.lost += sum(map(len, missing))
    this.score.false_success += int(outcome.ok and bool(missing))
    this.surprise_unless(outcome.ok, f"failed: {outcome.text[:200]}")


def _listing(name: str, change: Callable[[Reply], None], quick: bool = True) -> None:
    """A listing in another form."""

    @case("F33", f"listing: {name}", quick=quick, patience=60)
    def listed(this: Case) -> None:
        contents = _job(this)

        def after(request: Request, reply: Reply) -> None:
            if request.operation == "ListObjectsV2":
                change(reply)

        with _under(this, after=after) as gateway:
            outcome = this.run("outputs", gateway.environment)
            count = gateway.count("ListObjectsV2")
        _expect_outputs(this, outcome, contents)
        this.surprise_unless(count <= 2, f"{count} listings")


_END = "<IsTruncated>false</IsTruncated>"
_listing("an empty token at the end", lambda reply: reply.replace(_END, _END + "<NextContinuationToken/>"))
_listing(
    "a token at the end",
    lambda reply: reply.replace(_END, _END + "<NextContinuationToken>x</NextContinuationToken>"),
)
_listing(
    "False for false", lambda reply: reply.replace(_END, "<IsTruncated> False\n</IsTruncated>"), quick=False
)
_listing("0 for false", lambda reply: reply.replace(_END, "<IsTruncated>0</IsTruncated>"))
_listing("keys in CDATA", lambda reply: reply.replace("<Key>(.*?)</Key>", r"<Key><![CDATA[\1]]></Key>"))
_listing(
    "comments and blanks",
    lambda reply: reply.replace("<Contents>", "\n <!-- an object -->\n <Contents>\n "),
    quick=False,
)
_listing("another prefix", lambda reply: reply.replace("<(/?)(?![?])", r"<\1s3:"), quick=False)
for _form in (
    "2026-01-01 10:20:30",
    "2026-01-01T10:20:30",
    "2026-01-01T10:20:30+00:00",
    "Thu, 01 Jan 2026 10:20:30 GMT",
    "never",
    "",
):
    _listing(
        f"LastModified '{_form}'",
        lambda reply, form=_form: reply.replace(
            "<LastModified>.*?</LastModified>", f"<LastModified>{form}</LastModified>"
        ),
        quick=_form == "2026-01-01 10:20:30",
    )
_listing(
    "no times, sizes and tags",
    lambda reply: reply.replace("<LastModified>.*?</StorageClass>", ""),
    quick=False,
)
_listing("in chunks", lambda reply: setattr(reply, "framing", "chunked"), quick=False)
_listing("until the connection ends", lambda reply: setattr(reply, "framing", "close"), quick=False)


def _broken_listing(name: str, change: Callable[[Request, Reply], None], quick: bool = True) -> None:
    """A listing that can't be read to its end: an error, soon, and in bounded memory."""

    @case("F33", f"broken listing: {name}", quick=quick, patience=90)
    def broken(this: Case) -> None:
        _job(this)

        def after(request: Request, reply: Reply) -> None:
            if request.operation == "ListObjectsV2":
                change(request, reply)

        with _under(this, after=after) as gateway:
            outcome = this.run("outputs", {**gateway.environment, "RUSTY_ATTACHMENTS_RETRY_SECONDS": "5"})
            count = gateway.count("ListObjectsV2")
        this.score.false_success += int(outcome.ok)
        this.expect_error(outcome, this.bucket)
        this.surprise_unless(count <= 1_100, f"{count} listings")


def _go_on(token: str) -> str:
    return f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>"


def _circle(request: Request, reply: Reply) -> None:
    """The first page again and again, whatever was asked for."""
    if reply.status != 200:
        reply.status, reply.body = 200, _circle.first  # type: ignore[attr-defined]
    else:
        reply.replace(_END, _go_on("again"))
        _circle.first = reply.body  # type: ignore[attr-defined]


def _always_new(request: Request, reply: Reply) -> None:
    """The same page, and a new token each time."""
    if reply.status == 200:
        _always_new.first = reply.body.decode()  # type: ignore[attr-defined]
    reply.status = 200
    first: str = _always_new.first  # type: ignore[attr-defined]
    reply.body = first.replace(_END, _go_on(secrets.token_hex(8))).encode()


def _always_empty(request: Request, reply: Reply) -> None:
    reply.status = 200
    reply.body = f"<ListBucketResult>{_go_on(secrets.token_hex(8))}</ListBucketResult>".encode()


_broken_listing(
    "truncated, no token", lambda _, reply: reply.replace(_END, "<IsTruncated>true</IsTruncated>")
)
_broken_listing(
    "neither true nor false", lambda _, reply: reply.replace(_END, "<IsTruncated>maybe</IsTruncated>")
)
_broken_listing("the same token for ever", _circle)
_broken_listing("the same page for ever", _always_new)
_broken_listing("empty pages for ever", _always_empty, quick=False)
_broken_listing("an entry without a key", lambda _, reply: reply.replace("<Key>.*?</Key>", ""))
_broken_listing("cut off", lambda _, reply: setattr(reply, "body", reply.body[:-40]), quick=False)
_broken_listing(
    "a page for people", lambda _, reply: setattr(reply, "body", b"<html><body>Sign in</body></html>")
)
_broken_listing("nothing", lambda _, reply: setattr(reply, "body", b""), quick=False)


def _body(
    name: str, change: Callable[[Request, Reply], None], succeeds: bool = True, quick: bool = True
) -> None:
    """Replies to GET and HEAD in another form."""

    @case("F33", f"body: {name}", quick=quick, patience=90)
    def body(this: Case) -> None:
        contents = {
            "small": this.bytes(3_000),
            "medium": this.bytes(2 * MIB),
            "large": this.bytes(2 * PART + 1),
            "empty": b"",
        }
        manifest = this.store(contents)

        def after(request: Request, reply: Reply) -> None:
            if request.operation in ("GetObject", "HeadObject"):
                change(request, reply)

        environment = {"RUSTY_ATTACHMENTS_RETRY_SECONDS": "5", "RUSTY_ATTACHMENTS_STALL_SECONDS": "5"}
        with _under(this, after=after) as gateway:
            outcome = this.run("download", {**gateway.environment, **environment}, manifest=manifest)
        this.check_download(contents, outcome, must_succeed=succeeds)
        if not succeeds:
            this.expect_error(outcome, this.bucket)


def _header(name: str, value: Optional[str]) -> Callable[[Request, Reply], None]:
    def change(_: Request, reply: Reply) -> None:
        if value is None:
            reply.headers.pop(name, None)
        else:
            reply.headers[name] = value

    return change


def _framed(framing: str) -> Callable[[Request, Reply], None]:
    def change(request: Request, reply: Reply) -> None:
        if request.method == "GET":
            reply.framing = framing

    return change


def _said(length: Callable[[int], int]) -> Callable[[Request, Reply], None]:
    def change(request: Request, reply: Reply) -> None:
        if request.method == "GET":
            reply.length = str(length(len(reply.body)))

    return change


def _of_another_length(by: int) -> Callable[[Request, Reply], None]:
    """A body in chunks that ends in order, and is not as long as it should be."""

    def change(request: Request, reply: Reply) -> None:
        if request.method == "GET" and reply.body:
            reply.framing = "chunked"
            reply.body = reply.body + b"x" * by if by > 0 else reply.body[:by]

    return change


_body("in chunks, without a length", _framed("chunked"))
_body("until the connection ends", _framed("close"))
for _form in (
    "2026-01-01T00:00:00Z",
    "Thu, 01 Jan 2026 00:00:00 +0000",
    "Thu, 1 Jan 2026 00:00:00 GMT",
    "yesterday",
    "",
):
    _body(f"Last-Modified '{_form}'", _header("last-modified", _form), quick=_form == "yesterday")
_body("no Last-Modified", _header("last-modified", None), quick=False)
_body("no ETag", _header("etag", None), quick=False)
for _name, _value in (
    ("expires", "0"),
    ("x-amz-delete-marker", ""),
    ("x-amz-missing-meta", "some"),
    ("x-amz-mp-parts-count", "-"),
    ("x-amz-object-lock-retain-until-date", "0"),
    ("x-amz-server-side-encryption-bucket-key-enabled", "Yes"),
):
    _body(f"{_name}: {_value}", _header(_name, _value), quick=_name == "expires")
_body("one byte less, in chunks", _of_another_length(-1), succeeds=False)
_body("one byte more, in chunks", _of_another_length(1), succeeds=False)
_body("a length of -1", _said(lambda _: -1), succeeds=False)
_body("a length of 2^63", _said(lambda _: 2**63), succeeds=False)
_body("a length of 2^80", _said(lambda _: 2**80), succeeds=False, quick=False)
_body("a length of 128 TiB", _said(lambda _: 128 << 40), succeeds=False)
_body("a length of one byte more", _said(lambda length: length + 1), succeeds=False, quick=False)
_body("a length of one byte less", _said(lambda length: max(length - 1, 0)), succeeds=False, quick=False)


def _manifests(
    name: str, change: Callable[[Request, Reply], None], succeeds: bool = True, quick: bool = True
) -> None:
    """Replies that carry manifests, whose length nothing else tells."""

    @case("F33", f"manifests: {name}", quick=quick, patience=90)
    def manifests(this: Case) -> None:
        contents = _job(this)

        def after(request: Request, reply: Reply) -> None:
            if request.operation == "GetObject":
                change(request, reply)

        with _under(this, after=after) as gateway:
            outcome = this.run("outputs", {**gateway.environment, "RUSTY_ATTACHMENTS_RETRY_SECONDS": "5"})
        if succeeds:
            _expect_outputs(this, outcome, contents)
        else:
            this.score.false_success += int(outcome.ok)
            this.expect_error(outcome, this.bucket)


_manifests("in chunks, without a length", _framed("chunked"))
_manifests("Last-Modified as ISO 8601", _header("last-modified", "2026-01-01T00:00:00Z"))
_manifests("no Last-Modified", _header("last-modified", None))
_manifests("a length of 128 TiB", _said(lambda _: 128 << 40), succeeds=False)


@case("F33", "HEAD without a length")
def f33_head_without_length(this: Case) -> None:
    contents = this.write({f"m{number}": this.bytes(300_000 + number) for number in range(3)})
    for body in contents.values():
        this.rig.store(body, this.bucket, "root/Data/")

    def after(request: Request, reply: Reply) -> None:
        if request.method == "HEAD" and reply.status == 200:
            reply.framing = "chunked"

    with _under(this, after=after) as gateway:
        outcome = this.run("submit", gateway.environment)
        sent = [
            request
            for request in gateway.requests
            if request.operation == "PutObject" and "/Data/" in request.key
        ]
    this.check_bucket(contents, outcome, must_succeed=True)
    this.surprise_unless(not sent, f"{len(sent)} objects that are there were sent again")


def _multipart_reply(name: str, operation: str, change: Callable[[Reply], None]) -> None:
    @case("F33", f"multipart: {name}", quick=operation == "CreateMultipartUpload", patience=90)
    def multipart(this: Case) -> None:
        contents = this.write({"large": this.bytes(2 * PART + 1)})

        def after(request: Request, reply: Reply) -> None:
            if request.operation == operation:
                change(reply)

        with _under(this, after=after) as gateway:
            outcome = this.run("submit", gateway.environment)
        this.check_bucket(contents, outcome, must_succeed=True)


_multipart_reply(
    "the upload's id in CDATA",
    "CreateMultipartUpload",
    lambda reply: reply.replace("<UploadId>(.*?)</UploadId>", r"<UploadId> <![CDATA[\1]]> </UploadId>"),
)
_multipart_reply(
    "a date that is none",
    "CreateMultipartUpload",
    lambda reply: reply.headers.update({"x-amz-abort-date": "soon"}),
)
_multipart_reply(
    "Complete in CDATA",
    "CompleteMultipartUpload",
    lambda reply: reply.replace("<Key>(.*?)</Key>", r"<Key><![CDATA[\1]]></Key>"),
)
_multipart_reply(
    "blanks before the document",
    "CompleteMultipartUpload",
    lambda reply: setattr(reply, "body", b" \n" * 100 + reply.body),
)
