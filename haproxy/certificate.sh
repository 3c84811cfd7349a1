#!/usr/bin/env bash
# Makes a self-signed certificate for a first look: haproxy/certificate.sh DIR [ADDRESS]
#
# DIR/cert.pem     the certificate alone: what a client is told to trust
# DIR/haproxy.pem  the same with its private key, readable by its owner only: what HAProxy's CERT names
#
# Names localhost, 127.0.0.1, ::1 and ADDRESS. One that is still valid and covers ADDRESS is kept.
# It is no authority (CA:FALSE): whoever trusts it trusts this one key for these names, and nothing it could sign.
set -euo pipefail

dir=$1
address=${2:-127.0.0.1}

covers() { openssl x509 -in "$dir/cert.pem" -noout "-check$1" "$address" 2>/dev/null | grep -q 'does match'; }

still_good() {
    [[ -s $dir/haproxy.pem && -s $dir/cert.pem ]] || return 1
    openssl x509 -in "$dir/cert.pem" -noout -checkend 86400 >/dev/null || return 1
    covers ip || covers host
}

kind_of() { if [[ $1 == *:* || $1 =~ ^[0-9.]+$ ]]; then echo IP; else echo DNS; fi; }

if still_good; then exit 0; fi

mkdir -p "$dir"
umask 077
draft=$(mktemp -d "$dir/.cert.XXXXXX")
trap 'rm -rf "$draft"' EXIT
cat >"$draft/openssl.cnf" <<CONFIG
[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
CN = localhost
O = moorline (self-signed)
[extensions]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1, IP:::1, $(kind_of "$address"):$address
CONFIG
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 \
    -config "$draft/openssl.cnf" -keyout "$draft/key.pem" -out "$draft/cert.pem" 2>"$draft/log" ||
    { cat "$draft/log" >&2; exit 1; }
cat "$draft/cert.pem" "$draft/key.pem" >"$draft/haproxy.pem"
chmod 644 "$draft/cert.pem"
mv "$draft/haproxy.pem" "$draft/cert.pem" "$dir/"
