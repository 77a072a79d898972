"""Builds the Cython modules, `python setup.py build_ext --inplace`, and says where the packages lie.

The folders of the checkout are the packages `fullconv.lib`, `fullconv.fcis`, ...; nothing called `lib` is installed.
For a wheel the operator library is compiled too, on the processor; FULLCONV_CUDA=1 adds its CUDA kernels. What is built
runs on processors like this one; with FULLCONV_PORTABLE=1 on every x86-64.
"""

import os
import shutil
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, find_packages, setup
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
FOLDERS = ("lib", "fcis", "fcn", "fcos", "instancefcn", "operator_cxx")
PACKAGES = find_packages(include=[pattern for folder in FOLDERS for pattern in (folder, f"{folder}.*")])
# Demos and classes for programs take a published model's settings from there.
SETTINGS = [f"experiments.{path.parent.name}.cfgs" for path in sorted(ROOT.glob("experiments/*/cfgs"))]

# Contraction to fused multiply-add would change the last bit of overlaps, and with it which box is kept.
FLAGS = ["-O3", "-ffp-contract=off", "-fopenmp-simd", "-std=c++17", "-Wno-cpp"]
if not os.environ.get("FULLCONV_PORTABLE"):
    FLAGS.append("-march=native")


def drop_of_another_name(name: str) -> None:
    """Remove what Cython made when the module had another name: it would be linked again, and go by that name."""
    made = Path(name.replace(".", "/") + ".cpp")
    if made.is_file() and f'"name": "fullconv.{name}"' not in made.read_text(errors="replace")[:4000]:
        made.unlink()


def extension(name: str, *depends: str) -> Extension:
    """`fullconv.lib.nms._nms` is compiled from `lib/nms/_nms.pyx`; `depends` are headers that trigger a rebuild."""
    drop_of_another_name(name)
    return Extension(
        f"fullconv.{name}",
        [name.replace(".", "/") + ".pyx"],
        language="c++",
        include_dirs=["."],
        depends=[f"operator_cxx/{path}" for path in depends],
        extra_compile_args=FLAGS,
    )


class Build(build):
    """From nothing: what an earlier version left in the folder of the wheel would be in this one."""

    def run(self) -> None:
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


class BuildExtensions(build_ext):
    """Cython's modules, and the operator library unless it is a checkout's, which `sh init.sh` builds by itself."""

    def run(self) -> None:
        super().run()
        if self.inplace:
            return
        # pip starts this file elsewhere, and may have an older fullconv beside its tools.
        sys.path.insert(0, str(ROOT))
        from fullconv.operator_cxx.build import LIBRARY, build

        inside = LIBRARY if getattr(self, "editable_mode", False) else self._of_wheel(LIBRARY.relative_to(ROOT))
        build(inside, cuda=bool(os.environ.get("FULLCONV_CUDA")))

    def _of_wheel(self, path: Path) -> Path:
        return Path(self.build_lib).resolve() / "fullconv" / path


EXTENSIONS = [
    extension("lib.bbox._overlaps"),
    extension("lib.nms._nms", "nms/iou.h", "nms/sequential.h", "common/backend.h"),
    extension("lib.dataset._jpeg_scan"),
    extension("lib.mask._raster"),
]

setup(
    packages=["fullconv", *(f"fullconv.{package}" for package in [*PACKAGES, *SETTINGS])],
    package_dir={f"fullconv.{folder}": folder for folder in (*FOLDERS, "experiments")},
    package_data={f"fullconv.{package}": ["*.yaml"] for package in SETTINGS},
    include_package_data=False,
    cmdclass={"build": Build, "build_ext": BuildExtensions},
    ext_modules=cythonize(EXTENSIONS, language_level=3),
)
