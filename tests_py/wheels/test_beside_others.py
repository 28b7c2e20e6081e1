"""The installed module in processes that hold more than it: other libraries, other interpreters."""

from __future__ import annotations

import importlib.util
import shutil
import sys

import pytest

#: glibc keeps about 1.6 KiB for the static thread-local data of libraries that are loaded later.
BLOCK = """
static __thread char block[64] __attribute__((tls_model("initial-exec")));
char *address(void) { return block; }
"""

USE_UP_STATIC_TLS = """
import ctypes, sys

loaded = 0
try:
    for path in sys.argv[1:]:
        ctypes.CDLL(path)
        loaded += 1
except OSError as error:
    assert "static TLS" in str(error), error
assert 0 < loaded < len(sys.argv) - 1, loaded
import rusty_attachments
print(rusty_attachments.hash_data(b"", rusty_attachments.HashAlgorithm.XXH128))
"""

IN_TWO_INTERPRETERS = """
import sys

try:
    import _interpreters as interpreters
    new, run = lambda: interpreters.create("legacy"), interpreters.exec
except ImportError:
    import _xxsubinterpreters as interpreters
    new, run = lambda: interpreters.create(isolated=False), interpreters.run_string

import_it = '''
try:
    import rusty_attachments
    print("works", flush=True)
except ImportError as error:
    print("ImportError:", error, flush=True)
'''
if sys.argv[1] == "main first":
    exec(import_it)
    run(new(), import_it)
else:
    first = new()
    run(first, import_it)
    run(first, import_it)
    run(new(), import_it)
    exec(import_it)
"""

IN_AN_ISOLATED_INTERPRETER = """
try:
    import _interpreters as interpreters
    create, run = lambda: interpreters.create("isolated"), interpreters.exec
except ImportError:
    import _xxsubinterpreters as interpreters
    create, run = interpreters.create, interpreters.run_string

run(create(), '''
try:
    import rusty_attachments
except ImportError as error:
    print(error, flush=True)
''')
"""

REFUSED = "ImportError: rusty_attachments is in use by another interpreter of this process"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such limit")
def test_it_is_imported_where_other_libraries_have_used_up_static_tls(compiled, fresh_python, tmp_path):
    library = compiled("block", BLOCK)
    # The loader takes copies for different libraries.
    libraries = [shutil.copy(library, tmp_path / f"block{number}.so") for number in range(60)]
    assert fresh_python(USE_UP_STATIC_TLS, *libraries) == "99aa06d3014798d86001c324468d497f\n"


def test_a_second_interpreter_gets_a_clear_error(fresh_python):
    lines = fresh_python(IN_TWO_INTERPRETERS, "main first").splitlines()
    assert lines[0] == "works"
    assert lines[1].startswith(REFUSED)
    assert len(lines) == 2


def test_a_subinterpreter_that_is_first_keeps_it(fresh_python):
    lines = fresh_python(IN_TWO_INTERPRETERS, "main last").splitlines()
    assert lines[:2] == ["works", "works"]
    assert [line.startswith(REFUSED) for line in lines[2:]] == [True, True]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="interpreters with a GIL of their own came with 3.12")
def test_an_interpreter_with_its_own_gil_gets_a_clear_error(fresh_python):
    assert "does not support loading in subinterpreters" in fresh_python(IN_AN_ISOLATED_INTERPRETER)


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("package", ["pyarrow", "pandas", "boto3"])
def test_it_works_beside(package, order, fresh_python):
    assert importlib.util.find_spec(package) is not None
    ours = "import rusty_attachments as ours; print(ours.hash_data(b'', ours.HashAlgorithm.XXH128))"
    theirs = f"import {package}"
    script = [theirs, ours] if order == "before" else [ours, theirs]
    assert fresh_python("\n".join(script)) == "99aa06d3014798d86001c324468d497f\n"
