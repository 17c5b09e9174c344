// What the kernels are asked to do, as plain data. ops.h fills these structs; the CPU kernels
// (rows_impl.h) work through them one unit, a band of rows of one image, at a time, and the CUDA
// kernels (grid.h) one thread at a time. Nothing here may use standard library templates, because
// rows_impl.h is compiled once per instruction set (isa.h).
//
// Both layouts are one case. Channels-last: an image is a B entry, a row is W pixels of P = C
// elements. NCHW: an "image" is one (b, c) plane, a row is W pixels of P = 1 element.
#pragma once

#include "arith.h"

namespace rs {

constexpr int64_t kBand = 32;  // rows per unit; fixed, so that sums do not depend on the threads

struct Rows {       // how to find row h of image i of a tensor, in elements
  void* data;
  int64_t batch, plane, row, pixel;
};

struct Space {      // the shape that all tensors of a call share
  int64_t images, planes, H, W, P;
  int64_t n() const { return W * P; }
  int64_t bands() const { return (H + kBand - 1) / kBand; }
  int64_t units() const { return images * bands(); }
};

// w_skip and w_pool of source s lie at data[s * row + skip] and data[s * row + pool].
struct EdgeWeights {
  const void* data;  // of the arithmetic type
  int64_t row, skip, pool;
};

// out = sum_s skip_s v_s + pool_s pool(v_s) + offset + terms, written to every dst; relu_dst gets
// relu(out). `adjoint` uses the transpose of the pool. With a mask the terms count only where it is
// positive. Factors and offset are per channel; null means 1 and 0.
struct NodeWrite {
  Space space;
  int sources, terms, dsts;
  bool adjoint, has_mask, has_relu;
  Rows v[kMaxSources], term[kMaxTerms], mask, dst[kMaxSources], relu_dst;
  EdgeWeights w;
  const void* factor[kMaxTerms];  // (C,) of the arithmetic type; all of them or none
  const void* offset;             // likewise
};

// Quantities, each per channel: sum g; for every term sum g * (y - mean); for every source
// sum g * v and sum poolT(g) * v. Layout of partial: units x quantities x P, double.
struct NodeSums {
  Space space;
  int sources, terms;
  Rows g, v[kMaxSources], term[kMaxTerms];
  const void* mean[kMaxTerms];  // (C,) of the arithmetic type
  double* partial;
  int quantities() const { return 1 + terms + 2 * sources; }
};

// For every term, per unit and channel: count, mean, m2. Layout of partial: units x terms x 3 x P.
struct ChannelMoments {
  Space space;
  int terms;
  Rows y[kMaxTerms];
  double* partial;
};

// dy = a * g + b * y + d for every term; a, b, d per channel, coef is terms x 3 x C.
struct NormBackward {
  Space space;
  int terms;
  Rows g, y[kMaxTerms], dy[kMaxTerms];
  const void* coef;
  int64_t C;
};

struct Step {
  void* x_adv;
  const void *grad, *x;
  double step, eps;
  bool project;
};


// One storage type's CPU kernels. kScratchRows rows of n() elements of 8 bytes are enough for each.
struct RowKernels {
  void (*node_write)(const NodeWrite&, int64_t unit, void* scratch);
  void (*node_sums)(const NodeSums&, int64_t unit, void* scratch);
  void (*channel_moments)(const ChannelMoments&, int64_t unit, void* scratch);
  void (*norm_backward)(const NormBackward&, int64_t unit, void* scratch);
  void (*step)(const Step&, int64_t begin, int64_t end);
};
constexpr int64_t kScratchRows = 32;

struct IsaKernels {
  RowKernels f32, f64, bf16, f16;
};

}  // namespace rs
