"""The safeguards against other clients' uploads, and against servers that differ."""

from __future__ import annotations

from mutant import Edit, Mutant

_EARLIER = "src/transfer/upload/earlier.rs"

MUTANTS = (
    Mutant(
        "only uploads that a record names are gone on with",
        (
            Edit(
                _EARLIER,
                "let (Some(inner), Some(left)) = (&self.resuming.0, record.and_then(UploadRecord::left)) else {\n"
                "            return Ok(None);\n"
                "        };\n",
                "let (Some(inner), Some(_)) = (&self.resuming.0, record) else { return Ok(None) };\n"
                "        let object = &upload.object;\n"
                "        let listed = self.store.list_multiparts(&object.bucket, &object.key).await?;\n"
                "        let Some(first) = listed.into_iter().next() else {\n"
                "            return Ok(None);\n"
                "        };\n"
                "        let age = std::time::Duration::ZERO;\n"
                "        let left = crate::cache::uploads::LeftUpload { id: first.id, age };\n",
            ),
        ),
        "F28",
        "a live upload in the middle of its parts, SSE-KMS",
    ),
    Mutant(
        "a record that is held has a living owner",
        (
            Edit(
                "src/cache/uploads.rs",
                "Err(TryLockError::WouldBlock | TryLockError::Error(_)) => return None,",
                "Err(_) => {}",
            ),
        ),
        "F28",
        "another process with the same caches is at it",
    ),
    Mutant(
        "a record is written before the first part",
        (Edit(_EARLIER, "match record.write(&id) {", "match Ok::<(), std::io::Error>(()) {"),),
        "F28",
        "the parts that S3 has are not sent again",
    ),
    Mutant(
        "an old upload that gets parts is not stale",
        (
            Edit(
                "src/ops/abort_stale_uploads.rs",
                "if !parts.iter().all(|part| part.last_modified.is_some_and(is_older)) {",
                "if false && !parts.iter().all(|part| part.last_modified.is_some_and(is_older)) {",
            ),
        ),
        "F28",
        "an old upload that still gets parts",
    ),
    Mutant(
        "a listing goes on by IsTruncated",
        (
            Edit(
                "src/store/s3/listings.rs",
                "(Some(false), _) | (None, None) => Ok(None),",
                "(None, None) => Ok(None),",
            ),
        ),
        "F33",
        "listing: a token at the end",
    ),
    Mutant(
        "a truncated listing without a token is an error",
        (
            Edit(
                "src/store/s3/listings.rs",
                '(Some(true), None) => Err("it says',
                '(Some(true), None) if true => Ok(None),\n        (Some(true), None) => Err("it says',
            ),
        ),
        "F33",
        "truncated, no token",
    ),
    Mutant(
        "a listing that goes round in a circle is an error",
        (
            Edit(
                "src/store/listing.rs",
                "if !is_new(0, continuation) || !first.is_none_or(|first| is_new(1, first)) {",
                "let _ = (is_new(0, continuation), first.map(|first| is_new(1, first)));\n        if false {",
            ),
        ),
        "F33",
        "the same page for ever",
    ),
    Mutant(
        "an entry without a key is an error",
        (
            Edit(
                "src/store/s3/listings.rs",
                'page.objects.push((name(document, row, "Key")?, info));',
                'if let Ok(key) = name(document, row, "Key") {\n            page.objects.push((key, info));\n        }',
            ),
        ),
        "F33",
        "an entry without a key",
    ),
    Mutant(
        "a body without a length is checked against the manifest",
        (
            Edit(
                "src/transfer/download/whole.rs",
                "None => Failure::Wrong(wrong_size(download, object, receiving.received)),",
                "None => return Ok(receiving.finish()),",
            ),
            Edit("src/transfer/download/failure.rs", "if *found == download.expected {", "if true {"),
        ),
        "F33",
        "one byte less, in chunks",
    ),
    Mutant(
        "headers that are not needed fail no reply",
        (Edit("src/store/s3/replies.rs", "tidy_headers(response.headers_mut());", ""),),
        "F33",
        "body: Last-Modified 'yesterday'",
    ),
    Mutant(
        "what a server refuses is done without",
        (
            Edit(
                "src/store/s3/refusals.rs",
                "if !may_be_refusal(&failure) || !refusals.may_be_to_blame(bucket, used) {",
                "if true {",
            ),
        ),
        "F33",
        "refused: ",
    ),
    Mutant(
        "a 412 of a server that knows no conditions is not believed",
        (
            Edit(
                "src/store/s3/objects.rs",
                "let is_there = self.head_object(object).await?.is_some();",
                "let is_there = true;",
            ),
        ),
        "F33",
        "refused: If-None-Match with 412",
    ),
    Mutant(
        "outputs are found by their places, not by words in keys",
        (
            Edit(
                "src/ops/list_outputs.rs",
                "(task, below) if task.starts_with(TASK) => {",
                "(task, below) if key.contains(TASK) && !task.is_empty() => {",
            ),
        ),
        "F33",
        "root prefix",
    ),
)
