// The kernels for AVX2 and FMA. The target holds to the end of the file, because templates are
// instantiated there; standard headers come before it and only always-inlined functions are shared,
// so no AVX2 code can leak into a symbol that another file uses.
#include "isa.h"

#ifdef RS_HAVE_AVX2
#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,f16c")
#endif

#include "storage.h"

#define RS_ISA avx2
#include "rows_impl.h"

rs::IsaKernels rs::avx2_kernels() {
  using namespace avx2;
  return {row_kernels<float>(), row_kernels<double>(), row_kernels<BFloat16>(),
          row_kernels<Half>()};
}

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
