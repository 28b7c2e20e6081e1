"""Files that change while they are uploaded: an error names them, and nothing wrong is stored."""

from __future__ import annotations

import os
import random
import threading
from datetime import timedelta

import pytest
from rusty_attachments.exceptions import AssetSyncError
from rusty_attachments.models import JobAttachmentS3Settings
from rusty_attachments.upload import S3AssetUploader, UploadOptions
from upload.conftest import manifest_of

PART = 8 * 1024 * 1024
CHANGES = 300


def change(path, chance: random.Random) -> None:
    """One of the ways in which programs change files."""
    way = chance.choice(["edit", "edit keeping its mtime", "grow", "truncate", "replace", "delete"])
    try:
        stat = path.stat()
        if way.startswith("edit"):
            with path.open("r+b") as file:
                file.seek(chance.randrange(max(1, stat.st_size)))
                file.write(os.urandom(8))
            if way != "edit":
                os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        elif way == "grow":
            with path.open("ab") as file:
                file.write(b"more")
        elif way == "truncate":
            os.truncate(path, stat.st_size // 2)
        elif way == "replace":
            other = path.with_suffix(".new")
            other.write_bytes(os.urandom(stat.st_size))
            other.rename(path)
        else:
            path.unlink()
    except FileNotFoundError:
        path.write_bytes(os.urandom(1000))


def test_nothing_wrong_is_stored_while_files_change(rig, rig_bucket, upload, stored, tmp_path):
    chance = random.Random(5)
    changed, texts = 0, []
    while changed < CHANGES:
        root = tmp_path / f"tree {changed}"
        root.mkdir()
        for number in range(40):
            (root / f"small {number}").write_bytes(os.urandom(5000))
        (root / "large").write_bytes(os.urandom(2 * PART + 100))
        (root / "medium").write_bytes(os.urandom(PART // 2))
        manifest = manifest_of(root)
        paths = sorted(root.iterdir())
        rig.config(delay_ms=1)
        begin = threading.Event()

        def disturb(paths=paths, begin=begin):
            begin.wait()
            for _ in range(50):
                change(chance.choice([*paths, paths[0], paths[0]]), chance)

        thread = threading.Thread(target=disturb)
        thread.start()
        begin.set()
        try:
            upload(root, manifest)
        except AssetSyncError as error:
            texts.append((str(error), str(root)))
        finally:
            thread.join()
        changed += 50
        stored()
    assert texts, "some changes hit"
    assert all(folder in text for text, folder in texts)
    assert rig.uploads(rig_bucket) == []


@pytest.mark.parametrize("kind", ["missing", "directory", "unreadable", "changed", "fifo"])
def test_what_can_not_be_sent_is_an_error_and_no_row(rig_bucket, upload, stored, tmp_path, kind):
    root, cache = tmp_path / "root", str(tmp_path / "cache")
    root.mkdir()
    (root / "good").write_bytes(b"good")
    bad = root / "bad"
    bad.write_bytes(b"bad")
    manifest = manifest_of(root)
    bad.unlink()
    if kind == "directory":
        bad.mkdir()
    elif kind == "changed":
        bad.write_bytes(b"bae")
    elif kind == "fifo":
        os.mkfifo(bad)
    elif kind == "unreadable":
        if os.geteuid() == 0:
            bad.symlink_to("bad")  # a loop: root may read everything
        else:
            bad.write_bytes(b"bad")
            bad.chmod(0)
    with pytest.raises(AssetSyncError, match=f"{bad}: "):
        upload(root, manifest, s3_check_cache_dir=cache)
    assert list(stored().values()) == [4]

    from rusty_attachments.caches import S3CheckCache

    with S3CheckCache(cache) as rows:
        found = {
            path.path: rows.get_entry(f"{rig_bucket}/root/Data/{path.hash}.xxh128") for path in manifest.paths
        }
    assert found["good"] is not None
    assert found["bad"] is None


def test_links_out_of_the_root_can_be_refused(upload, stored, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").write_bytes(b"inside")
    (root / "link in").symlink_to("file")
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "link out").symlink_to("../secret")
    manifest = manifest_of(root)
    confined = S3AssetUploader(
        s3_max_pool_connections=50,
        small_file_threshold_multiplier=20,
        options=UploadOptions(confine_links=True),
    )
    with pytest.raises(AssetSyncError, match="link out: is a symbolic link that leads out of"):
        upload(root, manifest, uploader=confined)
    assert list(stored().values()) == [6], "a link that stays below the root is followed"
    upload(root, manifest)
    assert sorted(stored().values()) == [6, 6], "by default all are"


def test_rows_are_trusted_for_the_time_that_was_set(rig, rig_bucket, upload, stored, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    for number in range(100):
        (root / str(number)).write_bytes(b"%d" % number)
    upload(root)
    gone = rig.objects(rig_bucket, "root/Data/")[50]["key"]
    rig.delete(rig_bucket, gone)
    doubting = S3AssetUploader(
        s3_max_pool_connections=50,
        small_file_threshold_multiplier=20,
        options=UploadOptions(trust_cache_for=timedelta(0)),
    )
    upload(root, uploader=doubting)
    assert len(stored()) == 100, "healed"


def test_a_large_upload_goes_on_from_its_parts(rig, rig_bucket, upload, stored, tmp_path, caplog):
    root = tmp_path / "root"
    root.mkdir()
    (root / "large").write_bytes(os.urandom(9 * PART + 1))
    # S3 stops answering in the middle; parts stay.
    fault = {"kind": "status", "status": 400, "code": "SomethingElse"}
    rig.rules(
        {"operation": "UploadPart", "skip": 6, "fault": fault},
        {"operation": "AbortMultipartUpload", "fault": {"kind": "status", "status": 403}},
    )
    with pytest.raises(Exception, match="SomethingElse"):
        upload(root)
    (left,) = rig.uploads(rig_bucket)
    assert left["parts"] > 0
    rig.rules()
    rig.reset()
    caplog.set_level("INFO")
    upload(root)
    # Parts that were on their way may have arrived after the call.
    assert 0 < rig.count("UploadPart") <= 10 - left["parts"]
    assert "Going on with upload" in caplog.text
    assert list(stored().values()) == [9 * PART + 1]
    assert rig.uploads(rig_bucket) == []


def test_a_bucket_in_another_region_is_found_once(rig, rig_bucket, upload, stored, tmp_path, caplog):
    root = tmp_path / "root"
    root.mkdir()
    for number in range(20):
        (root / str(number)).write_bytes(b"%d" % number)
    rig.config(region="eu-central-1", log=True)
    upload(root)
    assert len(stored()) == 20
    assert f"Bucket {rig_bucket} is in region eu-central-1, not us-west-2" in caplog.text
    assert [row["status"] for row in rig.log()].count(301) <= 20


def test_a_snapshot_of_a_changed_file_is_an_error(tmp_path):
    from rusty_attachments.models import AssetRootManifest
    from rusty_attachments.upload import S3AssetManager

    root = tmp_path / "root"
    root.mkdir()
    (root / "good").write_bytes(b"good")
    (root / "bad").write_bytes(b"bad")
    manifest = manifest_of(root)
    (root / "bad").write_bytes(b"bae")
    manager = S3AssetManager("farm", "queue", JobAttachmentS3Settings("bucket", "prefix"))
    asset_root = AssetRootManifest(root_path=str(root), asset_manifest=manifest)
    with pytest.raises(AssetSyncError, match="bad: changed after it was hashed"):
        manager.snapshot_assets(str(tmp_path / "snapshot"), [asset_root])
    left = [path.name for path in (tmp_path / "snapshot").rglob("*") if path.is_file()]
    assert left == [
        f"{manifest.paths[-1].hash if manifest.paths[-1].path == 'good' else manifest.paths[0].hash}.xxh128"
    ]
