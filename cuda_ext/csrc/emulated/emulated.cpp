// The CUDA kernels run as loops on the host, as the operators robust_supernet_emulated::* on CPU
// tensors: for tests, and never part of an installed package. Shared memory starts as NaN, and the
// threads of a phase run backwards when ROBUST_SUPERNET_EMULATED_BACKWARDS is set: what depends on
// an order that a GPU does not promise differs between the two. An access off its own size's grid,
// which faults on a GPU, throws. launched() names the kernels that ran since it was last asked.
#include <Python.h>
#include <cxxabi.h>

#include <cstdint>
#include <cstdlib>
#include <limits>
#include <set>
#include <stdexcept>
#include <string>
#include <typeinfo>

#define RS_CHECK_ALIGNED(pointer, bytes)                                    \
  do {                                                                      \
    if (reinterpret_cast<std::uintptr_t>(pointer) % (bytes) != 0)           \
      throw std::runtime_error("an access of the emulated kernels is not aligned"); \
  } while (false)

#include "../grid_backend.h"

namespace rs {
namespace {

std::set<std::string> kernels;

template <class Kernel>
void note() {
  char* name = abi::__cxa_demangle(typeid(Kernel).name(), nullptr, nullptr, nullptr);
  kernels.insert(name);
  std::free(name);
}

std::string launched() {
  std::string lines;
  for (const auto& name : kernels) lines += name + "\n";
  kernels.clear();
  return lines;
}

struct HostLauncher {
  struct Guard {
    explicit Guard(at::Device) {}
  };

  static constexpr bool float64 = true;  // for tests: rounding hides no mistake in the indices

  static int64_t block_limit() { return 5; }  // few and odd, so that threads take several items

  template <int phase, class Kernel>
  static void run_phases(const Kernel& kernel, Thread thread, bool backwards) {
    for (int i = 0; i < kThreads; ++i) {
      thread.index = backwards ? kThreads - 1 - i : i;
      kernel.template run<phase>(thread);
    }
    if constexpr (phase + 1 < Kernel::phases) run_phases<phase + 1>(kernel, thread, backwards);
  }

  template <class Kernel>
  static void launch(const Kernel& kernel, const Grid& grid) {
    note<Kernel>();
    const bool backwards = std::getenv("ROBUST_SUPERNET_EMULATED_BACKWARDS") != nullptr;
    for (int64_t y = 0; y < grid.y; ++y)
      for (int64_t x = 0; x < grid.x; ++x) {
        std::vector<double> shared(grid.shared_bytes / sizeof(double) + 1,
                                   std::numeric_limits<double>::quiet_NaN());
        const Thread thread{uint32_t(x), uint32_t(y), uint32_t(grid.x), 0, shared.data()};
        run_phases<0>(kernel, thread, backwards);
      }
  }
};

}  // namespace
}  // namespace rs

TORCH_LIBRARY(robust_supernet_emulated, m) {
  rs::define_operators(m);
  m.def("launched() -> str", &rs::launched);
}
TORCH_LIBRARY_IMPL(robust_supernet_emulated, CPU, m) {
  rs::Ops<rs::GridBackend<rs::HostLauncher>>::implement(m);
}

extern "C" PyMODINIT_FUNC PyInit__emulated() {
  static PyModuleDef module = {PyModuleDef_HEAD_INIT, "_emulated", nullptr, -1, nullptr,
                               nullptr, nullptr, nullptr, nullptr};
  return PyModule_Create(&module);
}
