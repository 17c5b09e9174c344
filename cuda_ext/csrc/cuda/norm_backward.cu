#include "../grid_norm.h"
#include "launch.h"

namespace rs {

RS_KERNEL(NormBackwardKernel<float, 4>)
RS_KERNEL(NormBackwardKernel<float, 1>)
RS_KERNEL(NormBackwardKernel<BFloat16, 8>)
RS_KERNEL(NormBackwardKernel<BFloat16, 1>)

}  // namespace rs
