#include "../grid_sums.h"
#include "launch.h"

namespace rs {

#define RS_SOURCES(S)                       \
  RS_KERNEL(NodeSumsKernel<float, 4, S>)    \
  RS_KERNEL(NodeSumsKernel<float, 1, S>)    \
  RS_KERNEL(NodeSumsKernel<BFloat16, 4, S>) \
  RS_KERNEL(NodeSumsKernel<BFloat16, 1, S>)
RS_SOURCES(1)
RS_SOURCES(2)
RS_SOURCES(3)

}  // namespace rs
