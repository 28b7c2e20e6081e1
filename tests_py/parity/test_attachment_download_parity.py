"""Both implementations download the files of local manifests to the same places, or refuse with the same words."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import boto3
import pytest
from deadline.job_attachments import models as their_models
from deadline.job_attachments.api.attachment import _attachment_download as their_attachment_download
from download.job import PREFIX, JobInS3, xxh128
from download.trees import leftovers, told_statistics, tree
from rusty_attachments import models as our_models
from rusty_attachments.api.attachment import _attachment_download as our_attachment_download

SIDES = {
    "theirs": (their_attachment_download, their_models),
    "ours": (our_attachment_download, our_models),
}
RESOLUTIONS = ["SKIP", "OVERWRITE", "CREATE_COPY"]
FIRST = {"scene.ma": b"scene", "tex/a.tar.gz": b"tex" * 100, "empty": b""}
SECOND = {"scene.ma": b"of another root", "b": b"b"}


@pytest.fixture
def job(rig, rig_bucket) -> JobInS3:
    return JobInS3(rig, rig_bucket)


def manifest_file(job, folder, files, source_path, before="", after="_input"):
    """A manifest's file, named after its root as submitters and workers do it."""
    path = folder / f"{before}{xxh128(source_path.encode())}{after}"
    path.write_text(job.manifest(files))
    return str(path)


def rules_file(folder, rules):
    path = folder / "rules.json"
    path.write_text(json.dumps(rules))
    return str(path)


def rule(source_path, destination_path):
    return {
        "source_path_format": "posix",
        "source_path": source_path,
        "destination_path": str(destination_path),
    }


def told(job, tmp_path, monkeypatch, name, arrange, **options):
    """What one side does in a directory of its own, which is the current one too."""
    attachment_download, models = SIDES[name]
    base = tmp_path / name
    base.mkdir(exist_ok=True)
    (base / "work").mkdir(exist_ok=True)
    monkeypatch.chdir(base / "work")
    manifests, rules = arrange(base)
    printed: list[Any] = []
    resolution = options.pop("resolution", None)
    if resolution:
        options["conflict_resolution"] = models.FileConflictResolution[resolution]
    result: Any
    try:
        statistics = attachment_download(
            manifests,
            options.pop("uri", f"s3://{job.bucket}/{PREFIX}"),
            boto3.Session(),
            rules,
            print_function_callback=printed.append,
            **options,
        )
        assert type(statistics).__name__ == "DownloadSummaryStatistics"
        result = told_statistics(statistics, base)
    except Exception as error:
        result = (type(error).__name__, str(error).replace(str(base), "BASE"))
    assert leftovers(base) == []
    return {"result": result, "printed": printed, "tree": files_only(base)}


def files_only(base):
    """The tree without the inputs that this test wrote, whose times differ."""
    return {
        path: row
        for path, row in tree(base).items()
        if not path.startswith("manifests/") and path != "rules.json"
    }


def both(job, tmp_path, monkeypatch, arrange, **options):
    theirs, ours = (told(job, tmp_path, monkeypatch, name, arrange, **options) for name in SIDES)
    assert ours == theirs
    return ours


def arranged(job, base, rules=None):
    """Two manifests of two roots; with rules from roots to folders below the base."""
    folder = base / "manifests"
    folder.mkdir(exist_ok=True)
    manifests = [
        manifest_file(job, folder, FIRST, "/first"),
        manifest_file(job, folder, SECOND, "/second", before="shot-", after="-2023.manifest"),
    ]
    if rules is None:
        return manifests, None
    return manifests, rules_file(base, rules(base))


def test_without_rules_each_goes_to_a_folder_named_after_it(job, tmp_path, monkeypatch):
    ours = both(job, tmp_path, monkeypatch, lambda base: arranged(job, base))
    name = f"{xxh128(b'/first')}_input"
    assert ours["tree"][f"work/{name}/scene.ma"][1] == b"scene"
    assert ours["result"]["processed_files"] == 5
    assert ours["printed"] == []


@pytest.mark.parametrize("wrapped", [False, True])
def test_rules_lead_roots_elsewhere(job, tmp_path, monkeypatch, wrapped):
    def rules(base):
        # Of two rules for one root the first counts; one that no manifest needs does no harm.
        found = [
            rule("/first", base / "one/deep"),
            rule("/first", base / "never"),
            rule("/second", base / "two"),
            rule("/third", base / "three"),
        ]
        return {"path_mapping_rules": found} if wrapped else found

    ours = both(job, tmp_path, monkeypatch, lambda base: arranged(job, base, rules))
    assert ours["tree"]["one/deep/scene.ma"][1] == b"scene"
    assert ours["tree"]["two/scene.ma"][1] == b"of another root"
    assert not any(path.startswith(("never", "three")) for path in ours["tree"])
    assert ours["result"]["file_counts_by_root_directory"] == {"one/deep": 3, "two": 2}


def test_a_rule_for_one_of_two(job, tmp_path, monkeypatch):
    ours = both(
        job,
        tmp_path,
        monkeypatch,
        lambda base: arranged(job, base, lambda base: [rule("/second", base / "two")]),
    )
    assert ours["tree"]["two/b"][1] == b"b"
    assert f"work/{xxh128(b'/first')}_input/empty" in ours["tree"]


@pytest.mark.parametrize("resolution", [None, *RESOLUTIONS])
def test_every_resolution(job, tmp_path, monkeypatch, resolution):
    def arrange(base):
        target = base / "one"
        (target / "tex").mkdir(parents=True)
        for path, body in {"scene.ma": b"mine", "tex/a.tar.gz": b"", "tex/a.tar (1).gz": b"1"}.items():
            (target / path).write_bytes(body)
            os.utime(target / path, ns=(10**18, 10**18))
        return arranged(job, base, lambda base: [rule("/first", target), rule("/second", base / "two")])

    ours = both(job, tmp_path, monkeypatch, arrange, resolution=resolution)
    assert ours["result"]["skipped_files"] == (2 if resolution == "SKIP" else 0)
    scene = ours["tree"]["one/scene.ma"][1]
    assert scene == (b"scene" if resolution == "OVERWRITE" else b"mine")
    copies = {"one/scene (1).ma", "one/tex/a.tar (2).gz"}
    assert (copies <= set(ours["tree"])) == (resolution in (None, "CREATE_COPY"))


def test_two_manifests_of_one_root_are_refused(job, tmp_path, monkeypatch):
    def arrange(base):
        manifests, rules = arranged(job, base, lambda base: [rule("/first", base / "one")])
        again = manifest_file(job, base / "manifests", SECOND, "/first", after="_later")
        return [*manifests, again], rules

    ours = both(job, tmp_path, monkeypatch, arrange)
    assert ours["result"][0] == "NonValidInputError"
    assert re.search(r"BASE/one is already in use, one destination", ours["result"][1])
    assert set(ours["tree"]) == {"work", "manifests"}


def test_two_roots_with_one_destination_are_refused(job, tmp_path, monkeypatch):
    def rules(base):
        return [rule("/first", base / "one"), rule("/second", base / "one")]

    ours = both(job, tmp_path, monkeypatch, lambda base: arranged(job, base, rules))
    assert ours["result"][0] == "NonValidInputError"


def test_the_same_destination_in_other_words_is_refused_unlike_in_the_reference(job, tmp_path, monkeypatch):
    def rules(base):
        return [rule("/first", base / "one"), rule("/second", base / "x/../one")]

    def arrange(base):
        (base / "x").mkdir()
        return arranged(job, base, rules)

    theirs, ours = (told(job, tmp_path, monkeypatch, name, arrange) for name in SIDES)
    assert "one/scene (1).ma" in theirs["tree"]
    assert ours["result"][0] == "ValueError"
    assert not any(path.startswith("one/") for path in ours["tree"])


@pytest.mark.parametrize(
    "uri",
    ["s3://{bucket}/{prefix}", "s3://{bucket}", "http://{bucket}/x", "s3:/x/y", "", "s3:///x", "{bucket}"],
)
def test_addresses(job, tmp_path, monkeypatch, uri):
    uri = uri.format(bucket=job.bucket, prefix=PREFIX)
    if uri == f"s3://{job.bucket}/{PREFIX}":
        assert isinstance(
            both(job, tmp_path, monkeypatch, lambda base: arranged(job, base), uri=uri)["result"], dict
        )
    else:
        ours = both(job, tmp_path, monkeypatch, lambda base: arranged(job, base), uri=uri)
        assert isinstance(ours["result"], tuple), ours["result"]


def test_manifests_that_are_none(job, tmp_path, monkeypatch):
    def missing(base):
        return [*arranged(job, base)[0], str(base / "none"), str(base)], None

    ours = both(job, tmp_path, monkeypatch, missing)
    assert ours["result"] == (
        "NonValidInputError",
        "Specified manifests ['BASE/none', 'BASE'] are not valid.",
    )
    for body in ["", "{", '{"manifestVersion":"2023-03-03"}', '{"manifestVersion":"2023-03-03","paths":[]}']:

        def broken(base, body=body):
            (base / "manifests").mkdir(exist_ok=True)
            (base / "manifests/broken").write_text(body)
            return [str(base / "manifests/broken")], None

        ours = both(job, tmp_path, monkeypatch, broken)
        assert ours["result"][0] in ("JSONDecodeError", "ManifestDecodeValidationError")


def test_no_manifests(job, tmp_path, monkeypatch):
    theirs, ours = (told(job, tmp_path, monkeypatch, name, lambda base: ([], None)) for name in SIDES)
    assert ours == theirs


@pytest.mark.parametrize(
    "text", ["{", "[1]", "{}", '{"path_mapping_rules": 3}', '[{"source_path": "/x"}]', "3"]
)
def test_rules_that_are_none(job, tmp_path, monkeypatch, text):
    def arrange(base):
        (base / "rules.json").write_text(text)
        return arranged(job, base)[0], str(base / "rules.json")

    theirs, ours = (told(job, tmp_path, monkeypatch, name, arrange) for name in SIDES)
    assert ours["result"][0] == theirs["result"][0]
    assert isinstance(ours["result"], tuple)
    if theirs["result"][0] != "TypeError":
        assert ours == theirs


def test_a_file_of_rules_that_is_not_there(job, tmp_path, monkeypatch):
    ours = both(job, tmp_path, monkeypatch, lambda base: (arranged(job, base)[0], str(base / "no rules")))
    assert ours["result"] == (
        "NonValidInputError",
        "Specified path mapping file BASE/no rules is not valid.",
    )


def test_objects_that_are_not_there(job, tmp_path, monkeypatch):
    def arrange(base):
        manifests, _ = arranged(job, base)
        job.rig.delete(job.bucket, f"{PREFIX}/Data/{xxh128(b'b')}.xxh128")
        return manifests[1:], None

    theirs, ours = (told(job, tmp_path, monkeypatch, name, arrange) for name in SIDES)
    assert ours["result"] == theirs["result"]
    assert ours["result"][0] == "JobAttachmentsS3ClientError"
    assert not any(path.endswith("/b") for path in ours["tree"])
