// The backend that runs grid.h's kernels. `Launcher` is a GPU stream (mixed_op_cuda.cu) or loops on
// the host (emulated/emulated.cpp).
#pragma once

#include "grid_node.h"
#include "grid_norm.h"
#include "ops.h"

namespace rs {

template <class Launcher>
struct GridBackend {
  using Guard = typename Launcher::Guard;

  static void channel_moments(ChannelMoments k, const Call& call, Tensor& mean, Tensor& var) {
    const int64_t C = call.channels(), terms = k.terms;
    visit(call, all_aligned(call, k.y, k.terms), [&](auto zero, auto vec) {
      using Kernel = MomentsKernel<decltype(zero), vec()>;
      using A = typename Kernel::A;
      const Cut cut(k.space, vec());
      const int64_t blocks = cut.blocks_x(Launcher::block_limit());
      const Tensor partial = workspace(call, blocks * terms * 3 * C);
      k.partial = partial.data_ptr<double>();
      Launcher::launch(Kernel{k, cut, C}, {blocks, cut.blocks_y() * terms, shared<Kernel>()});
      Launcher::launch(
          MomentsFoldKernel<A>{k.partial, mean.data_ptr<A>(), var.data_ptr<A>(), blocks, terms, C},
          {ceil_div(C, kFoldChannels), terms, 3 * kThreads * int64_t(sizeof(double))});
    });
  }

  static void norm_factors(const Tensor& w, const Tensor& mean, const Tensor& var, double eps,
                           Tensor& factor, Tensor& offset) {
    const int64_t S = mean.size(0), C = mean.size(2);
    AT_DISPATCH_FLOATING_TYPES(w.scalar_type(), "norm_factors", [&] {
      Launcher::launch(
          NormFactorsKernel<scalar_t>{w.data_ptr<scalar_t>(), mean.data_ptr<scalar_t>(),
                                      var.data_ptr<scalar_t>(), factor.data_ptr<scalar_t>(),
                                      offset.data_ptr<scalar_t>(), S, C, scalar_t(eps)},
          {ceil_div(C, kThreads), 1, 0});
    });
  }

  static void node_write(const NodeWrite& k, const Call& call) {
    const bool aligned = all_aligned(call, k.v, k.sources) && all_aligned(call, k.term, k.terms) &&
                         all_aligned(call, k.dst, k.dsts) &&
                         (!k.has_mask || all_aligned(call, &k.mask, 1)) &&
                         (!k.has_relu || all_aligned(call, &k.relu_dst, 1));
    visit(call, aligned, [&](auto zero, auto vec) {
      const Cut cut(k.space, vec());
      Launcher::launch(NodeWriteKernel<decltype(zero), vec()>{k, cut}, over(cut));
    });
  }

  static void node_sums(NodeSums k, const Call& call, const NodeState& state, Tensor& dw,
                        Tensor& coef) {
    const bool aligned = all_aligned(call, k.v, k.sources) && all_aligned(call, k.term, k.terms) &&
                         all_aligned(call, &k.g, 1);
    visit(call, aligned, [&](auto zero, auto vec) {
      using T = decltype(zero);
      if (k.sources == 1) sums<T, vec(), 1>(k, call, state, dw, coef);
      if (k.sources == 2) sums<T, vec(), 2>(k, call, state, dw, coef);
      if (k.sources == 3) sums<T, vec(), 3>(k, call, state, dw, coef);
    });
  }

  static void norm_backward(const NormBackward& k, const Call& call) {
    const bool aligned = all_aligned(call, k.y, k.terms) && all_aligned(call, k.dy, k.terms) &&
                         all_aligned(call, &k.g, 1);
    visit(call, aligned, [&](auto zero, auto vec) {
      const Cut cut(k.space, vec());
      Launcher::launch(NormBackwardKernel<decltype(zero), vec()>{k, cut}, over(cut));
    });
  }

  static void step(const Step& k, const Call& call, int64_t numel) {
    const bool aligned = is_aligned(k.x_adv) && is_aligned(k.grad) && is_aligned(k.x);
    visit_type(call.type(), [&](auto zero) {
      using T = decltype(zero);
      constexpr int vec = 16 / sizeof(T);
      const auto run = [&](auto kernel) {
        const int64_t blocks = ceil_div(kernel.packs, kThreads);
        Launcher::launch(kernel, {std::min(blocks, 4 * Launcher::block_limit()), 1, 0});
      };
      if (aligned && numel % vec == 0)
        run(StepKernel<T, vec>{k, numel / vec});
      else
        run(StepKernel<T, 1>{k, numel});
    });
  }

 private:
  static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

  template <class Kernel>
  static constexpr int64_t shared() {
    return Kernel::values * kThreads * int64_t(sizeof(typename Kernel::A));
  }

  // Enough blocks to fill the device several times over; a thread takes further items after them.
  static Grid over(const Cut& cut) {
    return {cut.blocks_x(16 * Launcher::block_limit()), cut.blocks_y(), 0};
  }

  static Tensor workspace(const Call& call, int64_t doubles) {
    return at::empty({doubles}, call.options.dtype(at::kDouble));
  }

  static bool is_aligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

  // Whether every access of 16 bytes along the channels falls on a multiple of 16.
  static bool all_aligned(const Call& call, const Rows* tensors, int count) {
    const int64_t size = int64_t(call.options.dtype().itemsize());
    if (!call.channels_last || call.channels() * size % 16 != 0) return false;
    for (const Rows* t = tensors; t < tensors + count; ++t)
      if (!is_aligned(t->data) || t->batch * size % 16 || t->row * size % 16 || t->pixel * size % 16)
        return false;
    return true;
  }

  template <class F>
  static void visit_type(at::ScalarType type, F f) {
    switch (type) {
      case at::kDouble: return f(double());
      case at::kBFloat16: return f(BFloat16());
      case at::kHalf: return f(Half());
      default: return f(float());
    }
  }

  // f(a value of the storage type, the number of channels that a thread takes).
  template <class F>
  static void visit(const Call& call, bool aligned, F f) {
    visit_type(call.type(), [&](auto zero) {
      if (aligned)
        f(zero, std::integral_constant<int, 16 / sizeof(zero)>());
      else
        f(zero, std::integral_constant<int, 1>());
    });
  }

  template <class T, int VEC, int S>
  static void sums(NodeSums k, const Call& call, const NodeState& state, Tensor& dw, Tensor& coef) {
    using Kernel = NodeSumsKernel<T, VEC, S>;
    using A = typename Kernel::A;
    const Cut cut(k.space, VEC);
    const int64_t C = call.channels(), count = k.quantities() * C;
    const int64_t blocks = cut.blocks_x(Launcher::block_limit());
    const Tensor partial = workspace(call, blocks * count), total = workspace(call, count);
    k.partial = partial.data_ptr<double>();
    Launcher::launch(Kernel{k, cut, C}, {blocks, cut.blocks_y(), shared<Kernel>()});
    Launcher::launch(FoldKernel{k.partial, total.data_ptr<double>(), blocks, count},
                     {ceil_div(count, kFoldChannels), 1, kThreads * int64_t(sizeof(double))});
    Launcher::launch(
        FinishKernel<A>{total.data_ptr<double>(), state.w.data_ptr<A>(), state.mean.data_ptr<A>(),
                        state.var.data_ptr<A>(), dw.data_ptr<A>(), coef.data_ptr<A>(), S, C,
                        double(call.count()), A(state.eps)},
        {1, 1, 0});
  }
};

}  // namespace rs
