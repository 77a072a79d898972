# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Scan conversion of polygons. See `lib.mask.polygon` for the documented entry point."""

from libc.math cimport ceil


cdef inline double _side(double x0, double y0, double x1, double y1, double x, double y) noexcept nogil:
    """Positive left of an edge with y1 > y0, 0 on it."""
    return (x0 - x) * (y1 - y) - (x1 - x) * (y0 - y)


cdef void _mark_edge(unsigned char[:, ::1] work, double x0, double y0, double x1, double y1) noexcept nogil:
    """In each row the edge crosses: bit 0 at the last pixel centre left of it, bit 1 at the first one right of it.

    The two bits differ at which end of the edge counts (O'Rourke, Computational Geometry in C, section 7.4).
    """
    cdef Py_ssize_t width = work.shape[1], y, k
    # A level edge crosses no row: its pixels lie between the ends of its neighbours, which one of the two bits counts.
    if y0 == y1:
        return
    if y0 > y1:
        x0, y0, x1, y1 = x1, y1, x0, y0
    for y in range(<Py_ssize_t>ceil(y0), <Py_ssize_t>y1 + 1):
        k = <Py_ssize_t>ceil(x0 + (y - y0) * (x1 - x0) / (y1 - y0))
        # The division is rounded, the sign of the determinant decides.
        while k > 0 and _side(x0, y0, x1, y1, k - 1, y) <= 0:
            k -= 1
        while k < width and _side(x0, y0, x1, y1, k, y) > 0:
            k += 1
        if k > 0 and y < y1:
            work[y, k - 1] ^= 1
        if k < width and _side(x0, y0, x1, y1, k, y) == 0:
            k += 1
        if k < width and y > y0:
            work[y, k] ^= 2


cdef void _fill_row(unsigned char[::1] work, unsigned char[::1] mask) noexcept nogil:
    """Inside, or on an edge, is where the crossings to the right or those to the left are odd in number."""
    cdef Py_ssize_t width = mask.shape[0], x
    cdef unsigned char right = 0, left = 0
    for x in range(width - 1, -1, -1):
        right ^= work[x] & 1
        mask[x] |= right
    for x in range(width):
        left ^= work[x] >> 1
        mask[x] |= left
        work[x] = 0


def fill_polygon(const double[::1] xs, const double[::1] ys, unsigned char[:, ::1] work, unsigned char[:, ::1] mask):
    """Sets mask to 1 at pixel centres inside (even-odd) or on the polygon.

    The vertices must lie in [0, width - 1] x [0, height - 1]. `work` has the shape of mask, holds zeros, and holds
    zeros again afterwards.
    """
    cdef Py_ssize_t n = xs.shape[0], i, y
    cdef Py_ssize_t first = mask.shape[0], last = -1
    with nogil:
        for i in range(n):
            _mark_edge(work, xs[i], ys[i], xs[(i + 1) % n], ys[(i + 1) % n])
            first = min(first, <Py_ssize_t>ys[i])
            last = max(last, <Py_ssize_t>ceil(ys[i]))
            # At a vertex, which is on the polygon, the crossings of two edges may cancel each other.
            if xs[i] == <Py_ssize_t>xs[i] and ys[i] == <Py_ssize_t>ys[i]:
                mask[<Py_ssize_t>ys[i], <Py_ssize_t>xs[i]] = 1
        for y in range(first, last + 1):
            _fill_row(work[y], mask[y])


def column_runs(
    const unsigned char[:, ::1] crop, Py_ssize_t top, Py_ssize_t left, Py_ssize_t height, Py_ssize_t width,
    unsigned int[::1] counts
):
    """How many runs, background first, an image of height x width has down its columns whose only object is `crop` at
    row `top` and column `left`; their lengths are written to `counts`, which has two places for each pixel of `crop`
    (each may be a run, with one before it) and one more.
    """
    cdef Py_ssize_t rows = crop.shape[0], columns = crop.shape[1], x, y, at, begin = 0, n = 0
    cdef unsigned char inside = 0
    with nogil:
        for x in range(columns):
            at = (left + x) * height + top
            for y in range(rows):
                if (crop[y, x] != 0) != inside:
                    counts[n] = <unsigned int>(at + y - begin)
                    begin = at + y
                    n += 1
                    inside = not inside
            # Where the crop has the height of the image, the run goes on at the top of the next column.
            if inside and (rows < height or x == columns - 1):
                counts[n] = <unsigned int>(at + rows - begin)
                begin = at + rows
                n += 1
                inside = 0
        if begin < height * width:
            counts[n] = <unsigned int>(height * width - begin)
            n += 1
    return n
