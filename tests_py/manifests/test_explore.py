"""Manifests show what is in them."""

import datetime
import json

import pandas
import pyarrow
import pytest
from rusty_attachments.asset_manifests import HashAlgorithm
from rusty_attachments.asset_manifests.decode import decode_manifest
from rusty_attachments.asset_manifests.load import load_manifest
from rusty_attachments.asset_manifests.v2023_03_03 import AssetManifest, ManifestPath
from rusty_attachments.asset_manifests.v2025_12_04 import AssetManifest as AssetManifest2025
from rusty_attachments.asset_manifests.v2025_12_04 import ManifestFilePath
from rusty_attachments.exceptions import ManifestDecodeValidationError


def make(*entries):
    paths = [
        ManifestPath(path=path, hash="a1", size=size, mtime=1_700_000_000_000_001) for path, size in entries
    ]
    return AssetManifest(
        hash_alg=HashAlgorithm.XXH128, paths=paths, total_size=sum(size for _, size in entries)
    )


@pytest.fixture
def manifest():
    return make(
        ("a/b/x.exr", 5), ("a/y.exr", 7), ("<script>alert(1)</script>/&.txt", 2000), ("lone\udcff\n", 1)
    )


def test_repr_says_version_files_and_bytes(manifest):
    assert repr(manifest) == "<AssetManifest 2023-03-03: 4 files, 2.01 KB>"
    assert len(manifest) == 4
    assert manifest
    assert bool(make()) is True, "a manifest without files is no nothing"
    del manifest.totalSize
    assert repr(manifest) == "<AssetManifest, incomplete>"


def test_sizes_add_up(manifest):
    assert manifest.du(1) == [("", 4, 2013), ("<script>alert(1)<", 1, 2000), ("a", 2, 12)]
    assert manifest.du(9)[-1] == ("a/b", 1, 5)
    assert manifest.tree().splitlines()[0] == ".  4 files, 2.01 KB"
    assert "        b  1 file, 5 B" in manifest.tree().splitlines()


def test_html_is_safe_and_can_be_written_anywhere(manifest):
    html = manifest._repr_html_()
    html.encode("utf-8")
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "lone\\udcff\\n" in html
    assert "Largest files" in html
    assert ".exr" in html
    assert make()._repr_html_()


def test_arrow_reads_the_columns(manifest):
    manifest.paths[0].hash = "99aa06d3014798d86001c324468d497f"
    table = pyarrow.table(manifest)
    table.validate(full=True)
    assert table.schema.names == ["path", "hash", "size", "mtime"]
    assert table["path"].to_pylist() == [
        "a/b/x.exr",
        "a/y.exr",
        "<script>alert(1)</script>/&.txt",
        "lone\\udcff\n",
    ]
    assert table["hash"].to_pylist() == ["99aa06d3014798d86001c324468d497f", "a1", "a1", "a1"]
    assert table["size"].to_pylist() == [5, 7, 2000, 1]
    expected = datetime.datetime(2023, 11, 14, 22, 13, 20, 1, tzinfo=datetime.timezone.utc)
    assert table["mtime"].to_pylist() == [expected] * 4
    assert pyarrow.table(make()).num_rows == 0
    frame = manifest.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert frame["size"].sum() == 2013


def test_arrow_comes_in_batches_and_can_be_left_half_read():
    manifest = make(*((f"d/{number}", number) for number in range(140_000)))
    reader = pyarrow.RecordBatchReader.from_stream(manifest)
    first = reader.read_next_batch()
    assert first.num_rows == 65_536
    reader.close()
    manifest = decode_manifest(manifest.encode())
    table = pyarrow.table(manifest)
    assert manifest.paths._rows is not None, "no object was made"
    assert table.num_rows == 140_000
    assert sum(table["size"].to_pylist()) == sum(range(140_000))
    assert first["path"].to_pylist()[:2] == ["d/0", "d/1"], "a batch outlives its stream"
    capsule = manifest.__arrow_c_stream__()
    assert "arrow_array_stream" in repr(capsule)
    del capsule  # a stream that nobody reads is released with its capsule


def test_arrow_has_the_later_versions_columns():
    manifest = AssetManifest2025(
        hash_alg=HashAlgorithm.XXH128,
        paths=[
            ManifestFilePath(path="run", hash="a", size=1, mtime=2, runnable=True),
            ManifestFilePath(path="link", symlink_target="run"),
            ManifestFilePath(path="big", chunkhashes=["a", "b"], size=300 * 1024 * 1024, mtime=3),
            ManifestFilePath(path="gone", deleted=True),
        ],
        total_size=0,
        parent_manifest_hash="a",
    )
    table = pyarrow.table(manifest)
    table.validate(full=True)
    columns = table.drop_columns(["size", "mtime"]).to_pydict()
    assert columns == {
        "path": ["run", "link", "big", "gone"],
        "hash": ["a", None, None, None],
        "runnable": [True, False, False, False],
        "symlink_target": [None, "run", None, None],
        "deleted": [False, False, False, True],
        "chunks": [None, None, 2, None],
    }


def test_loading_takes_paths_texts_and_bytes(manifest, tmp_path):
    text = manifest.encode()
    file = tmp_path / "manifest.json"
    file.write_text(text)
    for source in (
        file,
        str(file),
        text,
        "\n " + text,
        text.encode(),
        text.encode("utf-16"),
        text.encode("utf-8-sig"),
    ):
        assert load_manifest(source).encode() == text
    with pytest.raises(FileNotFoundError):
        load_manifest(tmp_path / "missing")
    with pytest.raises(json.JSONDecodeError):
        load_manifest("{")
    with pytest.raises(ManifestDecodeValidationError, match="totalSize is 1, but the sizes add up to 5"):
        load_manifest(make(("a", 5)).encode().replace('"totalSize":5', '"totalSize":1'), strict=True)
