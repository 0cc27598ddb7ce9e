"""The parts every start script shares: plain sh, checked with shellcheck, run with dash and bash.

They talk through these variables: `machine`, `servers` (words `pid/label`), `probes` (words
`pid/number/endpoint`), and on the head `names` and `endpoints` (each with a leading comma).
"""

from __future__ import annotations

PROLOGUE = """
servers='' probes='' scratch=''

stop() { # ends what this script started, at last with force
    status=$?
    trap - EXIT
    trap '' HUP INT TERM
    for entry in $servers $probes; do
        kill "${entry%%/*}" 2>/dev/null || :
    done
    seconds=0
    for entry in $servers $probes; do
        while kill -0 "${entry%%/*}" 2>/dev/null; do
            if [ "$seconds" -ge 10 ]; then
                kill -9 "${entry%%/*}" 2>/dev/null || :
                break
            fi
            sleep 1
            seconds=$((seconds + 1))
        done
    done
    [ -z "$scratch" ] || rm -rf -- "$scratch"
    exit "$status"
}
trap stop EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

check() { # ends this script if a server has ended
    for entry in $servers; do
        kill -0 "${entry%%/*}" 2>/dev/null && continue
        code=0
        wait "${entry%%/*}" || code=$?
        say "${entry#*/} has ended with status $code"
        [ "$code" -ne 0 ] || code=1
        exit "$code"
    done
}

watch() { # until a server ends
    while :; do
        check
        sleep 1
    done
}
"""
"""An end that leaves no process behind."""

SERVE = """
serve() { # device, endpoint: one ggml-rpc-server; none where one of them is empty
    if [ -z "$1" ] || [ -z "$2" ]; then
        return
    fi
    need "$RPC_SERVER" RPC_SERVER
    address=$(ipv4_of "${2%:*}") || address=''
    [ -n "$address" ] || die "${2%:*} has no IPv4 address here: put one into devices.env"
    say "$1 answers at $2"
    # shellcheck disable=SC2086
    "$RPC_SERVER" -d "$1" -H "$address" -p "${2##*:}" ${RPC_EXTRA-} &
    servers="$servers $!/ggml-rpc-server@$2"
}
"""
"""Serving devices of this machine over RPC."""

HEAD = """
names='' endpoints='' remote=0

use() { # device, endpoint: the next device of the pipeline
    [ -n "$1$2" ] || die "a device has neither DEVICE_n nor ENDPOINT_n in devices.env"
    if [ -z "$2" ]; then
        names="$names,$1"
    else
        names="$names,RPC$remote"
        endpoints="$endpoints,$2"
        remote=$((remote + 1))
    fi
}

ask() { # endpoint: a client that lists its devices; a GPU of this machine is not touched
    asked=$((asked + 1))
    CUDA_VISIBLE_DEVICES=-1 HIP_VISIBLE_DEVICES=-1 \\
        "$LLAMA_SERVER" --rpc "$1" --list-devices >"$scratch/$asked" 2>&1 &
    probes="$probes $!/$asked/$1"
}

await() { # endpoints: until each of them shows a device, at most WAIT_SECONDS
    scratch=$(mktemp -d)
    asked=0 started=$(date +%s)
    for endpoint; do
        ask "$endpoint"
    done
    while [ -n "$probes" ]; do
        sleep 1
        check
        waited=$(($(date +%s) - started))
        asking=$probes probes='' missing=''
        for entry in $asking; do
            rest=${entry#*/}
            if kill -0 "${entry%%/*}" 2>/dev/null; then
                probes="$probes $entry"
                missing="$missing ${rest#*/}"
            elif ! grep -q '^ *RPC0:' "$scratch/${rest%%/*}"; then
                tail -n 2 "$scratch/${rest%%/*}" >"$scratch/said"
                ask "${rest#*/}"
                missing="$missing ${rest#*/}"
            fi
        done
        if [ -n "$missing" ] && [ "$waited" -ge "$WAIT_SECONDS" ]; then
            [ ! -s "$scratch/said" ] || cat "$scratch/said" >&2
            die "no ggml-rpc-server answers at$missing (waited $waited s): start the other" \\
                "machines first, and check ENDPOINT_n in devices.env"
        fi
    done
}
"""
"""The head: devices in pipeline order, and waiting for those of other machines."""
