#include "../grid_write.h"
#include "launch.h"

namespace rs {

#define RS_SOURCES(S)                                 \
  RS_KERNEL(NodeWriteKernel<float, 4, kAttack, S>)    \
  RS_KERNEL(NodeWriteKernel<float, 1, kAttack, S>)    \
  RS_KERNEL(NodeWriteKernel<BFloat16, 8, kAttack, S>) \
  RS_KERNEL(NodeWriteKernel<BFloat16, 1, kAttack, S>)
RS_SOURCES(1)
RS_SOURCES(2)
RS_SOURCES(3)

}  // namespace rs
