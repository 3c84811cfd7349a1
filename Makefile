# The commands of this repository. `make` alone lists them.

.DEFAULT_GOAL := help
.PHONY: help setup run client test check bench soak

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "make run takes NODES=2 BIND=127.0.0.1 HTTPS_PORT=8443 HTTP_PORT=8080 STATS_PORT=8404 NODE_PORT=3001"
	@echo "ADMIN_PORT=9001 REDIS_PORT=6390, as in: make run NODES=4 HTTPS_PORT=9443"
	@echo "make bench takes QUICK=1, ROUNDS=6 and AGAINST=FILE: another moorline in Socket.IO's place, as in:"
	@echo "make bench AGAINST=/tmp/moorline-before, a copy of the binary as it was before a change"
	@echo "make soak takes SOAK=10: that many times the seeds and random cases of make test"

setup: ## install what everything below needs and this machine lacks (apt packages as root, Rust targets, cargo tools)
	@haproxy/setup.sh test

run: ## Redis, two nodes and HAProxy on this machine, proved by a message each way; Ctrl-C ends all of it
	@haproxy/cluster.sh

# The file that a build of the package writes last. Folders are sources too: a file that is removed changes its folder.
PACKAGE = client-wasm/pkg/package.json
PACKAGE_SOURCES = $(shell find client-wasm/build/src client-wasm/core/src client-wasm/src client-wasm/js server/protocol/src) \
	$(wildcard client-wasm/*.toml client-wasm/*/Cargo.toml server/protocol/Cargo.toml) \
	Cargo.toml Cargo.lock rust-toolchain.toml LICENSE client-wasm/README.md client-wasm/package-lock.json

client: $(PACKAGE) ## the browser's client as an npm package, in client-wasm/pkg

$(PACKAGE): $(PACKAGE_SOURCES)
	@haproxy/setup.sh client
	cargo run -p moorline-client-build

# npm writes this file last, so it is as new as what is installed.
CLIENT_TOOLS = client-wasm/node_modules/.package-lock.json
E2E_TOOLS = tests/e2e/node_modules/.package-lock.json
ATTACK_TOOLS = tests/attacks/node_modules/.package-lock.json

$(CLIENT_TOOLS) $(E2E_TOOLS) $(ATTACK_TOOLS): %/node_modules/.package-lock.json: %/package-lock.json
	cd $* && npm ci --no-audit --no-fund

check: $(CLIENT_TOOLS) ## formatting, lints, documentation, dependencies, types, and the builds without std
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy -p moorline-client --target wasm32-unknown-unknown --features npm -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items
	cargo deny check bans licenses sources
	cargo build -p moorline-protocol -p moorline-core -p moorline-client-core --target x86_64-unknown-none
	cd client-wasm && npm run types

bench: ## moorline beside Socket.IO from npm: CPU, memory, latency (about 5 minutes; QUICK=1: under one)
	@haproxy/setup.sh $(if $(AGAINST),run,test)
	cargo build --release -p moorline -p moorline-load
	$(if $(AGAINST),,cd tests/load/peer && npm ci --no-audit --no-fund)
	target/release/moorline-load $(if $(QUICK),--quick) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(AGAINST),--against '$(AGAINST)')

# With every crate of the workspace, so that the crates below are not built a second time with other features.
BINARIES = cargo build --workspace --bins --examples

test: setup check client $(E2E_TOOLS) $(ATTACK_TOOLS) ## everything: units, properties, real parts, attacks
	cargo test --workspace
	$(BINARIES)
	cd tests/e2e && npm test
	cd tests/attacks && npm test

SOAK = 10

soak: setup client $(E2E_TOOLS) $(ATTACK_TOOLS) ## the long forms of the tests, and the attacks (SOAK=10)
	SOAK=$(SOAK) cargo test --workspace
	$(BINARIES)
	cd tests/e2e && SOAK=$(SOAK) npm test
	cargo build --release -p moorline
	cd tests/attacks && npm run attacks
