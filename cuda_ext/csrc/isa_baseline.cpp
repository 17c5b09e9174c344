// The kernels for the compiler's default target (SSE2 on x86-64, NEON on 64-bit ARM).
#include "isa.h"
#include "storage.h"

#define RS_ISA baseline
#include "rows_impl.h"

rs::IsaKernels rs::baseline_kernels() {
  using namespace baseline;
  return {row_kernels<float>(), row_kernels<double>(), row_kernels<BFloat16>(),
          row_kernels<Half>()};
}
