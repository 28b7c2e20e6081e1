"""push, pull, outputs, verify: against the rig, and the round trip against s3s-fs too."""

from __future__ import annotations

import json
import os
import urllib.request

import pytest

from command.program import FILES, read_tree, write_tree


def test_a_folder_goes_up_and_comes_down(command, shot, place, tmp_path):
    ran = command("push", "shot_010", place, "--name", "v1")
    assert ran.out == (
        f"Uploaded 3 files (29 kB); 1 file (4.0 kB) was in S3 already\nManifest: {place}/Manifests/push/v1\n"
    )
    assert ran.err == ""
    ran = command("pull", f"{place}/Manifests/push/v1", "copy")
    assert ran.out == "Downloaded 4 files (33 kB)\nFolder: copy\n"
    assert read_tree(tmp_path / "copy") == FILES
    again = command("push", "shot_010", place, "--name", "v2")
    assert again.out.startswith("Uploaded 0 files (0 B); 4 files (33 kB) were in S3 already\n")


def test_it_works_on_a_server_that_is_not_ours(command, shot, s3_fs, tmp_path):
    (tmp_path / "s3_fs" / "farm").mkdir()
    manifest = command("push", "shot_010", "s3://farm/studio/prefix", "--json").summary()["manifest"]
    assert manifest.startswith("s3://farm/studio/prefix/Manifests/push/")
    command("pull", manifest, "copy")
    assert read_tree(tmp_path / "copy") == FILES
    ran = command("verify", manifest, "--remote", "s3://farm/studio/prefix", "--deep")
    assert ran.out == "3 objects (29 kB) are as the manifest says\n"


def test_names_that_are_no_utf_8_survive(command, place, tmp_path):
    root = os.fsencode(tmp_path) + b"/sh\xf6t"
    os.makedirs(root + b"/s\xfcb")
    with open(root + b"/s\xfcb/caf\xe9.txt", "wb") as file:
        file.write(b"menu")
    manifest = command(b"push", root, place, b"--json").summary()["manifest"]
    command(b"pull", manifest, b"c\xf6py")
    with open(os.fsencode(tmp_path) + b"/c\xf6py/s\xfcb/caf\xe9.txt", "rb") as file:
        assert file.read() == b"menu"


def test_a_dry_run_says_what_would_move_and_moves_nothing(command, shot, place, rig_bucket, rig, tmp_path):
    ran = command("push", "shot_010", place, "--dry-run")
    assert ran.out == "Would upload 3 objects (29 kB) of 4 files (33 kB)\n"
    assert rig.objects(rig_bucket) == []
    manifest = command("push", "shot_010", place, "--json").summary()["manifest"]
    assert command("push", "shot_010", place, "-n").out.startswith("Would upload 0 objects (0 B)")
    ran = command("pull", manifest, "copy", "--dry-run")
    assert ran.out == "Would fetch 3 objects (29 kB) and write 4 files (33 kB)\n"
    assert not (tmp_path / "copy").exists()
    command("pull", manifest, "copy")
    (tmp_path / "copy" / "scene.blend").write_bytes(b"other")
    (tmp_path / "copy" / "renders" / "0001.exr").unlink()
    ran = command("pull", manifest, "copy", "--conflict", "skip", "-n", "--json")
    summary = ran.summary()
    assert (summary["would_write_files"], summary["would_skip_files"]) == (1, 3)
    summary = command("pull", manifest, "copy", "--conflict", "resume", "-n", "--json").summary()
    assert (summary["would_write_files"], summary["would_fetch_bytes"]) == (2, 25_000)


@pytest.mark.parametrize(
    ("conflict", "scene", "copies"),
    [
        ("skip", b"mine", 0),
        ("overwrite", FILES["scene.blend"], 0),
        ("resume", FILES["scene.blend"], 0),
        ("create-copy", b"mine", 1),
    ],
)
def test_files_in_the_way(command, shot, place, tmp_path, conflict, scene, copies):
    manifest = command("push", "shot_010", place, "--json").summary()["manifest"]
    write_tree(tmp_path / "copy", {"scene.blend": b"mine"})
    command("pull", manifest, "copy", "--conflict", conflict, "--include", "*.blend")
    assert (tmp_path / "copy" / "scene.blend").read_bytes() == scene
    assert len(list((tmp_path / "copy").glob("scene (*).blend"))) == copies


def test_pull_takes_files_and_standard_input(command, shot, place, tmp_path):
    command("push", "shot_010", place)
    printed = command("snapshot", "shot_010", "-o", "-").out
    (tmp_path / "one.manifest").write_text(printed)
    command("pull", "one.manifest", "copy", "--from", place)
    command("pull", "-", "other", "--from", place + "/", stdin=printed)
    assert read_tree(tmp_path / "copy") == read_tree(tmp_path / "other") == FILES


def test_several_manifests_are_one(command, place, tmp_path):
    manifests = []
    for number, files in enumerate([{"a": b"old", "b": b"b"}, {"a": b"new"}]):
        write_tree(tmp_path / str(number), files)
        manifests.append(command("push", str(number), place, "--json").summary()["manifest"])
    command("pull", *manifests, "copy")
    assert read_tree(tmp_path / "copy") == {"a": b"new", "b": b"b"}


class TestOutputs:
    IDS = ("--farm", "farm-1", "--queue", "queue-1", "--job", "job-1")

    @pytest.fixture
    def job(self, command, rig, rig_bucket, place, tmp_path):
        """A job of two steps, whose outputs are below two folders of the submitter's."""
        for step, root, files in [
            ("step-1", "/show/shot_010", {"beauty.exr": b"beauty"}),
            ("step-2", "C:\\work\\shot_010", {"comp.exr": b"comp" * 100}),
        ]:
            write_tree(tmp_path / step, files)
            command("push", step, place)
            text = command("snapshot", step, "-o", "-").out
            key = (
                f"DeadlineCloud/Manifests/farm-1/queue-1/job-1/{step}/task-1/2026-01-01T00:00:00Z_sa/x_output"
            )
            rig.put(rig_bucket, key, text.encode(), {"x-amz-meta-asset-root": root})

    def test_they_are_listed(self, job, command, place):
        ran = command("outputs", place, *self.IDS, "--list")
        assert ran.out == (
            "/show/shot_010:\n     6 B  beauty.exr\nC:\\work\\shot_010:\n   400 B  comp.exr\n2 files, 406 B\n"
        )
        files = command("outputs", place, *self.IDS, "--list", "--json").events()
        assert [event["path"] for event in files if event["event"] == "file"] == ["beauty.exr", "comp.exr"]
        assert command("ls", place, *self.IDS).out == "beauty.exr\ncomp.exr\n"

    def test_they_go_to_one_folder(self, job, command, place, tmp_path):
        command("outputs", place, "out", *self.IDS)
        assert read_tree(tmp_path / "out") == {
            "shot_010/beauty.exr": b"beauty",
            "shot_010 (2)/comp.exr": b"comp" * 100,
        }
        command("outputs", place, "one", *self.IDS, "--step", "step-1", "--task", "task-1")
        assert read_tree(tmp_path / "one") == {"beauty.exr": b"beauty"}

    def test_they_go_where_a_map_says(self, job, command, place, tmp_path):
        command("outputs", place, *self.IDS, "--step", "step-2", "--map", "C:\\work=mapped")
        assert read_tree(tmp_path / "mapped") == {"shot_010/comp.exr": b"comp" * 100}
        rules = {
            "version": "pathmapping-1.0",
            "path_mapping_rules": [
                {
                    "source_path_format": "POSIX",
                    "source_path": "/show",
                    "destination_path": str(tmp_path / "rules"),
                }
            ],
        }
        (tmp_path / "rules.json").write_text(json.dumps(rules))
        command("outputs", place, *self.IDS, "--step", "step-1", "--path-mapping", "rules.json")
        assert read_tree(tmp_path / "rules") == {"shot_010/beauty.exr": b"beauty"}

    def test_a_folder_of_another_system_is_asked_for(self, job, command, place):
        ran = command("outputs", place, *self.IDS, "--step", "step-2", status=1)
        assert "'C:\\work\\shot_010' can't be on this machine: name DEST, or map it with --map" in ran.err

    def test_a_job_without_outputs_is_no_error(self, job, command, place):
        ran = command("outputs", place, "out", "--farm", "f", "--queue", "q", "--job", "j")
        assert ran.out == "There are no outputs\n"


class TestVerify:
    def test_a_damaged_and_a_missing_file_are_named(self, command, shot, place):
        manifest = command("push", "shot_010", place, "--json").summary()["manifest"]
        assert command("verify", manifest, "shot_010").out == "4 files (33 kB) are as the manifest says\n"
        body = bytearray(FILES["scene.blend"])
        body[7] ^= 1
        (shot / "scene.blend").write_bytes(bytes(body))
        (shot / "textures" / "wood.png").unlink()
        (shot / "renders" / "0001.exr").write_bytes(b"short")
        ran = command("verify", manifest, "shot_010", status=1)
        lines = ran.out.splitlines()
        assert lines[0] == "renders/0001.exr: has 5 bytes instead of 20000"
        assert lines[1].startswith("scene.blend: has other contents: hash ")
        assert lines[2:] == ["textures/wood.png: is missing", "4 files (33 kB) checked, 3 problems"]
        problems = command("verify", manifest, "shot_010", "--json", status=1).events()
        assert [each["problem"] for each in problems if each["event"] == "problem"] == [
            "size",
            "contents",
            "missing",
        ]

    def test_a_missing_and_a_wrong_object_are_named(self, command, shot, place, rig, rig_bucket):
        pushed = command("push", "shot_010", place, "--json").summary()["manifest"]
        assert (
            command("verify", pushed, "--remote", place).out == "3 objects (29 kB) are as the manifest says\n"
        )
        keys = {row["key"]: row["size"] for row in rig.objects(rig_bucket, "DeadlineCloud/Data/")}
        wood = next(key for key, size in keys.items() if size == 4000)
        scene = next(key for key, size in keys.items() if size == 5000)
        delete = urllib.request.Request(f"{rig.endpoint}/{rig_bucket}/{wood}", method="DELETE")
        urllib.request.urlopen(delete).close()
        rig.put(rig_bucket, scene, b"x" * 5000)
        ran = command("verify", pushed, "--remote", place, "--deep", status=1)
        lines = ran.out.splitlines()
        assert lines[0].startswith("scene.blend: its object in S3 has other contents: hash ")
        assert lines[1:] == [
            "textures/copy of wood.png: its object in S3 is missing",
            "textures/wood.png: its object in S3 is missing",
            "3 objects (29 kB) checked, 3 problems",
        ]
