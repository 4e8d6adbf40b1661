# Each target brings all its own set-up; a machine with the Swift toolchain is enough.

SWIFT ?= swift
SEEDS ?= 200
FUZZ_SECONDS ?= 600
SWIFT_SOURCES := Sources Tests interop Package.swift
RELEASE_FLAGS := -c release --static-swift-stdlib
# The default linker warns once per sanitizer symbol; lld, which the toolchain brings, does not.
SANITIZER_FLAGS := --disable-xctest --no-parallel -Xswiftc -use-ld=lld

.DEFAULT_GOAL := build
.NOTPARALLEL:
.PHONY: build release demo test check bench fuzz interop format clean help \
  fuzz-smoke lint sanitize-thread sanitize-address setup-build setup-demo setup-test setup-interop setup-bench

build: setup-build ## Build everything for debugging
	$(SWIFT) build

release: setup-build ## Build .build/release/qtun, which needs no Swift installation to run
	$(SWIFT) build $(RELEASE_FLAGS) --product qtun

demo: setup-demo release ## Send a page and a 256 MiB file through a tunnel on this machine
	scripts/demo

# Package.swift turns every warning into an error.
test: setup-test ## Run unit, simulation and loopback tests, foreign peers and the command line
	$(SWIFT) build --build-tests
	$(SWIFT) test --skip-build --disable-xctest
	interop/run-tests
	interop/run-matrix --short
	interop/run-cli-tests --qtun .build/debug/qtun
	interop/run-lab-tests .build/debug/qtun

check: lint release ## Lint, release build, tests with more seeds, thread and address sanitizers
	QTUN_SEEDS=$(SEEDS) $(MAKE) test
	$(MAKE) sanitize-thread sanitize-address
	interop/run-fuzz --seconds 60

bench: setup-bench ## Measure throughput, latency, connection rate and memory
	$(SWIFT) build $(RELEASE_FLAGS) --product qtun
	$(SWIFT) build $(RELEASE_FLAGS) --product qtun-load
	python3 interop/bench.py --qtun .build/release/qtun --load .build/release/qtun-load $(BENCH_ARGS)

# Three rounds of some 130 cases. INTEROP_ARGS="--only retry --peer aioquic" plays parts, and writes nothing.
interop: setup-interop ## Play the public runner's cases against other QUIC stacks, into interop/RESULTS.md
	$(SWIFT) build
	interop/run-matrix $(if $(INTEROP_ARGS),$(INTEROP_ARGS),--repeat 3 --write)

# A finding is an input in .build/fuzz/findings; it becomes a unit test, and a seed in interop/Fuzz/Corpus.
fuzz: setup-build ## Run every family of fuzz targets for FUZZ_SECONDS
	interop/run-fuzz --seconds $(FUZZ_SECONDS)

# `make check` takes a minute of each.
fuzz-smoke: setup-build
	interop/run-fuzz --seconds 20

format: ## Rewrite the sources in the house format
	$(SWIFT) format format --in-place --parallel --recursive $(SWIFT_SOURCES)

clean: ## Remove everything that was built
	rm -rf .build

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

lint:
	$(SWIFT) format lint --strict --parallel --recursive $(SWIFT_SOURCES)

# Separate folders, so that an instrumented build never replaces the plain one. One test at a time: all
# at once, each waits for the others for longer than its own time limit.
sanitize-thread: setup-build
	$(SWIFT) test $(SANITIZER_FLAGS) --sanitize=thread --scratch-path .build/tsan

# Leaks are counted by tests of their own (descriptors, memory after ten thousand flows): the sanitizer
# reports Swift's lazy globals and the simulated worlds that a test leaves standing.
sanitize-address: setup-build
	ASAN_OPTIONS=detect_leaks=0 $(SWIFT) test $(SANITIZER_FLAGS) --sanitize=address --scratch-path .build/asan

setup-build setup-demo setup-test setup-interop setup-bench: setup-%:
	@scripts/setup $*
