# The benchmark against the reference. QUICK=1: smaller workloads, under 50 seconds once built.
# BENCH="--workloads small,large --runs 5 --delay-ms 30 --peers" chooses.
.PHONY: bench
bench: build-release build-rig $(TARGET)/release/examples/bare_loops
	QUICK=$(QUICK) $(PYTHON) bench/run.py $(BENCH)

# What the cost is of more files and larger ones. SCALE="--most-files 1000000 --most-gib 16" for machines with the memory.
.PHONY: scale
scale: build-release build-rig
	$(PYTHON) bench/scale.py $(SCALE)

$(TARGET)/release/examples/bare_loops: Cargo.toml Cargo.lock $(shell find examples src -print)
	cargo build --quiet --release --example bare_loops
	touch $@
