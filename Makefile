# The commands of this repository. `make` alone lists them.

.DEFAULT_GOAL := help
.PHONY: help setup run client test check bench

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "make run takes NODES=2 BIND=127.0.0.1 HTTPS_PORT=8443 HTTP_PORT=8080 STATS_PORT=8404 NODE_PORT=3001"
	@echo "ADMIN_PORT=9001 REDIS_PORT=6390, as in: make run NODES=4 HTTPS_PORT=9443"
	@echo "make bench takes QUICK=1, ROUNDS=6 and AGAINST=FILE: another moorline in Socket.IO's place, as in:"
	@echo "make bench AGAINST=/tmp/moorline-before, a copy of the binary as it was before a change"

setup: ## install what everything below needs and this machine lacks (apt packages as root, Rust targets, cargo tools)
	@haproxy/setup.sh test

run: ## Redis, two nodes and HAProxy on this machine, proved by a message each way; Ctrl-C ends all of it
	@haproxy/cluster.sh

client: ## the browser's client as an npm package, in client-wasm/pkg
	@haproxy/setup.sh client
	cargo run -p moorline-client-build

# npm writes this file last, so it is as new as what is installed.
CLIENT_TOOLS = client-wasm/node_modules/.package-lock.json

$(CLIENT_TOOLS): client-wasm/package-lock.json
	cd client-wasm && npm ci --no-audit --no-fund

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

test: setup check client ## check, unit and property tests, then end to end through real HAProxy, Redis and Chromium
	cargo test --workspace
	cargo build -p moorline --bins --examples
	cd tests/e2e && npm ci --no-audit --no-fund && npm test
