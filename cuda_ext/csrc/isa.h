// The CPU kernels are compiled once per instruction set and chosen when the library is loaded, so
// that a build runs on every machine of its architecture and is fast on the newer ones.
#pragma once

#include "rows.h"

namespace rs {

IsaKernels baseline_kernels();
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define RS_HAVE_AVX2 1
IsaKernels avx2_kernels();
#endif

}  // namespace rs
