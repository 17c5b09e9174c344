// The CUDA kernel of the sums that a node's gradients need. grid.h says how threads and memory are
// laid out.
#pragma once

#include "grid.h"

namespace rs {

// First half of NodeSums: partial is blocks_x x quantities x C. Sums over the channels are all that
// is needed of the products with v, so a thread keeps one number for its VEC channels.
template <class T, int VEC, int S>
struct NodeSumsKernel {
  using A = typename Arithmetic<T>::type;
  static constexpr int phases = 2;
  static constexpr int terms = 2 * S;
  static constexpr int per_channel = 1 + terms, values = per_channel * VEC + 2 * S;
  static constexpr int shared_bytes = values * kThreads * int(sizeof(A));
  NodeSums k;
  Cut cut;
  int64_t C;

  RS_HD A* slot(const Thread& t, int value) const {
    return static_cast<A*>(t.shared) + value * kThreads;
  }

  // The transposed pool's horizontal sum of row h of g.
  RS_HD void pool_row(A (&sum)[VEC], const Three<T, VEC>& g, const ColumnScales<A>& columns,
                      int64_t h) const {
    const A row_scale = window_scale<A>(h, cut.H);
    RS_UNROLL
    for (int i = 0; i < VEC; ++i) sum[i] = A(0);
    RS_UNROLL
    for (int j = 0; j < 3; ++j) {
      const A scale = row_scale * columns.at[j];
      RS_UNROLL
      for (int i = 0; i < VEC; ++i) sum[i] += scale * g.at[j].value(i);
    }
  }

  RS_HD void walk(A (&sums)[per_channel][VEC], A (&dots)[2 * S], const Column& at,
                  uint32_t group) const {
    const ColumnScales<A> columns(at, cut);
    const T *g = place<T, VEC>(k.g, at, group, int64_t(at.first) - 1), *term[terms], *v[S];
    RS_UNROLL
    for (int q = 0; q < terms; ++q) term[q] = place<T, VEC>(k.term[q], at, group, at.first);
    RS_UNROLL
    for (int s = 0; s < S; ++s) v[s] = place<T, VEC>(k.v[s], at, group, at.first);

    Window<A, VEC> window;
    A row[VEC];
    Three<T, VEC> next;
    RS_UNROLL
    for (int ahead = 0; ahead < 2; ++ahead) {
      next.read_row(g, k.g, at, cut, int64_t(at.first) - 1 + ahead);
      g += k.g.row;
      pool_row(row, next, columns, int64_t(at.first) - 1 + ahead);
      if (ahead == 0)
        window.start(row);
      else
        window.push(row);
    }
    RS_NO_UNROLL
    for (uint32_t h = at.first; h < at.last; ++h) {
      const Pack<T, VEC> here = next.at[1];
      Pack<T, VEC> y[terms], x[S];
      next.read_row(g, k.g, at, cut, int64_t(h) + 1);
      g += k.g.row;
      RS_UNROLL
      for (int q = 0; q < terms; ++q) {
        y[q] = read<VEC>(term[q]);
        term[q] += k.term[q].row;
      }
      RS_UNROLL
      for (int s = 0; s < S; ++s) {
        x[s] = read<VEC>(v[s]);
        v[s] += k.v[s].row;
      }
      RS_UNROLL
      for (int i = 0; i < VEC; ++i) sums[0][i] += here.value(i);
      RS_UNROLL
      for (int q = 0; q < terms; ++q) {
        A mean[VEC];
        read_channels(mean, static_cast<const A*>(k.mean[q]), group);
        RS_UNROLL
        for (int i = 0; i < VEC; ++i)
          sums[1 + q][i] += here.value(i) * (y[q].value(i) - mean[i]);
      }
      pool_row(row, next, columns, int64_t(h) + 1);
      RS_UNROLL
      for (int i = 0; i < VEC; ++i) {
        const A pooled = window.pair[i] + row[i];
        RS_UNROLL
        for (int s = 0; s < S; ++s) {
          dots[2 * s] += here.value(i) * x[s].value(i);
          dots[2 * s + 1] += pooled * x[s].value(i);
        }
      }
      window.push(row);
    }
  }

  RS_HD void gather(const Thread& t) const {
    A sums[per_channel][VEC] = {}, dots[2 * S] = {};
    if (cut.active(t))
      for (uint32_t item = cut.first_item(t); item < cut.items; item += cut.item_step(t))
        walk(sums, dots, Column(cut, item), cut.group(t));
    RS_UNROLL
    for (int q = 0; q < per_channel; ++q) {
      RS_UNROLL
      for (int i = 0; i < VEC; ++i) slot(t, q * VEC + i)[t.index] = sums[q][i];
    }
    RS_UNROLL
    for (int d = 0; d < 2 * S; ++d) slot(t, per_channel * VEC + d)[t.index] = dots[d];
  }

  // One thread for every quantity of every channel group adds up the block, lane after lane.
  RS_HD void add_up(const Thread& t) const {
    for (int job = t.index; job < values * cut.group_lanes; job += kThreads) {
      const int value = job / cut.group_lanes, lane = job % cut.group_lanes;
      const uint32_t group = t.block_y * cut.group_lanes + lane;
      if (group >= cut.groups) continue;
      double total = 0;
      for (int i = 0; i < cut.item_lanes; ++i)
        total += double(slot(t, value)[i * cut.group_lanes + lane]);
      double* out = k.partial + t.block_x * (per_channel + 2 * S) * C + int64_t(group) * VEC;
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

}  // namespace rs
