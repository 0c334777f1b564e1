# shmflow: `make` lists what can be done here. The only prerequisite is Rust (see tools/check-rust.sh);
# everything else is installed by `make deps`; each target first installs what it needs.

MSRV      := 1.92
CARGO     ?= cargo
# Only for `make test`, `bench` and the like: what they need of /dev/shm, in MiB.
SHM_TEST  := 512
SOAK_SECONDS ?= 600
FUZZ_SECONDS ?= 60
# For the faults that go on for a time, together; CHAOS="--only kill" for a part, "--list" for what there is.
CHAOS_SECONDS ?= 300
CHAOS        ?=
MIRI_FLAGS   ?= -Zmiri-many-seeds=0..16
# What `make test-old` and `make semver` compare with: the last tag, where there is one.
OLD          ?= $(shell git describe --tags --abbrev=0 2>/dev/null)

export CARGO_TERM_PROGRESS_WHEN ?= auto
# Where cargo is not to be found, as under sudo, it is what it would be by default.
target_dir = $(or $(shell $(CARGO) metadata --format-version 1 --no-deps 2>/dev/null | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p'),$(CARGO_TARGET_DIR),$(CURDIR)/target)

# Where `make install` puts things: to this user's own places, or, with PREFIX (or DESTDIR, for packages), below it.
PREFIX      ?= $(if $(DESTDIR),/usr/local)
multiarch    = $(shell gcc -print-multiarch 2>/dev/null)
prefix       = $(or $(PREFIX),$(HOME)/.local)
# Debian's own prefix has a directory for each architecture.
LIBDIR      ?= $(prefix)/lib$(if $(PREFIX),$(if $(multiarch),$(if $(wildcard $(PREFIX)/lib/$(multiarch)/.),/$(multiarch))))
user_plugins = $(or $(XDG_DATA_HOME),$(HOME)/.local/share)/gstreamer-1.0/plugins
plugin_dir   = $(if $(PREFIX),$(LIBDIR)/gstreamer-1.0,$(user_plugins))
built       ?= $(target_dir)/release
# Debug information is most of what is built. The names of functions stay, for profilers. STRIP=true leaves it all in.
STRIP       ?= strip
install_stripped = install -D -m $(1) "$(built)/$(2)" "$(DESTDIR)$(3)" && $(STRIP) --strip-debug "$(DESTDIR)$(3)"
version      = $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
library      = libshmflow.so.$(version)
as_installed = sed 's|@PREFIX@|$(prefix)|; s|@LIBDIR@|$(LIBDIR)|; s|@VERSION@|$(version)|; s|@LIBRARY@|$(library)|; s|@SONAME@|$(soname)|; s|@POINTER@|$(pointer)|'
pointer      = $(shell printf '__SIZEOF_POINTER__' | $(or $(CC),cc) -E -P - 2>/dev/null | tail -n 1)
soname       = $(shell sed -n 's/^const ABI: u32 = \(.*\);/libshmflow.so.\1/p' capi/build.rs)

# What is in the workspace decides what the targets do, so that each commit's Makefile fits it.
package = $(shell grep -qs '^name = "$(1)"' $(2)/Cargo.toml && echo yes)
has_bench   := $(call package,shmflow-bench,benches)
has_chaos   := $(call package,shmflow-chaos,benches/chaos)
has_bridge  := $(call package,shmflow-bridge,bridge)
# All but the ring's benchmarks and the bridge: these take minutes to build, and the former need a C compiler's library.
members     := --workspace $(if $(has_bench),--exclude shmflow-bench) $(if $(has_bridge),--exclude shmflow-bridge)
targets_32  := i686-unknown-linux-gnu armv7-unknown-linux-gnueabihf
has_demo    := $(call package,shmflow-demo,examples/demo)
has_models  := $(wildcard ring/src/protocol/models)
# Tests that stop or kill a process at a named point need the points compiled in.
has_points  := $(shell grep -ls 'feature = "failpoints"\|features = \["failpoints"\]' ring/tests/*.rs ring/Cargo.toml)
# Features of the ring for those who ask for them, and the tests that need them. (`failpoints` is none of those.)
ring_features := tokio,tracing,zerocopy
ring_feature_tests := $(addprefix --test ,tokio tracing typed)
has_python  := $(wildcard pyproject.toml)
fuzz_targets = $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))

# The newest wheel for this or another processor that is for all of CPython; others may lie beside it.
wheel_for    = $$(tools/newest-wheel.sh "$(target_dir)/wheels" $(1))

# What is installed. The plugin by itself, and not as a crate for Rust programs as well: only so does cargo make one piece of code of
# it (link-time optimisation), and only so is no feature of the ring in it that the C library asks for (docs/performance.md).
build_plugin = $(CARGO) rustc --release --locked -p gst-plugin-shmflow --lib --crate-type cdylib
define build_products
	$(CARGO) build --release --locked -p shmflow-capi -p shmflow-cli
	$(build_plugin)
endef

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help deps build-deps built build test test-fast demo wheel wheel-aarch64 test-wheel-13 test-sdist test-old minimal-versions semver deb test-deb python-bench bench compare loom miri soak fuzz doc lint deny check-32 lint-bench install uninstall clean rust deps-list compare-due compare-13 compare-doc chaos bridge test-bridge pictures test-cinstall

help: ## show this list
	@echo "shmflow: zero-copy video and data between processes over shared memory"
	@echo
	@sed -n 's/^\([a-z][a-z0-9-]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | while IFS='|' read -r name text; do printf '%-22s %s\n' "$$name" "$$text"; done
	@echo
	@echo "New here? make demo, then make test. Prerequisite: Rust >= $(MSRV)."
	@echo "What make test leaves out, what it takes and when to run it: docs/proof.md, Longer tests."

rust:
	@tools/check-rust.sh $(MSRV)

deps: rust ## install what is needed for all of it (Debian 12 and 13), nothing if all is there
	@tools/deps.sh test python

build-deps: rust ## install what is needed to build, and no more
	@tools/deps.sh

deps-list: ## say what `make deps` would install, and install nothing
	@tools/deps.sh --dry-run test python

build: build-deps ## the plugin, the C library and the command, optimised
	$(build_products)
	@echo "the plugin, for GST_PLUGIN_PATH: $$(tools/plugin-folder.sh "$(target_dir)/release")"

bridge: build-deps ## shmflow-bridge, which takes topics to other hosts (docs/hosts.md; with Zenoh, minutes)
	$(CARGO) build --release --locked -p shmflow-bridge

lint: deps ## formatting and clippy, warnings denied
	@tools/check-rust.sh $(MSRV) lint
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(members) --all-targets --locked -- -D warnings
	$(if $(has_points),$(CARGO) clippy -p shmflow --all-targets --features failpoints --locked -- -D warnings)
	$(CARGO) clippy -p shmflow --all-targets --features $(ring_features) --locked -- -D warnings

deny: rust ## licences, advisories and sources of what is built in (installs cargo-deny; needs a network)
	@CARGO="$(CARGO)" tools/cargo-tool.sh cargo-deny deny
	$(CARGO) deny --workspace check

check-32: rust ## the ring, the command and the C library for 32-bit processors (needs rustup, to get their standard library)
	@rustup target add $(targets_32) || { echo "check-32: this needs rustup, and a network at the first time"; exit 1; }
	$(CARGO) check $(addprefix --target ,$(targets_32)) -p shmflow -p shmflow-cli -p shmflow-capi --locked

lint-bench: deps ## the same for the benchmarks of the ring, with the libraries they compare it to
	@tools/deps.sh bench
	$(CARGO) clippy -p shmflow-bench --all-targets --locked -- -D warnings

doc: deps ## the API documentation, warnings denied
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc $(members) --no-deps --locked
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc -p shmflow --features $(ring_features) --no-deps --locked

test: lint doc ## lint, doc, tests, models, corpora, but not the bridge: make test-bridge (cold: half an hour on 2 cores; docs/proof.md)
	@tools/check-shm.sh $(SHM_TEST)
	$(build_products)
	$(if $(has_python),tools/test-python.sh)
	$(if $(has_python),wheel=$(call wheel_for,$$(uname -m)) && tools/test-wheel.sh "$$wheel" "$(target_dir)/wheel-test")
	$(if $(has_chaos),PYTHON="$(target_dir)/python-test/bin/python" $(CARGO) run --locked -p shmflow-chaos -- --quick --strict \
	    --products "$(target_dir)/release" --markdown "$(target_dir)/chaos-quick.md" --json "$(target_dir)/chaos-quick.json")
	/usr/bin/python3 tools/test-containers.py "$(target_dir)/release"
	$(if $(has_python),tools/test-conformance.sh "$(target_dir)/release" "$(target_dir)/python-test/bin/python")
	$(if $(has_points),$(CARGO) test --locked --no-fail-fast -p shmflow --features failpoints --test kill_matrix --test kill_points)
	$(CARGO) test --locked --no-fail-fast -p shmflow --features $(ring_features) $(ring_feature_tests)
	$(CARGO) test --locked -p shmflow --features $(ring_features) --doc
	$(CARGO) test $(members) --locked --no-fail-fast

test-old: $(if $(OLD),deps build) ## this build beside that of OLD=<tag or commit> (the last tag): each conformance program with those of the other
	$(if $(OLD),old=$$(tools/build-old.sh "$(OLD)" "$(target_dir)/old") && python=$$(tools/install-python.sh) && \
	    tools/test-conformance.sh "$(target_dir)/release" "$$python/bin/python" "$$old",@echo "test-old: there is no tag yet to compare with; with any commit: make test-old OLD=<commit>")

minimal-versions: build-deps ## what is built, with the oldest versions of its dependencies that Cargo.toml names (minutes, a network)
	tools/minimal-versions.sh "$(target_dir)/minimal-versions"

semver: $(if $(OLD),rust) ## whether the crate's interface has changed since OLD=<tag> (the last one), as its version says (installs cargo-semver-checks)
	$(if $(OLD),@CARGO="$(CARGO)" tools/cargo-tool.sh cargo-semver-checks semver-checks,@echo "semver: there is no tag yet to compare with")
	$(if $(OLD),$(CARGO) semver-checks -p shmflow --baseline-rev "$(OLD)")

test-bridge: deps ## lint and tests of the bridge, with bridges between two directories and two network namespaces (minutes)
	@tools/deps.sh bridge
	@tools/check-shm.sh $(SHM_TEST)
	$(build_plugin)
	@tools/plugin-folder.sh "$(target_dir)/release"
	$(CARGO) clippy --release -p shmflow-bridge --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release -p shmflow-bridge --no-deps --locked
	$(CARGO) test --release --locked --no-fail-fast -p shmflow-bridge

test-fast: deps ## the tests alone, without lint, doc and models
	$(CARGO) test --locked

loom: deps ## the protocol under the loom model checker, one preemption deeper than the tests
	$(if $(has_models),SHMFLOW_MODELS_DEEPER=1 $(CARGO) test --release --locked -p shmflow --lib models -- --nocapture,@echo "loom: there are no models yet.")

miri: rust ## the pure core under Miri (needs a nightly toolchain with the miri component)
	@$(CARGO) +nightly miri --version >/dev/null 2>&1 || { \
	  echo "Miri is not installed here. Where the network allows it:"; \
	  echo "    rustup toolchain install nightly --component miri rust-src"; exit 1; }
	MIRIFLAGS="$(MIRI_FLAGS) $(MIRIFLAGS)" $(CARGO) +nightly miri test -p shmflow --lib

demo: deps build ## decode a real video in one process; show, measure and re-encode it in others
	@tools/check-shm.sh 256
	$(if $(has_demo),$(CARGO) run --release --locked -p shmflow-demo --,@echo "demo: it comes with the elements."; exit 1)

wheel: rust ## for pip: package, command and plugin in one wheel, and the sources, in target/wheels (PYTHONS="3.10 3.13t")
	@tools/deps.sh python
	tools/build-wheel.sh "$(target_dir)/wheels" $(PYTHONS)
	tools/build-wheel.sh "$(target_dir)/wheels" sdist

wheel-aarch64: rust ## the same wheel for 64-bit ARM, built in a Debian 13 below target/, and run by qemu (needs root rights)
	@tools/deps.sh roots
	tools/build-wheel-aarch64.sh "$(target_dir)/wheels"
	wheel=$(call wheel_for,aarch64) && tools/test-wheel-aarch64.sh "$$wheel"

test-wheel-13: wheel ## install the wheel in a Debian 13 of its own, below target/, and use it there (needs root rights)
	@tools/deps.sh roots
	wheel=$(call wheel_for,$$(uname -m)) && tools/test-wheel-13.sh "$$wheel"

test-sdist: wheel ## install the sources by pip into an empty environment, and use what was built (minutes)
	tools/test-wheel.sh "$(target_dir)"/wheels/shmflow-*.tar.gz "$(target_dir)/sdist-test"

deb: wheel build ## Debian packages of all parts, in target/debs (built on Debian 12 they fit 12 and newer)
	@tools/deps.sh debs
	wheel=$(call wheel_for,$$(uname -m)) && tools/build-debs.sh "$(target_dir)/release" "$$wheel" "$(target_dir)/debs"

test-deb: deb ## install the packages in a bare Debian 12 and 13, below target/, use and remove them (needs root rights)
	@tools/deps.sh roots
	tools/test-debs.sh bookworm "$(target_dir)/debs"
	tools/test-debs.sh trixie "$(target_dir)/debs"

test-cinstall: rust build-deps ## cargo cinstall of plugin and C library: the same files as make install (installs cargo-c; needs a network)
	@CARGO="$(CARGO)" tools/cargo-tool.sh cargo-c cinstall
	CARGO="$(CARGO)" tools/test-cinstall.sh "$(target_dir)/cinstall"

python-bench: deps build ## what receiving a frame costs in Python (a table)
	@tools/check-shm.sh 512
	GST_PLUGIN_PATH="$$(tools/plugin-folder.sh "$(target_dir)/release")" \
	    "$$(tools/install-python.sh)/bin/python" benches/python/bench.py

bench: deps ## the ring beside iceoryx2, memcpy and a bare futex (tables and JSON)
	@tools/deps.sh bench
	@tools/check-shm.sh 2048
	$(if $(has_bench),$(CARGO) run --release --locked -p shmflow-bench -- ring,@echo "bench: there is none yet."; exit 1)

compare: deps build ## the elements beside shmsink/shmsrc and what else this GStreamer has: tables, JSON, plots (COMPARE=--quick, --full)
	@tools/check-shm.sh 2048
	$(CARGO) build --release --locked -p shmflow-compare
	"$(target_dir)/release/shmflow-compare" --out "$(target_dir)/compare" $(COMPARE)

compare-13: build ## the same in a Debian 13 below target/, beside unixfd, PipeWire and iceoryx2, too (needs root rights; 20 minutes)
	@tools/deps.sh roots
	$(CARGO) build --release --locked -p shmflow-compare
	tools/compare-13.sh "$(target_dir)/release" "$(target_dir)/compare-13" $(COMPARE)

compare-due: deps build ## what busy-wait gains: a table by budget, pace, jitter and consumers (10 minutes; COMPARE=--quick, "--rounds 5")
	@tools/check-shm.sh 2048
	$(CARGO) build --release --locked -p shmflow-compare
	"$(target_dir)/release/shmflow-compare" due --out "$(target_dir)/compare-due" $(COMPARE)

compare-doc: ## docs/performance.md and its plots, out of the last runs of compare-13 and compare-due
	$(CARGO) build --release --locked -p shmflow-compare
	@set -e; done=; for run in compare-13 compare-due; do \
	    test -d "$(target_dir)/$$run" || continue; done=yes; \
	    "$(target_dir)/release/shmflow-compare" report --out "$(target_dir)/$$run" --write docs/performance.md; done; \
	  test -n "$$done" || { echo "compare-doc: there is no run: make compare-13, make compare-due"; exit 1; }

pictures: deps build ## the README's pictures anew: `shmflow top` and the page of `shmflow serve`, in docs/pictures (minutes)
	@tools/deps.sh pictures
	tools/screenshot-serve.sh
	SHMFLOW="$(target_dir)/release/shmflow" GST_PLUGIN_PATH="$$(tools/plugin-folder.sh "$(target_dir)/release")" tools/top-picture.sh

chaos: deps build ## every fault in one report: kills, damaged files, limits, signals … (CHAOS_SECONDS=300, CHAOS="--only NAME")
	@tools/check-shm.sh $(SHM_TEST)
	$(if $(has_chaos),CHAOS_SECONDS=$(CHAOS_SECONDS) PYTHON="$$(tools/install-python.sh)/bin/python" \
	    $(CARGO) run --release --locked -p shmflow-chaos -- $(CHAOS),@echo "chaos: there is none yet."; exit 1)

soak: deps ## the torture tests for long (SOAK_SECONDS=600)
	@tools/check-shm.sh $(SHM_TEST)
	SHMFLOW_TORTURE_SECONDS=$(SOAK_SECONDS) $(CARGO) test --release --locked --test 'torture*' -- --nocapture

fuzz: deps ## fuzz the attach path, and the readers of metadata, caps and structures (FUZZ_SECONDS=60 each; needs nightly)
	@$(CARGO) +nightly --version >/dev/null 2>&1 || { \
	  echo "Fuzzing needs a nightly toolchain: rustup toolchain install nightly"; exit 1; }
	@CARGO="$(CARGO)" tools/cargo-tool.sh cargo-fuzz fuzz
	@test -n "$(fuzz_targets)" || { echo "fuzz: there are no targets yet."; exit 1; }
	$(foreach target,$(fuzz_targets),$(CARGO) +nightly fuzz run $(target) -- -max_total_time=$(FUZZ_SECONDS) &&) true

# Root, by sudo, has no cargo as a rule: installs what the user has built.
install: $(if $(shell command -v $(CARGO)),build,built) ## the plugin, the command, the C library: to your own places, or below PREFIX= (and DESTDIR=)
	$(call install_stripped,0755,libgstshmflow.so,$(plugin_dir)/libgstshmflow.so)
	@test ! -x "$(built)/shmflow" || { set -x; $(call install_stripped,0755,shmflow,$(prefix)/bin/shmflow); }
	$(call install_stripped,0755,libshmflow.so,$(LIBDIR)/$(library))
	@test ! -x "$(built)/shmflow" || tools/install-help.sh "$(built)/shmflow" "$(DESTDIR)$(prefix)/share"
	ln -sf $(library) "$(DESTDIR)$(LIBDIR)/$(soname)"
	ln -sf $(soname) "$(DESTDIR)$(LIBDIR)/libshmflow.so"
	$(call install_stripped,0644,libshmflow.a,$(LIBDIR)/libshmflow.a)
	install -D -m 0644 capi/include/shmflow.h "$(DESTDIR)$(prefix)/include/shmflow.h"
	install -D -m 0644 capi/include/shmflow.hpp "$(DESTDIR)$(prefix)/include/shmflow.hpp"
	install -D -m 0644 capi/include/flow.h "$(DESTDIR)$(prefix)/include/shmflow/flow.h"
	install -d "$(DESTDIR)$(LIBDIR)/pkgconfig" "$(DESTDIR)$(LIBDIR)/cmake/shmflow"
	$(as_installed) capi/shmflow.pc.in > "$(DESTDIR)$(LIBDIR)/pkgconfig/shmflow.pc"
	$(as_installed) capi/cmake/shmflow-config.cmake.in > "$(DESTDIR)$(LIBDIR)/cmake/shmflow/shmflow-config.cmake"
	$(as_installed) capi/cmake/shmflow-config-version.cmake.in \
	  > "$(DESTDIR)$(LIBDIR)/cmake/shmflow/shmflow-config-version.cmake"
	$(if $(PREFIX),install -D -m 0644 -t "$(DESTDIR)$(prefix)/lib/systemd/system" packaging/systemd/shmflow@.service)
	$(if $(PREFIX),install -D -m 0644 -t "$(DESTDIR)$(prefix)/lib/sysusers.d" packaging/systemd/shmflow.conf)
	install -D -m 0644 -t "$(DESTDIR)$(prefix)/share/doc/shmflow" LICENSE-MIT LICENSE-APACHE
	@test -n "$(DESTDIR)" || tools/after-install.sh "$(plugin_dir)" "$(LIBDIR)" "$(prefix)/bin"

built:
	@test -f "$(built)/libgstshmflow.so" || { echo "install: there is nothing in $(built); first, as yourself: make build"; exit 1; }

uninstall: ## remove these copies (with the same PREFIX= and DESTDIR=)
	rm -f "$(DESTDIR)$(plugin_dir)/libgstshmflow.so" "$(DESTDIR)$(prefix)/bin/shmflow" \
	  "$(DESTDIR)$(LIBDIR)/$(library)" "$(DESTDIR)$(LIBDIR)/$(soname)" "$(DESTDIR)$(LIBDIR)/libshmflow.so" \
	  "$(DESTDIR)$(LIBDIR)/libshmflow.a" "$(DESTDIR)$(LIBDIR)/pkgconfig/shmflow.pc" \
	  "$(DESTDIR)$(LIBDIR)/cmake/shmflow/shmflow-config.cmake" \
	  "$(DESTDIR)$(LIBDIR)/cmake/shmflow/shmflow-config-version.cmake" \
	  "$(DESTDIR)$(prefix)/include/shmflow.h" "$(DESTDIR)$(prefix)/include/shmflow.hpp" \
	  "$(DESTDIR)$(prefix)/include/shmflow/flow.h" \
	  "$(DESTDIR)$(prefix)/share/man/man1/shmflow.1" "$(DESTDIR)$(prefix)/share/man/man1/shmflow-"*.1 \
	  "$(DESTDIR)$(prefix)/share/bash-completion/completions/shmflow" "$(DESTDIR)$(prefix)/share/zsh/site-functions/_shmflow" \
	  "$(DESTDIR)$(prefix)/share/fish/vendor_completions.d/shmflow.fish" \
	  "$(DESTDIR)$(prefix)/lib/systemd/system/shmflow@.service" "$(DESTDIR)$(prefix)/lib/sysusers.d/shmflow.conf" \
	  "$(DESTDIR)$(prefix)/share/doc/shmflow/LICENSE-MIT" "$(DESTDIR)$(prefix)/share/doc/shmflow/LICENSE-APACHE"
	@for dir in "$(prefix)/include/shmflow" "$(prefix)/share/doc/shmflow" "$(LIBDIR)/cmake/shmflow"; do \
	  test ! -d "$(DESTDIR)$$dir" || rmdir "$(DESTDIR)$$dir"; done

clean: ## remove everything that was built
	$(CARGO) clean
	rm -rf demo-out python/package/shmflow/bin python/package/shmflow/gstreamer-1.0
