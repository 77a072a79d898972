# cython: language_level=3, boundscheck=False, wraparound=False
# distutils: language=c++
"""Greedy suppression over the C++ header of the operator. See `lib.nms.nms` for the documented entry points."""

from libc.stdint cimport int32_t, int64_t

ctypedef fused real:
    float
    double

cdef extern from "operator_cxx/nms/sequential.h" namespace "fullconv" nogil:
    cdef cppclass SuppressAbove:
        SuppressAbove()
    cdef cppclass SuppressNotBelowOrEqual:
        SuppressNotBelowOrEqual()
    cdef cppclass SuppressFrom:
        SuppressFrom()
    # Each combination by itself: Cython before 3.3 cannot deduce T from `const T*`.
    int64_t nms_sequential(const float*, int64_t, const int64_t*, int64_t, float, int64_t, SuppressAbove, int32_t*, float*)
    int64_t nms_sequential(const double*, int64_t, const int64_t*, int64_t, double, int64_t, SuppressAbove, int32_t*, double*)
    int64_t nms_sequential(const float*, int64_t, const int64_t*, int64_t, float, int64_t, SuppressNotBelowOrEqual, int32_t*, float*)
    int64_t nms_sequential(const double*, int64_t, const int64_t*, int64_t, double, int64_t, SuppressNotBelowOrEqual, int32_t*, double*)
    int64_t nms_sequential(const float*, int64_t, const int64_t*, int64_t, float, int64_t, SuppressFrom, int32_t*, float*)
    int64_t nms_sequential(const double*, int64_t, const int64_t*, int64_t, double, int64_t, SuppressFrom, int32_t*, double*)


def suppress(const real[:, ::1] dets, const int64_t[::1] order, real threshold, int rule, int32_t[::1] keep,
             real[::1] storage):
    """Writes the rows that stay, in `order`, to keep (at most its length) and returns how many."""
    cdef int64_t n = order.shape[0], stride = dets.shape[1], most = keep.shape[0]
    if n == 0 or most == 0:
        return 0
    cdef int64_t count
    with nogil:
        if rule == 0:
            count = nms_sequential(&dets[0, 0], stride, &order[0], n, threshold, most, SuppressAbove(), &keep[0],
                                   &storage[0])
        elif rule == 1:
            count = nms_sequential(&dets[0, 0], stride, &order[0], n, threshold, most, SuppressNotBelowOrEqual(),
                                   &keep[0], &storage[0])
        else:
            count = nms_sequential(&dets[0, 0], stride, &order[0], n, threshold, most, SuppressFrom(), &keep[0],
                                   &storage[0])
    return count
