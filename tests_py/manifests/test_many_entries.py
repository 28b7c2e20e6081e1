"""A manifest of a million entries costs about its text in memory, whatever is done to it, and no object per entry.

RUSTY_ATTACHMENTS_MANIFEST_ENTRIES=10000000 and RUSTY_ATTACHMENTS_NOTHING_BYTES=2147483648 widen the tests.
"""

import json
import os
import subprocess
import sys

import pytest

ENTRIES = int(os.environ.get("RUSTY_ATTACHMENTS_MANIFEST_ENTRIES") or 1_000_000)
NOTHING_BYTES = int(os.environ.get("RUSTY_ATTACHMENTS_NOTHING_BYTES") or 64 << 20)

#: Each step's peak of memory above what the process had before, as a share of the text's length.
PROGRAM = """
import gc, json, re, sys
from pathlib import Path
from rusty_attachments import decode_manifest
from rusty_attachments.asset_manifests.operations import compare_manifest, filter_manifests, merge_asset_manifests

STATUS, peaks = Path("/proc/self/status"), {}

def kilobytes(what):
    return int(re.search(what + r":\\s+(\\d+) kB", STATUS.read_text()).group(1))

def measured(name, work):
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    before = kilobytes("VmRSS")
    outcome = work()
    peaks[name] = (kilobytes("VmHWM") - before) * 1024 / length
    return outcome

text = Path(sys.argv[1]).read_text()
length = len(text)
manifest = measured("decode", lambda: decode_manifest(text))
changed = decode_manifest(text.replace('"size":1}', '"size":2}', 1))
same = measured("encode", manifest.encode) == text
merged = measured("merge", lambda: merge_asset_manifests([manifest, changed]))
differences = measured("compare", lambda: compare_manifest(manifest, changed))
kept = measured("filter", lambda: filter_manifests({"/r": [manifest]}, ["*0"]))["/r"][0]
print(json.dumps({
    "same": same,
    "counts": [len(manifest), len(merged), len(differences), len(kept)],
    "lazy": [each.paths._rows is not None for each in (manifest, changed, merged, kept)],
    "peaks": peaks,
}))
"""

#: The error of a text that holds nothing, and how much the peak of memory grew.
NOTHING = """
import json, re
from pathlib import Path
from rusty_attachments import decode_manifest

STATUS = Path("/proc/self/status")

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", STATUS.read_text()).group(1)) * 1024

text = CHARACTER * LENGTH
before = peak()
try:
    decode_manifest(text)
except Exception as error:
    told = type(error).__name__
print(json.dumps([told, peak() - before]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for the peak of memory")
def test_many_entries_cost_about_their_text(tmp_path):
    file = tmp_path / "manifest"
    with file.open("w") as out:
        out.write('{"hashAlg":"xxh128","manifestVersion":"2023-03-03","paths":[')
        for number in range(ENTRIES):
            out.write(
                f'{"," if number else ""}{{"hash":"{number * 0x9E3779B97F4A7C15:032x}",'
                f'"mtime":{1_700_000_000_000_000 + number},"path":"assets/seq/frame.{number:09}","size":1}}'
            )
        out.write(f'],"totalSize":{ENTRIES}}}')
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["same"]
    assert told["counts"] == [ENTRIES, ENTRIES, ENTRIES, ENTRIES // 10]
    assert all(told["lazy"]), "an operation made an object per entry"
    assert max(told["peaks"].values()) <= 1.5, told["peaks"]


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for the peak of memory")
@pytest.mark.parametrize("character", [" ", "\0", "["])
def test_a_lot_of_nothing_is_refused_and_costs_nothing(character):
    program = NOTHING.replace("CHARACTER", repr(character)).replace("LENGTH", str(NOTHING_BYTES))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    error, grown_bytes = json.loads(done.stdout)
    assert error == ("ManifestDecodeValidationError" if character == "[" else "JSONDecodeError")
    assert grown_bytes < 16 << 20, "the text was copied"
