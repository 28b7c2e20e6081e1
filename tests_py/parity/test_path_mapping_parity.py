"""Path mapping against the reference's."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

import deadline.job_attachments._path_mapping as reference_mapping
import deadline.job_attachments.models as reference_models
import pytest
from deadline.job_attachments.asset_sync import AssetSync
from hypothesis import given, settings
from hypothesis import strategies as st
from rusty_attachments import _path_mapping, exceptions, models, path_mapping

CASES = 100_000

NAMES = [
    *(
        "mnt",
        "Mnt",
        "projects",
        "PROJECTS",
        "Special",
        "a",
        "A",
        "b.c",
        ".",
        "..",
        "...",
        "x y",
        "é",
        "É",
        "İ",
        "ß",
    ),
    *(
        "ẞ",
        "ΑΣ",
        "ας",
        "C:",
        "c",
        "server",
        "Server",
        "share",
        "?",
        "UNC",
        "unc",
        "日本",
        "\U0001f600",
        "\udcff",
        "K",
    ),
    *("", "ÿ\udc80É", "c:", "1:", "\ud800", "$0", "%d", "*", "a:b"),
]
POSIX_STARTS = ["/", "/", "/", "//", "///", "", "./", "../", "/mnt/", "C:\\", "\\"]
WINDOWS_STARTS = [
    *(
        "C:\\",
        "c:\\",
        "C:/",
        "C:",
        "D:\\",
        "\\",
        "/",
        "",
        "\\\\server\\share\\",
        "//SERVER/share/",
        "\\\\server\\",
    ),
    *(
        "\\\\?\\C:\\",
        "\\\\?\\UNC\\server\\share\\",
        "\\\\.\\",
        "\\\\",
        "\\\\\\",
        "//?/",
        "1:\\",
        "é:\\",
        "\\/",
    ),
]


def random_path(choose, windows):
    separators = ["\\", "\\", "/", "\\\\", "//"] if windows else ["/", "/", "//", "/./", "\\"]
    text = choose.choice(WINDOWS_STARTS if windows else POSIX_STARTS)
    for _ in range(choose.randrange(5)):
        text += choose.choice(NAMES) + choose.choice(separators)
    return text + choose.choice(["", *NAMES])


def change_case(choose, text):
    return "".join(choose.choice([letter, letter.upper(), letter.lower()]) for letter in text)


def random_case(choose):
    windows = choose.random() < 0.5
    path_format = "windows" if windows else "posix"
    rules = [
        (path_format, random_path(choose, windows), random_path(choose, choose.random() < 0.2))
        for _ in range(choose.randrange(1, 5))
    ]
    paths = []
    for _ in range(4):
        path = random_path(choose, windows)
        if choose.random() < 0.7:
            source = choose.choice(rules)[1]
            path = source + choose.choice(["", "/", "\\", "x"]) + path
            if windows and choose.random() < 0.5:
                path = change_case(choose, path)
        paths.append(path)
    return rules, paths


def applied(applier, rule_class, rules, paths):
    made = applier([rule_class(*rule) for rule in rules])
    found = [made.transform(path) for path in paths]
    for path, result in zip(paths, found):
        if isinstance(result, PurePath):
            assert made.strict_transform(path) == result
        else:
            with pytest.raises(ValueError, match=r"^No path mapping rule could be applied$"):
                made.strict_transform(path)
    return [(type(each), str(each)) for each in found]


def test_generated_paths_and_rules_agree():
    """100,000 paths, half of them Windows ones, and as many rule sets as that takes."""
    choose = random.Random(20260101)
    compared = matched = 0
    while compared < CASES:
        rules, paths = random_case(choose)
        ours = applied(path_mapping.PathMappingRuleApplier, models.PathMappingRule, rules, paths)
        theirs = applied(
            reference_mapping._PathMappingRuleApplier, reference_models.PathMappingRule, rules, paths
        )
        assert ours == theirs, (rules, paths)
        compared += len(paths)
        matched += sum(kind is not str for kind, _ in ours)
    assert CASES * 0.3 < matched < CASES * 0.9


TEXT = st.text(
    st.characters() | st.sampled_from("/\\:.?CcΣ\u03c3ς") | st.characters(categories=["Cs"]), max_size=12
)
RULES = st.tuples(st.sampled_from(["posix", "windows"]), st.lists(st.tuples(TEXT, TEXT), max_size=4))


@settings(max_examples=1000, deadline=None)
@given(RULES, st.lists(TEXT, min_size=1, max_size=3))
def test_any_text(rules, paths):
    path_format, pairs = rules
    rules = [(path_format, source, destination) for source, destination in pairs]
    paths = paths + [source + path for source, _ in pairs for path in paths]
    ours = applied(_path_mapping._PathMappingRuleApplier, models.PathMappingRule, rules, paths)
    theirs = applied(
        reference_mapping._PathMappingRuleApplier, reference_models.PathMappingRule, rules, paths
    )
    assert ours == theirs


@pytest.mark.parametrize("formats", [("posix", "windows"), ("mac",), ("Posix",), ("windows", "mac")])
def test_formats_that_do_not_go_together(formats):
    rules = [(path_format, "/a", "/b") for path_format in formats]
    with pytest.raises(ValueError, match=r"path format") as ours:
        path_mapping.PathMappingRuleApplier([models.PathMappingRule(*rule) for rule in rules])
    with pytest.raises(ValueError, match=r"path format") as theirs:
        reference_mapping._PathMappingRuleApplier([reference_models.PathMappingRule(*rule) for rule in rules])
    # The reference lists formats in the order of a set.
    assert sorted(str(ours.value)) == sorted(str(theirs.value))


def test_the_applier_shows_what_it_was_made_of():
    rules = [reference_models.PathMappingRule("windows", "C:\\a", "/a")]
    applier = path_mapping.PathMappingRuleApplier(rules)
    assert applier.path_mapping_rules is rules
    assert applier.source_path_format == "windows"
    assert path_mapping.PathMappingRuleApplier([]).source_path_format is None
    assert applier.transform("c:/A/x") == Path("/a/x")
    untouched = type("Text", (str,), {})("/elsewhere")
    assert applier.transform(untouched) is untouched


LOCATION = st.tuples(
    st.sampled_from(["assets", "shows", "tools", ""]), TEXT, st.sampled_from(["SHARED", "LOCAL"])
)
PROFILE = st.tuples(
    st.sampled_from(["sp-1", "sp-2"]),
    st.sampled_from(["windows", "Windows", "LINUX", "macos"]),
    st.lists(LOCATION, max_size=5),
)


def as_dict(profile):
    identity, family, locations = profile
    names = ("name", "path", "type")
    return {
        "storageProfileId": identity,
        "osFamily": family,
        "fileSystemLocations": [dict(zip(names, location)) for location in locations],
    }


def as_dataclass(profile, module):
    identity, family, locations = profile
    made = [module.FileSystemLocation(n, p, module.FileSystemLocationType(t)) for n, p, t in locations]
    return module.StorageProfile(identity, "name", module.StorageProfileOperatingSystemFamily(family), made)


@settings(max_examples=500, deadline=None)
@given(PROFILE, PROFILE)
def test_rules_from_profiles(source, destination):
    def plain(rules):
        return [dataclasses.astuple(rule) for rule in rules]

    expected = plain(reference_mapping._generate_path_mapping_rules(as_dict(source), as_dict(destination)))
    generate = _path_mapping._generate_path_mapping_rules
    assert plain(generate(as_dict(source), as_dict(destination))) == expected
    assert plain(generate(as_dataclass(source, models), as_dict(destination))) == expected
    theirs = as_dataclass(destination, reference_models)
    assert plain(generate(as_dataclass(source, models), theirs)) == expected


def test_a_profile_without_locations():
    """The API leaves out an empty list; the reference raises KeyError."""
    empty = {"storageProfileId": "sp-1", "osFamily": "linux"}
    assert path_mapping.generate_path_mapping_rules(empty, {**empty, "storageProfileId": "sp-2"}) == []
    with pytest.raises(KeyError):
        path_mapping.generate_path_mapping_rules({}, empty)


UTF8 = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("/\\:."), max_size=12)
ROOTS = st.lists(
    st.tuples(UTF8, st.sampled_from(["posix", "windows"]), st.sampled_from([None, "", "shows"])), max_size=4
)


@settings(max_examples=500, deadline=None)
@given(UTF8, ROOTS, st.dictionaries(UTF8, UTF8, max_size=2))
def test_dynamic_mapping_and_destinations(session, roots, by_profile):
    by_profile |= {root: "/mapped" + root for root, _, location in roots[:2] if location}

    def run(module, generate, destination):
        properties = [module.ManifestProperties(r, module.PathFormat(f), n) for r, f, n in roots]
        rules = generate(Path(session), module.Attachments(manifests=properties))
        destinations = []
        for each in properties:
            try:
                destinations.append(destination(each, rules, by_profile))
            except Exception as error:
                destinations.append((type(error).__name__, str(error)))
        return {root: dataclasses.astuple(rule) for root, rule in rules.items()}, list(rules), destinations

    ours = run(models, path_mapping.generate_dynamic_path_mapping, path_mapping.get_local_destination)
    theirs = run(reference_models, AssetSync.generate_dynamic_path_mapping, AssetSync.get_local_destination)
    assert ours == theirs


@given(UTF8)
def test_directory_names(root):
    assert path_mapping.get_unique_directory_name(root) == reference_mapping_name(root)


def reference_mapping_name(root):
    from deadline.job_attachments._utils import _get_unique_dest_dir_name

    return _get_unique_dest_dir_name(root)


@settings(max_examples=500)
@given(st.lists(st.sampled_from(["a", "b c", ".", "..", "", "é"]), max_size=5), st.sampled_from(["\\", "/"]))
def test_directories_of_another_system(parts, separator):
    directory = separator.join(parts).lstrip(separator)
    posix, windows = models.PathFormat.POSIX, models.PathFormat.WINDOWS
    assert path_mapping.convert_directory(directory, windows, posix) == str(
        PurePosixPath(PureWindowsPath(directory))
    )
    if separator == "/":
        converted = path_mapping.convert_directory(directory, posix, windows)
        assert converted == str(PureWindowsPath(PurePosixPath(directory)))
    assert path_mapping.convert_directory(directory, posix, posix) == directory


def test_openjd_files(tmp_path):
    file = tmp_path / "rules.json"
    file.write_text(
        '{"version": "pathmapping-1.0", "path_mapping_rules": ['
        '{"source_path_format": "WINDOWS", "source_path": "C:\\\\é", "destination_path": "/é"}]}',
        encoding="utf-8",
    )
    assert path_mapping.read_path_mapping_file(file) == [models.PathMappingRule("windows", "C:\\é", "/é")]
    odd = {"source_path_format": "POSIX", "source_path": "/a\udcff", "destination_path": "/b\udcfe"}
    file.write_text(json.dumps([odd]))
    assert path_mapping.read_path_mapping_file(file) == [
        models.PathMappingRule("posix", "/a\udcff", "/b\udcfe")
    ]
    file.write_text('{"rules": 1}')
    with pytest.raises(exceptions.NonValidInputError, match="expected a list"):
        path_mapping.read_path_mapping_file(file)
    with pytest.raises(FileNotFoundError):
        path_mapping.read_path_mapping_file(tmp_path / "missing")
