# shellcheck shell=bash disable=SC2154
# Sets up a machine for Mirage. Sourced by ./mirage and ./check, only when they have something to build.
#
#   mirage_home            makes HOME usable and sets $mirage_cache, the folder of all that is kept between runs
#   mirage_setup SECTION…  installs the packages that tools/packages.txt lists there and that are missing
#
# $root, set by the caller, is the checkout. Everything is said on stderr. Failures return non-zero; the launchers exit 4 then.

mirage_say() { printf 'mirage: %s\n' "$*" >&2; }

mirage_home() {
  HOME=${HOME:-~} # without HOME bash takes ~ from the user's entry in /etc/passwd
  mirage_cache=$HOME/.cache/mirage
  if ! { mkdir -p "$mirage_cache" && [[ -w $mirage_cache ]]; } 2>/dev/null; then
    local away
    away=${TMPDIR:-/tmp}/mirage-$(id -u)
    mirage_say "the home folder '$HOME' cannot be written: using $away"
    if ! { mkdir -m 700 "$away" 2>/dev/null || [[ -d $away ]]; } || [[ ! -O $away ]]; then
      mirage_say "$away cannot be used: set HOME to a folder that can be written"
      return 1
    fi
    HOME=$away
    mirage_cache=$HOME/.cache/mirage
    mkdir -p "$mirage_cache" || return 1
  fi
  export HOME
}

# The packages of the sections named, one a line.
mirage_packages() {
  local line wanted=
  while read -r line; do
    case $line in
      '' | '#'*) ;;
      '['*']') [[ " $* " == *" ${line:1:-1} "* ]] && wanted=yes || wanted= ;;
      *) [[ -n $wanted ]] && printf '%s\n' "$line" ;;
    esac
  done <"$root/tools/packages.txt"
  return 0
}

# Those of the packages named that are not installed: one call of dpkg-query for all.
mirage_missing() {
  local status name package
  local -A installed=()
  # shellcheck disable=SC2016  # the fields are dpkg's, not the shell's
  while read -r status name; do
    [[ $status == installed ]] && installed[$name]=1
  done < <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null)
  for package in "$@"; do
    [[ -n ${installed[$package]:-} ]] || printf '%s\n' "$package"
  done
}

mirage_setup() {
  local -a wanted missing
  mapfile -t wanted < <(mirage_packages "$@")
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    mirage_say "this is not a Debian system: Mirage is built with Debian 12's (bookworm) Bazel and libraries." \
      "Use Debian 12, or a container of it (docker run -it -v \"\$PWD:/mirage\" debian:bookworm)"
    return 1
  fi
  mapfile -t missing < <(mirage_missing "${wanted[@]}")
  ((${#missing[@]})) || return 0

  local -a install=(apt-get install -y --no-install-recommends "${missing[@]}")
  if [[ $(id -u) != 0 ]]; then
    mirage_say "these packages are missing; run this line once, then start again:"
    printf 'sudo apt-get update && sudo %s\n' "${install[*]}" >&2
    return 1
  fi
  # shellcheck disable=SC1091  # the system's own file
  local release
  release=$(. /etc/os-release 2>/dev/null && printf '%s' "${VERSION_CODENAME:-unknown}")
  [[ $release == bookworm ]] ||
    mirage_say "this is Debian or a kin of it, but '$release': Mirage is made for bookworm; trying all the same"
  mirage_say "installing ${#missing[@]} of Debian's packages: ${missing[*]}"

  local log began=$SECONDS
  log=$(mktemp) || return 1
  # Another apt may be at work: wait for it. What packages say goes to the log.
  install+=(-o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0)
  export DEBIAN_FRONTEND=noninteractive
  if ! compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null; then
    apt-get update >>"$log" 2>&1 </dev/null
  fi
  if ! "${install[@]}" >>"$log" 2>&1 </dev/null; then
    # Lists of some weeks ago name versions that the mirror no longer has.
    if ! { apt-get update && "${install[@]}"; } >"$log" 2>&1 </dev/null; then
      tail -n 30 "$log" >&2
      mirage_say "apt-get could not install them; its last lines are above"
      rm -f "$log"
      return 1
    fi
  fi
  rm -f "$log"
  mirage_say "installed in $((SECONDS - began)) s"
}
