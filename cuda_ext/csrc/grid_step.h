// The CUDA kernel of an attack's step: one flat pass, whatever the layout.
#pragma once

#include "grid.h"

namespace rs {

template <class T, int VEC>
struct StepKernel {
  using A = typename Arithmetic<T>::type;
  static constexpr int phases = 1;
  Step k;
  int64_t packs;

  template <int phase>
  RS_HD void run(const Thread& t) const {
    T* x_adv = static_cast<T*>(k.x_adv);
    const T *grad = static_cast<const T*>(k.grad), *x = static_cast<const T*>(k.x);
    const A step = A(k.step), eps = A(k.eps);
    for (int64_t i = int64_t(t.block_x) * kThreads + t.index; i < packs;
         i += int64_t(t.blocks_x) * kThreads) {
      // Written by this kernel, so not by `read`, whose memory must stay as it is.
      const Pack<T, VEC> from = read_written<VEC>(x_adv + i * VEC);
      const Pack<T, VEC> g = read<VEC>(grad + i * VEC), origin = read<VEC>(x + i * VEC);
      A out[VEC];
      RS_UNROLL
      for (int j = 0; j < VEC; ++j)
        out[j] = step_value<A>(from.value(j), g.value(j), origin.value(j), step, eps,
                               k.project);
      write_values<VEC>(x_adv + i * VEC, out);
    }
  }
};

}  // namespace rs
