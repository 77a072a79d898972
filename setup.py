"""Builds the Cython modules, `python setup.py build_ext --inplace`, and says where the packages lie.

The folders of the checkout are the packages `fullconv.lib`, `fullconv.fcis`, ...; nothing called `lib` is installed.
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, find_packages, setup

FOLDERS = ("lib", "fcis", "fcn", "fcos", "instancefcn", "operator_cxx")
PACKAGES = find_packages(include=[pattern for folder in FOLDERS for pattern in (folder, f"{folder}.*")])

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


EXTENSIONS = [
    extension("lib.bbox._overlaps"),
    extension("lib.nms._nms", "nms/iou.h", "nms/sequential.h", "common/backend.h"),
    extension("lib.dataset._jpeg_scan"),
    extension("lib.mask._raster"),
]

setup(
    packages=["fullconv", *(f"fullconv.{package}" for package in PACKAGES)],
    package_dir={f"fullconv.{folder}": folder for folder in FOLDERS},
    ext_modules=cythonize(EXTENSIONS, language_level=3),
)
