"""The safeguards of hashing and moving objects."""

from __future__ import annotations

from mutant import Edit, Mutant

MUTANTS = (
    Mutant(
        "hash check of a download",
        (Edit("src/transfer/download/failure.rs", "if *found == download.expected {", "if true {"),),
        "F5",
        "wrong middle byte, always",
    ),
    Mutant(
        "hash check of a download in ranges",
        (
            Edit(
                "src/transfer/download/ranges.rs",
                "self.check(download, &destination.object, hasher).await?;",
                "",
            ),
        ),
        "F5",
        "wrong byte in each range, always",
    ),
    Mutant(
        "length check of a download",
        (
            Edit(
                "src/transfer/download/downloader.rs",
                "if self.verify != Verify::Off && !(is_right(",
                "if false && !(is_right(",
            ),
        ),
        "F4",
        "short, where sizes alone",
    ),
    Mutant(
        "hash check of a small file while it is sent",
        (
            Edit(
                "src/transfer/upload.rs",
                "hasher.finish()\n    };\n    if found != upload.expected {",
                "hasher.finish()\n    };\n    if false {",
            ),
        ),
        "F11",
        "an endpoint that checks no bodies",
    ),
    Mutant(
        "hash check of a large file while it is sent",
        (
            Edit(
                "src/transfer/upload/parts.rs",
                "let found = hasher.finish();\n        if found != upload.expected {",
                "let found = hasher.finish();\n        if false {",
            ),
        ),
        "F11",
        "edit between hash and upload, large",
    ),
    Mutant(
        "length check of a file that is sent",
        (Edit("src/transfer/upload.rs", "if expected == found {", "if true {"),),
        "F11",
        "grow between hash and upload, small",
    ),
    Mutant(
        "abort of a multipart upload that failed",
        (
            Edit(
                "src/transfer/upload/parts.rs",
                "            return false;\n        }\n        self.abort(multipart).await\n",
                "            return false;\n        }\n        true\n",
            ),
        ),
        "F9",
        "parts are refused",
    ),
    Mutant(
        "containment: paths by their text",
        (
            Edit(
                "src/path.rs",
                'if self.components().any(|part| part == b"..") {',
                'if false && self.components().any(|part| part == b"..") {',
            ),
        ),
        "F18",
        "written and generated paths",
    ),
    Mutant(
        "containment: links on the way",
        (
            Edit(
                "src/fs/beneath/openat2.rs",
                "let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;",
                "let beneath = ResolveFlags::NO_MAGICLINKS;",
            ),
        ),
        "F18",
        "written and generated paths",
    ),
    Mutant(
        "writing beside the final path",
        (
            Edit(
                "src/fs/stage.rs",
                "let name = temporary_name();\n            match patiently(|| calls::create_new",
                "let name = self.name.clone();\n            match patiently(|| calls::create_new",
            ),
            Edit(
                "src/fs/calls.rs",
                "let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL",
                "let flags = OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC",
            ),
            Edit(
                "src/fs/naming.rs",
                "    let mut naming = directory.naming();\n",
                "    if name == wanted {\n        return Ok(Committed::Yes);\n    }\n"
                "    let mut naming = directory.naming();\n",
            ),
        ),
        "F14",
        "time 1, download again",
    ),
    Mutant(
        "the manifest goes last",
        (
            Edit(
                "src/ops/upload_assets.rs",
                "    upload_files(&request, context).await?;\n    let Some(document)",
                "    if let Some(document) = &request.document {\n"
                "        put_object(&request.store, &request.bucket, document, context).await?;\n"
                "    }\n"
                "    upload_files(&request, context).await?;\n    let Some(document)",
            ),
        ),
        "F8",
        "403 on PutObject",
    ),
    Mutant(
        "a failing owner fails its waiters",
        (
            Edit(
                "src/ops/upload_assets.rs",
                "Outcome::Shared(outcome) => break outcome.map(|_| Sent::AlreadyThere),",
                "Outcome::Shared(_) => break Ok(Sent::AlreadyThere),",
            ),
        ),
        "F10",
        "8 callers in one process",
    ),
    Mutant(
        "the hash cache sees the status change time",
        (
            Edit(
                "src/fs/open.rs",
                "ctime_ns: (stat.st_ctime as i64)",
                "ctime_ns: 1 + 0 * (stat.st_ctime as i64)",
            ),
        ),
        "F22",
        "edited, with size and mtime kept",
    ),
    Mutant(
        "credentials are renewed as often as they expire",
        (
            Edit(
                "src/store/s3/objects.rs",
                "        let mut redirected = false;\n        loop {",
                "        let (mut redirected, mut renewals) = (false, 0);\n        loop {",
            ),
            Edit(
                "src/store/s3/objects.rs",
                "            if has_others {\n                continue;",
                "            renewals += u32::from(has_others);\n"
                "            if has_others && renewals < 2 {\n                continue;",
            ),
        ),
        "F7",
        "credentials that last a few requests",
    ),
    Mutant(
        "a leased file is waited for",
        (
            Edit(
                "src/fs/leases.rs",
                "Err(Errno::AGAIN) if attempt < ATTEMPTS => {",
                "Err(Errno::AGAIN) if attempt > ATTEMPTS => {",
            ),
        ),
        "F29",
        "a source file that somebody holds a lease on",
    ),
    Mutant(
        "what the SDK repeats counts against the retry budget",
        (
            Edit(
                "src/store/s3/errors.rs",
                "        if status.is_some() {\n            self.0.note_unclear();\n        }\n",
                "",
            ),
        ),
        "F2",
        "a time-out of the endpoint's, for ever",
    ),
)
