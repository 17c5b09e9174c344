// The operators on CUDA tensors: the kernels of grid.h on the current stream. Nothing waits for the
// device and scratch memory comes from torch's allocator, so every call can be captured in a CUDA
// graph. No header beyond c10/cuda is included: ATen/cuda/CUDAContext.h wants headers that a bare
// nvcc lacks.
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "grid_backend.h"
#include "cuda/launch.h"

namespace rs {
namespace {

struct CudaLauncher {
  static constexpr bool float64 = false;

  struct Guard {
    explicit Guard(at::Device device) : guard(device) {}
    c10::cuda::CUDAGuard guard;
  };

  // Two blocks per multiprocessor: enough to keep the memory busy in the reductions. The count is
  // asked for once per device, by an attribute query that stays legal during capture.
  static int64_t block_limit() {
    static int64_t counts[64] = {};
    const int device = c10::cuda::current_device();
    TORCH_CHECK(device < 64, "more than 64 GPUs");
    if (counts[device] == 0) {
      int count = 0;
      C10_CUDA_CHECK(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device));
      counts[device] = 2 * count;
    }
    return counts[device];
  }

  template <class Kernel>
  static void launch(const Kernel& kernel, const Grid& grid) {
    TORCH_CHECK_VALUE(grid.x < (int64_t(1) << 31) && grid.y < 65536, "the grid of ", grid.x, " x ",
                      grid.y, " blocks is too large");
    C10_CUDA_CHECK(launch_kernel(kernel, grid, c10::cuda::getCurrentCUDAStream()));
  }
};

}  // namespace
}  // namespace rs

TORCH_LIBRARY_IMPL(robust_supernet, CUDA, m) {
  rs::Ops<rs::GridBackend<rs::CudaLauncher>>::implement(m);
}
