"""snapshot, diff, ls, tree, du, cache, doctor, completions, man, help."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from command.program import FILES, write_tree

COMMANDS = (
    *("snapshot", "diff", "push", "pull", "outputs", "ls", "tree", "du"),
    *("verify", "cache", "doctor", "completions", "man"),
)


@pytest.fixture
def manifest(command, shot) -> str:
    return command("snapshot", "shot_010", "-o", "manifests", "--json").summary()["manifest"]


def test_a_snapshot_is_named_by_its_hash(command, shot, tmp_path):
    ran = command("snapshot", "shot_010", "--output", "manifests")
    [path] = (tmp_path / "manifests").iterdir()
    assert ran.out == f"4 files, 33 kB; 4 read\nManifest: manifests/{path.name}\n"
    assert [row["path"] for row in json.loads(path.read_text())["paths"]] == sorted(FILES)
    again = command("snapshot", "shot_010", "--output", "-", "--exclude", "**/*.png", "--include", "**/*").out
    assert [row["path"] for row in json.loads(again)["paths"]] == ["renders/0001.exr", "scene.blend"]


def test_a_snapshot_of_what_has_changed(command, shot, manifest):
    write_tree(shot, {"renders/0002.exr": b"two"})
    text = command("snapshot", "shot_010", "-o", "-", "--diff", manifest).out
    assert [row["path"] for row in json.loads(text)["paths"]] == ["renders/0002.exr"]


def test_a_snapshot_with_links(command, shot):
    (shot / "link").symlink_to("scene.blend")
    text = command("snapshot", "shot_010", "-o", "-", "--format", "2025-12-04-beta").out
    assert '{"name":"link","symlink":{"name":"scene.blend"}}' in text
    ran = command("snapshot", "shot_010", "-o", "-", "--symlinks", "exclude-all", status=2)
    assert "--symlinks needs --format 2025-12-04-beta" in ran.err


def test_a_difference_is_shown_line_by_line(command, shot, manifest):
    assert (
        command("diff", manifest, "shot_010", "--exit-code").out
        == "0 (0 B) new, 0 (0 B) changed, 0 (0 B) gone\n"
    )
    write_tree(shot, {"scene.blend": b"other", "new": b"n"})
    (shot / "renders" / "0001.exr").unlink()
    ran = command("diff", manifest, "shot_010", "--exit-code", status=1)
    assert ran.out == (
        "A new\nD renders/0001.exr\nM scene.blend\n1 (1 B) new, 1 (5 B) changed, 1 (20 kB) gone\n"
    )
    assert command("diff", manifest, "shot_010", "--stat").out == ran.out.splitlines()[-1] + "\n"
    events = command("diff", manifest, "shot_010", "--json").events()
    changes = [(event["status"], event["path"]) for event in events if event["event"] == "change"]
    assert changes == [("new", "new"), ("deleted", "renders/0001.exr"), ("modified", "scene.blend")]


def test_listings(command, shot, manifest):
    assert command("ls", manifest, "--sort", "size").out.splitlines()[0] == "renders/0001.exr"
    assert command("ls", "shot_010", "-r").out.splitlines() == sorted(FILES, reverse=True)
    assert re.search(
        r"^  5\.0 kB  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d  scene\.blend$", command("ls", manifest, "-l").out, re.M
    )
    assert command("ls", manifest, "--include", "*.png", "--json").summary()["files"] == 2
    assert command("tree", manifest).out == (
        "./  4 files, 33 kB\n  renders/  1 file, 20 kB\n  textures/  2 files, 8.0 kB\n"
    )
    assert command("du", manifest).out == (
        "   33 kB          4  .\n   20 kB          1  renders\n  8.0 kB          2  textures\n"
    )
    assert command("du", manifest, "--by-extension").out.splitlines()[0] == "   20 kB          1  .exr"
    assert command("du", manifest, "--duplicates").out == (
        "2 times 4.0 kB:\n  textures/copy of wood.png\n  textures/wood.png\n"
        "Copies take 4.0 kB; S3 keeps each contents once\n"
    )


def test_a_pipe_that_is_closed_is_no_panic(command, shot):
    ran = subprocess.Popen(
        [*command.program, "ls", "shot_010"],
        cwd=command.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    ran.stdout.close()
    assert ran.stderr.read() == b""
    ran.stderr.close()
    assert ran.wait(30) == 1


def test_caches_are_shown_and_emptied(command, shot, manifest):
    summary = command("cache", "info", "--json").summary()
    assert [(cache["cache"], cache["entries"]) for cache in summary["caches"]] == [
        ("hashes", 4),
        ("s3_check", 0),
    ]
    assert command("cache", "clear").out == "Removed 4 entries\n"
    assert command("snapshot", "shot_010", "-o", "manifests", "--json").summary()["hashed_files"] == 4


def test_the_doctor_says_where_everything_is_and_no_secret(command, rig, place, rig_bucket, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    ran = command("doctor", "--check", place)
    assert f"s3 endpoint:     {rig.endpoint}\n" in ran.out
    assert "s3 credentials:  the environment\n" in ran.out
    assert f"s3 check:        {place} can be listed\n" in ran.out
    assert "very-secret" not in ran.out
    summary = command("doctor", "--check", place + "x", "--no-sign-request", "--json").summary()
    assert summary["report"]["s3 credentials"] == "none, requests are not signed"
    ran = command("doctor", "--check", "s3://no-such-bucket/prefix", status=1)
    assert "s3 check:        s3://no-such-bucket/prefix Error listing bucket contents" in ran.out


def test_options_of_the_connection_are_used(command, rig, place, monkeypatch, tmp_path):
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    ran = command("doctor", "--endpoint-url", rig.endpoint, "--region", "eu-west-1", "--check", place)
    assert "s3 region:       eu-west-1\n" in ran.out
    ran = command("doctor", "--profile", "nobody", status=1)
    assert "nobody" in ran.out
    ran = command("doctor", "--ca-bundle", "no.pem", status=1)
    assert "no.pem" in ran.out


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_a_screen_and_has_an_example(command, name):
    text = command(name, "--help").out
    assert len(text.splitlines()) <= 40
    assert max(map(len, text.splitlines())) <= 90
    assert re.search(rf"^Example:\n  rusty-attachments {name} ", text, re.M)
    assert f"rusty-attachments {name}" in text.split("Example:")[1]


def test_the_program_helps(command):
    text = command("--help").out
    assert len(text.splitlines()) <= 40
    assert set(COMMANDS) - {"man"} == set(re.findall(r"^  ([a-z]+)  ", text, re.M))
    assert "Exit status: 0" in text
    assert re.fullmatch(r"rusty-attachments \d+\.\d+\.\d+\n", command("--version").out)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell", "elvish"])
def test_completions(command, shell):
    assert "outputs" in command("completions", shell).out


def test_man_pages(command, tmp_path):
    command("man", "man1")
    names = {path.name for path in (tmp_path / "man1").iterdir()}
    assert {"rusty-attachments.1", "rusty-attachments-push.1"} <= names


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ["pull", "nothing.json", "out", "--from", "s3://b/p"],
            "Failed to read 'nothing.json': No such file",
        ),
        (["pull", "x.json", "out"], "say with --from s3://bucket/prefix where the files are"),
        (["pull", "s3://b", "out"], "'s3://b' does not name a bucket and a prefix"),
        (["pull", "s3://b/key", "out"], "the key 'key' has no '/Manifests/'"),
        (["outputs", "s3://b/p", "out"], "name the job with --farm, --queue and --job"),
        (["diff", "-", "-"], "- stands for standard input, which can be read once"),
    ],
)
def test_mistakes_are_told_in_one_line(command, arguments, text):
    entry = '{"hash":"a","mtime":1,"path":"a","size":1}'
    manifest = f'{{"hashAlg":"xxh128","manifestVersion":"2023-03-03","paths":[{entry}],"totalSize":1}}'
    status = 1 if "nothing.json" in arguments else 2
    ran = command(*arguments, status=status, stdin=manifest)
    [line] = ran.err.splitlines()
    assert line.startswith("rusty-attachments: ")
    assert text in line
    assert "{" not in line


@pytest.mark.parametrize(
    "arguments", [[], ["psuh"], ["push"], ["push", "a", "b"], ["pull", "--memory", "much"]]
)
def test_wrong_arguments_exit_with_2(command, arguments):
    ran = command(*arguments, status=2)
    assert "Usage" in ran.err or "--help" in ran.err
    assert "\x1b" not in ran.err
