# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Walk through the Huffman codes of a JPEG. See `lib.dataset.jpeg` for the documented entry point.

Sections and figures are those of ITU-T T.81. Only the lengths of the codes are of interest here: no coefficient is kept,
of progressive files just which ones are not zero, because refining scans code those differently (section G.1.2.3).
"""

from libc.stdlib cimport calloc, free
from libc.string cimport memset

WHOLE, DAMAGED, UNKNOWN = 0, 1, 2

# Bytes between the last code and the next marker that are let pass: some cameras fill up there. Codes that lost their
# place end hundreds of bytes off.
cdef int SLACK = 16

cdef struct Table:
    bint known
    unsigned short fast[256]  # length << 8 | symbol of the codes up to 8 bits, 0 for longer ones
    int largest[18]           # largest code of a length, -1 for none (figure F.16)
    int offset[17]            # symbol's place - code
    unsigned char symbols[256]

cdef struct Component:
    int number, h, v, dc, ac
    Py_ssize_t stride, width, height  # in blocks: of the padded array, and of the image
    bint scanned
    unsigned long long* nonzero

cdef struct Scan:
    int count
    int members[4]
    int first, last, high  # Ss, Se, Ah

cdef struct Picture:
    const unsigned char* data
    Py_ssize_t size, at
    unsigned long long bits  # the next `held` bits, of which the last `made_up` are behind the end of the codes
    int held, made_up
    int components, interval, hmax, vmax
    bint progressive, framed
    Py_ssize_t mcus_wide, mcus_high
    long run
    Table dc[4]
    Table ac[4]
    Component component[4]


cdef inline void _fill(Picture* p) noexcept nogil:
    cdef unsigned char byte
    while p.held <= 48:
        byte = 0  # behind the end
        if p.at < p.size and (p.data[p.at] != 0xFF or (p.at + 1 < p.size and p.data[p.at + 1] == 0)):
            byte = p.data[p.at]
            p.at += 2 if byte == 0xFF else 1
        else:
            p.made_up += 8
        p.bits = p.bits << 8 | byte
        p.held += 8


cdef inline int _take(Picture* p, int count) noexcept nogil:
    if p.held < count:
        _fill(p)
    p.held -= count
    return <int>((p.bits >> p.held) & ((1 << count) - 1))


cdef inline int _symbol(Picture* p, Table* table) noexcept nogil:
    """The next symbol, or -1: no such code."""
    cdef int length, code
    cdef unsigned short entry
    if p.held < 16:
        _fill(p)
    entry = table.fast[(p.bits >> (p.held - 8)) & 0xFF]
    if entry:
        p.held -= entry >> 8
        return entry & 0xFF
    for length in range(9, 17):
        code = <int>((p.bits >> (p.held - length)) & ((1 << length) - 1))
        if table.largest[length] >= 0 and code <= table.largest[length]:
            p.held -= length
            return table.symbols[(code + table.offset[length]) & 0xFF]
    return -1


cdef bint _sequential(Picture* p, Component* c) noexcept nogil:
    """One block of a sequential scan (figures F.12, F.13)."""
    cdef int k = 1, symbol = _symbol(p, &p.dc[c.dc])
    if symbol < 0 or symbol > 16:
        return False
    _take(p, symbol)
    while k < 64:
        symbol = _symbol(p, &p.ac[c.ac])
        if symbol < 0:
            return False
        if symbol & 15 == 0 and symbol != 0xF0:
            break
        k += (symbol >> 4) + 1  # 0xF0 stands for 16 zeros
        _take(p, symbol & 15)
    return k <= 64


cdef bint _dc_scan(Picture* p, Component* c, Scan* scan) noexcept nogil:
    """One block of a progressive scan of DC coefficients (section G.1.2.1)."""
    cdef int count = 1 if scan.high else _symbol(p, &p.dc[c.dc])
    if 0 <= count <= 16:
        _take(p, count)
    return 0 <= count <= 16


cdef bint _ac_scan(Picture* p, Component* c, Scan* scan, unsigned long long* nonzero) noexcept nogil:
    """One block of a progressive scan of AC coefficients, a first one (G.1.2.2) or a refining one (G.1.2.3)."""
    cdef int k = scan.first, symbol, zeros
    cdef bint refine = scan.high != 0, new
    if p.run == 0:
        while k <= scan.last:
            symbol = _symbol(p, &p.ac[c.ac])
            if symbol < 0:
                return False
            zeros, new = symbol >> 4, (symbol & 15) != 0
            if new:
                _take(p, 1 if refine else symbol & 15)
            elif zeros < 15:
                p.run = (1 << zeros) + _take(p, zeros)
                break
            while k <= scan.last:
                if refine and nonzero[0] >> k & 1:
                    _take(p, 1)
                elif zeros == 0:
                    break
                else:
                    zeros -= 1
                k += 1
            if new and k > scan.last:
                return False
            if new:
                nonzero[0] |= 1ULL << k
            k += 1
    if p.run:
        p.run -= 1
        while refine and k <= scan.last:
            if nonzero[0] >> k & 1:
                _take(p, 1)
            k += 1
    return True


cdef inline bint _block(Picture* p, Component* c, Scan* scan, Py_ssize_t place) noexcept nogil:
    if not p.progressive:
        return _sequential(p, c)
    return _dc_scan(p, c, scan) if scan.first == 0 else _ac_scan(p, c, scan, &c.nonzero[place])


cdef bint _mcu(Picture* p, Scan* scan, Py_ssize_t index) noexcept nogil:
    """One unit of a scan: a block of a single component, or all blocks of an area (section A.2)."""
    cdef Component* c
    cdef Py_ssize_t row, column, place
    cdef int i, x, y
    if scan.count == 1:
        c = &p.component[scan.members[0]]
        return _block(p, c, scan, index // c.width * c.stride + index % c.width)
    row, column = index // p.mcus_wide, index % p.mcus_wide
    for i in range(scan.count):
        c = &p.component[scan.members[i]]
        for y in range(c.v):
            for x in range(c.h):
                place = (row * c.v + y) * c.stride + column * c.h + x
                if not _block(p, c, scan, place):
                    return False
    return True


cdef bint _restart(Picture* p, int number) noexcept nogil:
    """Whether the codes end here and the right restart marker follows; goes behind it."""
    if (p.held - p.made_up) // 8 > 0:
        return False
    p.bits, p.held, p.made_up, p.run = 0, 0, 0, 0
    if p.at + 1 >= p.size or p.data[p.at] != 0xFF or p.data[p.at + 1] != 0xD0 + number % 8:
        return False
    p.at += 2
    return True


cdef bint _walk(Picture* p, Scan* scan) noexcept nogil:
    """Whether the codes of a scan make as many blocks as the image has, and end where the next marker is."""
    cdef Component* c = &p.component[scan.members[0]]
    cdef Py_ssize_t total, index, left
    total = c.width * c.height if scan.count == 1 else p.mcus_wide * p.mcus_high
    p.bits, p.held, p.made_up, p.run = 0, 0, 0, 0
    for index in range(total):
        if p.interval and index and index % p.interval == 0 and not _restart(p, <int>(index // p.interval - 1)):
            return False
        # The last codes may lack their padding; before, nothing may be missing.
        if not _mcu(p, scan, index) or (p.made_up > p.held and index + 1 < total):
            return False
    left = (p.held - p.made_up) // 8 if p.held > p.made_up else 0
    while p.at + 1 < p.size and not (p.data[p.at] == 0xFF and p.data[p.at + 1] not in (0, 0xFF)):
        left += 1
        p.at += 1
        if left > SLACK:
            return False
    return left <= SLACK


cdef bint _read_tables(Picture* p, Py_ssize_t at, Py_ssize_t end) noexcept nogil:
    """Huffman tables (section B.2.4.2, figures C.1, C.2)."""
    cdef Table* table
    cdef int length, code, place, i, j
    while at + 17 <= end:
        if p.data[at] & 15 > 3 or p.data[at] >> 4 > 1:
            return False
        table = &p.ac[p.data[at] & 15] if p.data[at] >> 4 else &p.dc[p.data[at] & 15]
        memset(table, 0, sizeof(Table))
        code = place = 0
        for length in range(1, 17):
            table.offset[length] = place - code
            for i in range(p.data[at + length]):
                if place > 255 or at + 17 + place >= end or code >> length:
                    return False
                table.symbols[place] = p.data[at + 17 + place]
                if length <= 8:
                    for j in range(1 << (8 - length)):
                        table.fast[code << (8 - length) | j] = <unsigned short>(length << 8 | table.symbols[place])
                place, code = place + 1, code + 1
            table.largest[length] = code - 1 if p.data[at + length] else -1
            code <<= 1
        table.known = True
        at += 17 + place
    return at == end


cdef bint _read_frame(Picture* p, Py_ssize_t at, Py_ssize_t end) noexcept nogil:
    """Size and components (section B.2.2)."""
    cdef Py_ssize_t height, width
    cdef Component* c
    cdef int i
    if p.framed or end - at < 6:
        return False
    height, width = p.data[at + 1] << 8 | p.data[at + 2], p.data[at + 3] << 8 | p.data[at + 4]
    p.components = p.data[at + 5]
    if not (height and width and 1 <= p.components <= 4) or end - at < 6 + 3 * p.components:
        return False
    p.hmax = p.vmax = 1
    for i in range(p.components):
        c = &p.component[i]
        c.number, c.h, c.v = p.data[at + 6 + 3 * i], p.data[at + 7 + 3 * i] >> 4, p.data[at + 7 + 3 * i] & 15
        if not (1 <= c.h <= 4 and 1 <= c.v <= 4):
            return False
        p.hmax, p.vmax = max(p.hmax, c.h), max(p.vmax, c.v)
    p.mcus_wide = (width + 8 * p.hmax - 1) // (8 * p.hmax)
    p.mcus_high = (height + 8 * p.vmax - 1) // (8 * p.vmax)
    for i in range(p.components):
        c = &p.component[i]
        c.width = ((width * c.h + p.hmax - 1) // p.hmax + 7) // 8
        c.height = ((height * c.v + p.vmax - 1) // p.vmax + 7) // 8
        c.stride = p.mcus_wide * c.h
        if p.progressive:
            c.nonzero = <unsigned long long*>calloc(c.stride * p.mcus_high * c.v, 8)
            if not c.nonzero:
                return False
    p.framed = True
    return True


cdef bint _read_scan(Picture* p, Scan* scan, Py_ssize_t at, Py_ssize_t end) noexcept nogil:
    """Header of a scan (section B.2.3); False for one whose tables or components are not there."""
    cdef Component* c
    cdef int i, j
    scan.count = p.data[at] if at < end else 0
    if not p.framed or not 1 <= scan.count <= p.components or end - at < 4 + 2 * scan.count:
        return False
    scan.first, scan.last = p.data[at + 1 + 2 * scan.count], p.data[at + 2 + 2 * scan.count]
    scan.high = p.data[at + 3 + 2 * scan.count] >> 4
    if p.progressive and (scan.last > 63 or scan.first > scan.last or (scan.first and scan.count > 1)):
        return False
    for i in range(scan.count):
        scan.members[i] = -1
        for j in range(p.components):
            if p.component[j].number == p.data[at + 1 + 2 * i]:
                scan.members[i] = j
        if scan.members[i] < 0:
            return False
        c = &p.component[scan.members[i]]
        c.dc, c.ac = p.data[at + 2 + 2 * i] >> 4, p.data[at + 2 + 2 * i] & 15
        if c.dc > 3 or c.ac > 3:
            return False
        if not p.dc[c.dc].known and (not p.progressive or (scan.first == 0 and not scan.high)):
            return False
        if not p.ac[c.ac].known and (not p.progressive or scan.first):
            return False
        c.scanned = c.scanned or not p.progressive or scan.first == 0
    return True


cdef int _check(Picture* p) noexcept nogil:
    cdef Py_ssize_t end
    cdef Scan scan
    cdef int marker, i
    p.at = 2
    while p.at + 3 < p.size:
        if p.data[p.at] != 0xFF:
            return 2
        marker = p.data[p.at + 1]
        if marker == 0xFF:
            p.at += 1
            continue
        if marker == 0xD9:
            break
        end = p.at + 2 + (p.data[p.at + 2] << 8 | p.data[p.at + 3])
        if end > p.size or marker == 0x01 or 0xD0 <= marker <= 0xD8:
            return 2
        if marker in (0xC0, 0xC1, 0xC2):
            p.progressive = marker == 0xC2
            if not _read_frame(p, p.at + 4, end):
                return 2
        elif marker == 0xC4:
            if not _read_tables(p, p.at + 4, end):
                return 2
        elif 0xC3 <= marker <= 0xCF or marker == 0xDC:
            return 2  # lossless, hierarchical or arithmetic; or the height comes later
        elif marker == 0xDD:
            p.interval = p.data[p.at + 4] << 8 | p.data[p.at + 5] if end - p.at == 6 else 0
        elif marker == 0xDA:
            if not _read_scan(p, &scan, p.at + 4, end):
                return 2
            p.at = end
            if not _walk(p, &scan):
                return 1
            continue
        p.at = end
    for i in range(p.components):
        if not p.component[i].scanned:
            return 1
    return 0 if p.framed else 2


def check(const unsigned char[::1] data):
    """WHOLE, DAMAGED, or UNKNOWN for what this does not read."""
    cdef Picture picture
    cdef int result, i
    if data.shape[0] < 4 or data[0] != 0xFF or data[1] != 0xD8:
        return UNKNOWN
    memset(&picture, 0, sizeof(Picture))
    picture.data, picture.size = &data[0], data.shape[0]
    with nogil:
        result = _check(&picture)
        for i in range(4):
            free(picture.component[i].nonzero)
    return result
