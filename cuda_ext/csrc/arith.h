// The arithmetic of the kernels, one element at a time, shared by the CPU and the CUDA sources, so
// that tests on a CPU exercise the very formulas that a GPU runs. Storage types are float, double,
// half and bfloat16; arithmetic is float for all but double.
#pragma once

#include <cmath>
#include <cstdint>

#if defined(__CUDACC__)
#define RS_HD __host__ __device__ __forceinline__
#elif defined(__GNUC__)
// Always inlined: each translation unit compiles these for its own instruction set (isa.h), and
// the linker must not pick one copy for all.
#define RS_HD inline __attribute__((always_inline))
#else
#define RS_HD inline
#endif

namespace rs {

constexpr int kMaxSources = 3;             // a cell's node has at most three incoming edges
constexpr int kMaxTerms = 2 * kMaxSources; // and two convolution outputs for each of them
constexpr int kMaxGathered = 2;            // convolution gradients that meet in one source

// alpha's columns: none, skip_connect, nor_conv_1x1, nor_conv_3x3, avg_pool_3x3.
constexpr int kSkip = 1, kConv1 = 2, kConv3 = 3, kPool = 4, kNumOps = 5;

// How many of the positions i-1, i, i+1 lie inside 0..n-1.
RS_HD int window_extent(int64_t i, int64_t n) { return 1 + (i > 0) + (i + 1 < n); }

// The average pool divides by the pixels inside the image; the divisor is a product over the axes.
template <class A>
RS_HD A pool_scale(int64_t i, int64_t n) {
  return A(1) / A(window_extent(i, n));
}

// NaN passes through, as it does in torch.relu.
template <class A>
RS_HD A relu(A x) {
  return x < A(0) ? A(0) : x;
}

// The weight's factor before y in w * (y - mean) / sqrt(var + eps).
template <class A>
RS_HD A norm_factor(A w, A var, A eps) {
  return w / std::sqrt(var + eps);
}

// d/dy of w * norm(y) applied to g, as a * g + b * y + d with one (a, b, d) per channel:
//   w / sigma * (g - mean(g) - yhat * mean(g * yhat)),  yhat = (y - mean) / sigma.
template <class A>
struct NormGradient {
  A a, b, d;
};

template <class A>
RS_HD NormGradient<A> norm_gradient(A w, A mean, A var, A eps, A sum_g, A sum_g_dev, A count) {
  const A sigma2 = var + eps;
  const A a = norm_factor(w, var, eps);
  const A b = -a * sum_g_dev / (count * sigma2);
  return {a, b, -a * sum_g / count - b * mean};
}

// The factor of every term in channel c, written to factor (2S, C), and the sum of the constants
// -factor * mean, returned. Terms are y1[0], y3[0], y1[1], ...; w is (S, 5), mean and var (S, 2, C).
template <class A>
RS_HD A norm_channel(const A* w, const A* mean, const A* var, A eps, int64_t S, int64_t C,
                     int64_t c, A* factor) {
  A offset = 0;
  for (int64_t t = 0; t < 2 * S; ++t) {
    const A weight = w[t / 2 * kNumOps + (t % 2 ? kConv3 : kConv1)];
    const A f = norm_factor(weight, var[t * C + c], eps);
    factor[t * C + c] = f;
    offset -= f * mean[t * C + c];
  }
  return offset;
}

// From a node's sums (quantities x C, in the order of NodeSums) one term's coefficients in channel c,
// written to coef (2S, 3, C); returns the channel's share of that term's weight gradient. Between,
// it counts in W: a GPU is slow at roots and quotients of doubles.
template <class W, class A>
RS_HD W finish_channel(const double* total, int64_t t, int64_t C, int64_t c, W count, A eps,
                       const A* w, const A* mean, const A* var, A* coef) {
  const W weight = w[t / 2 * kNumOps + (t % 2 ? kConv3 : kConv1)];
  const W m = mean[t * C + c], s2 = var[t * C + c], dev = W(total[(1 + t) * C + c]);
  const auto k = norm_gradient<W>(weight, m, s2, eps, W(total[c]), dev, count);
  coef[(3 * t + 0) * C + c] = A(k.a);
  coef[(3 * t + 1) * C + c] = A(k.b);
  coef[(3 * t + 2) * C + c] = A(k.d);
  return dev * norm_factor<W>(1, s2, eps);
}

// Entry (s, op) of the weight gradient dw, from the same sums; also writes the coefficients of the
// term that (s, op) belongs to.
template <class A>
RS_HD double finish_weight(const double* total, int64_t s, int op, int64_t S, int64_t C,
                           double count, A eps, const A* w, const A* mean, const A* var, A* coef) {
  double sum = 0;
  if (op == kConv1 || op == kConv3) {
    const int64_t t = 2 * s + (op == kConv3);
    for (int64_t c = 0; c < C; ++c)
      sum += finish_channel<double>(total, t, C, c, count, eps, w, mean, var, coef);
  } else if (op == kSkip || op == kPool) {
    const double* row = total + (1 + 2 * S + 2 * s + (op == kPool)) * C;
    for (int64_t c = 0; c < C; ++c) sum += row[c];
  }
  return sum;
}

// Count, mean and sum of squared deviations of a set; `merge` unites two sets (Chan et al. 1979).
template <class A>
struct Moments {
  A count = 0, mean = 0, m2 = 0;

  RS_HD void push(A x) {
    count += A(1);
    const A before = x - mean;
    mean += before / count;
    m2 += before * (x - mean);
  }

  RS_HD void merge(const Moments& other) {
    if (other.count == A(0)) return;
    const A total = count + other.count;
    const A delta = other.mean - mean;
    mean += delta * (other.count / total);
    m2 += other.m2 + delta * delta * (count * (other.count / total));
    count = total;
  }

  // From sums of (x - shift) and (x - shift)^2.
  static RS_HD Moments shifted(A count, A shift, A sum, A sum_squares) {
    Moments m;
    m.count = count;
    m.mean = shift + sum / count;
    m.m2 = sum_squares - sum * (sum / count);
    if (m.m2 < A(0)) m.m2 = A(0);
    return m;
  }
};

// The same union as Moments::merge, as sums around one reference near the means: they add up in any
// order, and the quotients come once, at the end.
struct MomentSums {
  double count = 0, sum = 0, squares = 0;

  RS_HD void add(double n, double mean, double m2, double reference) {
    const double d = mean - reference;
    count += n, sum += n * d, squares += m2 + n * d * d;
  }
  RS_HD void add(const MomentSums& other) {
    count += other.count, sum += other.sum, squares += other.squares;
  }
  RS_HD double mean(double reference) const { return reference + sum / count; }
  RS_HD double m2() const {
    const double value = squares - sum * (sum / count);
    return value < 0 ? 0 : value;
  }

  // Apart in memory by `stride`.
  RS_HD void store(double* at, int stride) const {
    at[0] = count, at[stride] = sum, at[2 * stride] = squares;
  }
  static RS_HD MomentSums load(const double* at, int stride) {
    return {at[0], at[stride], at[2 * stride]};
  }
};

// clip(x_adv + step * sign(grad), x - eps, x + eps), then clip to [0, 1].
template <class A>
RS_HD A step_value(A x_adv, A grad, A x, A step, A eps, bool project) {
  A y = x_adv + step * (A(grad > A(0)) - A(grad < A(0)));
  if (project) {
    y = y < x - eps ? x - eps : y;
    y = y > x + eps ? x + eps : y;
  }
  y = y < A(0) ? A(0) : y;
  return y > A(1) ? A(1) : y;
}

}  // namespace rs
