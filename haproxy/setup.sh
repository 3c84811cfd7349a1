#!/usr/bin/env bash
# Installs what is missing, and says so: haproxy/setup.sh [run|test]
#
# run   what the cluster needs: HAProxy, Redis, OpenSSL, a C linker for cargo
# test  that, and what the tests need: Node.js with npm, the no_std target, cargo-deny   (the default)
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
    echo "cc gcc"
    echo "cc libc6-dev"
}

needed_to_test() {
    echo "node nodejs"
    echo "npm npm"
    echo "ip iproute2"
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
    local target=x86_64-unknown-none
    [[ -d $(rustc --print sysroot)/lib/rustlib/$target ]] && return 0
    say "adding the Rust target $target"
    rustup target add "$target"
}

require_cargo_deny() {
    cargo deny --version >/dev/null 2>&1 && return 0
    say "installing cargo-deny (this compiles it, a few minutes)"
    cargo install cargo-deny --locked
}

main() {
    local packages
    case ${1:-test} in
        run)
            mapfile -t packages < <(needed_to_run | missing_packages)
            install_packages "${packages[@]}"
            ;;
        test)
            mapfile -t packages < <({ needed_to_run; needed_to_test; } | missing_packages)
            install_packages "${packages[@]}"
            require_cargo
            require_target
            require_cargo_deny
            ;;
        *)
            say "\`$1\` is neither run nor test."
            return 2
            ;;
    esac
}

main "$@"
