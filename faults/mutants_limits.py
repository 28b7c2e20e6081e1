"""The safeguards of limits: of the process, of the link and of the endpoint."""

from __future__ import annotations

from mutant import Edit, Mutant

MUTANTS = (
    Mutant(
        "the pace of a client that is asked to slow down",
        (
            Edit(
                "src/store/s3/traffic/attempt.rs",
                "429 | 503 => self.route.pace.refused(),",
                "429 | 503 => {}",
            ),
        ),
        "F35",
        "one client under a limit of 500",
    ),
    Mutant(
        "waiting for a descriptor",
        (
            Edit(
                "src/descriptors.rs",
                "Err(error) if is_shortage(error) && attempt < ATTEMPTS => {",
                "Err(error) if is_shortage(error) && attempt > ATTEMPTS => {",
            ),
        ),
        "F12",
        "upload: EMFILE at every openat2 of inputs",
    ),
    Mutant(
        "calls of the process take turns",
        (
            Edit(
                "src/python/runtime.rs",
                "const CALLS: Share = Share { each: 16, fewest: 4, most: 64 };",
                "const CALLS: Share = Share { each: 16, fewest: 4096, most: 4096 };",
            ),
        ),
        "F35",
        "1000 downloads",
    ),
    Mutant(
        "bytes in memory are the process's",
        (
            Edit(
                "src/transfer/limits.rs",
                "const PROCESS_BUFFER_BYTES: u64 = 64 * 1024 * 1024;",
                "const PROCESS_BUFFER_BYTES: u64 = 64 * 1024 * 1024 * 1024;",
            ),
        ),
        "F35",
        "20 large downloads",
    ),
    Mutant(
        "few requests at a time at first",
        (
            Edit(
                "src/store/s3/traffic/window.rs",
                "const FIRST_REQUESTS: usize = 8;",
                "const FIRST_REQUESTS: usize = 64;",
            ),
        ),
        "F24",
        "upload of 128 × 64 KiB at 256 kbit/s",
    ),
    Mutant(
        "a slow link's exchanges get time",
        (
            Edit(
                "src/store/s3/traffic/link.rs",
                "        if self.idle < limit {\n            return false;\n        }\n",
                "        if self.idle >= limit {\n            return true;\n        }\n",
            ),
        ),
        "F24",
        "128 × 64 KiB at 256 kbit/s",
    ),
)
