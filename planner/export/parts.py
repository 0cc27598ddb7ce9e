"""Parts of start scripts that all targets share: plain sh, checked with shellcheck."""

from __future__ import annotations

OPENING = """\
# Words of {extras} are split at spaces and never matched against file names.
set -euf

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
# shellcheck source=/dev/null
. "$here/{settings}"

say() {
    printf '%s: %s\\n' "$machine" "$*" >&2
}

die() {
    say "$*"
    exit 1
}

need() { # program, name of its setting
    command -v "$1" >/dev/null || die "no program $1: set $2 in {settings}"
}
"""

IPV4_OF = """
ipv4_of() { # address or name: what listens takes no names
    case $1 in
    *[!0-9.]*) ;;
    *)
        printf '%s\\n' "$1"
        return
        ;;
    esac
    if command -v getent >/dev/null; then
        getent ahostsv4 "$1" | awk '{ print $1; exit }'
    else
        dscacheutil -q host -a name "$1" | awk '$1 == "ip_address:" { print $2; exit }'
    fi
}
"""
"""The IPv4 address of a host name."""


def opening(settings: str, extras: str) -> str:
    """Start of every script: settings, messages. It talks through the variable `machine`.

    Args:
        settings: file with the settings, in the script's folder.
        extras: the variables that hold flags, in words.
    """
    return OPENING.replace("{settings}", settings).replace("{extras}", extras)
