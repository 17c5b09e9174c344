// The CUDA kernels of batch normalisation: channel moments, and the gradient. grid.h says how
// threads and memory are laid out.
#pragma once

#include "grid.h"

namespace rs {

// First half of ChannelMoments: partial is blocks_x x terms x 3 x C; block_y counts the terms too.
template <class T, int VEC>
struct MomentsKernel {
  using A = typename Arithmetic<T>::type;
  static constexpr int phases = 3;
  static constexpr int values = 2 * VEC + 1;  // means, sums of squares, and the count they share
  static constexpr int scratch_bytes = 3 * kThreads * int(sizeof(double));
  static constexpr int shared_bytes = scratch_bytes + values * kThreads * int(sizeof(A));
  ChannelMoments k;
  Cut cut;
  int64_t C;

  RS_HD double* scratch(const Thread& t) const { return static_cast<double*>(t.shared); }
  RS_HD A* slot(const Thread& t, int value) const {
    return reinterpret_cast<A*>(scratch(t) + 3 * kThreads) + value * kThreads;
  }

  RS_HD void gather(const Thread& t, uint32_t term) const {
    A shift[VEC] = {}, sum[VEC] = {}, squares[VEC] = {}, count = A(0);
    for (uint32_t item = cut.first_item(t); cut.active(t) && item < cut.items;
         item += cut.item_step(t)) {
      const Column at(cut, item);
      const int rows = int(at.last - at.first);
      const T* from = place<T, VEC>(k.y[term], at, cut.group(t), at.first);
      Pack<T, VEC> y[kStrip];
      RS_UNROLL
      for (int r = 0; r < kStrip; ++r)
        if (r < rows) y[r] = read<VEC>(from + r * k.y[term].row);
      if (count == A(0)) {
        RS_UNROLL
        for (int i = 0; i < VEC; ++i) shift[i] = y[0].value(i);
      }
      RS_UNROLL
      for (int r = 0; r < kStrip; ++r) {
        if (r >= rows) continue;
        RS_UNROLL
        for (int i = 0; i < VEC; ++i) {
          const A x = y[r].value(i) - shift[i];
          sum[i] += x;
          squares[i] += x * x;
        }
      }
      count += A(rows);
    }
    const A each = count > A(0) ? A(1) / count : A(0);
    RS_UNROLL
    for (int i = 0; i < VEC; ++i) {
      const A m2 = squares[i] - sum[i] * (sum[i] * each);
      slot(t, 2 * i)[t.index] = shift[i] + sum[i] * each;
      slot(t, 2 * i + 1)[t.index] = m2 < A(0) ? A(0) : m2;
    }
    slot(t, 2 * VEC)[t.index] = count;
  }

  // Several threads, as many as there are, for one channel of the block: each unites some lanes.
  RS_HD int jobs() const { return VEC * cut.group_lanes; }
  RS_HD int parts() const { return jobs() < kThreads ? kThreads / jobs() : 1; }
  RS_HD double reference(const Thread& t, int job) const {
    return double(slot(t, 2 * (job / cut.group_lanes))[job % cut.group_lanes]);
  }

  RS_HD MomentSums unite_lanes(const Thread& t, int job, int part) const {
    const int i = job / cut.group_lanes, lane = job % cut.group_lanes;
    MomentSums sums;
    for (int other = part; other < cut.item_lanes; other += parts()) {
      const int from = other * cut.group_lanes + lane;
      sums.add(double(slot(t, 2 * VEC)[from]), double(slot(t, 2 * i)[from]),
               double(slot(t, 2 * i + 1)[from]), reference(t, job));
    }
    return sums;
  }

  RS_HD void write_job(const Thread& t, uint32_t term, int job, const MomentSums& sums) const {
    const uint32_t group = t.block_y * cut.group_lanes + job % cut.group_lanes;
    if (group >= cut.groups) return;
    double* out = k.partial + (int64_t(t.block_x) * k.terms + term) * 3 * C +
                  int64_t(group) * VEC + job / cut.group_lanes;
    out[0] = sums.count, out[C] = sums.mean(reference(t, job)), out[2 * C] = sums.m2();
  }

  RS_HD void unite_parts(const Thread& t, uint32_t term) const {
    for (int job = t.index; job < jobs(); job += kThreads) {
      MomentSums sums;
      if (parts() == 1) sums = unite_lanes(t, job, 0);
      for (int part = 0; parts() > 1 && part < parts(); ++part)
        sums.add(MomentSums::load(scratch(t) + part * jobs() + job, kThreads));
      write_job(t, term, job, sums);
    }
  }

  template <int phase>
  RS_HD void run(const Thread& grid_thread) const {
    Thread t = grid_thread;
    const uint32_t term = t.block_y / cut.blocks_y();
    t.block_y -= term * cut.blocks_y();
    if constexpr (phase == 0) {
      gather(t, term);
    } else if constexpr (phase == 1) {
      if (parts() > 1 && t.index < parts() * jobs())
        unite_lanes(t, t.index % jobs(), t.index / jobs()).store(scratch(t) + t.index, kThreads);
    } else {
      unite_parts(t, term);
    }
  }
};

// Mean and variance from the blocks' moments: block_x counts channels, block_y terms.
template <class A>
struct MomentsFoldKernel {
  static constexpr int phases = 2;
  static constexpr int shared_bytes = 3 * kThreads * int(sizeof(double));
  const double* partial;
  A *mean, *var;
  int64_t blocks, terms, C;

  template <int phase>
  RS_HD void run(const Thread& t) const {
    const int column = t.index % kFoldColumns, lane = t.index / kFoldColumns;
    const int64_t c = int64_t(t.block_x) * kFoldColumns + column, term = t.block_y;
    double* shared = static_cast<double*>(t.shared);
    if (c >= C) return;
    const double* from = partial + term * 3 * C + c;
    const double reference = from[C];
    if constexpr (phase == 0) {
      MomentSums sums;
      for (int64_t block = lane; block < blocks; block += kFoldLanes) {
        const double* p = from + block * terms * 3 * C;
        sums.add(p[0], p[C], p[2 * C], reference);
      }
      sums.store(shared + t.index, kThreads);
    } else if (lane == 0) {
      MomentSums sums;
      for (int other = 0; other < kFoldLanes; ++other)
        sums.add(MomentSums::load(shared + other * kFoldColumns + column, kThreads));
      mean[term * C + c] = A(sums.mean(reference));
      var[term * C + c] = A(sums.m2() / sums.count);
    }
  }
};

template <class T, int VEC>
struct NormBackwardKernel {
  using A = typename Arithmetic<T>::type;
  static constexpr int phases = 1;
  NormBackward k;
  Cut cut;

  // One term of one strip; g is read already.
  RS_HD void walk(const Column& at, uint32_t group, int q, const Pack<T, VEC> (&g)[kStrip]) const {
    const int rows = int(at.last - at.first);
    const A* coef = static_cast<const A*>(k.coef) + 3 * q * k.C;
    A a[VEC], b[VEC], d[VEC];
    read_channels(a, coef, group);
    read_channels(b, coef + k.C, group);
    read_channels(d, coef + 2 * k.C, group);
    const T* from = place<T, VEC>(k.y[q], at, group, at.first);
    T* to = place<T, VEC>(k.dy[q], at, group, at.first);
    Pack<T, VEC> y[kStrip];
    RS_UNROLL
    for (int r = 0; r < kStrip; ++r)
      if (r < rows) y[r] = read<VEC>(from + r * k.y[q].row);
    RS_UNROLL
    for (int r = 0; r < kStrip; ++r) {
      if (r >= rows) continue;
      A out[VEC];
      RS_UNROLL
      for (int i = 0; i < VEC; ++i)
        out[i] = a[i] * g[r].value(i) + b[i] * y[r].value(i) + d[i];
      write_values<VEC>(to + r * k.dy[q].row, out);
    }
  }

  template <int phase>
  RS_HD void run(const Thread& t) const {
    if (!cut.active(t)) return;
    const uint32_t group = cut.group(t);
    for (uint32_t item = cut.first_item(t); item < cut.items; item += cut.item_step(t)) {
      const Column at(cut, item);
      const T* from = place<T, VEC>(k.g, at, group, at.first);
      Pack<T, VEC> g[kStrip];
      RS_UNROLL
      for (int r = 0; r < kStrip; ++r)
        if (r < int(at.last - at.first)) g[r] = read<VEC>(from + r * k.g.row);
      RS_NO_UNROLL
      for (int q = 0; q < k.terms; ++q) walk(at, group, q, g);
    }
  }
};

}  // namespace rs
