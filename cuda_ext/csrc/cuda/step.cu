#include "../grid_step.h"
#include "launch.h"

namespace rs {

RS_KERNEL(StepKernel<float, 4>)
RS_KERNEL(StepKernel<float, 1>)
RS_KERNEL(StepKernel<BFloat16, 8>)
RS_KERNEL(StepKernel<BFloat16, 1>)

}  // namespace rs
