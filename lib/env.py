"""`python -m fullconv.lib.env`: versions, processor, threads, devices and operators, to be pasted into a bug report.

Every line is found out on its own: what fails is reported in its line and nothing stops the rest. With
`--missing FILE...` it instead lists the pinned packages of requirements files that are absent or of another version,
and exits with 1 if there are any; `init.sh` asks this before it installs anything.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import platform
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, List, Optional, Tuple

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    "numpy",
    "opencv-python-headless",
    "scipy",
    "Cython",
    "h5py",
    "hickle",
    "pycocotools",
    "matplotlib",
    "easydict",
)
CUDA_LIBRARIES = (
    "libcuda.so.1 libcudart.so.11.0 libcublas.so.11 libcusolver.so.11 libcufft.so.10 libcurand.so.10 "
    "libnvrtc.so.11.2 libnvToolsExt.so.1 libcudnn.so.8 libnccl.so.2"
).split()
NEWEST_CAPABILITY = (8, 9)
"""The MXNet 1.9.1 wheels hold machine code up to sm_86, which 8.9 can run, and nothing a 9.0 can."""

Fact = Tuple[str, Callable[[], Any]]


def main(argv: Optional[List[str]] = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m fullconv.lib.env", description=__doc__.split("\n\n")[0])
    parser.add_argument("--missing", nargs="+", metavar="FILE", help="requirements files to compare with what is here")
    args = parser.parse_args(argv)
    if args.missing:
        lines = missing_packages(args.missing)
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        return int(bool(lines))
    for name, text in report():
        sys.stdout.write(f"{name:<18} {text}\n")
    return 0


def report() -> Iterator[Tuple[str, str]]:
    """(name, what was found) of every fact; never raises."""
    for name, find in FACTS:
        try:
            found = find()
        except Exception as error:  # whatever is broken is what the report is for
            found = f"unknown ({type(error).__name__}: {_first_line(error)})"
        for text in found if isinstance(found, list) else [found]:
            yield name, str(text)


def missing_packages(files: Iterable[str]) -> List[str]:
    """Pinned requirements that do not hold here, as `numpy==1.23.5 (1.24.0 is installed)`.

    Raises:
        OSError: a file cannot be read.
    """
    from pip._vendor.packaging.requirements import Requirement

    lines = [line.split("#")[0].strip() for file in files for line in Path(file).read_text().splitlines()]
    missing = []
    for requirement in [Requirement(line) for line in lines if line]:
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        version = _version(requirement.name)
        if version is None:
            missing.append(f"{requirement.name}{requirement.specifier} (not installed)")
        elif not requirement.specifier.contains(version, prereleases=True):
            missing.append(f"{requirement.name}{requirement.specifier} ({version} is installed)")
    return missing


def _version(package: str) -> Optional[str]:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else "no details"


def _command(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, timeout=20, check=True, cwd=ROOT).stdout.strip()


# ---------------------------------------------------------------------------------------------- the machine


def _system() -> str:
    names = Path("/etc/os-release")
    pretty = re.search(r'^PRETTY_NAME="?([^"\n]*)', names.read_text(), re.M) if names.exists() else None
    return f"{pretty.group(1) if pretty else platform.system()}, kernel {platform.release()}, {platform.machine()}"


def _processor() -> str:
    text = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)$", text, re.M)
    vectors = [name for name in ("avx2", "avx512f") if re.search(rf"\b{name}\b", text)]
    name, cores = model.group(1) if model else platform.machine(), len(os.sched_getaffinity(0))
    return f"{name}, {cores} cores, {' '.join(vectors) or 'no AVX2'}"


def _memory() -> str:
    values = dict(re.findall(r"^(\w+):\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.M))
    return f"{int(values['MemTotal']) / 2**20:.1f} GiB, {int(values['MemAvailable']) / 2**20:.1f} GiB available"


def _commit() -> str:
    changed = len(_command("git", "status", "--porcelain").splitlines())
    return _command("git", "rev-parse", "--short", "HEAD") + (f", {changed} files changed" if changed else "")


def _compiler(name: str, pattern: str) -> Callable[[], str]:
    def find() -> str:
        try:
            text = _command(name, "--version")
        except FileNotFoundError:
            return "not found"
        match = re.search(pattern, text)
        return match.group(1) if match else text.splitlines()[0]

    return find


# --------------------------------------------------------------------------------------- libraries, threads


def _packages() -> List[str]:
    return [f"{package} {_version(package) or 'not installed'}" for package in PACKAGES]


def _mxnet() -> str:
    names = [name for name in ("mxnet", "mxnet-cu112", "mxnet-cu117", "mxnet-cu110") if _version(name)]
    import mxnet

    return f"{mxnet.__version__} ({' and '.join(names) or 'not from a wheel'}) in {Path(mxnet.__file__).parent}"


def _threads() -> str:
    import cv2

    wanted = ["OMP_NUM_THREADS", *sorted(name for name in os.environ if name.startswith(("MXNET_", "DMLC_")))]
    settings = [f"{name}={os.environ[name]}" for name in wanted if name in os.environ]
    return f"cv2 {cv2.getNumThreads()}; {' '.join(settings) or 'no OMP_NUM_THREADS or MXNET_* set'}"


def _operators() -> List[str]:
    from fullconv.operator_cxx import c_library, library_path

    try:
        path = library_path()
    except FileNotFoundError as error:
        return [str(error)]
    lines = [f"{path}, built {'with' if c_library().fullconv_has_cuda() else 'without'} CUDA"]
    try:
        import fullconv.lib.operators  # noqa: F401  (loads it)
    except Exception as error:
        return [*lines, f"cannot be loaded into MXNet: {_first_line(error)}"]
    return [*lines, "loaded into MXNet"]


# -------------------------------------------------------------------------------------------------- devices


def _nvidia() -> List[str]:
    """What the driver says, with a verdict for GPUs that the MXNet wheels cannot use."""
    fields = "index,name,compute_cap,memory.total,driver_version"
    try:
        text = _command("nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader")
    except FileNotFoundError:
        return ["no NVIDIA driver (nvidia-smi not found)"]
    return [line + capability_verdict(line.split(",")[2]) for line in text.splitlines()]


def capability_verdict(capability: str) -> str:
    """Text to append for a compute capability such as " 9.0": empty if the wheels have code for it."""
    match = re.fullmatch(r"\s*(\d+)\.(\d+)\s*", capability)
    if match is None or tuple(map(int, match.groups())) <= NEWEST_CAPABILITY:
        return ""
    return (
        f": MXNet's 1.9.1 wheels have no code for sm_{''.join(match.groups())}; use the CPU, or MXNet built from source"
    )


def _devices() -> List[str]:
    """Each device that MXNet counts, after a tiny operation on it: a count alone does not mean that it works."""
    import mxnet as mx

    contexts = [mx.cpu(), *(mx.gpu(i) for i in range(mx.context.num_gpus()))]
    return [f"{context}: {_probe(mx, context)}" for context in contexts]


def _probe(mx: Any, context: Any) -> str:
    try:
        return "works" if mx.nd.ones((1,), ctx=context).asnumpy()[0] == 1 else "computes wrong results"
    except mx.base.MXNetError as error:
        if "no kernel image" in str(error):
            return "does not work: this wheel has no code for its sm_XX"
        return f"does not work: {_first_line(error)}"


def _cuda_libraries() -> str:
    """Libraries that the CUDA wheel of MXNet loads and that are not found, beside MXNet or in the system."""
    if not any(_version(f"mxnet-cu{version}") for version in ("110", "112", "117")):
        return "not needed by the CPU wheel"
    beside = Path(str(metadata.distribution("pip").locate_file("mxnet")))
    missing = [name for name in CUDA_LIBRARIES if not (beside / name).exists() and not _loads(name)]
    return f"missing: {', '.join(missing)}; run `sh init.sh --gpu`" if missing else "all found"


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


FACTS: Tuple[Fact, ...] = (
    ("fullconv", lambda: f"in {ROOT}"),
    ("git commit", _commit),
    ("system", _system),
    ("processor", _processor),
    ("memory", _memory),
    ("python", lambda: f"{platform.python_version()} {sys.executable}"),
    ("g++", _compiler(os.environ.get("CXX", "g++"), r"^(.*)")),
    ("nvcc", _compiler("nvcc", r"release ([\d.]+)")),
    ("package", _packages),
    ("mxnet", _mxnet),
    ("threads", _threads),
    ("NVIDIA GPU", _nvidia),
    ("CUDA libraries", _cuda_libraries),
    ("device", _devices),
    ("operators", _operators),
)

if __name__ == "__main__":
    sys.exit(main())
