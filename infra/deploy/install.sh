#!/usr/bin/env bash
# Creates a virtual environment with all pinned packages, and shows how far it is:
# install.sh <folder> [<python>]
set -euo pipefail

venv=$1
given=${2:-}
wanted='import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))'

say() { echo "install: $*" >&2; }

is_right() { "$1" -c "$wanted" 2>/dev/null; }

find_python() {
  for name in ${given:-python3 python3.12 python3.11}; do
    if is_right "$name"; then
      echo "$name"
      return
    fi
  done
  name=${given:-python3}
  found=$("$name" --version 2>&1 | head -n 1) || true
  say "Expected Python 3.11 or 3.12, but $name is ${found:-missing}: name one by PYTHON=<path>"
  return 1
}

# Shows how many packages pip has collected: on a terminal in one line.
show_progress() {
  local total=$1 count=0 line
  while IFS= read -r line; do
    case $line in
      Collecting* | "Requirement already satisfied"*)
        count=$((count + 1))
        if [ -t 2 ]; then
          printf '\rinstall: %d of about %d packages' "$count" "$total" >&2
        elif [ $((count % 25)) -eq 0 ]; then
          say "$count of about $total packages"
        fi
        ;;
      "Installing collected packages"*)
        if [ -t 2 ]; then printf '\n' >&2; fi
        say "unpacking them, about half a minute"
        ;;
    esac
  done
}

version() { "$1" -c 'import sys; print(sys.version_info[:2])'; }

if [ -e "$venv" ] && { ! is_right "$venv/bin/python" \
  || { [ -n "$given" ] && [ "$(version "$given")" != "$(version "$venv/bin/python")" ]; }; }; then
  python=$(find_python)
  say "$venv is of another Python: it is made again"
  rm -rf "$venv"
elif [ ! -e "$venv" ]; then
  python=$(find_python)
elif [ "$venv/installed" -nt requirements.lock ] && [ "$venv/installed" -nt pyproject.toml ]; then
  exit 0
fi
if [ ! -e "$venv" ]; then
  say "creating $venv with $("$python" --version)"
  "$python" -m venv "$venv"
fi

log=$venv/install.log
pip() { "$venv/bin/python" -m pip install --disable-pip-version-check --progress-bar off "$@"; }
if ! pip --require-hashes -r requirements.lock 2>&1 | tee "$log" \
  | show_progress "$(grep -c '^[a-z0-9].*==' requirements.lock)" \
  || ! pip --quiet --no-deps --no-build-isolation -e . >>"$log" 2>&1; then
  say "pip failed, $log ends with:"
  tail -n 20 "$log" >&2
  exit 1
fi
touch "$venv/installed"
