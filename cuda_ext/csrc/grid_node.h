// The CUDA kernels of a node: its weighted sum, the sums that its gradients need, and what finishes
// them. grid.h says how threads and memory are laid out.
#pragma once

#include "grid.h"

namespace rs {

template <class T, int VEC>
struct NodeWriteKernel {
  using A = typename Arithmetic<T>::type;
  static constexpr int phases = 1;
  NodeWrite k;
  Cut cut;

  // Adds row h of the sources: their weighted horizontal sum, and their weighted centre.
  RS_HD void add_row(A (&sum)[VEC], A (&centre)[VEC], const Column& at, int64_t group,
                     int64_t h) const {
    for (int i = 0; i < VEC; ++i) sum[i] = centre[i] = A(0);
    if (h < 0 || h >= cut.s.H) return;
    for (int s = 0; s < k.sources; ++s) {
      const A* weight = static_cast<const A*>(k.w.data) + s * k.w.row;
      const A skip = weight[k.w.skip], pool = weight[k.w.pool];
      for (int64_t w = at.w - 1; w <= at.w + 1; ++w) {
        if (w < 0 || w >= cut.s.W) continue;
        A v[VEC];
        load<T>(v, k.v[s], cut, at.b, group, h, w);
        const A scale = pool * before_sum<A>(k.adjoint, h, w, cut.s);
        for (int i = 0; i < VEC; ++i) {
          sum[i] += scale * v[i];
          if (w == at.w) centre[i] += skip * v[i];
        }
      }
    }
  }

  RS_HD void walk(const Column& at, int64_t group) const {
    Window<A, VEC> window;
    A centre[VEC], next_centre[VEC], offset[VEC], ignored[VEC];
    load_channels(offset, k.offset, group, A(0));
    add_row(window.here, ignored, at, group, at.first - 1);
    add_row(window.below, next_centre, at, group, at.first);
    for (int64_t h = at.first; h < at.last; ++h) {
      window.shift();
      for (int i = 0; i < VEC; ++i) centre[i] = next_centre[i];
      add_row(window.below, next_centre, at, group, h + 1);
      const A scale = after_sum<A>(k.adjoint, h, at.w, cut.s);
      A out[VEC], terms[VEC];
      for (int i = 0; i < VEC; ++i) {
        out[i] = centre[i] + offset[i] +
                 scale * (window.above[i] + window.here[i] + window.below[i]);
        terms[i] = A(0);
      }
      for (int t = 0; t < k.terms; ++t) {
        A y[VEC], factor[VEC];
        load<T>(y, k.term[t], cut, at.b, group, h, at.w);
        load_channels(factor, k.factor[t], group, A(1));
        for (int i = 0; i < VEC; ++i) terms[i] += factor[i] * y[i];
      }
      if (k.has_mask) {
        A mask[VEC];
        load<T>(mask, k.mask, cut, at.b, group, h, at.w);
        for (int i = 0; i < VEC; ++i) terms[i] = mask[i] > A(0) ? terms[i] : A(0);
      }
      for (int i = 0; i < VEC; ++i) out[i] += terms[i];
      for (int d = 0; d < k.dsts; ++d) store<T>(k.dst[d], cut, at.b, group, h, at.w, out);
      if (k.has_relu) {
        for (int i = 0; i < VEC; ++i) out[i] = relu(out[i]);
        store<T>(k.relu_dst, cut, at.b, group, h, at.w, out);
      }
    }
  }

  template <int phase>
  RS_HD void run(const Thread& t) const {
    if (!cut.active(t)) return;
    for (int64_t item = cut.first_item(t); item < cut.items; item += cut.item_step(t))
      walk(Column(cut, item), cut.group(t));
  }
};

// First half of NodeSums: partial is blocks_x x quantities x C. Sums over the channels are all that
// is needed of the products with v, so a thread keeps one number for its VEC channels.
template <class T, int VEC, int S>
struct NodeSumsKernel {
  using A = typename Arithmetic<T>::type;
  static constexpr int phases = 2;
  static constexpr int per_channel = 1 + 2 * S, values = per_channel * VEC + 2 * S;
  NodeSums k;
  Cut cut;
  int64_t C;

  RS_HD A* slot(const Thread& t, int value) const {
    return static_cast<A*>(t.shared) + value * kThreads;
  }

  RS_HD void pool_row(A (&sum)[VEC], A (&centre)[VEC], const Column& at, int64_t group,
                      int64_t h) const {
    for (int i = 0; i < VEC; ++i) sum[i] = centre[i] = A(0);
    if (h < 0 || h >= cut.s.H) return;
    for (int64_t w = at.w - 1; w <= at.w + 1; ++w) {
      if (w < 0 || w >= cut.s.W) continue;
      A g[VEC];
      load<T>(g, k.g, cut, at.b, group, h, w);
      const A scale = before_sum<A>(true, h, w, cut.s);
      for (int i = 0; i < VEC; ++i) {
        sum[i] += scale * g[i];
        if (w == at.w) centre[i] = g[i];
      }
    }
  }

  RS_HD void walk(A (&sums)[per_channel][VEC], A (&dots)[2 * S], const A (&mean)[2 * S][VEC],
                  const Column& at, int64_t group) const {
    Window<A, VEC> window;
    A g[VEC], next_g[VEC], ignored[VEC];
    pool_row(window.here, ignored, at, group, at.first - 1);
    pool_row(window.below, next_g, at, group, at.first);
    for (int64_t h = at.first; h < at.last; ++h) {
      window.shift();
      for (int i = 0; i < VEC; ++i) g[i] = next_g[i];
      pool_row(window.below, next_g, at, group, h + 1);
      for (int i = 0; i < VEC; ++i) sums[0][i] += g[i];
      RS_UNROLL
      for (int q = 0; q < 2 * S; ++q) {
        A y[VEC];
        load<T>(y, k.term[q], cut, at.b, group, h, at.w);
        for (int i = 0; i < VEC; ++i) sums[1 + q][i] += g[i] * (y[i] - mean[q][i]);
      }
      RS_UNROLL
      for (int s = 0; s < S; ++s) {
        A v[VEC];
        load<T>(v, k.v[s], cut, at.b, group, h, at.w);
        for (int i = 0; i < VEC; ++i) {
          dots[2 * s] += g[i] * v[i];
          dots[2 * s + 1] += (window.above[i] + window.here[i] + window.below[i]) * v[i];
        }
      }
    }
  }

  RS_HD void gather(const Thread& t) const {
    A sums[per_channel][VEC] = {}, dots[2 * S] = {}, mean[2 * S][VEC] = {};
    if (cut.active(t)) {
      for (int q = 0; q < 2 * S; ++q) load_channels(mean[q], k.mean[q], cut.group(t), A(0));
      for (int64_t item = cut.first_item(t); item < cut.items; item += cut.item_step(t))
        walk(sums, dots, mean, Column(cut, item), cut.group(t));
    }
    RS_UNROLL
    for (int q = 0; q < per_channel; ++q)
      for (int i = 0; i < VEC; ++i) slot(t, q * VEC + i)[t.index] = sums[q][i];
    RS_UNROLL
    for (int d = 0; d < 2 * S; ++d) slot(t, per_channel * VEC + d)[t.index] = dots[d];
  }

  // One thread for every quantity of every channel group adds up the block, lane after lane.
  RS_HD void add_up(const Thread& t) const {
    for (int job = t.index; job < values * cut.group_lanes; job += kThreads) {
      const int value = job / cut.group_lanes, lane = job % cut.group_lanes;
      const int64_t group = t.block_y * cut.group_lanes + lane;
      if (group >= cut.groups) continue;
      double total = 0;
      for (int i = 0; i < cut.item_lanes; ++i)
        total += double(slot(t, value)[i * cut.group_lanes + lane]);
      double* out = k.partial + t.block_x * (per_channel + 2 * S) * C + group * VEC;
      if (value < per_channel * VEC) {
        out[value / VEC * C + value % VEC] = total;
      } else {
        out += (per_channel + value - per_channel * VEC) * C;
        for (int i = 0; i < VEC; ++i) out[i] = i ? 0 : total;
      }
    }
  }

  template <int phase>
  RS_HD void run(const Thread& t) const {
    if constexpr (phase == 0)
      gather(t);
    else
      add_up(t);
  }
};

// total[i] = sum over blocks of partial[block][i], in an order that depends on nothing.
struct FoldKernel {
  static constexpr int phases = 2;
  const double* partial;
  double* total;
  int64_t blocks, count;

  template <int phase>
  RS_HD void run(const Thread& t) const {
    const int column = t.index % kFoldChannels, lane = t.index / kFoldChannels;
    const int64_t i = t.block_x * kFoldChannels + column;
    double* shared = static_cast<double*>(t.shared);
    if constexpr (phase == 0) {
      double sum = 0;
      for (int64_t block = lane; i < count && block < blocks; block += kFoldLanes)
        sum += partial[block * count + i];
      shared[t.index] = sum;
    } else if (lane == 0 && i < count) {
      double sum = 0;
      for (int other = 0; other < kFoldLanes; ++other)
        sum += shared[other * kFoldChannels + column];
      total[i] = sum;
    }
  }
};

// dw and coef from the totals. One block.
template <class A>
struct FinishKernel {
  static constexpr int phases = 1;
  const double* total;
  const A *w, *mean, *var;
  A *dw, *coef;
  int64_t S, C;
  double count;
  A eps;

  template <int phase>
  RS_HD void run(const Thread& t) const {
    for (int64_t i = t.index; i < S * kNumOps; i += kThreads)
      dw[i] = A(finish_weight<A>(total, i / kNumOps, int(i % kNumOps), S, C, count, eps, w, mean,
                                 var, coef));
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
    for (int64_t c = t.block_x * kThreads + t.index; c < C; c += t.blocks_x * kThreads)
      offset[c] = norm_channel<A>(w, mean, var, eps, S, C, c, factor);
  }
};

}  // namespace rs
