# Everything from a fresh clone: each target installs what is missing, builds, and runs.

PREFIX ?= /usr/local
PROGRAMS = churnstream producer consumer autoscaler
CARGO ?= cargo

.PHONY: help setup build demo test soak quality bench fuzz lint install uninstall clean

help:
	@echo "make demo      the whole system on this machine, from nothing, in one go"
	@echo "make test      all tests"
	@echo "make soak      the long proofs: all tests at full length, then the fuzz targets"
	@echo "make quality   how near a model comes to the best possible one on a simulated service (half an hour, 30 GB)"
	@echo "make bench     the benchmarks"
	@echo "make fuzz      each fuzz target for FUZZ_SECONDS (60), where a nightly toolchain is installed"
	@echo "make lint      format, clippy, licences and sources of dependencies, docs"
	@echo "make build     optimised programs in target/release"
	@echo "make install   programs and libxgboost under PREFIX ($(PREFIX))"
	@echo "make setup     only what a build needs; make clean removes what was built"

setup:
	@scripts/setup

build: setup
	$(CARGO) build --release --locked $(addprefix -p ,$(PROGRAMS)) --bins

# With the programs that it names at its end.
demo: build
	$${CARGO_TARGET_DIR:-target}/release/churnstream demo

test: setup
	@scripts/test

soak: setup
	@CHURNSTREAM_SOAK=full scripts/test
	@scripts/fuzz

quality: build
	@scripts/simulator-quality

bench: setup
	@scripts/bench

fuzz: setup
	@scripts/fuzz

lint: setup
	@scripts/lint

# The library keeps its folders: it finds its own OpenMP library beside itself.
install: build
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/churnstream/xgboost/lib $(DESTDIR)$(PREFIX)/lib/churnstream/xgboost_cpu.libs
	install -m 755 $(addprefix target/release/,$(PROGRAMS)) $(DESTDIR)$(PREFIX)/bin
	install -m 755 native/xgboost/lib/libxgboost.so $(DESTDIR)$(PREFIX)/lib/churnstream/xgboost/lib
	install -m 755 native/xgboost_cpu.libs/* $(DESTDIR)$(PREFIX)/lib/churnstream/xgboost_cpu.libs

uninstall:
	rm -rf $(DESTDIR)$(PREFIX)/lib/churnstream
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/bin/,$(PROGRAMS))

clean:
	rm -rf target native .tools
