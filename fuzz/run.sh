#!/bin/sh
# Fuzzes a target for some seconds without cargo-fuzz: ./run.sh decode 600
set -eu
cd "$(dirname "$0")"
target=${1:-decode}
seconds=${2:-600}
host=$(rustc +nightly -vV | sed -n 's/^host: //p')
export RUSTFLAGS="--cfg fuzzing -Zsanitizer=address -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions"
cargo +nightly build --quiet --release --target "$host" --bin "$target"
mkdir -p artifacts target/found
# What is found goes to target/found; the committed corpus stays as it is.
exec "target/$host/release/$target" target/found "corpus/$target" -artifact_prefix=artifacts/ -max_total_time="$seconds" \
    -max_len=8192 -rss_limit_mb=1024 -timeout=10 -print_final_stats=1
