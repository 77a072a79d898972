# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Pairwise box overlap, float64. See `lib.bbox.overlaps` for the documented entry point."""


def fill_overlaps(const double[:, ::1] boxes, const double[:, ::1] query, double[:, ::1] out):
    """out[n, k] = IoU of boxes[n] and query[k]; out must come filled with zeros."""
    cdef Py_ssize_t n, k
    cdef double x1, y1, x2, y2, area, query_area, iw, ih
    with nogil:
        for n in range(boxes.shape[0]):
            x1, y1, x2, y2 = boxes[n, 0], boxes[n, 1], boxes[n, 2], boxes[n, 3]
            area = (x2 - x1 + 1) * (y2 - y1 + 1)
            for k in range(query.shape[0]):
                iw = min(x2, query[k, 2]) - max(x1, query[k, 0]) + 1
                if iw <= 0:
                    continue
                ih = min(y2, query[k, 3]) - max(y1, query[k, 1]) + 1
                if ih <= 0:
                    continue
                # Neither side of either box is below iw or ih, so the union is above 0 (cdivision would not look).
                query_area = (query[k, 2] - query[k, 0] + 1) * (query[k, 3] - query[k, 1] + 1)
                out[n, k] = iw * ih / (area + query_area - iw * ih)
