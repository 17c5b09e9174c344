// The CUDA kernels of batch normalisation (channel moments, backward), and of an attack's step.
// grid.h says how threads and memory are laid out.
#pragma once

#include "grid.h"

namespace rs {

// First half of ChannelMoments: partial is blocks_x x terms x 3 x C; block_y counts the terms too.
template <class T, int VEC>
struct MomentsKernel {
  using A = typename Arithmetic<T>::type;
  static constexpr int phases = 2;
  static constexpr int values = 2 * VEC + 1;  // means, sums of squares, and the count they share
  ChannelMoments k;
  Cut cut;
  int64_t C;

  RS_HD A* slot(const Thread& t, int value) const {
    return static_cast<A*>(t.shared) + value * kThreads;
  }

  RS_HD void gather(const Thread& t, int64_t term) const {
    A shift[VEC] = {}, sum[VEC] = {}, squares[VEC] = {}, count = A(0);
    for (int64_t item = cut.first_item(t); cut.active(t) && item < cut.items;
         item += cut.item_step(t)) {
      const Column at(cut, item);
      for (int64_t h = at.first; h < at.last; ++h) {
        A y[VEC];
        load<T>(y, k.y[term], cut, at.b, cut.group(t), h, at.w);
        for (int i = 0; i < VEC; ++i) {
          if (count == A(0)) shift[i] = y[i];
          const A x = y[i] - shift[i];
          sum[i] += x;
          squares[i] += x * x;
        }
        count += A(1);
      }
    }
    for (int i = 0; i < VEC; ++i) {
      Moments<A> m;
      if (count > A(0)) m = Moments<A>::shifted(count, shift[i], sum[i], squares[i]);
      slot(t, 2 * i)[t.index] = m.mean;
      slot(t, 2 * i + 1)[t.index] = m.m2;
    }
    slot(t, 2 * VEC)[t.index] = count;
  }

  RS_HD void add_up(const Thread& t, int64_t term) const {
    for (int job = t.index; job < VEC * cut.group_lanes; job += kThreads) {
      const int i = job / cut.group_lanes, lane = job % cut.group_lanes;
      const int64_t group = t.block_y * cut.group_lanes + lane;
      if (group >= cut.groups) continue;
      Moments<double> total;
      for (int other = 0; other < cut.item_lanes; ++other) {
        const int from = other * cut.group_lanes + lane;
        total.merge({double(slot(t, 2 * VEC)[from]), double(slot(t, 2 * i)[from]),
                     double(slot(t, 2 * i + 1)[from])});
      }
      double* out = k.partial + (t.block_x * k.terms + term) * 3 * C + group * VEC + i;
      out[0] = total.count, out[C] = total.mean, out[2 * C] = total.m2;
    }
  }

  template <int phase>
  RS_HD void run(const Thread& grid_thread) const {
    Thread t = grid_thread;
    const int64_t groups_y = (cut.groups + cut.group_lanes - 1) / cut.group_lanes;
    const int64_t term = t.block_y / groups_y;
    t.block_y %= groups_y;
    if constexpr (phase == 0)
      gather(t, term);
    else
      add_up(t, term);
  }
};

// Mean and variance from the blocks' moments: block_x counts channels, block_y terms.
template <class A>
struct MomentsFoldKernel {
  static constexpr int phases = 2;
  const double* partial;
  A *mean, *var;
  int64_t blocks, terms, C;

  template <int phase>
  RS_HD void run(const Thread& t) const {
    const int column = t.index % kFoldChannels, lane = t.index / kFoldChannels;
    const int64_t c = t.block_x * kFoldChannels + column, term = t.block_y;
    double* shared = static_cast<double*>(t.shared) + 3 * column;
    if constexpr (phase == 0) {
      Moments<double> total;
      for (int64_t block = lane; c < C && block < blocks; block += kFoldLanes) {
        const double* p = partial + (block * terms + term) * 3 * C + c;
        total.merge({p[0], p[C], p[2 * C]});
      }
      double* out = shared + lane * 3 * kFoldChannels;
      out[0] = total.count, out[1] = total.mean, out[2] = total.m2;
    } else if (lane == 0 && c < C) {
      Moments<double> total;
      for (int other = 0; other < kFoldLanes; ++other) {
        const double* p = shared + other * 3 * kFoldChannels;
        total.merge({p[0], p[1], p[2]});
      }
      mean[term * C + c] = A(total.mean);
      var[term * C + c] = A(total.m2 / total.count);
    }
  }
};

template <class T, int VEC>
struct NormBackwardKernel {
  using A = typename Arithmetic<T>::type;
  static constexpr int phases = 1;
  NormBackward k;
  Cut cut;

  template <int phase>
  RS_HD void run(const Thread& t) const {
    if (!cut.active(t)) return;
    const int64_t group = cut.group(t);
    const A* coef = static_cast<const A*>(k.coef);
    for (int64_t item = cut.first_item(t); item < cut.items; item += cut.item_step(t)) {
      const Column at(cut, item);
      for (int q = 0; q < k.terms; ++q) {
        A a[VEC], b[VEC], d[VEC];
        load_channels(a, coef + (3 * q + 0) * k.C, group, A(0));
        load_channels(b, coef + (3 * q + 1) * k.C, group, A(0));
        load_channels(d, coef + (3 * q + 2) * k.C, group, A(0));
        for (int64_t h = at.first; h < at.last; ++h) {
          A g[VEC], y[VEC];
          load<T>(g, k.g, cut, at.b, group, h, at.w);
          load<T>(y, k.y[q], cut, at.b, group, h, at.w);
          for (int i = 0; i < VEC; ++i) y[i] = a[i] * g[i] + b[i] * y[i] + d[i];
          store<T>(k.dy[q], cut, at.b, group, h, at.w, y);
        }
      }
    }
  }
};

template <class T, int VEC>
struct StepKernel {
  using A = typename Arithmetic<T>::type;
  static constexpr int phases = 1;
  Step k;
  int64_t packs;

  template <int phase>
  RS_HD void run(const Thread& t) const {
    using P = Pack<T, VEC>;
    P* x_adv = static_cast<P*>(k.x_adv);
    const P *grad = static_cast<const P*>(k.grad), *x = static_cast<const P*>(k.x);
    for (int64_t i = t.block_x * kThreads + t.index; i < packs; i += t.blocks_x * kThreads) {
      P out = x_adv[i];
      const P g = grad[i], origin = x[i];
      for (int j = 0; j < VEC; ++j)
        narrow(step_value<A>(widen(out.at[j]), widen(g.at[j]), widen(origin.at[j]), A(k.step),
                             A(k.eps), k.project),
               out.at[j]);
      x_adv[i] = out;
    }
  }
};

}  // namespace rs
