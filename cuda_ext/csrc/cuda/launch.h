// How a kernel of grid.h is launched on a CUDA stream. Each kernel's instantiations stand in a .cu
// file of their own, which needs no header of torch, so that nvcc compiles them side by side and in
// seconds; mixed_op_cuda.cu, which does need torch, calls them and sees the declaration alone.
#pragma once

#include <cuda_runtime_api.h>

#include "../grid.h"

namespace rs {

// The caller has checked that the grid is within the device's limits.
template <class Kernel>
cudaError_t launch_kernel(const Kernel& kernel, const Grid& grid, cudaStream_t stream);

#if defined(__CUDACC__)

template <int phase, class Kernel>
__device__ __forceinline__ void run_phases(const Kernel& kernel, const Thread& thread) {
  kernel.template run<phase>(thread);
  if constexpr (phase + 1 < Kernel::phases) {
    __syncthreads();
    run_phases<phase + 1>(kernel, thread);
  }
}

template <class Kernel>
__global__ void __launch_bounds__(kThreads, 4) run_kernel(const Kernel kernel) {
  extern __shared__ double shared[];
  const Thread thread{blockIdx.x, blockIdx.y, gridDim.x, int(threadIdx.x), shared};
  run_phases<0>(kernel, thread);
}

template <class Kernel>
cudaError_t launch_kernel(const Kernel& kernel, const Grid& grid, cudaStream_t stream) {
  const dim3 blocks(unsigned(grid.x), unsigned(grid.y));
  run_kernel<<<blocks, kThreads, size_t(grid.shared_bytes), stream>>>(kernel);
  return cudaGetLastError();
}

// Compiles a kernel into the .cu file that says so.
#define RS_KERNEL(...) \
  template cudaError_t launch_kernel<__VA_ARGS__>(const __VA_ARGS__&, const Grid&, cudaStream_t);

#endif

}  // namespace rs
