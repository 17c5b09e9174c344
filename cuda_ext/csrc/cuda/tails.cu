#include "../grid_finish.h"
#include "../grid_norm.h"
#include "launch.h"

namespace rs {

RS_KERNEL(FoldKernel)
RS_KERNEL(FinishKernel<float>)
RS_KERNEL(NormFactorsKernel<float>)
RS_KERNEL(MomentsFoldKernel<float>)

}  // namespace rs
