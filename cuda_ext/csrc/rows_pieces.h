// What the CPU kernels of rows_impl.h are made of: rows, pooled rows, sums of rows. Included by it,
// inside its instruction set.

namespace rs::RS_ISA {

#if defined(__clang__)
#define RS_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define RS_INDEPENDENT _Pragma("GCC ivdep")
#else
#define RS_INDEPENDENT
#endif

#if defined(__GNUC__)
#define RS_INLINE_LAMBDA __attribute__((always_inline))
#else
#define RS_INLINE_LAMBDA
#endif

template <class T>
RS_HD T* row_of(const Rows& t, const Space& s, int64_t image, int64_t h) {
  const int64_t b = image / s.planes, c = image % s.planes;
  return static_cast<T*>(t.data) + b * t.batch + c * t.plane + h * t.row;
}

// dst and src are W pixels of P elements, dst_pixel and src_pixel elements apart.
template <class T>
RS_HD void copy_pixels(T* dst, int64_t dst_pixel, const T* src, int64_t src_pixel, const Space& s) {
  if (s.P == 16) {  // a constant length becomes a few vector moves
    for (int64_t w = 0; w < s.W; ++w)
      memcpy(dst + w * dst_pixel, src + w * src_pixel, 16 * sizeof(T));
    return;
  }
  for (int64_t w = 0; w < s.W; ++w)
    memcpy(dst + w * dst_pixel, src + w * src_pixel, s.P * sizeof(T));
}

// A row as n elements in sequence: in place, or copied to `spare` where the pixels lie apart (a
// channel slice of a wider tensor). The copy stays in L1 and keeps every loop below a plain one.
template <class T>
RS_HD const T* read_row(const Rows& t, const Space& s, int64_t image, int64_t h, void* spare) {
  const T* row = row_of<T>(t, s, image, h);
  if (t.pixel == s.P || s.W == 1) return row;
  copy_pixels(static_cast<T*>(spare), s.P, row, t.pixel, s);
  return static_cast<const T*>(spare);
}

// f(e, element) writes element e of a row.
template <class T, class F>
RS_HD void write_row(const Rows& t, const Space& s, int64_t image, int64_t h, void* spare, F f) {
  T* row = row_of<T>(t, s, image, h);
  const bool direct = t.pixel == s.P || s.W == 1;
  T* out = direct ? row : static_cast<T*>(spare);
  const int64_t n = s.n();
  RS_INDEPENDENT
  for (int64_t e = 0; e < n; ++e) f(e, out[e]);
  if (!direct) copy_pixels(row, t.pixel, out, s.P, s);
}

// A row of per-channel values, repeated over the pixels.
template <class A>
RS_HD void spread(A* row, const void* channels, const Space& s, int64_t image, A fallback) {
  const A* values = static_cast<const A*>(channels);
  const int64_t c0 = s.planes > 1 ? image % s.planes : 0;
  for (int64_t w = 0; w < s.W; ++w)
    for (int64_t c = 0; c < s.P; ++c) row[w * s.P + c] = values ? values[c0 + c] : fallback;
}

// 1 / (columns inside the image) for every element of a row.
template <class A>
RS_HD void spread_scale(A* row, const Space& s) {
  for (int64_t w = 0; w < s.W; ++w)
    for (int64_t c = 0; c < s.P; ++c) row[w * s.P + c] = pool_scale<A>(w, s.W);
}

template <class A>
RS_HD void fill(A* row, int64_t n, A value) {
  for (int64_t e = 0; e < n; ++e) row[e] = value;
}

// Scratch memory, handed out in rows of n elements.
template <class A>
struct Scratch {
  A* next;
  int64_t n;
  RS_HD A* rows(int64_t count) { return next += count * n, next - count * n; }
};

// Three rows of horizontal sums, so that a pooled row is their sum. `scale` holds the column scale:
// the pool multiplies by it after the sums, its transpose before them.
template <class A>
struct PoolRing {
  A *ring, *scale, *u;
  int64_t n, P, H;
  bool adjoint;

  RS_HD PoolRing(Scratch<A>& scratch, const Space& s, bool adjoint_)
      : ring(scratch.rows(3)), scale(scratch.rows(1)), u(scratch.rows(3) + s.P), n(s.n()), P(s.P),
        H(s.H), adjoint(adjoint_) {
    spread_scale(scale, s);
    fill(u - P, P, A(0));  // nothing outside the row
    fill(u + n, P, A(0));
  }

  // Row h of the input, already in u (and, for the transpose, multiplied by scale).
  RS_HD void push(int64_t h) {
    A* __restrict out = ring + (h % 3) * n;
    const A* __restrict in = u;
    const A vertical = adjoint ? pool_scale<A>(h, H) : A(1);
    for (int64_t e = 0; e < n; ++e) out[e] = vertical * (in[e - P] + in[e] + in[e + P]);
  }

  RS_HD void push_nothing(int64_t h) { fill(ring + (h + 3) % 3 * n, n, A(0)); }

  // f(e, pooled value) along row h.
  template <class F>
  RS_HD void each_pooled(int64_t h, F f) const {
    const A *r0 = ring, *r1 = ring + n, *r2 = ring + 2 * n, *column = scale;
    const int64_t count = n;
    const A vertical = pool_scale<A>(h, H);
    if (adjoint) {
      RS_INDEPENDENT
      for (int64_t e = 0; e < count; ++e) f(e, r0[e] + r1[e] + r2[e]);
    } else {
      RS_INDEPENDENT
      for (int64_t e = 0; e < count; ++e) f(e, (r0[e] + r1[e] + r2[e]) * (column[e] * vertical));
    }
  }
};

// The rows of one unit.
struct Band {
  int64_t image, first, last;
  RS_HD Band(const Space& s, int64_t unit)
      : image(unit / s.bands()), first(unit % s.bands() * kBand),
        last(first + kBand < s.H ? first + kBand : s.H) {}
};

// d = sum_i a_i v_i and u = sum_i p_i v_i (times scale, where given) over S rows in one pass: with
// the running sums in registers, a source costs one load.
template <int S, class T, class A>
RS_HD void weigh(A* d, A* u, const T* const (&v)[kMaxSources], const A (&a)[kMaxSources],
                 const A (&p)[kMaxSources], const A* scale, int64_t n) {
  const T *v0 = v[0], *v1 = v[S > 1], *v2 = v[S > 2 ? 2 : 0];
  const A a0 = a[0], a1 = a[1], a2 = a[2], p0 = p[0], p1 = p[1], p2 = p[2];
  RS_INDEPENDENT
  for (int64_t e = 0; e < n; ++e) {
    A x = a0 * widen(v0[e]), y = p0 * widen(v0[e]);
    if (S > 1) x += a1 * widen(v1[e]), y += p1 * widen(v1[e]);
    if (S > 2) x += a2 * widen(v2[e]), y += p2 * widen(v2[e]);
    d[e] = x;
    u[e] = y;
  }
  if (!scale) return;
  RS_INDEPENDENT
  for (int64_t e = 0; e < n; ++e) u[e] *= scale[e];
}

// sum += f_0 y_0 + f_1 y_1 + f_2 y_2 over the first K of them; without FACTORS f is 1.
template <int K, bool FACTORS, class T, class A>
RS_HD void add_terms(A* sum, const T* const (&y)[3], const A* const (&f)[3], int64_t n) {
  const T *y0 = y[0], *y1 = y[K > 1], *y2 = y[K > 2 ? 2 : 0];
  const A *f0 = f[0], *f1 = f[K > 1], *f2 = f[K > 2 ? 2 : 0];
  RS_INDEPENDENT
  for (int64_t e = 0; e < n; ++e) {
    A x = FACTORS ? f0[e] * widen(y0[e]) : widen(y0[e]);
    if (K > 1) x += FACTORS ? f1[e] * widen(y1[e]) : widen(y1[e]);
    if (K > 2) x += FACTORS ? f2[e] * widen(y2[e]) : widen(y2[e]);
    sum[e] += x;
  }
}

template <bool FACTORS, class T, class A>
RS_HD void add_up_to_three(int count, A* sum, const T* const (&y)[3], const A* const (&f)[3],
                           int64_t n) {
  if (count == 1) add_terms<1, FACTORS>(sum, y, f, n);
  if (count == 2) add_terms<2, FACTORS>(sum, y, f, n);
  if (count == 3) add_terms<3, FACTORS>(sum, y, f, n);
}

}  // namespace rs::RS_ISA
