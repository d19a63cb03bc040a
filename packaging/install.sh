#!/bin/sh
# Installs memory-bank-mcp @VERSION@ for this user: checks the archive against the checksum that this script holds, and puts
# the program into ~/.local/bin, or into the folder of --to. Changes nothing else.
#
#   sh install.sh [--to FOLDER] [--from ADDRESS] [--help]
#
# --from is a mirror: the address of a folder with the archives, instead of the project's releases.
set -eu

readonly USAGE='usage: install.sh [--to FOLDER] [--from ADDRESS]'

print_help() {
  cat <<EOF
Installs memory-bank-mcp @VERSION@ for this user.

$USAGE

  --to FOLDER     the folder for the program; ~/.local/bin when absent
  --from ADDRESS  a mirror: the address of a folder with the archives, instead of
                  @REPOSITORY@/releases/download/v@VERSION@
  -h, --help      print this text, and change nothing

The archive is checked against the checksum that this script holds.
EOF
}

fail() {
  printf 'install.sh: %s\n' "$1" >&2
  exit 1
}

# A function, so that a download that broke off does nothing.
main() {
  from=@REPOSITORY@/releases/download/v@VERSION@
  to=${HOME:-}/.local/bin
  while [ $# -gt 0 ]; do
    case $1 in
      -h | --help)
        print_help
        return
        ;;
      --to | --from) [ $# -ge 2 ] || fail "$1 needs a value" ;;
      *) fail "unknown argument \`$1\`; $USAGE" ;;
    esac
    case $1 in
      --to) to=$2 ;;
      --from) from=$2 ;;
    esac
    shift 2
  done
  [ "$to" != /.local/bin ] || fail "there is no home folder; name a folder with --to"

  case $(uname -s)-$(uname -m) in
    Linux-x86_64 | Linux-amd64) target=x86_64-unknown-linux-musl sum=@SHA256:x86_64-unknown-linux-musl@ ;;
    Linux-aarch64 | Linux-arm64) target=aarch64-unknown-linux-musl sum=@SHA256:aarch64-unknown-linux-musl@ ;;
    Darwin-arm64) target=aarch64-apple-darwin sum=@SHA256:aarch64-apple-darwin@ ;;
    Darwin-x86_64) target=x86_64-apple-darwin sum=@SHA256:x86_64-apple-darwin@ ;;
    *) fail "there is no build for $(uname -s) on $(uname -m); build it from its source, see @REPOSITORY@" ;;
  esac
  folder=memory-bank-mcp-@VERSION@-$target

  temporary=$(mktemp -d)
  draft=$to/.memory-bank-mcp.$$
  trap 'rm -rf "$temporary" "$draft"' EXIT
  trap 'exit 1' HUP INT TERM

  archive=$temporary/$folder.tar.gz
  if command -v curl >/dev/null 2>&1; then
    # An address with https is never followed to one without.
    case $from in https:*) only='=https' ;; *) only='=http,https' ;; esac
    curl --proto "$only" --fail --silent --show-error --location --retry 2 \
      --connect-timeout 30 --speed-limit 1000 --speed-time 60 --output "$archive" "$from/$folder.tar.gz" ||
      fail "the archive cannot be fetched from $from"
  elif command -v wget >/dev/null 2>&1; then
    wget -q -T 60 -O "$archive" "$from/$folder.tar.gz" || fail "the archive cannot be fetched from $from"
  else
    fail "curl or wget is needed"
  fi

  if command -v sha256sum >/dev/null 2>&1; then
    found=$(sha256sum <"$archive")
  elif command -v shasum >/dev/null 2>&1; then
    found=$(shasum -a 256 <"$archive")
  else
    fail "sha256sum or shasum is needed to check the archive"
  fi
  [ "${found%% *}" = "$sum" ] ||
    fail "the archive is not the one that was released: its checksum is ${found%% *}, not $sum; nothing was installed"

  tar -xzf "$archive" -C "$temporary"
  mkdir -p "$to"
  # Beside its place and then renamed, since a running program cannot be written.
  cp "$temporary/$folder/memory-bank-mcp" "$draft"
  chmod 755 "$draft"
  mv -f "$draft" "$to/memory-bank-mcp"

  printf 'memory-bank-mcp @VERSION@ is installed as %s\n' "$to/memory-bank-mcp"
  to=${to%/}
  case :$PATH: in
    *:"$to":*) ;;
    *) printf '%s is not in PATH; add it, or configure clients with the whole path\n' "$to" ;;
  esac
}

main "$@"
