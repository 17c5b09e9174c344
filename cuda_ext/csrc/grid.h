// The CUDA kernels as plain structs. A kernel's work is `run<phase>(thread)`, host and device code
// alike; between phases all threads of a block wait for each other. cuda/launch.h runs them on a
// GPU; emulated/emulated.cpp runs the same code, index arithmetic included, as loops on the host,
// which is how it is tested where there is no GPU.
//
// Tensors are channels-last. A thread owns one column of one strip of rows and VEC neighbouring
// channels: 16 bytes where every tensor of the call is aligned to that, else one element. Threads
// next to each other own neighbouring channels, then neighbouring pixels, so that accesses coalesce.
#pragma once

#include "rows.h"
#include "storage.h"

#if defined(__CUDACC__)
#include <cuda_bf16.h>
#define RS_UNROLL _Pragma("unroll")
#define RS_NO_UNROLL _Pragma("unroll 1")
#else
#define RS_UNROLL
#define RS_NO_UNROLL
#endif

// The emulation checks here what a GPU would answer with a fault: emulated/emulated.cpp.
#ifndef RS_CHECK_ALIGNED
#define RS_CHECK_ALIGNED(pointer, bytes)
#endif

namespace rs {

constexpr int kStrip = 8;      // rows that one thread walks down; 2 of 10 loaded rows are halo
constexpr int kThreads = 128;  // of every block
constexpr int kMaxGroups = 32; // channel groups side by side in one block
// Sums over blocks: a block adds up 8 columns with 16 threads each.
constexpr int kFoldColumns = 8, kFoldLanes = kThreads / kFoldColumns;

struct Thread {
  uint32_t block_x, block_y, blocks_x;
  int index;
  void* shared;
};

struct Grid {
  int64_t x, y;
  int64_t shared_bytes;
};

// How images, strips, columns and channels are cut up over blocks and threads.
struct Cut {
  uint32_t H, W, groups, strips, items;
  int group_lanes, item_lanes;

  // Items are counted in 32 bits, since a GPU divides those several times faster; twice their number
  // must fit.
  static constexpr int64_t kMaxItems = (int64_t(1) << 31) - kThreads;
  static int64_t count_items(const Space& s) {
    return s.images * ((s.H + kStrip - 1) / kStrip) * s.W;
  }

  Cut(const Space& space, int vec)
      : H(uint32_t(space.H)), W(uint32_t(space.W)), groups(uint32_t(space.P / vec)),
        strips(uint32_t((space.H + kStrip - 1) / kStrip)), items(uint32_t(count_items(space))) {
    group_lanes = int(groups < kMaxGroups ? groups : kMaxGroups);
    item_lanes = kThreads / group_lanes;
  }

  RS_HD uint32_t blocks_y() const { return (groups + group_lanes - 1) / group_lanes; }
  int64_t blocks_x(int64_t at_most) const {
    const int64_t wanted = (int64_t(items) + item_lanes - 1) / item_lanes;
    return wanted < at_most ? wanted : at_most;
  }

  RS_HD int item_lane(const Thread& t) const { return t.index / group_lanes; }
  RS_HD uint32_t group(const Thread& t) const {
    return t.block_y * group_lanes + t.index % group_lanes;
  }
  // Threads without work still meet the others between phases.
  RS_HD bool active(const Thread& t) const {
    return item_lane(t) < item_lanes && group(t) < groups;
  }
  RS_HD uint32_t first_item(const Thread& t) const {
    return t.block_x * item_lanes + item_lane(t);
  }
  RS_HD uint32_t item_step(const Thread& t) const { return t.blocks_x * item_lanes; }
};

// The place of one item: a column of an image, and the rows first <= h < last of a strip.
struct Column {
  uint32_t b, w, first, last;
  RS_HD Column(const Cut& cut, uint32_t item) {
    const uint32_t row = item / cut.W;
    w = item - row * cut.W;
    b = row / cut.strips;
    first = (row - b * cut.strips) * kStrip;
    last = first + kStrip < cut.H ? first + kStrip : cut.H;
  }
};

// The thread's first channel in row h of its column. Going down a row adds t.row. A row outside the
// image may be asked for, but not read.
template <class T, int VEC>
RS_HD T* place(const Rows& t, const Column& at, uint32_t group, int64_t h) {
  return static_cast<T*>(t.data) + at.b * t.batch + h * t.row + at.w * t.pixel +
         int64_t(group) * VEC;
}

// VEC neighbouring elements as they lie in memory.
template <class T, int VEC>
struct alignas(sizeof(T) * VEC) Pack {
  T at[VEC];
  RS_HD auto value(int i) const { return widen(at[i]); }
  template <class A>
  RS_HD void set(const A (&from)[VEC]) {
    RS_UNROLL
    for (int i = 0; i < VEC; ++i) narrow(from[i], at[i]);
  }
};

// In words: a GPU would give every element of two bytes a register of four. The lower half comes
// first in memory.
template <int VEC>
struct alignas(2 * VEC) Pack<BFloat16, VEC> {
  uint32_t words[VEC / 2];
  RS_HD float value(int i) const {
    return float_of(i % 2 ? words[i / 2] & 0xffff0000u : words[i / 2] << 16);
  }
  RS_HD void set(const float (&from)[VEC]) {
    RS_UNROLL
    for (int i = 0; i < VEC; i += 2) words[i / 2] = pair_of(from[i], from[i + 1]);
  }
  static RS_HD uint32_t pair_of(float low, float high) {
#if defined(__CUDA_ARCH__)
    const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);  // one instruction
    uint32_t word;
    memcpy(&word, &pair, sizeof word);
    return word;
#else
    BFloat16 first, second;
    narrow(low, first), narrow(high, second);
    return uint32_t(second.bits) << 16 | first.bits;
#endif
  }
};
template <>
struct Pack<BFloat16, 1> {
  BFloat16 at[1];
  RS_HD float value(int) const { return widen(at[0]); }
  RS_HD void set(const float (&from)[1]) { narrow(from[0], at[0]); }
};

#if defined(__CUDA_ARCH__)
// What one load or store instruction moves.
template <int bytes> struct Word { using type = unsigned; };
template <> struct Word<2> { using type = unsigned short; };
template <> struct Word<8> { using type = uint2; };
template <> struct Word<16> { using type = uint4; };

template <class P>
__device__ __forceinline__ typename Word<sizeof(P)>::type word_of(const P& pack) {
  if constexpr (sizeof(P) <= 4) {
    typename Word<sizeof(P)>::type word;
    memcpy(&word, &pack, sizeof pack);
    return word;
  } else {
    unsigned words[sizeof(P) / 4];
    memcpy(words, &pack, sizeof pack);
    if constexpr (sizeof(P) == 8)
      return make_uint2(words[0], words[1]);
    else
      return make_uint4(words[0], words[1], words[2], words[3]);
  }
}
#endif

template <int VEC, class T>
RS_HD Pack<T, VEC> read_written(const T* from) {
  RS_CHECK_ALIGNED(from, sizeof(Pack<T, VEC>));
#if defined(__CUDA_ARCH__)
  const auto bits = *reinterpret_cast<const typename Word<sizeof(Pack<T, VEC>)>::type*>(from);
  Pack<T, VEC> pack;
  memcpy(&pack, &bits, sizeof pack);
  return pack;
#else
  return *reinterpret_cast<const Pack<T, VEC>*>(from);
#endif
}

// The same of memory that nothing writes while the kernel runs: no store holds up the load.
template <int VEC, class T>
RS_HD Pack<T, VEC> read(const T* from) {
#if defined(__CUDA_ARCH__)
  const auto bits = __ldg(reinterpret_cast<const typename Word<sizeof(Pack<T, VEC>)>::type*>(from));
  Pack<T, VEC> pack;
  memcpy(&pack, &bits, sizeof pack);
  return pack;
#else
  return read_written<VEC>(from);
#endif
}

template <int VEC, class T>
RS_HD void write(T* to, const Pack<T, VEC>& pack) {
  RS_CHECK_ALIGNED(to, sizeof pack);
#if defined(__CUDA_ARCH__)
  // An intrinsic, since the compiler takes a plain store apart where it lies under a condition.
  __stwb(reinterpret_cast<typename Word<sizeof pack>::type*>(to), word_of(pack));
#else
  *reinterpret_cast<Pack<T, VEC>*>(to) = pack;
#endif
}

template <int VEC, class T, class A>
RS_HD void write_values(T* to, const A (&from)[VEC]) {
  Pack<T, VEC> pack;
  pack.set(from);
  write<VEC>(to, pack);
}

// The group's entries of one value per channel, 16 bytes at a time where VEC allows.
template <class A, int VEC>
RS_HD void read_channels(A (&to)[VEC], const A* values, uint32_t group) {
  constexpr int wide = VEC * int(sizeof(A)) < 16 ? VEC : 16 / int(sizeof(A));
  RS_UNROLL
  for (int first = 0; first < VEC; first += wide) {
    const auto pack = read<wide>(values + int64_t(group) * VEC + first);
    RS_UNROLL
    for (int i = 0; i < wide; ++i) to[first + i] = pack.value(i);
  }
}

// A pixel and its neighbours to the left and to the right; zero where there are none.
template <class T, int VEC>
struct Three {
  Pack<T, VEC> at[3];

  RS_HD void read_row(const T* centre, const Rows& t, const Column& place, const Cut& cut,
                      int64_t h) {
    const bool inside = h >= 0 && h < cut.H;
    at[0] = at[1] = at[2] = Pack<T, VEC>{};
    if (inside && place.w > 0) at[0] = read<VEC>(centre - t.pixel);
    if (inside) at[1] = read<VEC>(centre);
    if (inside && place.w + 1 < cut.W) at[2] = read<VEC>(centre + t.pixel);
  }
};

// The horizontal sums of the two rows above the one that comes next.
template <class A, int VEC>
struct Window {
  A pair[VEC], last[VEC];  // the sum of both, and the lower one

  RS_HD void start(const A (&row)[VEC]) {
    RS_UNROLL
    for (int i = 0; i < VEC; ++i) pair[i] = last[i] = row[i];
  }
  RS_HD void push(const A (&row)[VEC]) {
    RS_UNROLL
    for (int i = 0; i < VEC; ++i) pair[i] = last[i] + row[i], last[i] = row[i];
  }
};

// pool_scale without its division.
template <class A>
RS_HD A window_scale(int64_t i, int64_t n) {
  const int extent = window_extent(i, n);
  return extent == 3 ? A(1) / A(3) : extent == 2 ? A(0.5) : A(1);
}

// What the columns w-1, w, w+1 count in the transposed pool, which scales before it sums.
template <class A>
struct ColumnScales {
  A at[3];
  RS_HD ColumnScales(const Column& place, const Cut& cut) {
    RS_UNROLL
    for (int i = 0; i < 3; ++i) at[i] = window_scale<A>(int64_t(place.w) - 1 + i, cut.W);
  }
};

}  // namespace rs
