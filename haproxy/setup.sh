#!/usr/bin/env bash
# Installs what is missing, and says so: haproxy/setup.sh [run|client|test]
#
# run     what the cluster needs: HAProxy, Redis, OpenSSL, a C linker for cargo
# client  what the build of the browser's client needs: a C linker for cargo, Node.js with npm, the WebAssembly target
# test    all that, and what the tests need: Chromium with its driver, Python clients, the no_std target, cargo-deny,
#         wasm-pack and wasm-bindgen's test runner   (the default)
#
# Exit 0: everything is there. Exit 3: packages are missing and this user cannot install them; one sentence said which.
# Never asks for a password, never adds a package source, never touches a configuration.
set -euo pipefail

say() { echo "setup: $*" >&2; }

# Debian keeps daemons in /usr/sbin, which an ordinary user's PATH lacks.
PATH=$PATH:/usr/sbin:/sbin

missing_packages() {
    local command package
    while read -r command package; do
        command -v "$command" >/dev/null || echo "$package"
    done | sort -u
}

needed_to_run() {
    echo "haproxy haproxy"
    echo "redis-server redis-server"
    echo "openssl openssl"
    needed_to_compile
}

needed_to_compile() {
    echo "cc gcc"
    echo "cc libc6-dev"
}

needed_for_the_client() {
    needed_to_compile
    echo "node nodejs"
    echo "npm npm"
}

needed_to_test() {
    echo "ip iproute2"
    echo "chromium chromium"
    echo "chromedriver chromium-driver"
    # Backends and clients in Python run on Debian's own, whatever else is on the PATH.
    local module package
    while read -r module package; do
        /usr/bin/python3 -c "import $module" 2>/dev/null || echo "no-such-command $package"
    done <<'MODULES'
redis python3-redis
socketio python3-socketio
requests python3-requests
websocket python3-websocket
MODULES
}

install_packages() {
    local packages=("$@")
    (( ${#packages[@]} )) || return 0
    if ! command -v apt-get >/dev/null; then
        say "${packages[*]} missing and there is no apt here: install them with this system's package manager."
        return 3
    fi
    if (( EUID != 0 )); then
        say "${packages[*]} missing and only root can install: run \`apt-get install ${packages[*]}\` as root."
        return 3
    fi
    say "installing ${packages[*]} with apt (Debian may start its own Redis and HAProxy services; moorline uses neither)"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -q && apt-get install -q -y --no-install-recommends "${packages[@]}"; } >&2 && return 0
    say "apt could not install ${packages[*]}; its own words are above."
    return 3
}

require_cargo() {
    command -v cargo >/dev/null && return 0
    say "cargo is missing: install Rust from https://rustup.rs, then open a new shell."
    return 1
}

require_target() {
    local target=$1
    [[ -d $(rustc --print sysroot)/lib/rustlib/$target ]] && return 0
    say "adding the Rust target $target"
    rustup target add "$target"
}

require_cargo_deny() {
    cargo deny --version >/dev/null 2>&1 && return 0
    say "installing cargo-deny (this compiles it, a few minutes)"
    cargo install cargo-deny --locked
}

WASM_PACK=0.15.1

require_wasm_pack() {
    [[ $(wasm-pack --version 2>/dev/null) == "wasm-pack $WASM_PACK" ]] && return 0
    say "installing wasm-pack $WASM_PACK (this compiles it, a few minutes)"
    cargo install wasm-pack --version "$WASM_PACK" --locked
}

# The test runner understands what the crate wrote only if both are of one version.
require_wasm_bindgen() {
    local version
    version=$(locked_version wasm-bindgen)
    [[ $(wasm-bindgen-test-runner --version 2>/dev/null) == "wasm-bindgen-test-runner $version" ]] && return 0
    say "installing wasm-bindgen-cli $version (this compiles it, a few minutes)"
    # Not --locked: the version that counts is its own, and that one is exact.
    cargo install "wasm-bindgen-cli@$version"
}

locked_version() {
    awk -v name="name = \"$1\"" '$0 == name { getline; gsub(/[^0-9.]/, ""); print; exit }' \
        "$(dirname "${BASH_SOURCE[0]}")/../Cargo.lock"
}

main() {
    local packages
    case ${1:-test} in
        run)
            mapfile -t packages < <(needed_to_run | missing_packages)
            install_packages "${packages[@]}"
            ;;
        client)
            mapfile -t packages < <(needed_for_the_client | missing_packages)
            install_packages "${packages[@]}"
            require_cargo
            require_target wasm32-unknown-unknown
            ;;
        test)
            mapfile -t packages < <({ needed_to_run; needed_for_the_client; needed_to_test; } | missing_packages)
            install_packages "${packages[@]}"
            require_cargo
            require_target x86_64-unknown-none
            require_target wasm32-unknown-unknown
            require_cargo_deny
            require_wasm_pack
            require_wasm_bindgen
            ;;
        *)
            say "\`$1\` is none of run, client and test."
            return 2
            ;;
    esac
}

main "$@"
