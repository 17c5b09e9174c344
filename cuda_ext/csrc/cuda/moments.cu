#include "../grid_norm.h"
#include "launch.h"

namespace rs {

RS_KERNEL(MomentsKernel<float, 4>)
RS_KERNEL(MomentsKernel<float, 1>)
RS_KERNEL(MomentsKernel<BFloat16, 8>)
RS_KERNEL(MomentsKernel<BFloat16, 1>)

}  // namespace rs
