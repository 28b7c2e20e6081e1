"""Both implementations upload the same trees: keys, bytes, metadata, statistics, returns, local files, rows."""

from __future__ import annotations

import dataclasses
import importlib
import io
import json
import logging
import os
import sqlite3
from pathlib import Path
from typing import Any

import boto3
import pytest

OURS, THEIRS = "rusty_attachments", "deadline.job_attachments"
PACKAGES = [THEIRS, OURS]
BUCKET = "parity-bucket"
MIB = 1024 * 1024


def module(package: str, name: str) -> Any:
    return importlib.import_module(f"{package}.{name}")


@pytest.fixture
def session() -> boto3.Session:
    return boto3.Session()


@pytest.fixture(autouse=True)
def _same_guid(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in PACKAGES:
        monkeypatch.setattr(
            module(package, "models"), "_generate_random_guid", lambda: "0123456789abcdef" * 2
        )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root ü"
    (root / "sub" / "deep").mkdir(parents=True)
    for number in range(60):
        (root / "sub" / f"file {number:02}.exr").write_bytes(os.urandom(100) * (number + 1))
    (root / "empty").write_bytes(b"")
    (root / "same 1").write_bytes(b"the same contents")
    (root / "sub" / "same 2").write_bytes(b"the same contents")
    (root / "sub" / "deep" / "same 3").write_bytes(b"the same contents")
    (root / "é\U0001f600").write_bytes(b"astral")
    (root / "medium.bin").write_bytes(os.urandom(3 * MIB))
    (root / "exactly a part").write_bytes(os.urandom(8 * MIB))
    (root / "large.bin").write_bytes(os.urandom(17 * MIB + 5))
    (root / "link").symlink_to("sub/file 00.exr")
    outside = tmp_path / "outside"
    outside.write_bytes(b"outside the root")
    (root / "link out").symlink_to(outside)
    return root


class Captured(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class Side:
    """One implementation at work in an empty bucket."""

    def __init__(self, package: str, rig: Any, folder: Path, session: boto3.Session) -> None:
        self.package, self.rig, self.session = package, rig, session
        self.cache, self.written = folder / package / "cache", folder / package / "written"
        rig.reset(objects=True)
        rig.create_bucket(BUCKET)
        self.models = module(package, "models")
        self.settings = self.models.JobAttachmentS3Settings(BUCKET, "root/prefix")
        self.captured = Captured()
        self.logger = logging.getLogger(f"{package}.upload")

    def __enter__(self) -> Side:
        self.logger.addHandler(self.captured)
        self.level = self.logger.level
        self.logger.setLevel(logging.DEBUG)
        return self

    def __exit__(self, *_: object) -> None:
        self.logger.removeHandler(self.captured)
        self.logger.setLevel(self.level)

    def manager(self, **keywords: Any) -> Any:
        made = module(self.package, "upload").S3AssetManager
        keywords.setdefault("small_file_threshold_multiplier", 1)
        # With more, two threads of the reference may send one content at the same time, and count it twice.
        keywords.setdefault("s3_max_pool_connections", 1 if self.package == THEIRS else 50)
        return made("farm-1", "queue-1", self.settings, session=self.session, **keywords)

    def uploader(self, connections: int = 50, multiplier: int = 20) -> Any:
        made = module(self.package, "upload").S3AssetUploader
        return made(
            self.session,
            s3_max_pool_connections=connections,
            small_file_threshold_multiplier=multiplier,
        )

    def manifests(self, tree: Path) -> Any:
        """The tree's files as a submission hashes them, with output directories."""
        manager = self.manager()
        files = sorted(str(path) for path in tree.rglob("*") if path.is_file())
        group = manager.prepare_paths_for_upload(files, [str(tree / "out")], [])
        _, manifests = manager.hash_assets_and_create_manifest(
            group.asset_groups, group.total_input_files, group.total_input_bytes, str(self.cache)
        )
        return manifests

    def bucket(self) -> list[tuple[Any, ...]]:
        """Everything in the bucket as a client sees it, contents by their hash."""
        client = self.session.client("s3")
        rows = []
        for row in self.rig.objects(BUCKET, hashed=True):
            head = client.head_object(Bucket=BUCKET, Key=row["key"])
            rows.append((row["key"], row["xxh128"], row["size"], head["Metadata"], head["ContentType"]))
        client.close()
        return sorted(rows)

    def rows(self) -> list[tuple[str, str]]:
        """Keys of the check cache, and how their times are stored."""
        with sqlite3.connect(self.cache / "s3_check_cache.db") as connection:
            rows = connection.execute("SELECT s3_key, typeof(last_seen_time) FROM s3checkV1").fetchall()
        connection.close()
        return sorted(rows)

    def local_files(self) -> dict[str, bytes]:
        found = [path for path in self.written.rglob("*") if path.is_file()]
        return {str(path.relative_to(self.written)): path.read_bytes() for path in found}

    def log(self) -> list[str]:
        """What both are to say; each says more of its own."""
        known = ("skipping ", "Creating local manifest file:", "Asset manifests - locations", "farm-1/")
        lines = [line for line in self.captured.lines if line.startswith(known)]
        return sorted(line.replace(str(self.written), "<written>") for line in lines)


def counts(statistics: Any) -> dict[str, Any]:
    values = dataclasses.asdict(statistics)
    assert values["transfer_rate"] == values["processed_bytes"] / values["total_time"]
    return {name: value for name, value in values.items() if name not in ("total_time", "transfer_rate")}


def upload(side: Side, tree: Path, **keywords: Any) -> dict[str, Any]:
    reports: list[Any] = []

    def callback(report: Any) -> bool:
        reports.append(report)
        return True

    statistics, attachments = side.manager().upload_assets(
        side.manifests(tree),
        callback,
        s3_check_cache_dir=str(side.cache),
        manifest_write_dir=str(side.written),
        **keywords,
    )
    last = reports[-1]
    return {
        "statistics": counts(statistics),
        "attachments": attachments.to_dict(),
        "bucket": side.bucket(),
        "rows": side.rows(),
        "files": side.local_files(),
        "log": side.log(),
        "last report": (last.progress, last.processedFiles, last.status.name),
    }


def both(rig: Any, folder: Path, session: boto3.Session, work: Any) -> list[Any]:
    results = []
    for package in PACKAGES:
        with Side(package, rig, folder, session) as side:
            results.append(work(side))
    return results


def assert_same(theirs: Any, ours: Any) -> None:
    for name in theirs:
        assert ours[name] == theirs[name], name


def test_a_submission_is_uploaded_alike(rig, session, tree, tmp_path):
    theirs, ours = both(rig, tmp_path, session, lambda side: upload(side, tree))
    assert theirs["statistics"]["skipped_files"] == 3, "duplicates and a link"
    assert_same(theirs, ours)


def test_a_second_upload_is_alike(rig, session, tree, tmp_path):
    def work(side: Side) -> Any:
        upload(side, tree)
        rig.reset()
        side.captured.lines.clear()
        again = upload(side, tree)
        puts = rig.count("PutObject") + rig.count("CreateMultipartUpload")
        return {**again, "puts": puts, "heads": rig.count("HeadObject") - len(again["bucket"])}

    theirs, ours = both(rig, tmp_path, session, work)
    assert (theirs["puts"], theirs["heads"]) == (1, 30)
    assert_same(theirs, ours)


def test_a_forced_check_is_alike(rig, session, tree, tmp_path):
    def work(side: Side) -> Any:
        upload(side, tree)
        rig.reset()
        side.captured.lines.clear()
        again = upload(side, tree, force_s3_check=True)
        return {**again, "puts": rig.count("PutObject") + rig.count("CreateMultipartUpload")}

    theirs, ours = both(rig, tmp_path, session, work)
    assert theirs["puts"] == 1
    assert_same(theirs, ours)


def test_a_stale_cache_is_healed_alike(rig, session, tree, tmp_path):
    def work(side: Side) -> Any:
        first = upload(side, tree)
        for key, *_ in first["bucket"]:
            rig.delete(BUCKET, key)
        side.captured.lines.clear()
        again = upload(side, tree)
        return {name: again[name] for name in ("statistics", "bucket", "rows", "files")}

    assert_same(*both(rig, tmp_path, session, work))


@pytest.mark.parametrize("prefix", ["test////", "/leading", "a b/ü"])
def test_prefixes_stay_as_they_are(rig, session, tmp_path, prefix):
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").write_bytes(b"contents")

    def work(side: Side) -> Any:
        side.settings = side.models.JobAttachmentS3Settings(BUCKET, prefix)
        return upload(side, root)

    theirs, ours = both(rig, tmp_path, session, work)
    assert any(key.startswith(f"{prefix}/Data/") for key, *_ in theirs["bucket"])
    assert_same(theirs, ours)


def test_the_uploader_alone_is_alike(rig, session, tree, tmp_path):
    def work(side: Side) -> Any:
        manifest = side.manifests(tree)[0].asset_manifest
        metadata = {"Metadata": {"asset-root": "/x", "file-system-location-name": "ä".encode().hex()}}
        returned = [
            side.uploader().upload_assets(
                side.settings,
                manifest,
                tree,
                s3_check_cache_dir=str(side.cache),
                **arguments,
            )
            for arguments in (
                {},
                {"partial_manifest_prefix": "some/where", "manifest_metadata": metadata},
                {"partial_manifest_prefix": "else", "manifest_file_name": "name", "asset_root": tree},
                {"partial_manifest_prefix": "out", "manifest_name_suffix": "output"},
            )
        ]
        return {"returned": returned, "bucket": side.bucket(), "rows": side.rows()}

    assert_same(*both(rig, tmp_path, session, work))


def test_single_files_bytes_and_questions_are_alike(rig, session, tree, tmp_path):
    def work(side: Side) -> Any:
        uploader = side.uploader()
        uploader.upload_file_to_s3(tree / "medium.bin", BUCKET, "any/key")
        uploader.upload_file_to_s3(tree / "large.bin", BUCKET, "any/key")
        uploader.upload_file_to_s3(tree / "link out", BUCKET, "linked")
        uploader.upload_file_to_s3(tree / "link out", BUCKET, "passed over", base_dir_path=tree)
        uploader.upload_file_to_s3(tree / "link", BUCKET, "inside", base_dir_path=tree)
        told: list[int] = []
        uploader.upload_bytes_to_s3(io.BytesIO(b"bytes"), BUCKET, "bytes", told.append)
        extra = {"Metadata": {"a": "b"}, "ContentType": "text/x"}
        uploader.upload_bytes_to_s3(io.BytesIO(b""), BUCKET, "no bytes", extra_args=extra)
        there = [uploader.file_already_uploaded(BUCKET, key) for key in ("bytes", "nothing")]
        return {"there": there, "told": sum(told), "bucket": side.bucket()}

    theirs, ours = both(rig, tmp_path, session, work)
    assert theirs["there"] == [True, False]
    assert_same(theirs, ours)


def test_what_is_made_of_a_manifest_before_its_upload_is_alike(rig, session, tree, tmp_path):
    def work(side: Side) -> Any:
        manifest, uploader = side.manifests(tree)[0].asset_manifest, side.uploader()
        folder = str(side.written)
        gathered = [
            uploader._gather_upload_metadata(manifest, root, "input", location)
            for root, location in ((tree, None), (Path("/a/../ü"), "some location"), (Path("."), ""))
        ]
        named = [
            uploader._get_hashed_file_name_from_root_str(manifest, root, suffix)
            for root, suffix in (("/x", "input"), ("", ""), ("C:\\ü 😀", "output.json"))
        ]
        uploader._write_local_manifest(folder, "first", "root/Manifests/first", manifest)
        uploader._write_local_manifest(folder, "it's", "root/ü/it's", manifest, "some root")
        uploader._write_local_manifest_s3_mapping(folder, "first", "again\n")
        uploader._write_local_manifest_s3_mapping(folder, "first", "elsewhere", "some root_manifests")
        written = uploader._write_local_input_manifest(folder, "third", manifest, "")
        with pytest.raises(FileNotFoundError) as error:
            uploader._write_local_manifest_s3_mapping(folder, "first", "key", "no such folder")
        return {
            "gathered": [(algorithm.value, text, name) for algorithm, text, name in gathered],
            "named": [(algorithm.value, name) for algorithm, name in named],
            "written": str(written.relative_to(side.written)),
            "error": str(error.value).replace(str(side.written), ""),
            "files": side.local_files(),
        }

    theirs, ours = both(rig, tmp_path, session, work)
    assert theirs["files"]["manifests/manifest_s3_mapping"].count(b"\n") == 3
    assert_same(theirs, ours)


def test_the_uploaders_questions_about_files_are_alike(rig, session, tree, tmp_path):
    def work(side: Side) -> Any:
        manifest, uploader = side.manifests(tree)[0].asset_manifest, side.uploader()
        limits = (-1, 0, 17, 3 * MIB, 8 * MIB, 1 << 60)
        lanes = [uploader._separate_files_by_size(manifest.paths, limit) for limit in limits]
        first = manifest.paths[0]
        within = [
            uploader._is_file_within_directory(tree / name, folder)
            for name in ("sub/file 00.exr", "link", "link out", "sub/../../outside", "missing", ".")
            for folder in (tree, tree / "sub", tmp_path, tree / "no such folder")
        ]
        return {
            "lanes": [[[file.path for file in lane] for lane in pair] for pair in lanes],
            "keys": [
                uploader._generate_s3_upload_key(first, manifest.hashAlg, prefix)
                for prefix in ("", "a", "a/b/", "/a", "ü//b")
            ],
            "within": within,
        }

    theirs, ours = both(rig, tmp_path, session, work)
    assert [len(small) for small, _ in theirs["lanes"]] == [0, 1, 6, 68, 69, 70]
    assert set(theirs["within"]) == {True, False}
    assert_same(theirs, ours)


def test_the_files_of_a_manifest_are_uploaded_alike(rig, session, tree, tmp_path):
    def work(side: Side) -> Any:
        manifest = side.manifests(tree)[0].asset_manifest
        place = (BUCKET, tree, side.settings.full_cas_prefix())
        requests = []
        for force in (None, None, True):
            rig.reset()
            progress = module(side.package, "progress_tracker")
            tracker = progress.ProgressTracker(progress.ProgressStatus.UPLOAD_IN_PROGRESS, 70, 1)
            tracker.total_time = 1.0
            # One connection: two threads of the reference may send one content at the same time.
            uploader = side.uploader(connections=1, multiplier=1)
            returned = uploader.upload_input_files(manifest, *place, tracker, str(side.cache), force)
            sent = rig.count("PutObject") + rig.count("CreateMultipartUpload")
            requests.append((returned, sent, counts(tracker.get_summary_statistics())))
        return {"requests": requests, "bucket": side.bucket(), "rows": side.rows(), "log": side.log()}

    assert_same(*both(rig, tmp_path, session, work))


def test_snapshots_of_one_manifest_are_alike(rig, session, tree, tmp_path):
    def work(side: Side) -> Any:
        manifest = side.manifests(tree)[0].asset_manifest
        folder, empty = tmp_path / side.package / "snapshot", tmp_path / "empty root"
        empty.mkdir(exist_ok=True)
        arguments = [
            {},
            {"partial_manifest_prefix": "a/b", "manifest_name_suffix": "output"},
            {"manifest_file_name": "named", "source_root": empty, "asset_root": tree},
        ]
        returned = [
            side.uploader()._snapshot_assets(folder, manifest, **{"source_root": tree, **keywords})
            for keywords in arguments
        ]
        files = {
            str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()
        }
        return {"returned": returned, "files": files}

    assert_same(*both(rig, tmp_path, session, work))


def test_one_object_at_a_time_is_alike(rig, session, tree, tmp_path):
    def work(side: Side) -> Any:
        manifest = side.manifests(tree)[0].asset_manifest
        returned = []
        with module(side.package, "caches").S3CheckCache(str(side.cache)) as cache:
            for path in [manifest.paths[0], manifest.paths[0], manifest.paths[1]]:
                returned.append(
                    side.uploader().upload_object_to_cas(
                        path, manifest.hashAlg, BUCKET, tree, side.settings.full_cas_prefix(), cache
                    )
                )
        return {"returned": returned, "bucket": side.bucket(), "rows": side.rows(), "log": side.log()}

    assert_same(*both(rig, tmp_path, session, work))


def test_snapshots_are_alike(rig, session, tree, tmp_path):
    def work(side: Side) -> Any:
        folder = tmp_path / side.package / "snapshot"
        statistics, attachments = side.manager().snapshot_assets(str(folder), side.manifests(tree))
        files = {
            str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mode)
            for path in folder.rglob("*")
            if path.is_file()
        }
        return {"statistics": counts(statistics), "attachments": attachments.to_dict(), "files": files}

    assert_same(*both(rig, tmp_path, session, work))


def test_the_manifest_function_is_alike(rig, session, tmp_path):
    manifest = tmp_path / "some.manifest"
    manifest.write_text("{}")

    def work(side: Side) -> Any:
        function = module(side.package, "api.manifest")._manifest_upload
        said: list[Any] = []
        function(str(manifest), BUCKET, "root", session, print_function_callback=said.append)
        function(str(manifest), BUCKET, "root", session, "farm/queue")
        function(str(manifest), BUCKET, "root", session, "")
        return {"said": sum(said), "bucket": side.bucket()}

    assert_same(*both(rig, tmp_path, session, work))


def attachment_files(side: Side, tree: Path, folder: Path) -> tuple[str, str]:
    """A manifest file named after its root, and a file with a rule that leads from elsewhere to the tree."""
    manifest = side.manifests(tree)[0].asset_manifest
    hash_data = module(side.package, "asset_manifests").hash_data
    source = "/render/ü source"
    names = [hash_data(path.encode(), manifest.hashAlg) for path in (str(tree), source)]
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{names[0]}-{names[1]}.manifest"
    file.write_text(manifest.encode())
    rules = folder / "rules.json"
    rule = {"source_path_format": "posix", "source_path": source, "destination_path": str(tree)}
    rules.write_text(json.dumps({"path_mapping_rules": [rule]}))
    return str(file), str(rules)


def test_the_attachment_function_is_alike(rig, session, tree, tmp_path):
    def work(side: Side) -> Any:
        function = module(side.package, "api.attachment")._attachment_upload
        file, rules = attachment_files(side, tree, tmp_path / "files")
        said: list[str] = []
        common = {"print_function_callback": said.append, "s3_check_cache_dir": str(side.cache)}
        uri = f"s3://{BUCKET}/root/prefix"
        first = function([file], uri, session, root_dirs=[str(tree)], upload_manifest_path="a/b", **common)
        second = function([file], uri, session, path_mapping_rules=rules, upload_manifest_path="c", **common)
        third = function([file], uri, session, root_dirs=[str(tree)], **common)
        returned = [[dataclasses.asdict(info) for info in infos] for infos in (first, second, third)]
        return {"said": said, "returned": returned, "bucket": side.bucket(), "rows": side.rows()}

    assert_same(*both(rig, tmp_path, session, work))


def test_the_attachment_functions_errors_are_alike(rig, session, tree, tmp_path):
    def work(side: Side) -> Any:
        function = module(side.package, "api.attachment")._attachment_upload
        file, rules = attachment_files(side, tree, tmp_path / "files")
        no_list = tmp_path / "no list.json"
        no_list.write_text('{"path_mapping_rules": {}}')
        texts = []
        for keywords in (
            {},
            {"root_dirs": [str(tree)], "path_mapping_rules": rules},
            {"root_dirs": [str(tmp_path)]},
            {"root_dirs": [str(tmp_path / "missing")]},
            {"path_mapping_rules": str(tmp_path / "missing")},
            {"path_mapping_rules": str(no_list)},
        ):
            with pytest.raises(Exception) as error:  # noqa: PT011 - the type is compared
                function([file], f"s3://{BUCKET}/root", session, **keywords)
            texts.append((type(error.value).__name__, str(error.value)))
        with pytest.raises(Exception) as error:  # noqa: PT011
            function(["missing"], f"s3://{BUCKET}/root", session, root_dirs=[str(tree)])
        texts.append((type(error.value).__name__, str(error.value)))
        return {"texts": texts}

    assert_same(*both(rig, tmp_path, session, work))


DATA, MANIFESTS = "*/Data/*", "*/Manifests/*"
KMS = "User is not authorized to perform: kms:GenerateDataKey"
FAULTS = [
    ("HeadObject", DATA, 403, "AccessDenied", "Access Denied"),
    ("CreateMultipartUpload", DATA, 403, "AccessDenied", "Access Denied"),
    *(
        ("PutObject", key, status, code, message)
        for key in (DATA, MANIFESTS)
        for status, code, message in (
            (403, "AccessDenied", "Access Denied"),
            (403, "AccessDenied", KMS),
            (404, "NoSuchBucket", "The specified bucket does not exist"),
        )
    ),
]


@pytest.mark.parametrize(("operation", "key", "status", "code", "message"), FAULTS)
def test_errors_of_s3_are_alike(rig, session, tmp_path, operation, key, status, code, message):
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").write_bytes(os.urandom(9 * MIB if operation == "CreateMultipartUpload" else 100))

    def work(side: Side) -> Any:
        manifests = side.manifests(root)
        fault = {"kind": "status", "status": status, "code": code, "message": message}
        rig.rules({"operation": operation, "key": key, "fault": fault})
        forced = {"force_s3_check": True} if operation == "HeadObject" else {}
        with pytest.raises(Exception) as error:  # noqa: PT011 - the type is compared
            side.manager().upload_assets(manifests, s3_check_cache_dir=str(side.cache), **forced)
        rig.rules()
        fields = ("action", "status_code", "bucket_name", "key_or_prefix")
        return {
            "type": type(error.value).__name__,
            "fields": [getattr(error.value, name) for name in fields],
            "text": str(error.value),
        }

    assert_same(*both(rig, tmp_path, session, work))
