"""Loads the operator library into MXNet and calls its operators.

Three traits of MXNet 1.9.1 are dealt with here. It cannot load a library a third time, so a mark on the mxnet module
itself remembers that it was done. An extension's backward pass overwrites where MXNet asked it to add; MXNet asks that
for a tensor with 8 or more consumers unless MXNET_EXEC_INPLACE_GRAD_SUM_CAP is raised before the first bind, and for a
variable with grad_req='add' that is a direct input, which `invoke` keeps apart with an identity. And the functions it
generates take inputs by position only.
"""

from __future__ import annotations

import ctypes
import warnings
from typing import Any, Callable, List, Optional, Union

import mxnet as mx

from fullconv.lib import environment
from fullconv.operator_cxx import c_library, library_path

__all__ = ["Array", "c_library", "invoke", "load", "registered"]

Array = Union[mx.nd.NDArray, mx.sym.Symbol]
_MARK = "_fullconv_library"
# Operators met under the name that existing code uses, with the names of their inputs there.
_KEYWORD_INPUTS = {"_contrib_ChannelOperator": ("data", "pick_idx")}


def load() -> None:
    """Makes the operators known to MXNet, if that has not happened in this process.

    Raises FileNotFoundError when the library is not built, RuntimeError when another build of it is loaded already or
    MXNet refuses it.
    """
    path = str(library_path())
    loaded = getattr(mx, _MARK, None)
    if loaded is not None:
        if loaded != path:
            raise RuntimeError(f"operators are loaded from {loaded} already; {path} cannot be loaded as well")
        return
    try:
        # MXNet looks a function up when it calls it, where a missing one ends the process. This looks up all of them.
        c_library()
    except OSError as error:
        raise _refused(path, str(error)) from error
    before = set(_operator_names())
    # Not mx.library.load, which makes every function of mx.nd and mx.sym anew; only ours are missing. 0: says nothing.
    if mx.base._LIB.MXLoadLib(ctypes.c_char_p(path.encode()), ctypes.c_uint(0)) != 0:
        reason = " ".join(mx.base.py_str(mx.base._LIB.MXGetLastError()).split("Stack trace")[0].split())
        raise _refused(path, reason)
    setattr(mx, _MARK, path)
    # What the library brought is found by comparing, so the list of operators stands in C++ only.
    for name in sorted(set(_operator_names()) - before):
        # Backward passes are operators of MXNet's as well, which nobody calls by name.
        if not name.startswith("_backward"):
            _publish(name)
    if environment.MXNET_WAS_FIRST and not _sums_many_gradients():
        warnings.warn(
            "MXNet bound an executor before fullconv.lib.operators was imported, so gradients of tensors with 8 or "
            "more consumers will be wrong: import fullconv first, or set MXNET_EXEC_INPLACE_GRAD_SUM_CAP=1000",
            RuntimeWarning,
            stacklevel=2,
        )


def _refused(path: str, reason: str) -> RuntimeError:
    return RuntimeError(f"MXNet {mx.__version__} cannot load {path}: {reason}. Rebuild it with `sh init.sh`")


def invoke(operator: str, *inputs: Array, name: Optional[str] = None, **attributes: Any) -> Array:
    """Calls `operator` on symbols or on arrays (all inputs of one kind), attributes by keyword; None means absent.

    Raises MXNetError, naming the operator and the value, when attributes or shapes do not fit.
    """
    if not inputs:
        raise TypeError(f"{operator}: no inputs given")
    attributes = {key: value for key, value in attributes.items() if value is not None}
    symbolic = isinstance(inputs[0], mx.sym.Symbol)
    function = _FUNCTIONS[operator][0 if symbolic else 1]
    if symbolic:
        return function(*map(_apart_symbol, inputs), name=name, **attributes)
    return function(*map(_apart_array, inputs), **attributes)


def registered() -> List[str]:
    """Names of the library's operators, as MXNet knows them."""
    return sorted(_FUNCTIONS)


# On MXNet's module, like the mark: if this file is imported a second time, the library is not loaded again.
_FUNCTIONS = mx.__dict__.setdefault("_fullconv_functions", {})


def _publish(operator: str) -> None:
    """Adds the operator's functions to mx.sym and mx.nd, and to their contrib modules if it is named _contrib_*."""
    handle = ctypes.c_void_p()
    mx.base.check_call(mx.base._LIB.NNGetOpHandle(mx.base.c_str(operator), ctypes.byref(handle)))
    contrib = operator.startswith("_contrib_")
    public = operator[len("_contrib_") :] if contrib else operator
    _FUNCTIONS[operator] = (
        mx.symbol.register._make_symbol_function(handle, operator, public),
        mx.ndarray.register._make_ndarray_function(handle, operator, public),
    )
    homes = [(mx.sym.contrib, mx.contrib.sym), (mx.nd.contrib, mx.contrib.nd)] if contrib else [(mx.sym,), (mx.nd,)]
    for modules in homes:
        for module in modules:
            setattr(module, public, _with_keywords(operator, public))


def _with_keywords(operator: str, public: str) -> Callable[..., Array]:
    """The function met as mx.sym.<public> and mx.nd.<public>, with the input keywords of _KEYWORD_INPUTS."""

    def function(*inputs: Array, **options: Any) -> Array:
        # Inputs given by position come first, so keywords can only name those after them.
        names = _KEYWORD_INPUTS.get(operator, ())[len(inputs) :]
        named = [options.pop(key) for key in names if options.get(key) is not None]
        return invoke(operator, *inputs, *named, **options)

    function.__name__ = public
    function.__doc__ = f"Extension operator {operator}, documented in lib/operators/."
    return function


def _apart_symbol(symbol: mx.sym.Symbol) -> mx.sym.Symbol:
    """A variable behind an identity, anything else as it is."""
    is_variable = len(symbol.get_internals().list_outputs()) == 1
    return mx.sym.identity(symbol) if is_variable else symbol


def _apart_array(array: mx.nd.NDArray) -> mx.nd.NDArray:
    """While recording, an array with a gradient buffer of its own behind an identity."""
    return mx.nd.identity(array) if mx.autograd.is_recording() and array.grad is not None else array


def _operator_names() -> List[str]:
    size, names = ctypes.c_uint(), ctypes.POINTER(ctypes.c_char_p)()
    mx.base.check_call(mx.base._LIB.MXListAllOpNames(ctypes.byref(size), ctypes.byref(names)))
    return [mx.base.py_str(names[i]) for i in range(size.value)]


# 9 are above MXNet's limit of 8. It reads the limit at the first bind and never again, so asking is what settles it.
def _sums_many_gradients(consumers: int = 9) -> bool:
    """Whether a tensor's gradient is the sum over that many extension operators; fixes MXNet's choice by binding."""
    # A node, not the variable itself, which `invoke` would put behind an identity of its own at every use.
    x = mx.sym.Variable("x") * 1
    parts = [invoke("_contrib_ChannelOperator", x, op_type="Group_Max", group=1) * (i + 1) for i in range(consumers)]
    executor = mx.sym.add_n(*parts).simple_bind(mx.cpu(), x=(1, 1, 1, 1))
    executor.forward(is_train=True, x=mx.nd.ones((1, 1, 1, 1)))
    executor.backward(mx.nd.ones((1, 1, 1, 1)))
    # Factors 1 to 9, so that the sum also tells if one gradient is counted in place of another.
    return executor.grad_dict["x"].asnumpy().sum() == consumers * (consumers + 1) / 2
