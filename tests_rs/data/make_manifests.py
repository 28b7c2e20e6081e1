"""Makes the golden manifests with the reference: run it with `deadline-job-attachments` 0.1.5 installed.

Each `<name>.json` is what the reference's `encode()` wrote; `<name>.shuffled.json` holds the same entries in another
order.
"""

import json
import random
from pathlib import Path

from deadline.job_attachments.asset_manifests import HashAlgorithm, hash_data
from deadline.job_attachments.asset_manifests.v2023_03_03 import AssetManifest, ManifestPath

FOLDER = Path(__file__).parent / "manifests"

# Where code units, code points and bytes sort differently, and what JSON escapes.
NAMES = [
    "plain.exr",
    "Zebra",
    "a b/c d.exr",
    "a/b/c.exr",
    "a/b-c/d.exr",
    "a/b",
    "tab\tnewline\nreturn\rback\bform\f",
    'quote"backslash\\slash/',
    "control\x01\x1f\x7f\x80\x9f",
    "caf\u00e9/\u0416/\u4e2d\u6587",
    "\ud7ff",
    "\ue000",
    "\ufb33",
    "\uffff",
    "\U00010000",
    "\U0001f600/x",
    "\U0010ffff",
    "lone/\udcff",
    "lone/\udc80\udcfe",
    "lone/\ud800",
    "lone/\udfff\ud800",
    "~",
]


def manifest(entries: list[tuple[str, str, int, int]], total: int) -> AssetManifest:
    return AssetManifest(
        hash_alg=HashAlgorithm.XXH128,
        paths=[ManifestPath(path=p, hash=h, size=s, mtime=m) for p, h, s, m in entries],
        total_size=total,
    )


def write(name: str, entries: list[tuple[str, str, int, int]], total: int) -> None:
    shuffled = list(entries)
    random.Random(name).shuffle(shuffled)
    made = manifest(shuffled, total)
    rows = [
        {"size": s, "path": p, "mtime": m, "hash": h, "unknown": {"a": [1.5, None]}}
        for p, h, s, m in shuffled
    ]
    document = {"totalSize": total, "paths": rows, "manifestVersion": "2023-03-03", "hashAlg": "xxh128"}
    (FOLDER / f"{name}.shuffled.json").write_text(json.dumps(document, indent=1), encoding="ascii")
    (FOLDER / f"{name}.json").write_text(made.encode(), encoding="ascii")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)

    def digest(name: str) -> str:
        return hash_data(name.encode("utf-8", "surrogatepass"), HashAlgorithm.XXH128)

    entries = [(n, digest(n), i * 1009, 1_700_000_000_000_000 + i) for i, n in enumerate(NAMES)]
    write("names", entries, sum(e[2] for e in entries))
    write("one", entries[:1], 0)
    odd = [
        ("short-hash", "a", 0, 0),
        ("upper-hash", "99AA06D3014798D86001C324468D497F", 1, -1),
        ("negative", digest("n"), -5, -(2**63)),
        ("largest", digest("l"), 2**63 - 1, 2**63 - 1),
        ("same", digest("1"), 1, 1),
        ("same", digest("1"), 1, 1),
        ("../outside", digest("o"), 300 * 10**15, 1),
        ("", digest(""), 0, 0),
    ]
    write("odd", odd, -17)
    generator = random.Random(3)
    alphabet = [
        *"abcxyz0123/._- ",
        "\u00e9",
        "\u4e2d",
        "\ue000",
        "\uff5e",
        "\U0001f600",
        "\U00010000",
        "\udc80",
        "\ud900",
    ]
    names = {"".join(generator.choices(alphabet, k=generator.randint(1, 24))) for _ in range(800)}
    many = [(n, digest(n), generator.randrange(2**40), generator.randrange(2**51)) for n in sorted(names)]
    write("many", many, sum(e[2] for e in many))


if __name__ == "__main__":
    main()
