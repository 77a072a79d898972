#!/bin/sh
# Everything that fullconv needs, from nothing: a virtual environment with pinned packages, the compiled Cython
# modules and operators, and a self-test. Running it again repairs what has changed and takes seconds otherwise.
set -u

usage() {
  cat <<'END'
usage: sh init.sh [--gpu | --cpu] [--python PATH] [--help]

  --gpu          install MXNet for CUDA 11.2 and its libraries (2.3 GB) instead of MXNet for the CPU
  --cpu          go back to MXNet for the CPU; without either option the one that is there stays
  --python PATH  the Python 3.8 to 3.11 to make .venv from (otherwise the newest one found)
END
}

say() { printf '%s\n' "init.sh: $*"; }
die() {
  printf '%s\n' "init.sh: error: $*" >&2
  exit 1
}

flavour=
python=
while [ $# -gt 0 ]; do
  case $1 in
    --gpu) flavour=gpu ;;
    --cpu) flavour=cpu ;;
    --python)
      [ $# -ge 2 ] || die "--python needs the path of a Python 3.8 to 3.11"
      python=$2
      shift
      ;;
    -h | --help)
      usage
      exit 0
      ;;
    *)
      usage >&2
      die "unknown option $1"
      ;;
  esac
  shift
done

case $python in
  */*) python=$(cd "$(dirname "$python")" 2>/dev/null && pwd)/$(basename "$python") ;;
esac
cd "$(dirname "$0")" || die "cannot enter the folder of $0"
root=$(pwd)
venv_python=$root/.venv/bin/python
compiler=${CXX:-g++}

# Prints "3.11" for an interpreter that starts, nothing for one that does not (a pyenv shim without a version).
version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

fits() {
  case $(version_of "$1") in
    3.8 | 3.9 | 3.10 | 3.11) return 0 ;;
    *) return 1 ;;
  esac
}

has_venv() { "$1" -c 'import venv, ensurepip' 2>/dev/null; }

# The newest fitting Python that can make environments; else one that fits, so that the message can name it.
find_python() {
  second=
  for candidate in python3.11 python3.10 python3.9 python3.8 python3 python \
    "${HOME:-/}"/.pyenv/versions/3.11.*/bin/python "${HOME:-/}"/.pyenv/versions/3.10.*/bin/python \
    "${HOME:-/}"/.pyenv/versions/3.9.*/bin/python "${HOME:-/}"/.pyenv/versions/3.8.*/bin/python; do
    fits "$candidate" || continue
    if has_venv "$candidate"; then
      printf '%s\n' "$candidate"
      return
    fi
    second=${second:-$candidate}
  done
  printf '%s\n' "$second"
}

# $1: MB wanted, $2: for what.
need_space() {
  free=$(df -Pk "$root" 2>/dev/null | awk 'NR == 2 { print int($4 / 1024) }')
  [ -z "$free" ] || [ "$free" -ge "$1" ] || die "$root has $free MB free and $2 needs about $1 MB: free some space"
}

make_venv() {
  if [ -n "$python" ]; then
    fits "$python" || die "$python is not a Python 3.8 to 3.11 (it says: $(version_of "$python" || echo nothing))"
  else
    python=$(find_python)
    [ -n "$python" ] || die "no Python 3.8, 3.9, 3.10 or 3.11 found (python3 is: $(version_of python3 || echo absent));" \
      "MXNet 1.9.1 runs on no other. Install one, for example 'apt-get install python3.11-dev python3.11-venv'" \
      "or 'pyenv install 3.11', or name it with --python PATH"
  fi
  has_venv "$python" ||
    die "$python cannot make virtual environments: install its venv module, for example 'apt-get install python3-venv'"
  say "making .venv with $python ($(version_of "$python"))"
  "$python" -m venv --clear .venv || die "could not make $root/.venv (see the lines above)"
}

explain_pip() {
  if grep -qi 'no space left' .venv/pip.log; then
    die "the disk is full: free some space and run init.sh again"
  elif grep -qiE 'name resolution|connection|timed out|network is unreachable|no matching distribution' .venv/pip.log; then
    die "a package could not be fetched (network, proxy or index; the log is .venv/pip.log):" \
      "$(grep -iE 'error' .venv/pip.log | tail -n 1)"
  fi
  tail -n 15 .venv/pip.log >&2
  die "pip failed; the whole log is .venv/pip.log"
}

pip_run() { "$venv_python" -m pip --disable-pip-version-check --no-input "$@" >.venv/pip.log 2>&1 || explain_pip; }

# The CPU and the GPU wheel are the same package "mxnet" under two names: one has to go before the other comes.
swap_mxnet() {
  pip_run uninstall -y mxnet mxnet-cu112
  rm -rf .venv/lib/python3*/site-packages/mxnet
  printf '%s\n' "$flavour" >.venv/flavour
}

install_packages() {
  if [ "$flavour" = gpu ]; then
    grep -v '^mxnet==' requirements.txt >.venv/requirements.txt
    set -- .venv/requirements.txt requirements-gpu.txt requirements-dev.txt
    space=9000
  else
    set -- requirements.txt requirements-dev.txt
    space=1500
  fi
  missing=$("$venv_python" -m fullconv.lib.env --missing "$@")
  status=$?
  [ $status -eq 0 ] && return
  [ $status -eq 1 ] && [ -n "$missing" ] || die "cannot compare the installed packages with requirements.txt (see above)"
  need_space $space "the packages"
  say "installing $(printf '%s\n' "$missing" | wc -l | tr -d ' ') packages: $(printf '%s\n' "$missing" | head -n 3 | tr '\n' ' ')..."
  for file in "$@"; do
    shift
    set -- "$@" -r "$file"
  done
  pip_run install "$@"
}

# MXNet's library looks for CUDA's beside itself, so links there replace an LD_LIBRARY_PATH.
link_cuda() {
  for library in .venv/lib/python3*/site-packages/nvidia/*/lib/*.so*; do
    [ -e "$library" ] && ln -sf "$root/$library" "$(echo .venv/lib/python3*/site-packages/mxnet)/"
  done
}

processor() { grep -m 1 'model name' /proc/cpuinfo 2>/dev/null || uname -m; }

# Machine code for one processor must not run on another: rebuild all when the folder moves to a new one.
build_cython() {
  force=
  [ "$(cat .venv/processor 2>/dev/null)" = "$(processor)" ] || force=--force
  "$venv_python" setup.py -q build_ext --inplace $force >.venv/cython.log 2>&1 || {
    grep -qi 'no space left' .venv/cython.log && die "the disk is full: free some space and run init.sh again"
    tail -n 15 .venv/cython.log >&2
    die "compiling the Cython modules failed; the whole log is .venv/cython.log"
  }
  processor >.venv/processor
}

self_test() {
  digest=$(cat lib/*/*.so lib/operators/*.py requirements.txt .venv/flavour 2>/dev/null | cksum)
  if [ "$(cat .venv/tested 2>/dev/null)" = "$digest" ]; then
    say "self-test passed before on these files; repeat it with: .venv/bin/python -m fullconv.lib.operators.selftest"
    return
  fi
  "$venv_python" -m fullconv.lib.operators.selftest || die "the self-test failed; 'python -m fullconv.lib.env' tells what a bug report needs"
  printf '%s\n' "$digest" >.venv/tested
}

command -v "$compiler" >/dev/null 2>&1 ||
  die "no C++ compiler ($compiler): install one, for example 'apt-get install g++', or name it with CXX"
if [ -x "$venv_python" ] && fits "$venv_python" && "$venv_python" -c 'import pip' 2>/dev/null; then
  [ -z "$python" ] || [ "$(version_of "$python")" = "$(version_of "$venv_python")" ] || make_venv
else
  need_space 1500 "the environment"
  make_venv
fi
headers=$("$venv_python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
[ -f "$headers/Python.h" ] ||
  die "$headers/Python.h is missing: install Python's headers, for example 'apt-get install python3-dev'"

present=$(cat .venv/flavour 2>/dev/null || echo cpu)
flavour=${flavour:-$present}
[ "$flavour" = cpu ] || "$venv_python" -c 'import ctypes; ctypes.CDLL("libcuda.so.1")' 2>/dev/null ||
  die "no NVIDIA driver here (libcuda.so.1), without which MXNet for CUDA cannot be imported:" \
    "install the driver, or use 'sh init.sh --cpu'"
[ "$flavour" = "$present" ] || swap_mxnet
install_packages
[ "$flavour" = cpu ] || link_cuda
# An environment of before put the checkout itself on the path, where `lib` would be importable a second time.
rm -f .venv/lib/python3*/site-packages/fullconv.pth
build_cython
"$venv_python" -m fullconv.operator_cxx.build || die "the operators could not be built (see above)"
self_test

cat <<'END'
init.sh: ready. Next, for example:
  .venv/bin/python experiments/fcis/fcis_end2end_train_test.py --cfg experiments/fcis/cfgs/resnet_small_shapes_fcis.yaml
  .venv/bin/python fcis/demo.py --help
  .venv/bin/python -m pytest
  .venv/bin/python -m fullconv.lib.env          # versions, devices and operators, for a bug report
END
