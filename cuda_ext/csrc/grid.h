// The CUDA kernels as plain structs. A kernel's work is `run<phase>(thread)`, host and device code
// alike; between phases all threads of a block wait for each other. mixed_op_cuda.cu runs them on a
// GPU; emulated/emulated.cpp runs the same code, index arithmetic included, as loops on the host,
// which is how it is tested where there is no GPU.
//
// A thread owns one column of one strip of rows and VEC neighbouring channels (channels-last, 16
// bytes) or one channel (NCHW). Threads next to each other own neighbouring channels, then
// neighbouring pixels, so that accesses coalesce in both layouts.
#pragma once

#include "rows.h"
#include "storage.h"

#if defined(__CUDACC__)
#define RS_UNROLL _Pragma("unroll")
#else
#define RS_UNROLL
#endif

namespace rs {

constexpr int kStrip = 8;      // rows that one thread walks down; 2 of 10 loaded rows are halo
constexpr int kThreads = 128;  // of every block
constexpr int kMaxGroups = 32; // channel groups side by side in one block
constexpr int kFoldChannels = 32, kFoldLanes = kThreads / kFoldChannels;

struct Thread {
  int64_t block_x, block_y, blocks_x;
  int index;
  void* shared;
};

struct Grid {
  int64_t x, y;
  int64_t shared_bytes;
};

// How images, strips, columns and channels are cut up over blocks and threads.
struct Cut {
  Space s;
  int64_t groups, strips, items;
  int group_lanes, item_lanes;

  Cut(const Space& space, int vec)
      : s(space), groups(space.planes > 1 ? space.planes : space.P / vec),
        strips((space.H + kStrip - 1) / kStrip),
        items(space.images / space.planes * strips * space.W) {
    // In NCHW neighbouring threads must be neighbouring columns: one channel to a block.
    const bool nchw = space.planes > 1 || space.P == 1;
    group_lanes = nchw ? 1 : int(groups < kMaxGroups ? groups : kMaxGroups);
    item_lanes = kThreads / group_lanes;
  }

  int64_t blocks_y() const { return (groups + group_lanes - 1) / group_lanes; }
  int64_t blocks_x(int64_t at_most) const {
    const int64_t wanted = (items + item_lanes - 1) / item_lanes;
    return wanted < at_most ? wanted : at_most;
  }

  RS_HD int item_lane(const Thread& t) const { return t.index / group_lanes; }
  RS_HD int64_t group(const Thread& t) const {
    return t.block_y * group_lanes + t.index % group_lanes;
  }
  // Threads without work still meet the others between phases.
  RS_HD bool active(const Thread& t) const {
    return item_lane(t) < item_lanes && group(t) < groups;
  }
  RS_HD int64_t first_item(const Thread& t) const { return t.block_x * item_lanes + item_lane(t); }
  RS_HD int64_t item_step(const Thread& t) const { return t.blocks_x * item_lanes; }
};

// The place of one item.
struct Column {
  int64_t b, w, first, last;
  RS_HD Column(const Cut& cut, int64_t item) {
    w = item % cut.s.W;
    const int64_t strip = item / cut.s.W % cut.strips;
    b = item / cut.s.W / cut.strips;
    first = strip * kStrip;
    last = first + kStrip < cut.s.H ? first + kStrip : cut.s.H;
  }
};

template <class T, int VEC>
struct alignas(sizeof(T) * VEC) Pack {
  T at[VEC];
};

template <class T, int VEC>
RS_HD T* place(const Rows& t, const Cut& cut, int64_t b, int64_t group, int64_t h, int64_t w) {
  const int64_t channel = cut.s.planes > 1 ? group * t.plane : group * VEC;
  return static_cast<T*>(t.data) + b * t.batch + channel + h * t.row + w * t.pixel;
}

template <class T, int VEC, class A>
RS_HD void load(A (&to)[VEC], const Rows& t, const Cut& cut, int64_t b, int64_t group, int64_t h,
                int64_t w) {
  const auto pack =
      *reinterpret_cast<const Pack<T, VEC>*>(place<T, VEC>(t, cut, b, group, h, w));
  for (int k = 0; k < VEC; ++k) to[k] = widen(pack.at[k]);
}

template <class T, int VEC, class A>
RS_HD void store(const Rows& t, const Cut& cut, int64_t b, int64_t group, int64_t h, int64_t w,
                 const A (&from)[VEC]) {
  Pack<T, VEC> pack;
  for (int k = 0; k < VEC; ++k) narrow(from[k], pack.at[k]);
  *reinterpret_cast<Pack<T, VEC>*>(place<T, VEC>(t, cut, b, group, h, w)) = pack;
}

template <class A, int VEC>
RS_HD void load_channels(A (&to)[VEC], const void* values, int64_t group, A fallback) {
  for (int k = 0; k < VEC; ++k)
    to[k] = values ? static_cast<const A*>(values)[group * VEC + k] : fallback;
}

// Three rows of horizontal sums on their way down a strip.
template <class A, int VEC>
struct Window {
  A above[VEC], here[VEC], below[VEC];
  RS_HD void shift() {
    for (int k = 0; k < VEC; ++k) above[k] = here[k], here[k] = below[k], below[k] = A(0);
  }
};

// What a pixel contributes to the horizontal sum of its row: the transpose scales before summing.
template <class A>
RS_HD A before_sum(bool adjoint, int64_t h, int64_t w, const Space& s) {
  return adjoint ? pool_scale<A>(h, s.H) * pool_scale<A>(w, s.W) : A(1);
}
template <class A>
RS_HD A after_sum(bool adjoint, int64_t h, int64_t w, const Space& s) {
  return adjoint ? A(1) : pool_scale<A>(h, s.H) * pool_scale<A>(w, s.W);
}

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
