"""Both implementations agree on manifests: bytes, order, statuses, errors and error texts."""

import copy
import dataclasses
import json
import os
from datetime import datetime, timedelta

import pytest
from deadline.job_attachments import _diff as their_diff
from deadline.job_attachments import download as their_download
from deadline.job_attachments.asset_manifests import HashAlgorithm as TheirAlgorithm
from deadline.job_attachments.asset_manifests import decode as their_decode
from deadline.job_attachments.asset_manifests import hash_data as their_hash_data
from deadline.job_attachments.asset_manifests import hash_file as their_hash_file
from deadline.job_attachments.asset_manifests import v2023_03_03 as theirs
from deadline.job_attachments.asset_manifests.versions import ManifestVersion as TheirVersion
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rusty_attachments import download as our_download
from rusty_attachments.asset_manifests import HashAlgorithm, ManifestVersion, hash_data, hash_file, operations
from rusty_attachments.asset_manifests import decode as our_decode
from rusty_attachments.asset_manifests import v2023_03_03 as ours
from rusty_attachments.exceptions import ManifestDecodeValidationError

EXAMPLES = int(os.environ.get("PARITY_EXAMPLES", "60"))
many = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))

characters = st.one_of(
    st.sampled_from("abc/._- []!*?"),
    st.characters(),
    st.sampled_from(["\ud800", "\udcff", "\U0001f600", "\ufb33", "\x7f", '"', "\\", "\n", "\x00"]),
)
names = st.text(characters, max_size=12)
few_names = st.sampled_from(["a", "b", "a/b", "a/c.exr", "d/e/f.png", "\U0001f600", "\ufb33", "z\udcff", "é"])
hashes = st.one_of(
    st.text("abcdef0123456789", min_size=32, max_size=32), st.text("aZ09", min_size=1, max_size=4)
)
numbers = st.one_of(st.integers(-5, 5), st.integers(-(2**63), 2**63 - 1))


def rows(paths, max_size=12, sizes=numbers):
    return st.lists(st.tuples(paths, hashes, sizes, numbers), max_size=max_size)


def make(module, algorithm, entries, total):
    paths = [module.ManifestPath(path=p, hash=h, size=s, mtime=m) for p, h, s, m in entries]
    return module.AssetManifest(hash_alg=algorithm, paths=paths, total_size=total)


def make_ours(entries, total=0):
    return make(ours, HashAlgorithm.XXH128, entries, total)


def make_theirs(entries, total=0):
    return make(theirs, TheirAlgorithm.XXH128, entries, total)


def make_lazy(entries, total=0):
    """A manifest of ours with its entries in columns, in the given order."""
    paths = [{"path": p, "hash": h, "size": s, "mtime": m} for p, h, s, m in entries]
    document = {"hashAlg": "xxh128", "manifestVersion": "2023-03-03", "totalSize": total, "paths": paths}
    manifest = our_decode.decode_manifest(json.dumps(document))
    assert manifest.paths._rows is not None
    return manifest


def values(paths):
    return [(p.path, p.hash, p.size, p.mtime) for p in paths]


def outcome(function, *arguments):
    """What a call gave, or the class and text of what it raised."""
    try:
        return function(*arguments)
    except Exception as error:  # whatever it is, both must raise it
        return type(error).__name__, str(error), getattr(error, "pos", None)


@many
@given(rows(names), numbers)
def test_encode_writes_the_same_bytes_and_leaves_the_same_order(entries, total):
    their_manifest, our_manifest = make_theirs(entries, total), make_ours(entries, total)
    text = their_manifest.encode()
    assert our_manifest.encode() == text
    assert values(our_manifest.paths) == values(their_manifest.paths)
    if entries:
        lazy = make_lazy(entries, total)
        assert lazy.encode() == text
        assert values(lazy.paths) == values(their_manifest.paths)


@many
@given(rows(names).filter(len), numbers, st.data())
def test_changed_entries_are_encoded_alike(entries, total, data):
    their_manifest, lazy = make_theirs(entries, total), make_lazy(entries, total)
    for row in data.draw(st.lists(st.integers(0, len(entries) - 1), max_size=3)):
        name, size = data.draw(names), data.draw(numbers)
        for manifest in (their_manifest, lazy):
            manifest.paths[row].path = name
            manifest.paths[row].size = size
    assert lazy.encode() == their_manifest.encode()
    assert values(lazy.paths) == values(their_manifest.paths)


@many
@given(rows(names).filter(len), numbers)
def test_decode_reads_the_same(entries, total):
    text = make_theirs(entries, total).encode()
    for spelling in (text, json.dumps(json.loads(text), ensure_ascii=False, indent=1)):
        mine, their = our_decode.decode_manifest(spelling), their_decode.decode_manifest(spelling)
        assert values(mine.paths) == values(their.paths)
        assert (mine.totalSize, mine.hashAlg, mine.manifestVersion) == (
            their.totalSize,
            their.hashAlg,
            their.manifestVersion,
        )
        assert json.dumps(dataclasses.asdict(mine)) == json.dumps(dataclasses.asdict(their))
        assert repr(mine.paths[0]) == repr(their.paths[0])


FIELDS = ["path", "hash", "size", "mtime", "extra"]
odd_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(),
    names,
    st.just([]),
    st.just({}),
    st.just("a1"),
    st.just(["x"]),
)
good_entry = st.fixed_dictionaries({"path": names, "hash": hashes, "size": numbers, "mtime": numbers})
odd_entry = st.dictionaries(st.sampled_from(FIELDS), odd_values)


@st.composite
def documents(draw):
    document = {
        "hashAlg": "xxh128",
        "manifestVersion": "2023-03-03",
        "paths": draw(
            st.lists(
                st.one_of(
                    good_entry,
                    good_entry,
                    odd_entry,
                    st.builds(lambda a, b: {**a, **b}, good_entry, odd_entry),
                ),
                max_size=4,
            )
        ),
        "totalSize": draw(numbers),
    }
    for field in draw(st.lists(st.sampled_from([*document, "other"]), max_size=2)):
        if draw(st.booleans()):
            document.pop(field, None)
        else:
            document[field] = draw(
                st.one_of(
                    st.none(),
                    st.booleans(),
                    st.integers(-3, 3),
                    st.sampled_from(["", "md5", "UNDEFINED", "2024-01-01"]),
                    st.just([]),
                )
            )
    return document


@many
@given(documents())
def test_documents_are_refused_and_accepted_alike(document):
    text = json.dumps(document)
    mine = outcome(our_decode.decode_manifest, text)
    their = outcome(their_decode.decode_manifest, text)
    if isinstance(their, tuple):
        # The list of versions is longer in ours.
        text_of_ours = mine[1].replace("2023-03-03, 2025-12-04-beta)", "2023-03-03)")
        if document.get("manifestVersion") == []:
            assert mine[0] == their[0]
        else:
            assert (mine[0], text_of_ours) == their[:2]
    else:
        assert values(mine.paths) == values(their.paths)
        assert mine.totalSize == their.totalSize


@many
@given(documents())
def test_validate_says_the_same(document):
    mine = our_decode.validate_manifest(document, ManifestVersion.v2023_03_03)
    assert mine == their_decode.validate_manifest(document, TheirVersion.v2023_03_03)
    undefined = our_decode.validate_manifest(document, ManifestVersion.UNDEFINED)
    assert undefined == their_decode.validate_manifest(document, TheirVersion.UNDEFINED)


@many
@given(rows(names, max_size=3).filter(len), st.data())
def test_broken_json_raises_the_same_error_at_the_same_place(entries, data):
    text = make_theirs(entries).encode()
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        stop = data.draw(st.integers(start, min(len(text), start + 4)))
        put = data.draw(
            st.sampled_from(
                [
                    "",
                    '"',
                    "\\",
                    "{",
                    "}",
                    "[",
                    "]",
                    ",",
                    ":",
                    "\n",
                    "1",
                    "-",
                    "NaN",
                    "\\u12",
                    "\ufeff",
                    "null",
                ]
            )
        )
        text = text[:start] + put + text[stop:]
    expected = outcome(json.loads, text)
    mine = outcome(our_decode.decode_manifest, text)
    if isinstance(expected, tuple):
        assert mine == expected
    else:
        assert not isinstance(mine, tuple) or mine[0] == "ManifestDecodeValidationError"


@many
@given(rows(few_names), rows(few_names))
def test_compare_gives_the_same_statuses_and_entries_in_the_same_order(before, now):
    their_differences = their_diff.compare_manifest(make_theirs(before), make_theirs(now))
    expected = [(status.name, *values([entry])) for status, entry in their_differences]
    for build in (make_ours, make_lazy):
        if build is make_lazy and not (before and now):
            continue
        differences = operations.compare_manifest(build(before), build(now))
        assert [(status.name, *values([entry])) for status, entry in differences] == expected
    assert [
        (status.name, *values([entry]))
        for status, entry in operations.compare_manifest(make_theirs(before), make_theirs(now))
    ] == expected
    mixed = their_diff.compare_manifest(make_ours(before), make_theirs(now))
    assert [(status.name, *values([entry])) for status, entry in mixed] == expected


@many
@given(st.lists(rows(few_names, sizes=st.integers(-(2**50), 2**50)), max_size=4))
def test_merge_gives_the_same_entries_in_the_same_order(manifests):
    their_merged = their_download.merge_asset_manifests([make_theirs(entries, 7) for entries in manifests])
    builds = [
        make_ours,
        make_theirs,
        lambda entries, total: (make_lazy if entries else make_ours)(entries, total),
    ]
    for build in builds:
        given_manifests = [build(entries, 7) for entries in manifests]
        merged = operations.merge_asset_manifests(given_manifests)
        if their_merged is None:
            assert merged is None
            continue
        assert values(merged.paths) == values(their_merged.paths)
        assert merged.totalSize == their_merged.totalSize
        if len(manifests) == 1:
            assert merged is given_manifests[0]
    # Theirs takes ours.
    if len(manifests) > 1:
        theirs_of_ours = their_download.merge_asset_manifests(
            [make_ours(entries, 7) for entries in manifests]
        )
        assert values(theirs_of_ours.paths) == values(their_merged.paths)


@many
@given(st.lists(st.tuples(st.integers(0, 2), rows(few_names)), max_size=4))
def test_merge_by_time_gives_the_same(manifests):
    start = datetime(2026, 1, 1)
    dated = [(start + timedelta(seconds=second), entries) for second, entries in manifests]
    mine = our_download._merge_asset_manifests_sorted_asc_by_last_modified(
        [(t, make_ours(e)) for t, e in dated]
    )
    their = their_download._merge_asset_manifests_sorted_asc_by_last_modified(
        [(t, make_theirs(e)) for t, e in dated]
    )
    assert (mine is None) == (their is None)
    if mine is not None:
        assert values(mine.paths) == values(their.paths)


patterns = st.one_of(
    st.sampled_from(
        [
            "*",
            "*.exr",
            "a/",
            "a/*",
            "/root/a/*",
            "*/b",
            "[a-c]",
            "[!a]*",
            "C:*",
            "?",
            "d/e/",
            "*\U0001f600",
            "[",
            "[]-a]*",
            "[z-a]",
            "[!z-a]*",
        ]
    ),
    st.text(st.sampled_from("ab/*?[]!-c.~&|\\^"), max_size=8),
)


@many
@given(
    st.lists(rows(few_names), min_size=1, max_size=2),
    st.sampled_from(["/root", "C:\\proj", "", "/root/"]),
    st.lists(patterns, max_size=3),
)
def test_filter_keeps_the_same(manifests, root, filters):
    their = their_download.filter_manifests({root: [make_theirs(e, 5) for e in manifests]}, filters)
    for build in (make_ours, make_lazy):
        mine = operations.filter_manifests({root: [build(e, 5) for e in manifests if e]}, filters)
        assert list(mine) == list(their)
        for key, kept in their.items():
            assert [values(m.paths) for m in mine[key]] == [values(m.paths) for m in kept]
            assert [m.totalSize for m in mine[key]] == [m.totalSize for m in kept]


@many
@given(st.binary(max_size=2000))
def test_hashes_are_the_same(data):
    assert hash_data(data, HashAlgorithm.XXH128) == their_hash_data(data, TheirAlgorithm.XXH128)


def test_files_hash_the_same_whatever_their_names(tmp_path):
    name = os.fsencode(tmp_path) + b"/caf\xe9 \xff"
    with open(name, "wb") as file:
        file.write(b"x" * 3_000_001)
    expected = their_hash_file(os.fsdecode(name), TheirAlgorithm.XXH128)
    assert hash_file(name, HashAlgorithm.XXH128) == expected
    assert hash_file(os.fsdecode(name), HashAlgorithm.XXH128) == expected
    for wrong in (tmp_path / "missing", tmp_path):
        mine, their = (
            outcome(hash_file, wrong, HashAlgorithm.XXH128),
            outcome(their_hash_file, wrong, TheirAlgorithm.XXH128),
        )
        assert mine == their
    assert outcome(hash_file, wrong, "md5") == outcome(their_hash_file, wrong, "md5")
    assert outcome(hash_data, b"", "md5") == outcome(their_hash_data, b"", "md5")


def test_constructors_refuse_alike():
    mine = outcome(lambda: ours.AssetManifest(hash_alg="md5", paths=[], total_size=0))
    assert mine == outcome(lambda: theirs.AssetManifest(hash_alg="md5", paths=[], total_size=0))
    assert mine[0] == "ManifestDecodeValidationError"


def test_mixed_algorithms_are_not_merged():
    class Other(str):
        value = "md5"

    def merge(merge_function, build):
        first, second = build([("a", "1", 1, 1)]), build([("b", "1", 1, 1)])
        second.hashAlg = Other("md5")
        return outcome(merge_function, [first, second])

    assert merge(operations.merge_asset_manifests, make_ours) == merge(
        their_download.merge_asset_manifests, make_theirs
    )


def test_ours_goes_through_their_functions():
    lazy = make_lazy([("b", "1", 1, 1), ("a", "2", 2, 2)], 3)
    assert theirs.AssetManifest.encode(lazy) == make_theirs([("b", "1", 1, 1), ("a", "2", 2, 2)], 3).encode()
    assert their_download.merge_asset_manifests([lazy, copy.deepcopy(lazy)]).totalSize == 3


@pytest.mark.parametrize("field", ["size", "mtime"])
@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**30])
def test_numbers_beyond_64_bits_are_refused_unlike_the_reference(field, number):
    document = json.loads(make_theirs([("a", "1", 1, 1)]).encode())
    document["paths"][0][field] = number
    text = json.dumps(document)
    their_decode.decode_manifest(text)
    with pytest.raises(
        ManifestDecodeValidationError, match=f"{field} of path a is beyond a signed 64-bit integer"
    ):
        our_decode.decode_manifest(text)


@pytest.mark.parametrize("field", ["size", "mtime"])
def test_numbers_beyond_64_bits_are_not_written_unlike_the_reference(field):
    for build in (make_ours, make_theirs, make_lazy):
        manifest = build([("a", "1", 1, 1)])
        setattr(manifest.paths[0], field, 2**63)
        if build is make_theirs:
            assert str(2**63) in manifest.encode()
        else:
            with pytest.raises(OverflowError):
                manifest.encode()


def test_long_malformed_json_is_refused_at_the_same_place():
    # Longer than what Python is asked to explain.
    text = '{"paths":[\n' + "[1,2],\n" * ((16 << 20) // 7 + 1) + "1 2]}"
    places = []
    for load in (json.loads, their_decode.decode_manifest, our_decode.decode_manifest):
        with pytest.raises(json.JSONDecodeError) as caught:
            load(text)
        places.append((caught.value.msg, caught.value.pos, caught.value.lineno, caught.value.colno))
    assert len(set(places)) == 1


def test_lone_surrogates_in_messages_are_replaced_unlike_the_reference():
    document = json.loads(make_theirs([("a\udcff", "no hash!", 1, 1)]).encode())
    theirs_says = outcome(their_decode.decode_manifest, json.dumps(document))
    ours_says = outcome(our_decode.decode_manifest, json.dumps(document))
    assert theirs_says[1] == "The hash no hash! for path a\udcff is not alphanumeric"
    assert (
        ours_says[1].encode("utf-8", "surrogatepass").startswith(b"The hash no hash! for path a\xef\xbf\xbd")
    )


def test_totals_beyond_64_bits_are_not_merged_unlike_the_reference():
    manifests = [[("a", "1", 2**62, 1)], [("b", "1", 2**62, 1)]]
    assert their_download.merge_asset_manifests([make_theirs(e) for e in manifests]).totalSize == 2**63
    with pytest.raises(ManifestDecodeValidationError, match="add up to more than a signed 64-bit integer"):
        operations.merge_asset_manifests([make_lazy(e) for e in manifests])
