// The backend that runs grid.h's kernels. `Launcher` is a GPU stream (mixed_op_cuda.cu) or
// loops on the host (emulated/emulated.cpp).
#pragma once

#include "grid_finish.h"
#include "grid_norm.h"
#include "grid_step.h"
#include "grid_sums.h"
#include "grid_write.h"
#include "ops.h"

namespace rs {

template <class Launcher>
struct GridBackend {
  using Guard = typename Launcher::Guard;
  static constexpr Accepts accepts{Launcher::float64, false, false};

  static void channel_moments(ChannelMoments k, const Call& call, Tensor& mean, Tensor& var) {
    const int64_t C = call.channels(), terms = k.terms;
    visit(call, all_aligned(call, k.y, k.terms), [&](auto zero, auto vec) {
      using Kernel = MomentsKernel<decltype(zero), vec()>;
      using A = typename Kernel::A;
      const Cut cut = cut_up(call, vec());
      const int64_t blocks = cut.blocks_x(Launcher::block_limit());
      const Tensor partial = workspace(call, blocks * terms * 3 * C);
      k.partial = partial.data_ptr<double>();
      Launcher::launch(Kernel{k, cut, C}, {blocks, cut.blocks_y() * terms, Kernel::shared_bytes});
      using Fold = MomentsFoldKernel<A>;
      Launcher::launch(
          Fold{k.partial, mean.data_ptr<A>(), var.data_ptr<A>(), blocks, terms, C},
          {ceil_div(C, kFoldColumns), terms, Fold::shared_bytes});
    });
  }

  static void norm_factors(const Tensor& w, const Tensor& mean, const Tensor& var, double eps,
                           Tensor& factor, Tensor& offset) {
    const int64_t S = mean.size(0), C = mean.size(2);
    visit_type(w.scalar_type(), [&](auto zero) {
      using A = typename Arithmetic<decltype(zero)>::type;
      Launcher::launch(
          NormFactorsKernel<A>{w.data_ptr<A>(), mean.data_ptr<A>(), var.data_ptr<A>(),
                               factor.data_ptr<A>(), offset.data_ptr<A>(), S, C, A(eps)},
          {ceil_div(C, kThreads), 1, 0});
    });
  }

  static void node_write(const NodeWrite& k, const Call& call) {
    const bool channels_aligned = is_aligned(k.offset) && all_aligned(k.factor, k.terms);
    const bool aligned = channels_aligned && all_aligned(call, k.v, k.sources) &&
                         all_aligned(call, k.term, k.terms) && all_aligned(call, k.dst, k.dsts) &&
                         (!k.has_mask || all_aligned(call, &k.mask, 1)) &&
                         (!k.has_relu || all_aligned(call, &k.relu_dst, 1));
    if (k.adjoint)
      write<kGather>(k, call, aligned);
    else if (k.factor[0])
      write<kTrain, 4>(k, call, aligned);
    else
      write<kAttack>(k, call, aligned);
  }

  static void node_sums(NodeSums k, const Call& call, const NodeState& state, Tensor& dw,
                        Tensor& coef) {
    const bool aligned = all_aligned(k.mean, k.terms) && all_aligned(call, k.v, k.sources) &&
                         all_aligned(call, k.term, k.terms) && all_aligned(call, &k.g, 1);
    visit<4>(call, aligned, [&](auto zero, auto vec) {
      with_sources(k.sources, [&](auto S) {
        sums<decltype(zero), decltype(vec)::value, S()>(k, call, state, dw, coef);
      });
    });
  }

  static void norm_backward(const NormBackward& k, const Call& call) {
    const bool aligned = is_aligned(k.coef) && all_aligned(call, k.y, k.terms) &&
                         all_aligned(call, k.dy, k.terms) && all_aligned(call, &k.g, 1);
    visit(call, aligned, [&](auto zero, auto vec) {
      const Cut cut = cut_up(call, vec());
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

  static Cut cut_up(const Call& call, int vec) {
    const Space space = call.space();
    TORCH_CHECK_VALUE(Cut::count_items(space) <= Cut::kMaxItems, "the tensors have ",
                      Cut::count_items(space), " strips of ", kStrip, " pixels, expected at most ",
                      Cut::kMaxItems, "; split the batch");
    return Cut(space, vec);
  }

  // f(the number of sources as a constant).
  template <class F>
  static void with_sources(int sources, F f) {
    static_assert(kMaxSources == 3);
    if (sources == 1) f(std::integral_constant<int, 1>());
    if (sources == 2) f(std::integral_constant<int, 2>());
    if (sources == 3) f(std::integral_constant<int, 3>());
  }

  // Enough blocks to fill the device several times over; a thread takes further items after them.
  static Grid over(const Cut& cut) {
    return {cut.blocks_x(16 * Launcher::block_limit()), cut.blocks_y(), 0};
  }

  static Tensor workspace(const Call& call, int64_t doubles) {
    return at::empty({doubles}, call.options.dtype(at::kDouble));
  }

  static bool is_aligned(const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; }

  // Whether every access of 16 bytes along the channels falls on a multiple of 16.
  static bool all_aligned(const Call& call, const Rows* tensors, int count) {
    const int64_t size = int64_t(call.options.dtype().itemsize());
    if (call.channels() * size % 16 != 0) return false;
    for (const Rows* t = tensors; t < tensors + count; ++t)
      if (!is_aligned(t->data) || t->batch * size % 16 || t->row * size % 16 || t->pixel * size % 16)
        return false;
    return true;
  }

  // The same of values per channel, which are read so too.
  static bool all_aligned(const void* const* values, int count) {
    for (int i = 0; i < count; ++i)
      if (!is_aligned(values[i])) return false;
    return true;
  }

  template <class F>
  static void visit_type(at::ScalarType type, F f) {
    if constexpr (Launcher::float64) {
      if (type == at::kDouble) return f(double());
    }
    if (type == at::kBFloat16) return f(BFloat16());
    f(float());
  }

  // f(a value of the storage type, the number of channels that a thread takes): as many as make 16
  // bytes, but at most `at_most`, where all is aligned; else 1. A kernel that takes 4 of bfloat16
  // has no registers for 8.
  template <int at_most = 8, class F>
  static void visit(const Call& call, bool aligned, F f) {
    visit_type(call.type(), [&](auto zero) {
      constexpr int wide = 16 / int(sizeof(zero));
      if (aligned)
        f(zero, std::integral_constant<int, (wide < at_most ? wide : at_most)>());
      else
        f(zero, std::integral_constant<int, 1>());
    });
  }

  template <Form form, int at_most = 8>
  static void write(const NodeWrite& k, const Call& call, bool aligned) {
    visit<at_most>(call, aligned, [&](auto zero, auto vec) {
      const Cut cut = cut_up(call, vec());
      with_sources(k.sources, [&](auto S) {
        using Kernel = NodeWriteKernel<decltype(zero), decltype(vec)::value, form, S()>;
        Launcher::launch(Kernel{k, cut}, over(cut));
      });
    });
  }

  template <class T, int VEC, int S>
  static void sums(NodeSums k, const Call& call, const NodeState& state, Tensor& dw, Tensor& coef) {
    using Kernel = NodeSumsKernel<T, VEC, S>;
    using A = typename Kernel::A;
    const Cut cut = cut_up(call, VEC);
    const int64_t C = call.channels(), count = k.quantities() * C;
    const int64_t blocks = cut.blocks_x(Launcher::block_limit());
    const Tensor partial = workspace(call, blocks * count), total = workspace(call, count);
    k.partial = partial.data_ptr<double>();
    Launcher::launch(Kernel{k, cut, C}, {blocks, cut.blocks_y(), Kernel::shared_bytes});
    Launcher::launch(FoldKernel{k.partial, total.data_ptr<double>(), blocks, count},
                     {ceil_div(count, kFoldColumns), 1, FoldKernel::shared_bytes});
    using Finish = FinishKernel<A>;
    Launcher::launch(
        Finish{total.data_ptr<double>(), state.w.data_ptr<A>(), state.mean.data_ptr<A>(),
               state.var.data_ptr<A>(), dw.data_ptr<A>(), coef.data_ptr<A>(), S, C,
               A(call.count()), A(state.eps)},
        {S * kNumOps, 1, Finish::shared_bytes});
  }
};

}  // namespace rs
