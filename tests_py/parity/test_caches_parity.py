"""Cache classes: the same files, rows, answers and errors as the reference's, also when both use one file."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing

import pytest
from deadline.job_attachments import caches as reference
from deadline.job_attachments.asset_manifests import HashAlgorithm as ReferenceHashAlgorithm
from deadline.job_attachments.exceptions import JobAttachmentsError as ReferenceJobAttachmentsError
from hypothesis import given, settings
from hypothesis import strategies as st
from rusty_attachments import caches as ours
from rusty_attachments.asset_manifests import HashAlgorithm
from rusty_attachments.exceptions import JobAttachmentsError
from trees import temporary_folder

ALGORITHMS = {ours: HashAlgorithm.XXH128, reference: ReferenceHashAlgorithm.XXH128}
BOTH = (ours, reference)
PATHS = st.text(st.characters(exclude_characters="\0"), max_size=20)
TIMES = st.one_of(
    st.sampled_from(["1234.50", "2024-01-01 00:00:00", "1234", "0x10", "1e3", " 5 ", "", "-1.0"]),
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=10),
)
RANGES = st.sampled_from([(0, -1), (0, 10), (10, 20), (5, -1)])


def entry(module, path, hash_text, modified, byte_range=(0, -1)):
    return module.HashCacheEntry(path, ALGORITHMS[module], hash_text, modified, *byte_range)


def dump(path):
    with closing(sqlite3.connect(path)) as connection:
        tables = [
            row[0]
            for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table' ORDER BY name")
        ]
        return {table: sorted(map(repr, connection.execute(f"SELECT * FROM {table}"))) for table in tables}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(PATHS, st.text("0123456789abcdef", max_size=32), TIMES, RANGES), max_size=5))
def test_hash_entries_go_in_and_out_the_same(rows):
    with temporary_folder() as folder:
        for writer in BOTH:
            with writer.HashCache(f"{folder}/{writer.__name__}") as cache:
                for row in rows:
                    cache.put_entry(entry(writer, *row))
        dumps = [dump(f"{folder}/{module.__name__}/hash_cache.db") for module in BOTH]
        assert dumps[0] == dumps[1]
        for reader in BOTH:
            for writer in BOTH:
                with reader.HashCache(f"{folder}/{writer.__name__}") as cache:
                    for path, _, _, byte_range in rows:
                        found = cache.get_entry(path, ALGORITHMS[reader], *byte_range)
                        local = cache.get_connection_entry(
                            path, ALGORITHMS[reader], cache.get_local_connection(), *byte_range
                        )
                        assert found == local
                        expected = {}
                        for row in rows:
                            expected[(row[0], row[3])] = row
                        assert found.file_hash == expected[(path, byte_range)][1]
                        assert found.is_whole_file() == (byte_range == (0, -1))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.text("abc/", min_size=1, max_size=5), TIMES), max_size=5), st.floats(-10, 70))
def test_check_entries_go_in_and_out_the_same(rows, days_ago):
    rows = [*rows, ("days", str(time.time() - days_ago * 86_400))]
    with temporary_folder() as folder:
        answers = {}
        for writer in BOTH:
            with writer.S3CheckCache(f"{folder}/{writer.__name__}") as cache:
                for key, seen in rows:
                    cache.put_entry(writer.S3CheckCacheEntry(key, seen))
                answers[writer] = [
                    found and found.to_dict() for key, _ in rows for found in [cache.get_entry(key)]
                ]
        assert answers[ours] == answers[reference]
        dumps = [dump(f"{folder}/{module.__name__}/s3_check_cache.db") for module in BOTH]
        assert dumps[0] == dumps[1]


def test_attributes_and_defaults(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("HashCache", "S3CheckCache"):
        ours_, theirs = (getattr(module, name)() for module in BOTH)
        for attribute in (
            "cache_name",
            "table_name",
            "enabled",
            "cache_dir",
            "CACHE_NAME",
            "CACHE_DB_VERSION",
        ):
            assert getattr(ours_, attribute) == getattr(theirs, attribute), attribute
        assert ours_.cache_dir.startswith(f"{tmp_path}/.deadline/job_attachments/")
    assert (ours.CONFIG_ROOT, ours.COMPONENT_NAME, ours.WHOLE_FILE_RANGE_END) == (
        reference.CONFIG_ROOT,
        reference.COMPONENT_NAME,
        reference.WHOLE_FILE_RANGE_END,
    )
    for module in BOTH:
        assert module.HashCache.get_default_cache_db_file_dir() == f"{tmp_path}/.deadline/job_attachments"


def test_ranges_that_end_before_they_begin():
    texts = []
    for module in BOTH:
        with pytest.raises(ValueError, match="must be greater") as raised:
            entry(module, "/a", "h", "t", (10, 5))
        texts.append(str(raised.value))
    assert texts[0] == texts[1]
    made = [entry(module, "/a", "h", "t", (1, 5)).to_dict() for module in BOTH]
    assert made[0] == made[1]


def test_a_path_that_is_no_database(tmp_path):
    for module, error in ((ours, JobAttachmentsError), (reference, ReferenceJobAttachmentsError)):
        cache = module.HashCache(str(tmp_path / module.__name__))
        cache.cache_dir = "/bad/path"
        cache._RETRY_ATTEMPTS = 1
        with pytest.raises(error, match=r"Could not access cache file.*: /bad/path") as raised, cache:
            pass
        assert isinstance(raised.value.__cause__, sqlite3.OperationalError)
        with pytest.raises(error):
            module.CacheDB("", "t", "q")


def test_removing_a_cache(tmp_path):
    for module in BOTH:
        folder = tmp_path / module.__name__
        with module.S3CheckCache(str(folder)) as cache:
            cache.put_entry(module.S3CheckCacheEntry("b/k", str(time.time())))
            cache.get_local_connection()
            cache.remove_cache()
            assert not (folder / "s3_check_cache.db").exists()
            with pytest.raises(FileNotFoundError):
                cache.remove_cache()
        with module.S3CheckCache(str(folder)) as cache:
            assert cache.get_entry("b/k") is None


def test_both_use_one_file_at_the_same_time(tmp_path):
    """Each from a process of its own: two SQLites in one process would drop each other's locks."""
    import subprocess
    import sys

    code = (
        "import sys, importlib\n"
        "caches = importlib.import_module(sys.argv[1]); start = int(sys.argv[3])\n"
        "from rusty_attachments.asset_manifests import HashAlgorithm\n"
        "with caches.HashCache(sys.argv[2]) as cache:\n"
        "    for n in range(start, start + 100):\n"
        "        cache.put_entry(caches.HashCacheEntry(f'/{n}', HashAlgorithm.XXH128, f'h{n}', 't'))\n"
    )
    names = ["rusty_attachments.caches", "deadline.job_attachments.caches"] * 2
    processes = [
        subprocess.Popen([sys.executable, "-c", code, name, str(tmp_path), str(number * 100)])
        for number, name in enumerate(names)
    ]
    assert [process.wait() for process in processes] == [0] * 4
    with ours.HashCache(str(tmp_path)) as cache:
        for number in range(400):
            assert cache.get_entry(f"/{number}", HashAlgorithm.XXH128).file_hash == f"h{number}"


def test_threads_share_a_cache(tmp_path):
    with ours.HashCache(str(tmp_path)) as cache:

        def work(start):
            for number in range(start, start + 50):
                cache.put_entry(entry(ours, f"/{number}", f"h{number}", "t"))
                connection = cache.get_local_connection()
                assert cache.get_connection_entry(f"/{number}", HashAlgorithm.XXH128, connection) is not None

        threads = [threading.Thread(target=work, args=(start,)) for start in (0, 50, 100, 150)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(cache.get_entry(f"/{number}", HashAlgorithm.XXH128) for number in range(200))


def test_a_damaged_file_is_put_aside_with_a_warning(tmp_path, caplog):
    """The reference raises sqlite3.DatabaseError."""
    garbage = b"not a database at all, but long enough to be taken for one " * 100
    (tmp_path / "hash_cache.db").write_bytes(garbage)
    with ours.HashCache(str(tmp_path)) as cache:
        cache.put_entry(entry(ours, "/a", "h", "t"))
        assert cache.get_entry("/a", HashAlgorithm.XXH128).file_hash == "h"
    assert caplog.text.count("It was put aside as") == 1
    assert (tmp_path / "hash_cache.db.corrupt").read_bytes() == garbage


def test_a_closed_cache_says_so(tmp_path):
    with ours.HashCache(str(tmp_path)) as cache:
        pass
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        cache.get_entry("/a", HashAlgorithm.XXH128)


@pytest.mark.parametrize("module", BOTH)
def test_many_rows_at_once(module, tmp_path):
    with module.S3CheckCache(str(tmp_path)) as cache:
        connection = cache.db_connection
        insert = f"INSERT INTO {cache.table_name} VALUES(?, ?)"
        with connection:
            connection.executemany(insert, ((f"bucket/{number}", f"{number}.5") for number in range(3)))
        connection.commit()
        rows = connection.execute(f"SELECT * FROM {cache.table_name} ORDER BY 1").fetchall()
        assert rows == [("bucket/0", 0.5), ("bucket/1", 1.5), ("bucket/2", 2.5)]
        # All of them, or none.
        with pytest.raises(sqlite3.Error), connection:
            connection.executemany(insert, [("bucket/3", "1"), ("bucket/0", "2")])
        assert connection.execute(f"SELECT count(*) FROM {cache.table_name}").fetchone() == (3,)
    with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
        connection.executemany(insert, [("x", "1")])
