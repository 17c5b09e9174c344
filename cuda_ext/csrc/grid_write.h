// The CUDA kernel of a node's weighted sum, in its three forms. grid.h says how threads and memory
// are laid out.
#pragma once

#include "grid.h"

namespace rs {

// kTrain has a factor and an offset per channel and two terms per source; kAttack an offset and one
// term per source; kGather the transposed pool, terms under a mask, and several outputs.
enum Form { kTrain, kAttack, kGather };

template <class T, int VEC, Form form, int S>
struct NodeWriteKernel {
  using A = typename Arithmetic<T>::type;
  static constexpr int phases = 1;
  static constexpr int terms = form == kTrain ? 2 * S : form == kAttack ? S : kMaxGathered;
  static constexpr int dsts = form == kGather ? kMaxSources : 1;
  NodeWrite k;
  Cut cut;

  RS_HD bool has_term(int t) const { return form != kGather || t < k.terms; }

  // From row h of the sources: their weighted horizontal sum, and their weighted centre.
  RS_HD void weigh(A (&sum)[VEC], A (&centre)[VEC], const Three<T, VEC> (&v)[S],
                   const A (&skip)[S], const A (&pool)[S], const ColumnScales<A>& columns,
                   int64_t h) const {
    RS_UNROLL
    for (int i = 0; i < VEC; ++i) sum[i] = centre[i] = A(0);
    const A row_scale = form == kGather ? window_scale<A>(h, cut.H) : A(1);
    RS_UNROLL
    for (int s = 0; s < S; ++s) {
      RS_UNROLL
      for (int j = 0; j < 3; ++j) {
        const A scale = form == kGather ? pool[s] * (row_scale * columns.at[j]) : pool[s];
        RS_UNROLL
        for (int i = 0; i < VEC; ++i) sum[i] += scale * v[s].at[j].value(i);
      }
      RS_UNROLL
      for (int i = 0; i < VEC; ++i) centre[i] += skip[s] * v[s].at[1].value(i);
    }
  }

  RS_HD void walk(const Column& at, uint32_t group, const A (&skip)[S],
                  const A (&pool)[S]) const {
    const ColumnScales<A> columns(at, cut);
    const A column_scale = form == kGather ? A(1) : window_scale<A>(at.w, cut.W);
    const T *v[S], *term[terms], *mask = nullptr;
    T *dst[dsts], *relu_dst = nullptr;
    RS_UNROLL
    for (int s = 0; s < S; ++s) v[s] = place<T, VEC>(k.v[s], at, group, int64_t(at.first) - 1);
    RS_UNROLL
    for (int t = 0; t < terms; ++t)
      if (has_term(t)) term[t] = place<T, VEC>(k.term[t], at, group, at.first);
    RS_UNROLL
    for (int d = 0; d < dsts; ++d)
      if (d < k.dsts) dst[d] = place<T, VEC>(k.dst[d], at, group, at.first);
    if (form == kGather && k.has_mask) mask = place<T, VEC>(k.mask, at, group, at.first);
    if (form != kGather && k.has_relu) relu_dst = place<T, VEC>(k.relu_dst, at, group, at.first);

    Window<A, VEC> window;
    A row[VEC], centre[VEC];
    Three<T, VEC> next[S];
    RS_UNROLL
    for (int ahead = 0; ahead < 2; ++ahead) {
      RS_UNROLL
      for (int s = 0; s < S; ++s) {
        next[s].read_row(v[s], k.v[s], at, cut, int64_t(at.first) - 1 + ahead);
        v[s] += k.v[s].row;
      }
      weigh(row, centre, next, skip, pool, columns, int64_t(at.first) - 1 + ahead);
      if (ahead == 0)
        window.start(row);
      else
        window.push(row);
    }
    RS_NO_UNROLL
    for (uint32_t h = at.first; h < at.last; ++h) {
      // Every load of the row is under way before the first is waited for.
      Pack<T, VEC> y[terms], positive;
      RS_UNROLL
      for (int s = 0; s < S; ++s) {
        next[s].read_row(v[s], k.v[s], at, cut, int64_t(h) + 1);
        v[s] += k.v[s].row;
      }
      RS_UNROLL
      for (int t = 0; t < terms; ++t)
        if (has_term(t)) {
          y[t] = read<VEC>(term[t]);
          term[t] += k.term[t].row;
        }
      if (form == kGather && k.has_mask) {
        positive = read<VEC>(mask);
        mask += k.mask.row;
      }
      // Values per channel are read anew, from the L1 cache: there are no registers to keep them.
      A out[VEC] = {}, sum[VEC] = {};
      if (form != kGather) read_channels(out, static_cast<const A*>(k.offset), group);
      RS_UNROLL
      for (int i = 0; i < VEC; ++i) out[i] += centre[i];
      weigh(row, centre, next, skip, pool, columns, int64_t(h) + 1);
      const A scale = form == kGather ? A(1) : column_scale * window_scale<A>(h, cut.H);
      RS_UNROLL
      for (int i = 0; i < VEC; ++i) out[i] += scale * (window.pair[i] + row[i]);
      window.push(row);
      RS_UNROLL
      for (int t = 0; t < terms; ++t) {
        if (!has_term(t)) continue;
        A factor[VEC];
        if (form == kTrain) read_channels(factor, static_cast<const A*>(k.factor[t]), group);
        RS_UNROLL
        for (int i = 0; i < VEC; ++i)
          sum[i] += form == kTrain ? factor[i] * y[t].value(i) : y[t].value(i);
      }
      if (form == kGather && k.has_mask) {
        RS_UNROLL
        for (int i = 0; i < VEC; ++i) sum[i] = positive.value(i) > A(0) ? sum[i] : A(0);
      }
      RS_UNROLL
      for (int i = 0; i < VEC; ++i) out[i] += sum[i];
      RS_UNROLL
      for (int d = 0; d < dsts; ++d)
        if (d < k.dsts) {
          write_values<VEC>(dst[d], out);
          dst[d] += k.dst[d].row;
        }
      if (form != kGather && k.has_relu) {
        RS_UNROLL
        for (int i = 0; i < VEC; ++i) out[i] = relu(out[i]);
        write_values<VEC>(relu_dst, out);
        relu_dst += k.relu_dst.row;
      }
    }
  }

  template <int phase>
  RS_HD void run(const Thread& t) const {
    if (!cut.active(t)) return;
    const uint32_t group = cut.group(t);
    A skip[S], pool[S];
    RS_UNROLL
    for (int s = 0; s < S; ++s) {
      const A* weight = static_cast<const A*>(k.w.data) + s * k.w.row;
      skip[s] = weight[k.w.skip], pool[s] = weight[k.w.pool];
    }
    for (uint32_t item = cut.first_item(t); item < cut.items; item += cut.item_step(t))
      walk(Column(cut, item), group, skip, pool);
  }
};

}  // namespace rs
