// The CPU kernels of rows.h. Included by each isa_*.cpp inside its own instruction set, with RS_ISA
// naming the namespace. Every step is a short loop over one row that the compiler vectorises; a row
// of each tensor is 2 KB at the supernet's sizes, so what lies between memory and memory is L1.

namespace rs::RS_ISA {

#if defined(__clang__)
#define RS_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#elif defined(__GNUC__)
#define RS_INDEPENDENT _Pragma("GCC ivdep")
#else
#define RS_INDEPENDENT
#endif

template <class T>
RS_HD T* row_of(const Rows& t, const Space& s, int64_t image, int64_t h) {
  const int64_t b = image / s.planes, c = image % s.planes;
  return static_cast<T*>(t.data) + b * t.batch + c * t.plane + h * t.row;
}

// f(e, o) for every element of a row: e counts elements, o is the place in a row whose pixels lie
// `pixel` elements apart (a channel slice of a wider tensor).
template <class F>
RS_HD void each(const Space& s, int64_t pixel, F f) {
  const int64_t n = s.n(), P = s.P;
  if (pixel == P) {
    RS_INDEPENDENT
    for (int64_t e = 0; e < n; ++e) f(e, e);
    return;
  }
  for (int64_t w = 0; w < s.W; ++w) {
    const int64_t e = w * P, o = w * pixel;
    int64_t c = 0;
    for (; c + 16 <= P; c += 16) {
      RS_INDEPENDENT
      for (int64_t k = 0; k < 16; ++k) f(e + c + k, o + c + k);
    }
    for (; c < P; ++c) f(e + c, o + c);
  }
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

// out[e] = u[e - P] + u[e] + u[e + P], with nothing outside the row.
template <class A>
RS_HD void horizontal_sum(A* __restrict out, const A* __restrict u, int64_t n, int64_t P) {
  for (int64_t e = 0; e < n; ++e) out[e] = u[e];
  for (int64_t e = P; e < n; ++e) out[e] += u[e - P];
  for (int64_t e = 0; e + P < n; ++e) out[e] += u[e + P];
}

// Three rows of horizontal sums, so that a pooled row is their sum. `scale` holds the column scale:
// the pool multiplies by it after the sums, its transpose before them.
template <class A>
struct PoolRing {
  A *ring, *scale, *u;
  int64_t n, P, H;
  bool adjoint;

  RS_HD void push(int64_t h) {  // u is row h
    if (adjoint) {
      const A vertical = pool_scale<A>(h, H);
      RS_INDEPENDENT
      for (int64_t e = 0; e < n; ++e) u[e] *= scale[e] * vertical;
    }
    horizontal_sum(ring + (h % 3) * n, u, n, P);
  }

  RS_HD void clear(int64_t h) { fill(ring + (h % 3) * n, n, A(0)); }

  template <class F>
  RS_HD void each_pooled(int64_t h, F f) const {
    const A *r0 = ring, *r1 = ring + n, *r2 = ring + 2 * n;
    const A vertical = adjoint ? A(1) : pool_scale<A>(h, H);
    if (adjoint) {
      RS_INDEPENDENT
      for (int64_t e = 0; e < n; ++e) f(e, r0[e] + r1[e] + r2[e]);
    } else {
      RS_INDEPENDENT
      for (int64_t e = 0; e < n; ++e) f(e, (r0[e] + r1[e] + r2[e]) * (scale[e] * vertical));
    }
  }
};

template <class T, class A>
void node_write(const NodeWrite& k, int64_t unit, void* scratch) {
  const Space& s = k.space;
  const int64_t n = s.n(), image = unit / s.bands(), first = unit % s.bands() * kBand;
  const int64_t last = first + kBand < s.H ? first + kBand : s.H;
  A* free_row = static_cast<A*>(scratch);
  const auto take = [&](int64_t rows) { return free_row += rows * n, free_row - rows * n; };
  PoolRing<A> pool{take(3), take(1), take(1), n, s.P, s.H, k.adjoint};
  A *skip = take(2), *offset = take(1), *acc = take(1), *masked = take(1), *factor = take(k.terms);
  spread_scale(pool.scale, s);
  spread(offset, k.offset, s, image, A(0));
  for (int t = 0; t < k.terms; ++t) spread(factor + t * n, k.factor[t], s, image, A(1));

  const auto load = [&](int64_t h) {
    if (h < 0 || h >= s.H) return pool.clear(h + 3);
    A *u = pool.u, *d = skip + (h % 2) * n;
    fill(u, n, A(0));
    fill(d, n, A(0));
    for (int i = 0; i < k.sources; ++i) {
      const T* v = row_of<T>(k.v[i], s, image, h);
      const A *weight = static_cast<const A*>(k.w.data) + i * k.w.row;
      const A a = weight[k.w.skip], p = weight[k.w.pool];
      each(s, k.v[i].pixel, [&](int64_t e, int64_t o) {
        const A x = widen(v[o]);
        d[e] += a * x;
        u[e] += p * x;
      });
    }
    pool.push(h);
  };

  load(first - 1);
  load(first);
  for (int64_t h = first; h < last; ++h) {
    load(h + 1);
    const A* d = skip + (h % 2) * n;
    pool.each_pooled(h, [&](int64_t e, A p) { acc[e] = d[e] + p + offset[e]; });
    if (k.has_mask) fill(masked, n, A(0));
    A* sum = k.has_mask ? masked : acc;
    for (int t = 0; t < k.terms; ++t) {
      const T* y = row_of<T>(k.term[t], s, image, h);
      const A* a = factor + t * n;
      if (k.factor[t])
        each(s, k.term[t].pixel, [&](int64_t e, int64_t o) { sum[e] += a[e] * widen(y[o]); });
      else
        each(s, k.term[t].pixel, [&](int64_t e, int64_t o) { sum[e] += widen(y[o]); });
    }
    if (k.has_mask) {
      const T* m = row_of<T>(k.mask, s, image, h);
      each(s, k.mask.pixel, [&](int64_t e, int64_t o) {
        acc[e] += widen(m[o]) > A(0) ? masked[e] : A(0);
      });
    }
    for (int i = 0; i < k.dsts; ++i) {
      T* out = row_of<T>(k.dst[i], s, image, h);
      each(s, k.dst[i].pixel, [&](int64_t e, int64_t o) { narrow(acc[e], out[o]); });
    }
    if (k.has_relu) {
      T* out = row_of<T>(k.relu_dst, s, image, h);
      each(s, k.relu_dst.pixel, [&](int64_t e, int64_t o) { narrow(relu(acc[e]), out[o]); });
    }
  }
}

// Adds a row of n = W * P values into P doubles.
template <class A>
RS_HD void fold_pixels(double* channels, const A* row, const Space& s) {
  for (int64_t c = 0; c < s.P; ++c) channels[c] = 0;
  for (int64_t w = 0; w < s.W; ++w)
    for (int64_t c = 0; c < s.P; ++c) channels[c] += double(row[w * s.P + c]);
}

template <class T, class A>
void node_sums(const NodeSums& k, int64_t unit, void* scratch) {
  const Space& s = k.space;
  const int64_t n = s.n(), image = unit / s.bands(), first = unit % s.bands() * kBand;
  const int64_t last = first + kBand < s.H ? first + kBand : s.H;
  const int quantities = k.quantities();
  A* free_row = static_cast<A*>(scratch);
  const auto take = [&](int64_t rows) { return free_row += rows * n, free_row - rows * n; };
  PoolRing<A> pool{take(3), take(1), take(1), n, s.P, s.H, true};
  A *gs = take(2), *sums = take(quantities), *one = take(1);
  spread_scale(pool.scale, s);
  fill(sums, quantities * n, A(0));

  const auto load = [&](int64_t h) {
    if (h < 0 || h >= s.H) return pool.clear(h + 3);
    const T* g = row_of<T>(k.g, s, image, h);
    A *u = pool.u, *row = gs + (h % 2) * n;
    each(s, k.g.pixel, [&](int64_t e, int64_t o) { row[e] = u[e] = widen(g[o]); });
    pool.push(h);
  };

  load(first - 1);
  load(first);
  for (int64_t h = first; h < last; ++h) {
    load(h + 1);
    const A* g = gs + (h % 2) * n;
    pool.each_pooled(h, [&](int64_t e, A p) { one[e] = p; });
    RS_INDEPENDENT
    for (int64_t e = 0; e < n; ++e) sums[e] += g[e];
    for (int t = 0; t < k.terms; ++t) {
      // The mean is subtracted from every product, not from the sum: no cancellation.
      const T* y = row_of<T>(k.term[t], s, image, h);
      const A* mean = static_cast<const A*>(k.mean[t]) + (s.planes > 1 ? image % s.planes : 0);
      A* sum = sums + (1 + t) * n;
      for (int64_t w = 0; w < s.W; ++w) {
        const int64_t at = w * s.P, from = w * k.term[t].pixel;
        RS_INDEPENDENT
        for (int64_t c = 0; c < s.P; ++c) sum[at + c] += g[at + c] * (widen(y[from + c]) - mean[c]);
      }
    }
    for (int i = 0; i < k.sources; ++i) {
      const T* v = row_of<T>(k.v[i], s, image, h);
      A *skip = sums + (1 + k.terms + 2 * i) * n, *pooled = skip + n;
      each(s, k.v[i].pixel, [&](int64_t e, int64_t o) {
        const A x = widen(v[o]);
        skip[e] += g[e] * x;
        pooled[e] += one[e] * x;
      });
    }
  }
  double* partial = k.partial + unit * quantities * s.P;
  for (int q = 0; q < quantities; ++q) fold_pixels(partial + q * s.P, sums + q * n, s);
}

template <class T, class A>
void channel_moments(const ChannelMoments& k, int64_t unit, void* scratch) {
  const Space& s = k.space;
  const int64_t n = s.n(), image = unit / s.bands(), first = unit % s.bands() * kBand;
  const int64_t last = first + kBand < s.H ? first + kBand : s.H;
  A *sum = static_cast<A*>(scratch), *squares = sum + n, *shift = squares + n;
  for (int t = 0; t < k.terms; ++t) {
    fill(sum, n, A(0));
    fill(squares, n, A(0));
    // Sums are taken around the unit's own first pixel: a large mean costs no digits.
    const T* start = row_of<T>(k.y[t], s, image, first);
    for (int64_t w = 0; w < s.W; ++w)
      for (int64_t c = 0; c < s.P; ++c) shift[w * s.P + c] = widen(start[c]);
    for (int64_t h = first; h < last; ++h) {
      const T* y = row_of<T>(k.y[t], s, image, h);
      each(s, k.y[t].pixel, [&](int64_t e, int64_t o) {
        const A x = widen(y[o]) - shift[e];
        sum[e] += x;
        squares[e] += x * x;
      });
    }
    double* partial = k.partial + (unit * k.terms + t) * 3 * s.P;
    const double count = double((last - first) * s.W);
    fold_pixels(partial + s.P, sum, s);
    fold_pixels(partial + 2 * s.P, squares, s);
    for (int64_t c = 0; c < s.P; ++c) {
      const auto m = Moments<double>::shifted(count, double(shift[c]), partial[s.P + c],
                                              partial[2 * s.P + c]);
      partial[c] = m.count, partial[s.P + c] = m.mean, partial[2 * s.P + c] = m.m2;
    }
  }
}

template <class T, class A>
void norm_backward(const NormBackward& k, int64_t unit, void* scratch) {
  const Space& s = k.space;
  const int64_t n = s.n(), image = unit / s.bands(), first = unit % s.bands() * kBand;
  const int64_t last = first + kBand < s.H ? first + kBand : s.H;
  A *g = static_cast<A*>(scratch), *coef = g + n;
  const A* all = static_cast<const A*>(k.coef);
  for (int q = 0; q < 3 * k.terms; ++q) spread(coef + q * n, all + q * k.C, s, image, A(0));
  for (int64_t h = first; h < last; ++h) {
    const T* from = row_of<T>(k.g, s, image, h);
    each(s, k.g.pixel, [&](int64_t e, int64_t o) { g[e] = widen(from[o]); });
    for (int t = 0; t < k.terms; ++t) {
      const T* y = row_of<T>(k.y[t], s, image, h);
      T* dy = row_of<T>(k.dy[t], s, image, h);
      const A *a = coef + 3 * t * n, *b = a + n, *d = b + n;
      const auto one = [&](int64_t e, int64_t from_o, int64_t to_o) {
        narrow(a[e] * g[e] + b[e] * widen(y[from_o]) + d[e], dy[to_o]);
      };
      if (k.y[t].pixel == k.dy[t].pixel)
        each(s, k.y[t].pixel, [&](int64_t e, int64_t o) { one(e, o, o); });
      else
        for (int64_t w = 0; w < s.W; ++w)
          for (int64_t c = 0; c < s.P; ++c)
            one(w * s.P + c, w * k.y[t].pixel + c, w * k.dy[t].pixel + c);
    }
  }
}

template <class T, class A>
void step(const Step& k, int64_t begin, int64_t end) {
  T* x_adv = static_cast<T*>(k.x_adv);
  const T *grad = static_cast<const T*>(k.grad), *x = static_cast<const T*>(k.x);
  const A size = A(k.step), eps = A(k.eps);
  RS_INDEPENDENT
  for (int64_t i = begin; i < end; ++i)
    narrow(step_value<A>(widen(x_adv[i]), widen(grad[i]), widen(x[i]), size, eps, k.project),
           x_adv[i]);
}

template <class T>
RowKernels row_kernels() {
  using A = typename Arithmetic<T>::type;
  return {node_write<T, A>, node_sums<T, A>, channel_moments<T, A>, norm_backward<T, A>,
          step<T, A>};
}

}  // namespace rs::RS_ISA
