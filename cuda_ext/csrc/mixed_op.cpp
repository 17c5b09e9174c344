// The operators' schemas and their CPU backend: units of rows shared out over the threads.
#include <ATen/Parallel.h>
#include <Python.h>

#include <memory>

#include "isa.h"
#include "ops.h"

namespace rs {
namespace {

const IsaKernels& isa_kernels() {
  static const IsaKernels kernels = [] {
#ifdef RS_HAVE_AVX2
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("f16c"))
      return avx2_kernels();
#endif
    return baseline_kernels();
  }();
  return kernels;
}

const RowKernels& row_kernels(at::ScalarType type) {
  const IsaKernels& kernels = isa_kernels();
  switch (type) {
    case at::kDouble: return kernels.f64;
    case at::kBFloat16: return kernels.bf16;
    case at::kHalf: return kernels.f16;
    default: return kernels.f32;
  }
}

// Runs kernel(work, unit, scratch) for every unit. A thread's share is worth at least 16k elements.
template <class Work>
void for_units(const Work& work, void (*kernel)(const Work&, int64_t, void*)) {
  const Space& s = work.space;
  const int64_t per_unit = s.n() * std::min<int64_t>(s.H, kBand);
  const int64_t grain = std::max<int64_t>(1, 16384 / per_unit);
  at::parallel_for(0, s.units(), grain, [&](int64_t begin, int64_t end) {
    const std::unique_ptr<double[]> scratch(new double[kScratchRows * s.n()]);
    for (int64_t unit = begin; unit < end; ++unit) kernel(work, unit, scratch.get());
  });
}

// The channel that entry c of a unit's partial sums belongs to.
int64_t channel_of(const Space& s, int64_t unit, int64_t c) {
  return s.planes > 1 ? unit / s.bands() % s.planes : c;
}

std::unique_ptr<double[]> new_partial(const Space& s, int64_t quantities) {
  return std::unique_ptr<double[]>(new double[s.units() * quantities * s.P]);
}

struct CpuBackend {
  static constexpr Accepts accepts{true, true, true};

  struct Guard {
    explicit Guard(at::Device) {}
  };

  static void channel_moments(ChannelMoments k, const Call& call, Tensor& mean, Tensor& var) {
    const Space& s = k.space;
    const int64_t C = call.channels();
    const auto partial = new_partial(s, 3 * k.terms);
    k.partial = partial.get();
    for_units(k, row_kernels(call.type()).channel_moments);
    std::vector<Moments<double>> total(k.terms * C);
    for (int64_t unit = 0; unit < s.units(); ++unit)  // in order: the same for any thread count
      for (int64_t t = 0; t < k.terms; ++t) {
        const double* p = k.partial + (unit * k.terms + t) * 3 * s.P;
        for (int64_t c = 0; c < s.P; ++c)
          total[t * C + channel_of(s, unit, c)].merge({p[c], p[s.P + c], p[2 * s.P + c]});
      }
    AT_DISPATCH_FLOATING_TYPES(call.arithmetic(), "channel_moments", [&] {
      for (int64_t i = 0; i < k.terms * C; ++i) {
        mean.data_ptr<scalar_t>()[i] = scalar_t(total[i].mean);
        var.data_ptr<scalar_t>()[i] = scalar_t(total[i].m2 / total[i].count);
      }
    });
  }

  static void norm_factors(const Tensor& w, const Tensor& mean, const Tensor& var, double eps,
                           Tensor& factor, Tensor& offset) {
    const int64_t S = mean.size(0), C = mean.size(2);
    AT_DISPATCH_FLOATING_TYPES(w.scalar_type(), "norm_factors", [&] {
      for (int64_t c = 0; c < C; ++c)
        offset.data_ptr<scalar_t>()[c] = norm_channel<scalar_t>(
            w.data_ptr<scalar_t>(), mean.data_ptr<scalar_t>(), var.data_ptr<scalar_t>(),
            scalar_t(eps), S, C, c, factor.data_ptr<scalar_t>());
    });
  }

  static void node_write(const NodeWrite& k, const Call& call) {
    for_units(k, row_kernels(call.type()).node_write);
  }

  static void node_sums(NodeSums k, const Call& call, const NodeState& state, Tensor& dw,
                        Tensor& coef) {
    const Space& s = k.space;
    const int64_t quantities = k.quantities(), C = call.channels();
    const auto partial = new_partial(s, quantities);
    k.partial = partial.get();
    for_units(k, row_kernels(call.type()).node_sums);
    std::vector<double> total(quantities * C);
    for (int64_t unit = 0; unit < s.units(); ++unit)
      for (int64_t q = 0; q < quantities; ++q)
        for (int64_t c = 0; c < s.P; ++c)
          total[q * C + channel_of(s, unit, c)] += k.partial[(unit * quantities + q) * s.P + c];
    AT_DISPATCH_FLOATING_TYPES(call.arithmetic(), "node_sums", [&] {
      for (int64_t i = 0; i < dw.numel(); ++i)
        dw.data_ptr<scalar_t>()[i] = scalar_t(finish_weight<scalar_t>(
            total.data(), i / kNumOps, int(i % kNumOps), k.sources, C, double(call.count()),
            scalar_t(state.eps), state.w.data_ptr<scalar_t>(), state.mean.data_ptr<scalar_t>(),
            state.var.data_ptr<scalar_t>(), coef.data_ptr<scalar_t>()));
    });
  }

  static void norm_backward(const NormBackward& k, const Call& call) {
    for_units(k, row_kernels(call.type()).norm_backward);
  }

  static void step(const Step& k, const Call& call, int64_t numel) {
    const RowKernels& kernels = row_kernels(call.type());
    at::parallel_for(0, numel, 32768, [&](int64_t begin, int64_t end) {
      kernels.step(k, begin, end);
    });
  }
};

}  // namespace
}  // namespace rs

TORCH_LIBRARY(robust_supernet, m) { rs::define_operators(m); }
TORCH_LIBRARY_IMPL(robust_supernet, CPU, m) { rs::Ops<rs::CpuBackend>::implement(m); }

// Which sources this is built from; setup.py writes the file that says so.
extern const char* const rs_sources;

// `import cuda_ext._C` runs the registrations above; the module itself holds that digest alone.
extern "C" PyMODINIT_FUNC PyInit__C() {
  static PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_C", nullptr, -1, nullptr,
                                   nullptr, nullptr, nullptr, nullptr};
  PyObject* module = PyModule_Create(&definition);
  if (module != nullptr) PyModule_AddStringConstant(module, "SOURCES", rs_sources);
  return module;
}
