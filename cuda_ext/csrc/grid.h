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

}  // namespace rs
