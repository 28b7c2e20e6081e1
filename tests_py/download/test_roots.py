"""Roots inside each other, manifests that share a root, and files of many chunks: nothing is dropped or mixed up."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from rusty_attachments.api.manifest import _manifest_snapshot
from rusty_attachments.asset_manifests import HashAlgorithm, ManifestVersion
from rusty_attachments.asset_manifests.decode import decode_manifest
from rusty_attachments.asset_manifests.v2025_12_04 import AssetManifest, ManifestFilePath
from rusty_attachments.download import download_files_from_manifests
from rusty_attachments.exceptions import AssetSyncError
from rusty_attachments.models import FileConflictResolution, JobAttachmentS3Settings
from rusty_attachments.upload import S3AssetUploader

from .job import MTIME_MICROS, PREFIX, JobInS3
from .trees import SIDES, contents, leftovers, told_error, told_statistics, tree

MIB = 1 << 20
CHUNK = 256 * MIB
RESUME = FileConflictResolution.RESUME


@pytest.fixture
def job(rig, rig_bucket) -> JobInS3:
    return JobInS3(rig, rig_bucket)


def download(job, manifests, **options):
    return download_files_from_manifests(
        job.bucket, {str(root): manifest for root, manifest in manifests.items()}, f"{PREFIX}/Data", **options
    )


# -- nested roots ------------------------------------------------------------------------------------------------

INNER = {"x": b"inner x", "deep/y": b"inner y"}
OUTER = {"a": b"outer a", "inner/own": b"own", "inner/deep/own": b"own too"}


@pytest.mark.parametrize("resolution", ["SKIP", "OVERWRITE", "CREATE_COPY"])
@pytest.mark.parametrize("inner_first", [False, True])
def test_one_root_inside_another(job, tmp_path, resolution, inner_first):
    """Nothing clashes: both sides agree."""
    texts = {"root": job.manifest(OUTER), "root/inner": job.manifest(INNER)}
    if inner_first:
        texts = dict(reversed(texts.items()))
    told = []
    for side in SIDES:
        base = tmp_path / side.name
        statistics = side.download.download_files_from_manifests(
            s3_bucket=job.bucket,
            manifests_by_root={str(base / root): side.decode(text) for root, text in texts.items()},
            cas_prefix=f"{PREFIX}/Data",
            conflict_resolution=side.models.FileConflictResolution[resolution],
        )
        told.append((told_statistics(statistics, base), tree(base)))
    assert told[0] == told[1]
    assert contents(tmp_path / "ours/root") == {**OUTER, **{f"inner/{path}": INNER[path] for path in INNER}}
    assert told[1][0]["file_counts_by_root_directory"] == {"root": 3, "root/inner": 2}


@pytest.mark.parametrize("resolution", ["SKIP", "OVERWRITE", "CREATE_COPY", "RESUME"])
@pytest.mark.parametrize("inner_first", [False, True])
def test_roots_inside_each_other_that_want_one_path(job, tmp_path, resolution, inner_first):
    """Two contents for one file: both are kept, or one as the resolution says, or nothing is written at all."""
    root = tmp_path / "root"
    texts = {
        root: job.manifest({"inner/x": b"outer's", "b": b"b"}),
        root / "inner": job.manifest({"x": b"inner's", "c": b"c"}),
    }
    if inner_first:
        texts = dict(reversed(texts.items()))
    first, second = (b"inner's", b"outer's") if inner_first else (b"outer's", b"inner's")
    manifests = {place: decode_manifest(text) for place, text in texts.items()}
    statistics = download(job, manifests, conflict_resolution=FileConflictResolution[resolution])
    found = contents(root)
    others = {"b": b"b", "inner/c": b"c"}
    assert leftovers(root) == []
    assert statistics.processed_files == (4 if resolution == "CREATE_COPY" else 3)
    assert statistics.skipped_files == 4 - statistics.processed_files
    if resolution == "CREATE_COPY":
        assert found == {**others, "inner/x": first, "inner/x (1)": second}
    elif resolution == "SKIP":
        assert found == {**others, "inner/x": first}
    else:
        assert found == {**others, "inner/x": second}


@pytest.mark.parametrize("inner_first", [False, True])
def test_copies_beside_what_is_there_have_numbers_that_do_not_depend_on_timing(job, tmp_path, inner_first):
    root = tmp_path / "root"
    (root / "inner").mkdir(parents=True)
    (root / "inner/x.a").write_bytes(b"mine")
    texts = {
        root: job.manifest({"inner/x.a": b"outer's", "inner/x (2).a": b"has this name", "inner/y": b"both"}),
        root / "inner": job.manifest({"x.a": b"inner's", "y": b"both"}),
    }
    if inner_first:
        texts = dict(reversed(texts.items()))
    first, second = (b"inner's", b"outer's") if inner_first else (b"outer's", b"inner's")
    statistics = download(job, {place: decode_manifest(text) for place, text in texts.items()})
    assert contents(root) == {
        "inner/x.a": b"mine",
        "inner/x (1).a": first,
        "inner/x (2).a": b"has this name",
        "inner/x (3).a": second,
        "inner/y": b"both",
    }
    assert (statistics.processed_files, statistics.skipped_files) == (4, 1)


def test_a_resolution_that_is_none_meets_two_roots_that_want_one_path(job, tmp_path):
    root = tmp_path / "root"
    texts = {root: job.manifest({"inner/x": b"outer's"}), root / "inner": job.manifest({"x": b"inner's"})}
    manifests = {place: decode_manifest(text) for place, text in texts.items()}
    with pytest.raises(ValueError, match="Unknown choice for file conflict resolution"):
        download(job, manifests, conflict_resolution=FileConflictResolution.NOT_SELECTED)
    assert contents(root) == {}


def test_a_link_of_one_root_does_not_lead_another_astray(job, tmp_path):
    """Links come last: what is below one root's link is written to the directory that was there before."""
    outer = AssetManifest(
        hash_alg=HashAlgorithm.XXH128,
        paths=[ManifestFilePath(path="inner", symlink_target="elsewhere")],
        total_size=0,
    )
    with pytest.raises((AssetSyncError, OSError)):
        download(
            job,
            {tmp_path / "root": outer, tmp_path / "root/inner": decode_manifest(job.manifest({"x": b"x"}))},
            conflict_resolution=FileConflictResolution.OVERWRITE,
        )
    assert not (tmp_path / "root/inner").is_symlink()
    assert leftovers(tmp_path) == []


# -- one root twice ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "again", ["{root}/", "{root}/.", "{root}/x/..", "{base}/link", "{base}//root", "root"]
)
def test_one_root_in_two_spellings_is_refused(job, tmp_path, monkeypatch, again):
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "root"
    (root / "x").mkdir(parents=True)
    (tmp_path / "link").symlink_to(root)
    other = again.format(root=root, base=tmp_path)
    manifests = {
        str(root): decode_manifest(job.manifest({"a": b"a"})),
        other: decode_manifest(job.manifest({"b": b"b"})),
    }
    with pytest.raises(ValueError, match="are the same directory"):
        download(job, manifests)
    assert contents(root) == {}


def test_one_root_that_is_not_there_yet_in_two_spellings(job, tmp_path):
    """Before it exists, no inode tells that it is one: the files of both manifests must be there, or an error."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    manifests = {
        str(tmp_path / "real/new"): decode_manifest(job.manifest({"a": b"a"})),
        str(tmp_path / "link/new"): decode_manifest(job.manifest({"b": b"b"})),
    }
    try:
        download(job, manifests)
    except ValueError as error:
        assert "are the same directory" in str(error)
        assert contents(tmp_path) == {}
    else:
        assert contents(tmp_path / "real/new") == {"a": b"a", "b": b"b"}


# -- files of several chunks --------------------------------------------------------------------------------------


def write_large(path: Path, size: int, seed: int) -> None:
    """Random at places, zero elsewhere, so that chunks differ and little is written."""
    chance = random.Random(seed)
    with path.open("wb") as file:
        file.truncate(size)
        for place in [0, CHUNK - 100, CHUNK, CHUNK + 8 * MIB - 1, 2 * CHUNK - 7, size - 50]:
            if 0 <= place < size - 20:
                file.seek(place)
                file.write(chance.randbytes(20))


def same(one: Path, other: Path) -> bool:
    with one.open("rb") as left, other.open("rb") as right:
        while True:
            pieces = left.read(4 * MIB), right.read(4 * MIB)
            if pieces[0] != pieces[1]:
                return False
            if not pieces[0]:
                return True


def chunk_requests(job) -> int:
    return job.rig.count("GetObject")


def test_a_file_of_several_chunks_goes_up_and_comes_down(job, tmp_path):
    """Snapshot, upload, download: two whole chunks and a part, a file of exactly a chunk, and a small one."""
    source = tmp_path / "source"
    source.mkdir()
    write_large(source / "large.vdb", 2 * CHUNK + 12_345, 1)
    write_large(source / "exact", CHUNK, 3)
    (source / "small").write_bytes(b"small")
    snapshot = _manifest_snapshot(
        root=str(source),
        destination=str(tmp_path / "manifests"),
        name="large",
        manifest_version=ManifestVersion.v2025_12_04_beta,
        hash_cache_dir=str(tmp_path / "cache"),
    )
    manifest = decode_manifest(Path(snapshot.manifest).read_text())
    chunks = {row.path: len(row.chunkhashes or []) for row in manifest.paths}
    assert chunks == {"large.vdb": 3, "exact": 0, "small": 0}
    settings = JobAttachmentS3Settings(s3BucketName=job.bucket, rootPrefix=PREFIX)
    uploader = S3AssetUploader(s3_max_pool_connections=50, small_file_threshold_multiplier=20)
    uploader.upload_assets(
        job_attachment_settings=settings,
        manifest=manifest,
        source_root=source,
        partial_manifest_prefix="f/q/Inputs/0",
        s3_check_cache_dir=str(tmp_path / "cache"),
    )
    data = job.rig.objects(job.bucket, f"{PREFIX}/Data/", hashed=True)
    named = {digest for row in manifest.paths for digest in row.chunkhashes or [row.hash]}
    assert {Path(row["key"]).stem for row in data} == named
    assert all(Path(row["key"]).stem == row["xxh128"] for row in data)
    # What S3 has as the manifest is what comes back.
    (stored,) = job.rig.objects(job.bucket, f"{PREFIX}/Manifests/")
    manifest = decode_manifest(job.rig.get(job.bucket, stored["key"]).decode())
    shutil.rmtree(tmp_path / "cache")

    root = tmp_path / "root"
    options = {"conflict_resolution": RESUME, "hash_cache_dir": str(tmp_path / "cache")}
    statistics = download(job, {root: manifest}, **options)
    assert statistics.processed_files == 3
    assert statistics.processed_bytes == manifest.totalSize
    for path in chunks:
        assert same(source / path, root / path), path
        assert (root / path).stat().st_mtime_ns // 1000 == (source / path).stat().st_mtime_ns // 1000
    before = chunk_requests(job)
    again = download(job, {root: manifest}, **options)
    assert (again.processed_files, again.skipped_files) == (0, 3)
    assert chunk_requests(job) == before

    # A byte of the last chunk is wrong: the file is fetched again, and is right.
    with (root / "large.vdb").open("r+b") as file:
        file.seek(2 * CHUNK + 5)
        file.write(b"\xff")
    again = download(job, {root: manifest}, **options)
    assert (again.processed_files, again.skipped_files) == (1, 2)
    assert same(source / "large.vdb", root / "large.vdb")


def test_a_chunk_that_is_wrong_or_missing_is_named_and_no_file_appears(job, tmp_path):
    sizes = [CHUNK, 1000]
    bodies = [bytes(CHUNK), b"end" * 333 + b"."]
    keys = [job.data(body) for body in bodies]
    row = ManifestFilePath(
        path="large",
        chunkhashes=[Path(key).stem for key in keys],
        size=sum(sizes),
        mtime=MTIME_MICROS,
    )
    manifest = AssetManifest(hash_alg=HashAlgorithm.XXH128, paths=[row], total_size=sum(sizes))
    job.rig.put(job.bucket, keys[1], b"END" * 333 + b".")
    with pytest.raises(AssetSyncError, match=Path(keys[1]).stem):
        download(job, {tmp_path / "root": manifest})
    assert tree(tmp_path / "root") == {}
    job.rig.delete(job.bucket, keys[1])
    with pytest.raises(AssetSyncError) as caught:
        download(job, {tmp_path / "root": manifest})
    assert Path(keys[1]).stem in told_error(caught.value, tmp_path)[1]
    assert contents(tmp_path / "root") == {}
    assert leftovers(tmp_path / "root") == []
