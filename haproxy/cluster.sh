#!/usr/bin/env bash
# What `make run` runs: Redis, moorline nodes and HAProxy on this machine, proved by one message each way.
#
# It stays in the foreground and owns every process it starts: whichever way it ends (Ctrl-C, a signal, a failed
# start, one of them dying), it ends exactly those, by their ids, and waits for them.
# It never touches a process it did not start, and writes nowhere but ./run and ./target.
#
# shellcheck disable=SC2317  # functions reached through `trap` and `wait_until` look unreachable to it
set -euo pipefail

# Where the kernel can do it, a killed `make` takes this script along, and a killed script its processes.
if [[ -n ${MAKELEVEL-} && -z ${MOORLINE_GUARDED-} ]] && command -v setpriv >/dev/null; then
    export MOORLINE_GUARDED=1
    exec setpriv --pdeathsig TERM -- "$0" "$@"
fi

cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH=$PATH:/usr/sbin:/sbin

BIND=${BIND:-127.0.0.1}
HTTPS_PORT=${HTTPS_PORT:-8443}
HTTP_PORT=${HTTP_PORT:-8080}
STATS_PORT=${STATS_PORT:-8404}
NODE_PORT=${NODE_PORT:-3001}
ADMIN_PORT=${ADMIN_PORT:-9001}
REDIS_PORT=${REDIS_PORT:-6390}
NODES=${NODES:-2}

START_SECONDS_MAX=30
STOP_SECONDS_MAX=3
LOOPBACK=127.0.0.1

PIDS=()         # in the order of starting
PREFIXERS=()    # what writes each process's name before its lines
declare -A NAME # of each process id

main() {
    trap stop EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    check_settings
    if haproxy/setup.sh run; then
        start_cluster
    else
        say "HAProxy and Redis cannot be had here, so this is one node with nothing around it."
        start_embedded
    fi
    say "Ctrl-C stops all of it."
    stay
}

start_cluster() {
    check_ports_cluster
    build
    make_certificate
    local i
    start redis redis-server --port "$REDIS_PORT" --bind "$LOOPBACK" --dir "$PWD/run" --save '' --appendonly no \
        --loglevel warning
    wait_until "Redis answers" redis_answers
    for ((i = 1; i <= NODES; i++)); do start_node "$i"; done
    for ((i = 1; i <= NODES; i++)); do
        wait_until "s$i is ready" answers_200 "$LOOPBACK" $((ADMIN_PORT + i - 1)) /readyz
    done
    start_haproxy
    wait_until "HAProxy answers" answers "$(reachable)" "$STATS_PORT" /
    prove "https://$(public_host):$HTTPS_PORT" "${TRUST[@]}"
    say_where_cluster
}

start_embedded() {
    check_ports_embedded
    build
    start moorline "$MOORLINE_BIN" serve --listen "$(bracketed "$BIND"):$HTTP_PORT"
    wait_until "the node answers" answers_200 "$(reachable)" "$HTTP_PORT" /
    prove "http://$(public_host):$HTTP_PORT"
    say "one moorline node, alone: http://$(public_host):$HTTP_PORT/ (ws://$(public_host):$HTTP_PORT/socket.io/)"
}

# The nodes and Redis stay on loopback whatever BIND says: the one public entry is HAProxy, with its TLS.
start_node() {
    local i=$1
    export "NODE_$i=$LOOPBACK:$((NODE_PORT + i - 1))" "ADMIN_$i=$LOOPBACK:$((ADMIN_PORT + i - 1))"
    start "s$i" "$MOORLINE_BIN" serve --listen "$LOOPBACK:$((NODE_PORT + i - 1))" \
        --admin "$LOOPBACK:$((ADMIN_PORT + i - 1))" --node "s$i" \
        --redis "redis://$LOOPBACK:$REDIS_PORT" --trusted-proxy 127.0.0.0/8
}

start_haproxy() {
    export BIND HTTPS_PORT HTTP_PORT STATS_PORT CERT
    haproxy -c -q -f haproxy/haproxy.cfg || fail "HAProxy refuses its configuration; its own words are above."
    start haproxy haproxy -db -f haproxy/haproxy.cfg
}

say_where_cluster() {
    local host
    host=$(public_host)
    say "moorline runs: $(counted "$NODES" node), Redis between them, HAProxy in front."
    say "  sockets        wss://$host:$HTTPS_PORT/socket.io/"
    say "  site           https://$host:$HTTPS_PORT/   (certificate: ${CERT_PUBLIC})"
    if [[ $host == localhost || $BIND == ::1 || $BIND == 127.* ]]; then
        say "  without TLS    http://$host:$HTTP_PORT/   (over loopback; elsewhere it redirects to HTTPS)"
        say "  HAProxy page   http://$host:$STATS_PORT/haproxy"
    elif [[ -n ${STATS_PASSWORD-} ]]; then
        say "  HAProxy page   http://$host:$STATS_PORT/haproxy   (user operator)"
    else
        say "  HAProxy page   closed: off loopback it needs STATS_PASSWORD"
    fi
}

counted() { if (($1 == 1)); then echo "one $2"; else echo "$1 ${2}s"; fi; }

# --- settings -------------------------------------------------------------------------------------------------

check_settings() {
    local name
    for name in HTTPS_PORT HTTP_PORT STATS_PORT NODE_PORT ADMIN_PORT REDIS_PORT; do
        is_port "${!name}" || fail "$name is \`${!name}\`, which is not a port number."
    done
    [[ $NODES =~ ^([1-9]|1[0-6])$ ]] || fail "NODES is \`$NODES\`; HAProxy's configuration has room for 1 to 16."
    # Addresses of nodes that someone exported for another HAProxy do not belong to this cluster.
    for ((i = 1; i <= 16; i++)); do unset "NODE_$i" "ADMIN_$i"; done
}

is_port() { [[ $1 =~ ^[1-9][0-9]{0,4}$ ]] && (($1 <= 65535)); }

declare -A CLAIMED # port -> who wants it

check_ports_cluster() {
    local i
    claim "$HTTPS_PORT" "HAProxy (HTTPS)" HTTPS_PORT
    claim "$HTTP_PORT" "HAProxy (plain HTTP)" HTTP_PORT
    claim "$STATS_PORT" "HAProxy's page" STATS_PORT
    claim "$REDIS_PORT" Redis REDIS_PORT
    for ((i = 1; i <= NODES; i++)); do
        claim $((NODE_PORT + i - 1)) "node s$i" NODE_PORT
        claim $((ADMIN_PORT + i - 1)) "the admin listener of s$i" ADMIN_PORT
    done
}

check_ports_embedded() { claim "$HTTP_PORT" "the node" HTTP_PORT; }

claim() {
    local port=$1 who=$2 variable=$3
    is_port "$port" || fail "Port $port, for $who, does not exist: choose a lower $variable."
    [[ -z ${CLAIMED[$port]-} ]] || fail "Port $port is wanted by ${CLAIMED[$port]} and by $who: change $variable."
    CLAIMED[$port]=$who
    ! is_taken "$port" ||
        fail "Port $port is in use by another program and $who needs it: free it, or choose another with $variable=…"
}

# A listener on any address counts (state 0A in the kernel's own table).
is_taken() {
    local suffix tables=() table
    printf -v suffix ':%04X' "$1"
    for table in /proc/net/tcp /proc/net/tcp6; do [[ -r $table ]] && tables+=("$table"); done
    awk -v suffix="$suffix" '$4 == "0A" && substr($2, length($2) - 4) == suffix { taken = 1 } END { exit !taken }' \
        "${tables[@]}"
}

is_wildcard() { [[ $BIND == 0.0.0.0 || $BIND == :: || $BIND == '*' ]]; }

bracketed() { if [[ $1 == *:* ]]; then echo "[$1]"; else echo "$1"; fi; }

reachable() { if is_wildcard; then echo "$LOOPBACK"; else echo "$BIND"; fi; }

public_host() {
    if is_wildcard || [[ $BIND == "$LOOPBACK" ]]; then echo localhost; else bracketed "$BIND"; fi
}

# --- what is made ---------------------------------------------------------------------------------------------

build() {
    [[ -z ${MOORLINE_BIN-} ]] || return 0
    command -v cargo >/dev/null || fail "cargo is missing: install Rust from https://rustup.rs, then open a new shell."
    command -v cc >/dev/null || fail "A C linker is missing (Debian: \`apt-get install gcc libc6-dev\`)."
    say "building the release binary (the first time takes a few minutes)"
    cargo build --release --locked -p moorline || fail "The build failed; cargo's own words are above."
    MOORLINE_BIN=${CARGO_TARGET_DIR:-target}/release/moorline
}

# A certificate of one's own (CERT) is used as it is; the probe cannot know whom it should trust then.
make_certificate() {
    mkdir -p run
    if [[ -n ${CERT-} ]]; then
        TRUST=(--insecure)
        CERT_PUBLIC=$CERT
        return
    fi
    haproxy/certificate.sh run "$(reachable)" || fail "OpenSSL could not make a certificate."
    CERT=$PWD/run/haproxy.pem
    CERT_PUBLIC="run/cert.pem, self-signed"
    TRUST=(--ca run/cert.pem)
}

prove() {
    say "a message each way, through $1:"
    "$MOORLINE_BIN" probe "$@" || fail "The probe failed: the cluster runs but does not carry messages."
}

# --- processes ------------------------------------------------------------------------------------------------

# In a session of its own, so that the terminal's Ctrl-C reaches this script alone, which then ends them in order.
start() {
    local name=$1 out guard=()
    shift
    if command -v setpriv >/dev/null; then guard=(setpriv --pdeathsig KILL --); fi
    exec {out}> >(prefix "$name")
    PREFIXERS+=($!)
    setsid "${guard[@]}" "$@" </dev/null >&"$out" 2>&1 {out}>&- &
    PIDS+=($!)
    NAME[$!]=$name
    exec {out}>&-
}

# Outlives Ctrl-C, or the last words of a process would be lost; ends when the process closes its output.
prefix() {
    trap '' INT TERM
    exec sed -u "s/^/$(label "$1") /"
}

label() {
    local colours=(36 32 33 35 34 31) padded number
    printf -v padded '%-8s|' "$1"
    if [[ ! -t 1 || -n ${NO_COLOR-} ]]; then
        echo "$padded"
        return
    fi
    number=$(cksum <<<"$1")
    printf '\033[%sm%s\033[0m' "${colours[${number%% *} % ${#colours[@]}]}" "$padded"
}

wait_until() {
    local what=$1 deadline=$((SECONDS + START_SECONDS_MAX)) pid
    shift
    until "$@"; do
        for pid in "${PIDS[@]}"; do is_running "$pid" || fail_because_ended "$pid"; done
        ((SECONDS < deadline)) || fail "Waited $START_SECONDS_MAX s, and still not: $what."
        sleep 0.1
    done
}

redis_answers() { [[ $(ask "$LOOPBACK" "$REDIS_PORT" 'PING\r\n') == +PONG* ]]; }

answers_200() { [[ $(get "$@") == 'HTTP/1.1 200'* ]]; }

# With anything at all: it may well redirect, or want a password.
answers() { [[ $(get "$@") == 'HTTP/1.1 '* ]]; }

get() { ask "$1" "$2" "GET $3 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"; }

# The first line of the answer. No curl: a fresh machine may have none.
ask() {
    local line=''
    {
        exec 3<>"/dev/tcp/$1/$2" || return 0
        printf '%b' "$3" >&3
        read -r -t 2 line <&3 || true
    } 2>/dev/null
    echo "$line"
}

# By the shell's own list, not by `kill -0`: an id may have passed to a stranger.
is_running() { jobs -pr | grep -qx "$1"; }

# From here on, being stopped is the expected end and no failure.
stay() {
    local pid=''
    trap 'exit 0' INT TERM
    wait -n -p pid "${PIDS[@]}" || true
    fail_because_ended "$pid"
}

fail_because_ended() {
    local status=0
    wait "$1" 2>/dev/null || status=$?
    fail "${NAME[$1]} ended on its own ($(how "$status")), so everything stops."
}

how() {
    if (($1 > 128)); then echo "signal $(kill -l $(($1 - 128)))"; else echo "exit code $1"; fi
}

# HAProxy first, so that it does not report the nodes as dead; SIGINT ends a node at once, without a drain.
stop() {
    local status=$? i
    trap '' INT TERM HUP
    trap - EXIT
    for ((i = ${#PIDS[@]} - 1; i >= 0; i--)); do stop_one "${PIDS[i]}"; done
    for i in "${PREFIXERS[@]}"; do wait "$i" 2>/dev/null || true; done
    ((${#PIDS[@]} == 0)) || say "stopped; nothing is left running."
    exit "$status"
}

stop_one() {
    local pid=$1 tries=$((STOP_SECONDS_MAX * 20)) signal=INT
    [[ ${NAME[$pid]} == s+([0-9]) || ${NAME[$pid]} == moorline ]] || signal=TERM
    if is_running "$pid"; then kill -s "$signal" "$pid" 2>/dev/null || true; fi
    while is_running "$pid" && ((tries-- > 0)); do sleep 0.05; done
    if is_running "$pid"; then kill -s KILL "$pid" 2>/dev/null || true; fi
    wait "$pid" 2>/dev/null || true
}

say() { echo "$(label run) $*"; }

fail() {
    echo "$(label run) $*" >&2
    exit 1
}

main
