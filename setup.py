"""Builds the Cython modules in place: `python setup.py build_ext --inplace`."""

import os

from Cython.Build import cythonize
from setuptools import Extension, setup

# Contraction to fused multiply-add would change the last bit of overlaps, and with it which box is kept.
FLAGS = ["-O3", "-ffp-contract=off", "-fopenmp-simd", "-std=c++17", "-Wno-cpp"]
if not os.environ.get("FULLCONV_PORTABLE"):
    FLAGS.append("-march=native")


def extension(name: str, *depends: str) -> Extension:
    """`lib.nms._nms` is compiled from `lib/nms/_nms.pyx`; `depends` are headers that trigger a rebuild."""
    return Extension(
        name,
        [name.replace(".", "/") + ".pyx"],
        language="c++",
        include_dirs=["."],
        depends=[f"operator_cxx/{path}" for path in depends],
        extra_compile_args=FLAGS,
    )


EXTENSIONS = [
    extension("lib.bbox._overlaps"),
    extension("lib.nms._nms", "nms/iou.h", "nms/sequential.h", "common/backend.h"),
    extension("lib.mask._raster"),
]

setup(ext_modules=cythonize(EXTENSIONS, language_level=3))
