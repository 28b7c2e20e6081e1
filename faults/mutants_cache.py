"""The safeguards of the hash cache, of RESUME, and of work beside other processes."""

from __future__ import annotations

from mutant import Edit, Mutant

MUTANTS = (
    Mutant(
        "results of a list that ended early stay beside their items",
        (
            Edit(
                "src/ops/in_parallel.rs",
                "items.iter().zip(all).filter_map(|(item, result)| Some((item, result?))).collect();",
                "items.iter().zip(all.into_iter().flatten()).collect();",
            ),
        ),
        "F30",
        "cancelled by the first report of reading",
    ),
    Mutant(
        "contents that are not what they were hashed as are forgotten",
        (Edit("src/ops/hash_files.rs", "            cache.remove(&keys);\n", ""),),
        "F22",
        "the next try works",
    ),
    Mutant(
        "the reference's rows are believed for files that are as they were written",
        (Edit("src/cache/hash_cache/look_up.rs", "same_time && state.is_as_written() &&", "same_time &&"),),
        "F22",
        "with its time kept",
    ),
    Mutant(
        "RESUME sets the time of right contents",
        (
            Edit(
                "src/fs/times.rs",
                "        rustix::fs::futimens(file, &times)?;\n",
                "        let _ = times;\n",
            ),
        ),
        "F30",
        "the time becomes the manifest's",
    ),
    Mutant(
        "a look right before the request for what others have finished",
        (
            Edit(
                "src/transfer/download/downloader.rs",
                "&& look.is_there().await",
                "&& false && look.is_there().await",
            ),
        ),
        "F35",
        "8 processes, 2,000 files, RESUME",
    ),
    Mutant(
        "memory is not taken by a reply's length",
        (
            Edit("src/transfer/in_memory.rs", "if promised > MOST_BYTES {", "if false {"),
            Edit("src/transfer/in_memory.rs", "promised.min(FIRST_BYTES)", "promised"),
        ),
        "F20",
        "a manifest of 140737488355328 bytes",
    ),
)
