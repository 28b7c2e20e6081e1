"""The checks of wheels notice what they are for."""

from __future__ import annotations

import io
import zipfile

import pytest

MANYLINUX = "rusty_attachments-1.0-cp39-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
STATIC_TLS = """
static __thread char block[200] __attribute__((tls_model("initial-exec")));
char *address(int index) { return block + index; }
"""
DYNAMIC_TLS = STATIC_TLS.replace("initial-exec", "local-dynamic")
#: `pthread_getattr_default_np` came with glibc 2.18.
NEWER_SYMBOL = """
extern int pthread_getattr_default_np(void *);
int call(void *attributes) { return pthread_getattr_default_np(attributes); }
"""


def faults(library, name=MANYLINUX):
    import check_wheel

    return check_wheel.faults_of_module(check_wheel.read_module(library.read_bytes()), name)


def test_static_thread_local_data_is_a_fault(compiled):
    [fault] = faults(compiled("static", STATIC_TLS))
    assert fault.startswith("needs 200 bytes of static TLS (R_")


def test_dynamic_thread_local_data_is_none(compiled):
    assert faults(compiled("dynamic", DYNAMIC_TLS)) == []


def test_a_symbol_newer_than_the_name_says_is_a_fault(compiled):
    [fault] = faults(compiled("newer", NEWER_SYMBOL))
    assert fault.startswith("needs GLIBC_2.")
    assert fault.endswith("but its name says 2.17")
    assert faults(compiled("newer", NEWER_SYMBOL), MANYLINUX.replace("2_17", "2_99")) == []


def test_a_library_that_not_every_system_has_is_a_fault(compiled, tmp_path):
    compiled("extra", "int extra(void) { return 1; }", "-Wl,-soname,libextra.so.1")
    uses = "extern int extra(void); int call(void) { return extra(); }"
    assert faults(compiled("uses", uses, str(tmp_path / "extra.so"))) == ["needs libextra.so.1"]


@pytest.mark.parametrize(
    "name", ["package-1.0-cp39-abi3-linux_x86_64.whl", "package-1.0-cp39-abi3-musllinux_1_2_x86_64.whl"]
)
def test_a_name_that_does_not_fit_is_a_fault(compiled, name):
    assert faults(compiled("uses", "#include <stdlib.h>\nvoid *call(void) { return malloc(1); }"), name)


def test_faults_of_contents():
    import check_wheel

    def found(files):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return check_wheel.faults_of_contents(zipfile.ZipFile(packed))

    folder = "package-1.0.dist-info"
    bare = {f"{folder}/METADATA": "Name: package\n\n[guide](docs/guide.md)\n", f"{folder}/RECORD": ""}
    assert found({**bare, f"{folder}/RECORD": f"{folder}/RECORD,,\n{folder}/METADATA,sha256=wrong,1\n"}) == [
        f"RECORD has a wrong hash of {folder}/METADATA",
        "lacks licenses/LICENSE",
        "lacks licenses/THIRD-PARTY-LICENSES.txt",
        "lacks a bill of materials",
        "its description has links that an index page cannot follow",
    ]
    assert found(bare)[0].startswith("RECORD and the archive differ in")
