"""The kernels of a node in Triton, for GPUs whose CUDA C++ ones are not built.

Tensors are channels-last and their pixels lie evenly: pixel p, counted over images, rows and
columns, starts at p times the tensor's stride. Strides, the number of channels C and that of
sources S are known when a kernel is compiled. A program owns P columns of a strip of rows and BC
channels and walks down the strip, or, where no neighbours are read, P pixels. Sums are float32 in a
program and float64 above. The formulas are those of csrc/arith.h.
"""

# Triton reads these functions itself and has types of its own.
# mypy: disable-error-code="no-untyped-def"

import triton
import triton.language as tl

STRIP = 8
"""Rows that a program walks down."""


@triton.jit
def _extent(i, n):
    """How many of the positions i-1, i, i+1 lie inside 0..n-1."""
    return 1.0 + (i > 0).to(tl.float32) + (i + 1 < n).to(tl.float32)


@triton.jit
def _read(tensor, STRIDE: tl.constexpr, pixel, c, mask):
    return tl.load(tensor + pixel[:, None].to(tl.int64) * STRIDE + c, mask, 0.0).to(tl.float32)


@triton.jit
def _write(tensor, STRIDE: tl.constexpr, pixel, c, mask, value):
    tl.store(tensor + pixel[:, None].to(tl.int64) * STRIDE + c, value, mask)


@triton.jit
def _column(H, W, items, P: tl.constexpr, STRIP: tl.constexpr):
    """The program's columns: the first pixel and row of each, the column, and whether it is one."""
    item = tl.program_id(0) * P + tl.arange(0, P)
    row = item // W
    strips = tl.cdiv(H, STRIP)
    image = row // strips
    first, w = (row - image * strips) * STRIP, item - row * W
    return (image * H + first) * W + w, first, w, item < items


@triton.jit
def _channels(C: tl.constexpr, BC: tl.constexpr):
    c = tl.program_id(1) * BC + tl.arange(0, BC)
    return c[None, :], (c < C)[None, :]


@triton.jit
def _pool_row(v, STRIDE: tl.constexpr, pixel, h, w, c, inside, real, H, W, GATHER: tl.constexpr):
    """The horizontal sum of row h, which the transposed pool divides at its source; the centre."""
    here = inside & (h >= 0) & (h < H)
    centre = _read(v, STRIDE, pixel, c, here[:, None] & real)
    left = _read(v, STRIDE, pixel - 1, c, (here & (w > 0))[:, None] & real)
    right = _read(v, STRIDE, pixel + 1, c, (here & (w + 1 < W))[:, None] & real)
    if GATHER:
        scale = 1.0 / _extent(h, H)
        left *= (scale / _extent(w - 1, W))[:, None]
        right *= (scale / _extent(w + 1, W))[:, None]
        return left + centre * (scale / _extent(w, W))[:, None] + right, centre
    return left + centre + right, centre


@triton.jit
def _weighted_row(
    v, STRIDES: tl.constexpr, w, W_ROW: tl.constexpr, SKIP: tl.constexpr, POOL: tl.constexpr,
    pixel, h, column, c, inside, real, H, W, S: tl.constexpr, GATHER: tl.constexpr,
    P: tl.constexpr, BC: tl.constexpr,
):  # fmt: skip
    """sum_s pool_s (horizontal sum of v_s), and sum_s skip_s v_s."""
    total, centre = tl.zeros((P, BC), tl.float32), tl.zeros((P, BC), tl.float32)
    for s in tl.static_range(S):
        row, middle = _pool_row(
            v[s], STRIDES[s], pixel, h, column, c, inside, real, H, W, GATHER
        )  # fmt: skip
        total += tl.load(w + s * W_ROW + POOL) * row
        centre += tl.load(w + s * W_ROW + SKIP) * middle
    return total, centre


@triton.jit(do_not_specialize=["items", "H", "W"], do_not_specialize_on_alignment=["w"])
def node_write(
    v, terms, mask, out, relu_out, w, factor, offset, items, H, W,
    V_STRIDES: tl.constexpr, TERM_STRIDES: tl.constexpr, MASK_STRIDE: tl.constexpr,
    OUT_STRIDES: tl.constexpr, W_ROW: tl.constexpr, SKIP: tl.constexpr, POOL: tl.constexpr,
    S: tl.constexpr, TERMS: tl.constexpr, OUTS: tl.constexpr, HAS_FACTOR: tl.constexpr,
    HAS_OFFSET: tl.constexpr, HAS_MASK: tl.constexpr, HAS_RELU: tl.constexpr,
    GATHER: tl.constexpr, C: tl.constexpr, BC: tl.constexpr, P: tl.constexpr,
    STRIP: tl.constexpr,
):  # fmt: skip
    """out = sum_s skip_s v_s + pool_s pool(v_s) + offset + [mask > 0] sum_t factor_t term_t.

    Written to every `out`; relu(out) to `relu_out`. With GATHER the pool is the transposed one.
    """
    first_pixel, first, column, inside = _column(H, W, items, P, STRIP)
    c, real = _channels(C, BC)
    above, _ = _weighted_row(
        v, V_STRIDES, w, W_ROW, SKIP, POOL, first_pixel - W, first - 1, column, c, inside, real,
        H, W, S, GATHER, P, BC,
    )  # fmt: skip
    row, centre = _weighted_row(
        v, V_STRIDES, w, W_ROW, SKIP, POOL, first_pixel, first, column, c, inside, real, H, W, S,
        GATHER, P, BC,
    )  # fmt: skip
    pair = above + row
    for r in range(STRIP):
        h, pixel = first + r, first_pixel + r * W
        here = (inside & (h < H))[:, None] & real
        below, next_centre = _weighted_row(
            v, V_STRIDES, w, W_ROW, SKIP, POOL, pixel + W, h + 1, column, c, inside, real, H, W, S,
            GATHER, P, BC,
        )  # fmt: skip
        total = tl.zeros((P, BC), tl.float32)
        for t in tl.static_range(TERMS):
            term = _read(terms[t], TERM_STRIDES[t], pixel, c, here)
            if HAS_FACTOR:
                term *= tl.load(factor + t * C + c, real, 0.0)
            total += term
        if HAS_MASK:
            total = tl.where(_read(mask, MASK_STRIDE, pixel, c, here) > 0, total, 0.0)
        pooled = pair + below
        if not GATHER:
            pooled *= (1.0 / (_extent(h, H) * _extent(column, W)))[:, None]
        total += centre + pooled
        if HAS_OFFSET:
            total += tl.load(offset + c, real, 0.0)
        for i in tl.static_range(OUTS):
            _write(out[i], OUT_STRIDES[i], pixel, c, here, total)
        if HAS_RELU:  # NaN stays NaN, as in torch.relu
            _write(relu_out, C, pixel, c, here, tl.where(total < 0, 0.0, total))
        pair, row, centre = row + below, below, next_centre


@triton.jit
def _with_row(
    sums, here, pooled, y, Y: tl.constexpr, v, V: tl.constexpr, mean, s: tl.constexpr,
    C: tl.constexpr, pixel, c, real, mask,
):  # fmt: skip
    """The running sums of source s, with one row more."""
    x = _read(v[s], V[s], pixel, c, mask)
    y1 = _read(y[2 * s], Y[2 * s], pixel, c, mask) - tl.load(mean + 2 * s * C + c, real, 0.0)
    y3 = _read(y[2 * s + 1], Y[2 * s + 1], pixel, c, mask)
    y3 -= tl.load(mean + (2 * s + 1) * C + c, real, 0.0)
    return sums[0] + here * y1, sums[1] + here * y3, sums[2] + here * x, sums[3] + pooled * x


@triton.jit
def _store_sums(partial, S: tl.constexpr, s: tl.constexpr, C: tl.constexpr, c, real, sums):
    at = partial + c
    tl.store(at + (1 + 2 * s) * C, tl.sum(sums[0], 0)[None, :], real)
    tl.store(at + (2 + 2 * s) * C, tl.sum(sums[1], 0)[None, :], real)
    tl.store(at + (1 + 2 * S + 2 * s) * C, tl.sum(sums[2], 0)[None, :], real)
    tl.store(at + (2 + 2 * S + 2 * s) * C, tl.sum(sums[3], 0)[None, :], real)


@triton.jit(do_not_specialize=["items", "H", "W"])
def node_sums(
    g, v, y, mean, partial, items, H, W,
    G: tl.constexpr, V: tl.constexpr, Y: tl.constexpr,
    S: tl.constexpr, C: tl.constexpr, BC: tl.constexpr, P: tl.constexpr, STRIP: tl.constexpr,
):  # fmt: skip
    """For each program and channel: sum g; for each term sum g (y - mean); for each source sum g v
    and sum poolT(g) v. partial is programs x (1 + 4 S) x C; y is y1[0], y3[0], y1[1], ..."""
    first_pixel, first, column, inside = _column(H, W, items, P, STRIP)
    c, real = _channels(C, BC)
    zero = tl.zeros((P, BC), tl.float32)
    total, sums0, sums1, sums2 = zero, (zero,) * 4, (zero,) * 4, (zero,) * 4
    above, _ = _pool_row(
        g, G, first_pixel - W, first - 1, column, c, inside, real, H, W, True
    )  # fmt: skip
    row, here = _pool_row(g, G, first_pixel, first, column, c, inside, real, H, W, True)
    pair = above + row
    for r in range(STRIP):
        h, pixel = first + r, first_pixel + r * W
        mask = (inside & (h < H))[:, None] & real
        below, next_here = _pool_row(
            g, G, pixel + W, h + 1, column, c, inside, real, H, W, True
        )  # fmt: skip
        total += here
        pooled = pair + below
        sums0 = _with_row(sums0, here, pooled, y, Y, v, V, mean, 0, C, pixel, c, real, mask)
        if S > 1:
            sums1 = _with_row(sums1, here, pooled, y, Y, v, V, mean, 1, C, pixel, c, real, mask)
        if S > 2:
            sums2 = _with_row(sums2, here, pooled, y, Y, v, V, mean, 2, C, pixel, c, real, mask)
        pair, row, here = row + below, below, next_here
    partial += tl.program_id(0).to(tl.int64) * (1 + 4 * S) * C
    tl.store(partial + c, tl.sum(total, 0)[None, :], real)
    _store_sums(partial, S, 0, C, c, real, sums0)
    if S > 1:
        _store_sums(partial, S, 1, C, c, real, sums1)
    if S > 2:
        _store_sums(partial, S, 2, C, c, real, sums2)


@triton.jit(do_not_specialize=["programs"])
def fold_sums(partial, total, programs, COUNT: tl.constexpr, BN: tl.constexpr, BP: tl.constexpr):
    """total[i] = sum over programs of partial[program][i], in float64, always in the same order."""
    i = tl.program_id(0) * BN + tl.arange(0, BN)
    real = i < COUNT
    sums = tl.zeros((BP, BN), tl.float64)
    for begin in range(0, programs, BP):
        program = begin + tl.arange(0, BP)
        at = partial + program[:, None].to(tl.int64) * COUNT + i[None, :]
        sums += tl.load(at, (program < programs)[:, None] & real[None, :], 0.0).to(tl.float64)
    tl.store(total + i, tl.sum(sums, 0), real)


@triton.jit(do_not_specialize=["count", "eps"])
def finish(
    total, w, mean, var, dw, coef, count, eps, S: tl.constexpr, OPS: tl.constexpr,
    C: tl.constexpr, BC: tl.constexpr,
):  # fmt: skip
    """dw (S, OPS) and the coefficients of `norm_backward` (2S, 3, C) from the sums over programs,
    which are float64."""
    c = tl.arange(0, BC)
    real = c < C
    sum_g = tl.load(total + c, real, 0.0).to(tl.float32)
    for t in tl.static_range(2 * S):
        sum_dev = tl.load(total + (1 + t) * C + c, real, 0.0).to(tl.float32)
        sigma2 = tl.load(var + t * C + c, real, 1.0) + eps
        each = 1.0 / tl.sqrt_rn(sigma2)
        a = tl.load(w + t // 2 * OPS + 2 + t % 2) * each
        b = -a * sum_dev / (count * sigma2)
        d = -a * sum_g / count - b * tl.load(mean + t * C + c, real, 0.0)
        at = coef + 3 * t * C + c
        tl.store(at, a, real)
        tl.store(at + C, b, real)
        tl.store(at + 2 * C, d, real)
        share = tl.where(real, sum_dev * each, 0.0).to(tl.float64)
        tl.store(dw + t // 2 * OPS + 2 + t % 2, tl.sum(share, 0).to(tl.float32))
    for i in tl.static_range(2 * S):  # skip and pool
        share = tl.load(total + (1 + 2 * S + i) * C + c, real, 0.0)
        tl.store(dw + i // 2 * OPS + (1 + 3 * (i % 2)), tl.sum(share, 0).to(tl.float32))
    for s in tl.static_range(S):
        tl.store(dw + s * OPS, 0.0)


@triton.jit(do_not_specialize=["eps"])
def norm_factors(
    w, mean, var, factor, offset, eps, S: tl.constexpr, OPS: tl.constexpr, C: tl.constexpr,
    BC: tl.constexpr,
):  # fmt: skip
    """factor = w / sqrt(var + eps) of every term, (2S, C), and offset = -sum factor mean, (C,)."""
    c = tl.program_id(0) * BC + tl.arange(0, BC)
    real = c < C
    total = tl.zeros((BC,), tl.float32)
    for t in tl.static_range(2 * S):
        sigma = tl.sqrt_rn(tl.load(var + t * C + c, real, 1.0) + eps)
        each = tl.load(w + t // 2 * OPS + 2 + t % 2) / sigma
        tl.store(factor + t * C + c, each, real)
        total -= each * tl.load(mean + t * C + c, real, 0.0)
    tl.store(offset + c, total, real)


@triton.jit(do_not_specialize=["pixels"])
def moments(
    y, partial, pixels, Y: tl.constexpr, T: tl.constexpr, C: tl.constexpr, BC: tl.constexpr,
    P: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    """For each program, term and channel: the first pixel's value, and the sums of what the others
    lie above it and of its squares. partial is programs x T x 3 x C."""
    c, real = _channels(C, BC)
    first = tl.program_id(0) * P * STEPS
    for t in tl.static_range(T):
        shift = tl.load(y[t] + first.to(tl.int64) * Y[t] + c, real, 0.0).to(tl.float32)
        total, squares = tl.zeros((P, BC), tl.float32), tl.zeros((P, BC), tl.float32)
        for step in range(STEPS):
            pixel = first + step * P + tl.arange(0, P)
            mask = (pixel < pixels)[:, None] & real
            x = tl.where(mask, _read(y[t], Y[t], pixel, c, mask) - shift, 0.0)
            total += x
            squares += x * x
        at = partial + (tl.program_id(0).to(tl.int64) * T + t) * 3 * C + c
        tl.store(at, shift, real)
        tl.store(at + C, tl.sum(total, 0)[None, :], real)
        tl.store(at + 2 * C, tl.sum(squares, 0)[None, :], real)


@triton.jit(do_not_specialize=["programs", "pixels"])
def fold_moments(
    partial, mean, var, programs, pixels, EACH: tl.constexpr, T: tl.constexpr, C: tl.constexpr,
    BC: tl.constexpr, BP: tl.constexpr,
):  # fmt: skip
    """Mean and biased variance (T, C) from the programs' sums over EACH pixels or fewer, united
    around the first program's shift (Chan et al. 1979)."""
    c = tl.program_id(0) * BC + tl.arange(0, BC)
    real, term = (c < C)[None, :], tl.program_id(1)
    partial += term * 3 * C + c[None, :]
    reference = tl.load(partial, real, 0.0).to(tl.float64)
    total, squares = tl.zeros((BP, BC), tl.float64), tl.zeros((BP, BC), tl.float64)
    for begin in range(0, programs, BP):
        program = begin + tl.arange(0, BP)
        mask = (program < programs)[:, None] & real
        at = partial + program[:, None].to(tl.int64) * T * 3 * C
        shift = tl.load(at, mask, 0.0).to(tl.float64) - reference
        part = tl.load(at + C, mask, 0.0).to(tl.float64)
        square = tl.load(at + 2 * C, mask, 0.0).to(tl.float64)
        n = tl.minimum(pixels - program * EACH, EACH).to(tl.float64)[:, None]
        # Sums around the reference of what is known around the program's own shift.
        total += tl.where(mask, part + n * shift, 0.0)
        squares += tl.where(mask, square + shift * (2 * part + n * shift), 0.0)
    sums, square_sums = tl.sum(total, 0), tl.sum(squares, 0)
    count = pixels.to(tl.float64)
    at, known = term * C + c, c < C
    tl.store(mean + at, (tl.sum(reference, 0) + sums / count).to(tl.float32), known)
    m2 = square_sums - sums * (sums / count)
    m2 = tl.where(m2 < 0, 0.0, m2)  # NaN stays NaN
    tl.store(var + at, (m2 / count).to(tl.float32), known)


@triton.jit(do_not_specialize=["pixels"])
def norm_backward(
    g, y, coef, dy, pixels, G: tl.constexpr, Y: tl.constexpr, DY: tl.constexpr, T: tl.constexpr,
    C: tl.constexpr, BC: tl.constexpr, P: tl.constexpr,
):  # fmt: skip
    """dy = a g + b y + d for every term, with coef (T, 3, C)."""
    c, real = _channels(C, BC)
    pixel = tl.program_id(0) * P + tl.arange(0, P)
    mask = (pixel < pixels)[:, None] & real
    gradient = _read(g, G, pixel, c, mask)
    for t in tl.static_range(T):
        at = coef + 3 * t * C + c
        out = tl.load(at, real, 0.0) * gradient
        out += tl.load(at + C, real, 0.0) * _read(y[t], Y[t], pixel, c, mask)
        _write(dy[t], DY[t], pixel, c, mask, out + tl.load(at + 2 * C, real, 0.0))


@triton.jit
def attack_step(x_adv, grad, x, numel, step, eps, PROJECT: tl.constexpr, N: tl.constexpr):
    """x_adv = clip(x_adv + step sign(grad), x - eps, x + eps), then clip to [0, 1]."""
    i = tl.program_id(0).to(tl.int64) * N + tl.arange(0, N)
    mask = i < numel
    g = tl.load(grad + i, mask, 0.0).to(tl.float32)
    value = tl.load(x_adv + i, mask, 0.0).to(tl.float32)
    value += step * ((g > 0).to(tl.float32) - (g < 0).to(tl.float32))
    if PROJECT:
        origin = tl.load(x + i, mask, 0.0).to(tl.float32)
        low, high = origin - eps, origin + eps
        value = tl.where(value < low, low, value)
        value = tl.where(value > high, high, value)
    value = tl.where(value < 0, 0.0, value)
    tl.store(x_adv + i, tl.where(value > 1, 1.0, value), mask)
