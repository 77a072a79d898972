"""Compiles the operators into one MXNet extension library.

`python -m fullconv.operator_cxx.build` finds the MXNet wheel without importing it, compiles what has changed (the
object files are named by a hash of sources, flags and processor) and links `lib/operators/libfullconv.so`. CUDA sources
are compiled where nvcc is found. Each failure is one clear line, followed by the compiler's own words.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "lib" / "operators" / "libfullconv.so"
# No multiply-add is fused unless the source asks for it, here and below: both machines and the originals' recordings
# then agree to the last bit.
CXX_FLAGS = ["-O3", "-ffp-contract=off", "-fopenmp", "-fPIC", "-fvisibility=hidden", "-std=c++17"]
CXX_WARNINGS = ["-Wall", "-Wno-unknown-pragmas", "-Wno-address"]
# -O1, the last of several, is what the sanitizers advise, and compiles in half the time.
ASAN_FLAGS = [
    "-O1",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=undefined",
    "-fno-omit-frame-pointer",
    "-g1",
]
NVCC_FLAGS = ["-O3", "-std=c++17", "-fmad=false", "-cudart", "static", "-Xcompiler", "-fPIC,-fvisibility=hidden"]
# Native code for the GPUs people have; the newest of these also as PTX, for those still to come.
CUDA_ARCHITECTURES = ["75", "80", "86", "89", "90"]
# MXNet looks for these names. All else stays inside, where it cannot be taken for MXNet's own copy of it.
EXPORTS = "{ global: _op*; _part*; _pass*; _msg*; initialize; fullconv_*; local: *; };\n"


def processor_flags() -> List[str]:
    """The library is built where it runs; with FULLCONV_PORTABLE set it runs on every x86-64, and slower."""
    return [] if os.environ.get("FULLCONV_PORTABLE") else ["-march=native"]


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class BuildError(RuntimeError):
    """What stops the build, in words for the person who started it."""


class Unit(NamedTuple):
    """One translation unit: `command` + output + source makes `object`."""

    source: Path
    command: List[str]
    object: Path


def find_mxnet() -> Path:
    """Directory of the installed MXNet wheel, without importing it. Raises BuildError if there is none."""
    # Importing takes seconds, and a wheel for GPUs cannot be imported on a machine without the driver.
    spec = importlib.util.find_spec("mxnet")
    locations = list(spec.submodule_search_locations or []) if spec else []
    for location in locations:
        if (Path(location) / "include" / "mxnet" / "lib_api.h").is_file():
            return Path(location)
    raise BuildError("MXNet is not installed for this Python: run `sh init.sh`, or pip install mxnet==1.9.1")


def find_compiler() -> str:
    """Path of g++ (or $CXX). Raises BuildError if there is none."""
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        raise BuildError("no C++ compiler (g++) found: install one (Debian, Ubuntu: apt-get install g++)")
    return compiler


def find_nvcc() -> Optional[str]:
    """Path of nvcc, or None."""
    home = os.environ.get("CUDA_HOME", "/usr/local/cuda")
    return shutil.which("nvcc") or shutil.which(str(Path(home) / "bin" / "nvcc"))


def gencode_flags(nvcc: str) -> List[str]:
    """nvcc's flags for those of CUDA_ARCHITECTURES that this nvcc knows, plus one PTX entry."""
    listing = _run([nvcc, "--list-gpu-code"], "asking nvcc for its architectures").split()
    known = [arch for arch in CUDA_ARCHITECTURES if f"sm_{arch}" in listing]
    if not known:
        raise BuildError(f"{nvcc} supports none of sm_{', sm_'.join(CUDA_ARCHITECTURES)}: use --no-cuda")
    codes = [f"arch=compute_{arch},code=sm_{arch}" for arch in known]
    # MXNet's own wheels have no PTX, which is why they do not run on later GPUs.
    codes.append(f"arch=compute_{known[-1]},code=compute_{known[-1]}")
    return [part for code in codes for part in ("-gencode", code)]


def build(
    out: Path = LIBRARY,
    only: Optional[Sequence[str]] = None,
    asan: bool = False,
    cuda: bool = True,
    force: bool = False,
    say: Callable[[str], None] = _say,
) -> Path:
    """Builds the library at `out` and returns its path; does nothing when it is up to date.

    `only` restricts it to these operator folders, `asan` adds address and undefined-behaviour checks (without
    CUDA, not for loading into MXNet), `force` recompiles all. Raises BuildError.
    """
    compiler, mxnet = find_compiler(), find_mxnet()
    nvcc = find_nvcc() if cuda and not asan else None
    with _explained_os_errors(), _locked(ROOT / "build"):
        units = _units(compiler, nvcc, mxnet, only, asan)
        digest = _digest([*(unit.object.name for unit in units), EXPORTS])
        stamp = ROOT / "build" / f"{_digest([str(out.resolve())])}.stamp"
        # The stamp belongs to one output: builds to several places do not make each other old.
        if not force and out.is_file() and stamp.is_file() and stamp.read_text() == digest:
            say(f"operators: {_shown(out)} is up to date")
            return out
        if cuda and not asan and nvcc is None:
            say("operators: no nvcc found, building without CUDA")
        _compile([unit for unit in units if force or not unit.object.is_file()], say)
        _link(compiler, nvcc, [unit.object for unit in units], out, asan)
        stamp.write_text(digest)
        say(f"operators: built {_shown(out)} ({'CPU and CUDA' if nvcc else 'CPU only'})")
    return out


def _units(compiler: str, nvcc: Optional[str], mxnet: Path, only: Optional[Sequence[str]], asan: bool) -> List[Unit]:
    """All translation units, each with the command and the content-addressed object file."""
    include = ["-I", "."]
    cxx = [
        compiler,
        *CXX_FLAGS,
        *processor_flags(),
        *CXX_WARNINGS,
        *(ASAN_FLAGS if asan else []),
        *include,
        "-isystem",
        str(mxnet / "include"),
    ]
    commands: Dict[str, List[str]] = {".cc": [*cxx, "-c"]}
    if nvcc:
        commands[".cu"] = [nvcc, *NVCC_FLAGS, *gencode_flags(nvcc), *include, "-ccbin", compiler, "-c"]
    versions = {suffix: _version(command[0]) for suffix, command in commands.items()}
    folders = sorted(p for p in (ROOT / "operator_cxx").iterdir() if p.is_dir() and p.name != "__pycache__")
    if only:
        _check_names(only, [folder.name for folder in folders])
        # Every operator needs what is common.
        folders = [folder for folder in folders if folder.name in (*only, "common")]
    # The wheel's own copy, as header and source have to be of one version.
    api = mxnet / "src" / "lib_api.cc"
    exported = [
        *commands[".cc"][:-1],
        "-fvisibility=default",
        "-w",
        "-c",
    ]  # MXNet's entry points bear no mark of their own
    units = [_unit(api, exported, [versions[".cc"], api.read_text(), _processor()])]
    for folder in folders:
        for source in sorted(folder.iterdir()):
            if source.suffix in commands:
                headers = _read_all(_included(source))
                content = [versions[source.suffix], headers, source.read_text(), _processor(), str(source)]
                units.append(_unit(source, commands[source.suffix], content))
    return units


def _unit(source: Path, command: List[str], content: Sequence[str]) -> Unit:
    name = f"{source.stem}{source.suffix.replace('.', '_')}-{_digest([*command, *content])}.o"
    return Unit(source, command, ROOT / "build" / name)


def _included(source: Path) -> List[Path]:
    """Our headers that `source` includes, and those they include: operators use each other's."""
    found: List[Path] = []
    pending = [source]
    while pending:
        text = pending.pop().read_text()
        names = re.findall(r'^#include "(operator_cxx/[^"]+)"', text, re.MULTILINE)
        fresh = [ROOT / name for name in dict.fromkeys(names) if ROOT / name not in found]
        found += fresh
        pending += fresh
    return found


def _check_names(names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise BuildError(f"--only {name}: no such operator folder; there are {', '.join(known)}")


def _compile(units: Sequence[Unit], say: Callable[[str], None]) -> None:
    """Compiles in two parallel jobs; an object file appears whole or not at all."""

    def compile_one(unit: Unit) -> None:
        source = os.path.relpath(unit.source, ROOT) if ROOT in unit.source.parents else str(unit.source)
        say(f"operators: compiling {os.path.basename(source)}")
        # A compiler that is killed leaves half a file, which a later build would take for whole.
        partial = unit.object.with_suffix(".partial.o")
        _run([*unit.command, source, "-o", str(partial)], f"compiling {source}")
        os.replace(partial, unit.object)

    # The work is done by compilers; threads only wait for them.
    with ThreadPoolExecutor(2) as pool:
        # list, so that the first error is raised here.
        list(pool.map(compile_one, units))


def _link(compiler: str, nvcc: Optional[str], objects: Sequence[Path], out: Path, asan: bool) -> None:
    """Links with hidden cudart, so that it cannot clash with the one that MXNet brings."""
    script = ROOT / "build" / "exports.map"
    script.write_text(EXPORTS)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.partial")
    inputs = [*map(str, objects), "-o", str(partial)]
    if nvcc:
        command = [nvcc, "-shared", "-cudart", "static", "-ccbin", compiler, *inputs, "-Xcompiler", "-fopenmp"]
        command += ["-Xlinker", f"--version-script={os.path.relpath(script, ROOT)}", "-Xlinker", "-z,defs"]
    else:
        command = [compiler, "-shared", "-fopenmp", *inputs, f"-Wl,--version-script={os.path.relpath(script, ROOT)}"]
        command += ASAN_FLAGS if asan else ["-Wl,-z,defs"]
    _run(command, f"linking {out.name}")
    os.replace(partial, out)


def _run(command: Sequence[str], what: str, lines: int = 25) -> str:
    """Standard output of `command`; BuildError with the first lines of its complaint when it fails."""
    done = subprocess.run(list(command), cwd=str(ROOT), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode == 0:
        return done.stdout
    if "No space left on device" in done.stdout:
        raise BuildError(f"the disk is full ({what}): free some space and try again")
    shown = "\n".join(done.stdout.splitlines()[:lines])
    raise BuildError(f"{what} failed (exit status {done.returncode}):\n{shown}")


def _version(program: str) -> str:
    return _run([program, "--version"], f"asking {program} for its version")


def _processor() -> str:
    """What -march=native depends on: an object from another processor must not be reused."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))


def _read_all(paths: Iterable[Path]) -> str:
    # Names as well as contents: a header that is renamed is another one.
    return "\0".join(f"{path.name}\0{path.read_text()}" for path in sorted(paths))


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def _shown(path: Path) -> str:
    return os.path.relpath(path) if Path.cwd() in path.resolve().parents else str(path)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One build at a time per checkout."""
    folder.mkdir(exist_ok=True)
    with open(folder / "lock", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def _explained_os_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise BuildError(f"the disk is full (writing {error.filename}): free some space and try again") from error
        raise BuildError(f"cannot build the operators: {error}") from error


def main(arguments: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m fullconv.operator_cxx.build", description=__doc__.splitlines()[0])
    parser.add_argument("--asan", action="store_true", help="with AddressSanitizer and UBSan, without CUDA")
    parser.add_argument("--only", metavar="OP,OP", help="only these operator folders")
    parser.add_argument("--out", type=Path, help=f"where to put the library (default {_shown(LIBRARY)})")
    parser.add_argument("--no-cuda", action="store_true", help="skip the CUDA kernels even where nvcc is found")
    parser.add_argument("--force", action="store_true", help="recompile everything")
    args = parser.parse_args(arguments)
    if args.asan and args.out is None:
        parser.error("--asan needs --out: MXNet cannot load such a library")
    only = args.only.split(",") if args.only else None
    try:
        build(args.out or LIBRARY, only, args.asan, not args.no_cuda, args.force)
    except BuildError as error:
        print(f"operators: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
