// The CPU kernels of rows.h. Included by each isa_*.cpp inside its own instruction set, with RS_ISA
// naming the namespace. Every step is a short loop over one row that the compiler vectorises; a row
// of each tensor is 2 KB at the supernet's sizes, so what lies between memory and memory is L1.
#include "rows_pieces.h"

namespace rs::RS_ISA {

template <class T, class A>
void node_write(const NodeWrite& k, int64_t unit, void* memory) {
  const Space& s = k.space;
  const int64_t n = s.n();
  const Band band(s, unit);
  Scratch<A> scratch{static_cast<A*>(memory), n};
  PoolRing<A> pool(scratch, s, k.adjoint);
  A *skips = scratch.rows(2), *offset = scratch.rows(1), *acc = scratch.rows(1);
  A *masked = scratch.rows(1), *factors = scratch.rows(k.terms), *spare = scratch.rows(3);
  spread(offset, k.offset, s, band.image, A(0));
  for (int t = 0; t < k.terms; ++t) spread(factors + t * n, k.factor[t], s, band.image, A(1));
  const bool has_factors = k.terms > 0 && k.factor[0];
  A a[kMaxSources] = {}, p[kMaxSources] = {};
  for (int i = 0; i < k.sources; ++i) {
    const A* weight = static_cast<const A*>(k.w.data) + i * k.w.row;
    a[i] = weight[k.w.skip], p[i] = weight[k.w.pool];
  }

  const auto load = [&](int64_t h) RS_INLINE_LAMBDA {
    if (h < 0 || h >= s.H) return pool.push_nothing(h);
    const T* v[kMaxSources] = {};
    for (int i = 0; i < k.sources; ++i)
      v[i] = read_row<T>(k.v[i], s, band.image, h, spare + i * n);
    A *u = pool.u, *d = skips + (h % 2) * n;
    const A* scale = k.adjoint ? pool.scale : nullptr;
    if (k.sources == 1) weigh<1>(d, u, v, a, p, scale, n);
    if (k.sources == 2) weigh<2>(d, u, v, a, p, scale, n);
    if (k.sources == 3) weigh<3>(d, u, v, a, p, scale, n);
    pool.push(h);
  };

  load(band.first - 1);
  load(band.first);
  for (int64_t h = band.first; h < band.last; ++h) {
    load(h + 1);
    const A* d = skips + (h % 2) * n;
    pool.each_pooled(h, [=](int64_t e, A pooled) { acc[e] = d[e] + offset[e] + pooled; });
    A* sum = k.has_mask ? masked : acc;
    if (k.has_mask) fill(masked, n, A(0));
    for (int first = 0; first < k.terms; first += 3) {
      const int count = k.terms - first < 3 ? k.terms - first : 3;
      const T* y[3] = {};
      const A* f[3] = {};
      for (int i = 0; i < count; ++i) {
        y[i] = read_row<T>(k.term[first + i], s, band.image, h, spare + i * n);
        f[i] = factors + (first + i) * n;
      }
      if (has_factors)
        add_up_to_three<true>(count, sum, y, f, n);
      else
        add_up_to_three<false>(count, sum, y, f, n);
    }
    if (k.has_mask) {
      const T* m = read_row<T>(k.mask, s, band.image, h, spare);
      RS_INDEPENDENT
      for (int64_t e = 0; e < n; ++e) {
        const A term = masked[e];
        acc[e] += widen(m[e]) > A(0) ? term : A(0);
      }
    }
    for (int i = 0; i < k.dsts; ++i)
      write_row<T>(k.dst[i], s, band.image, h, spare,
                   [=](int64_t e, T& out) { narrow(acc[e], out); });
    if (k.has_relu)
      write_row<T>(k.relu_dst, s, band.image, h, spare,
                   [=](int64_t e, T& out) { narrow(relu(acc[e]), out); });
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
void node_sums(const NodeSums& k, int64_t unit, void* memory) {
  const Space& s = k.space;
  const int64_t n = s.n();
  const Band band(s, unit);
  const int quantities = k.quantities();
  Scratch<A> scratch{static_cast<A*>(memory), n};
  PoolRing<A> pool(scratch, s, true);
  A *gs = scratch.rows(2), *sums = scratch.rows(quantities), *pooled = scratch.rows(1);
  A *means = scratch.rows(k.terms), *spare = scratch.rows(1);
  fill(sums, quantities * n, A(0));
  for (int t = 0; t < k.terms; ++t) spread(means + t * n, k.mean[t], s, band.image, A(0));

  const auto load = [&](int64_t h) RS_INLINE_LAMBDA {
    if (h < 0 || h >= s.H) return pool.push_nothing(h);
    const T* g = read_row<T>(k.g, s, band.image, h, spare);
    A *u = pool.u, *row = gs + (h % 2) * n;
    const A* scale = pool.scale;
    RS_INDEPENDENT
    for (int64_t e = 0; e < n; ++e) row[e] = widen(g[e]), u[e] = scale[e] * widen(g[e]);
    pool.push(h);
  };

  load(band.first - 1);
  load(band.first);
  for (int64_t h = band.first; h < band.last; ++h) {
    load(h + 1);
    const A* g = gs + (h % 2) * n;
    pool.each_pooled(h, [=](int64_t e, A p) { pooled[e] = p, sums[e] += g[e]; });
    for (int t = 0; t < k.terms; ++t) {
      // The mean is subtracted from every product, not from the sum: no cancellation.
      const T* y = read_row<T>(k.term[t], s, band.image, h, spare);
      const A* mean = means + t * n;
      A* sum = sums + (1 + t) * n;
      RS_INDEPENDENT
      for (int64_t e = 0; e < n; ++e) sum[e] += g[e] * (widen(y[e]) - mean[e]);
    }
    for (int i = 0; i < k.sources; ++i) {
      const T* v = read_row<T>(k.v[i], s, band.image, h, spare);
      A *sum = sums + (1 + k.terms + 2 * i) * n, *pool_sum = sum + n;
      RS_INDEPENDENT
      for (int64_t e = 0; e < n; ++e) {
        const A x = widen(v[e]);
        sum[e] += g[e] * x;
        pool_sum[e] += pooled[e] * x;
      }
    }
  }
  double* partial = k.partial + unit * quantities * s.P;
  for (int q = 0; q < quantities; ++q) fold_pixels(partial + q * s.P, sums + q * n, s);
}

template <class T, class A>
void channel_moments(const ChannelMoments& k, int64_t unit, void* memory) {
  const Space& s = k.space;
  const int64_t n = s.n();
  const Band band(s, unit);
  Scratch<A> scratch{static_cast<A*>(memory), n};
  A *sum = scratch.rows(1), *squares = scratch.rows(1), *shift = scratch.rows(1);
  A* spare = scratch.rows(1);
  for (int t = 0; t < k.terms; ++t) {
    fill(sum, n, A(0));
    fill(squares, n, A(0));
    // Sums are taken around the unit's own first pixel: a large mean costs no digits.
    const T* start = row_of<T>(k.y[t], s, band.image, band.first);
    for (int64_t w = 0; w < s.W; ++w)
      for (int64_t c = 0; c < s.P; ++c) shift[w * s.P + c] = widen(start[c]);
    for (int64_t h = band.first; h < band.last; ++h) {
      const T* y = read_row<T>(k.y[t], s, band.image, h, spare);
      RS_INDEPENDENT
      for (int64_t e = 0; e < n; ++e) {
        const A x = widen(y[e]) - shift[e];
        sum[e] += x;
        squares[e] += x * x;
      }
    }
    double* partial = k.partial + (unit * k.terms + t) * 3 * s.P;
    const double count = double((band.last - band.first) * s.W);
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
void norm_backward(const NormBackward& k, int64_t unit, void* memory) {
  const Space& s = k.space;
  const int64_t n = s.n();
  const Band band(s, unit);
  Scratch<A> scratch{static_cast<A*>(memory), n};
  A *g = scratch.rows(1), *coefs = scratch.rows(3 * k.terms), *spare = scratch.rows(1);
  A* spare_out = scratch.rows(1);
  const A* all = static_cast<const A*>(k.coef);
  for (int q = 0; q < 3 * k.terms; ++q) spread(coefs + q * n, all + q * k.C, s, band.image, A(0));
  for (int64_t h = band.first; h < band.last; ++h) {
    const T* from = read_row<T>(k.g, s, band.image, h, spare);
    RS_INDEPENDENT
    for (int64_t e = 0; e < n; ++e) g[e] = widen(from[e]);
    for (int t = 0; t < k.terms; ++t) {
      const T* y = read_row<T>(k.y[t], s, band.image, h, spare);
      const A *a = coefs + 3 * t * n, *b = a + n, *d = b + n;
      write_row<T>(k.dy[t], s, band.image, h, spare_out, [=](int64_t e, T& out) {
        narrow(a[e] * g[e] + b[e] * widen(y[e]) + d[e], out);
      });
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
