// The small CUDA kernels around the large ones: sums over blocks, the gradients and coefficients
// made of them, and the factors of a node in training.
#pragma once

#include "grid.h"

namespace rs {

// total[i] = sum over blocks of partial[block][i], in an order that depends on nothing.
struct FoldKernel {
  static constexpr int phases = 2;
  static constexpr int shared_bytes = kThreads * int(sizeof(double));
  const double* partial;
  double* total;
  int64_t blocks, count;

  template <int phase>
  RS_HD void run(const Thread& t) const {
    const int column = t.index % kFoldColumns, lane = t.index / kFoldColumns;
    const int64_t i = int64_t(t.block_x) * kFoldColumns + column;
    double* shared = static_cast<double*>(t.shared);
    if constexpr (phase == 0) {
      double sum = 0;
      for (int64_t block = lane; i < count && block < blocks; block += kFoldLanes)
        sum += partial[block * count + i];
      shared[t.index] = sum;
    } else if (lane == 0 && i < count) {
      double sum = 0;
      for (int other = 0; other < kFoldLanes; ++other) sum += shared[other * kFoldColumns + column];
      total[i] = sum;
    }
  }
};

// dw and coef from the totals. block_x counts the entries (s, op) of dw; a block of a convolution's
// entry writes that term's coefficients too.
template <class A>
struct FinishKernel {
  static constexpr int phases = 3;
  static constexpr int kParts = 8, kPart = kThreads / kParts;
  static constexpr int shared_bytes = (kThreads + kParts) * int(sizeof(double));
  const double* total;
  const A *w, *mean, *var;
  A *dw, *coef;
  int64_t S, C;
  A count, eps;

  // The share of thread t in entry (s, op): every kThreads-th channel.
  RS_HD double share(const Thread& t, int64_t s, int op) const {
    double sum = 0;
    const int64_t term = 2 * s + (op == kConv3);
    for (int64_t c = t.index; c < C; c += kThreads) {
      if (op == kConv1 || op == kConv3)
        sum += double(finish_channel<A>(total, term, C, c, count, eps, w, mean, var, coef));
      else if (op == kSkip || op == kPool)
        sum += total[(1 + 2 * S + 2 * s + (op == kPool)) * C + c];
    }
    return sum;
  }

  template <int phase>
  RS_HD void run(const Thread& t) const {
    double *each = static_cast<double*>(t.shared), *parts = each + kThreads;
    if constexpr (phase == 0) {
      each[t.index] = share(t, t.block_x / kNumOps, int(t.block_x % kNumOps));
    } else if constexpr (phase == 1) {
      if (t.index >= kParts) return;
      double sum = 0;
      for (int i = 0; i < kPart; ++i) sum += each[t.index + i * kParts];
      parts[t.index] = sum;
    } else if (t.index == 0) {
      double sum = 0;
      for (int i = 0; i < kParts; ++i) sum += parts[i];
      dw[t.block_x] = A(sum);
    }
  }
};

template <class A>
struct NormFactorsKernel {
  static constexpr int phases = 1;
  const A *w, *mean, *var;
  A *factor, *offset;
  int64_t S, C;
  A eps;

  template <int phase>
  RS_HD void run(const Thread& t) const {
    for (int64_t c = int64_t(t.block_x) * kThreads + t.index; c < C;
         c += int64_t(t.blocks_x) * kThreads)
      offset[c] = norm_channel<A>(w, mean, var, eps, S, C, c, factor);
  }
};

}  // namespace rs
