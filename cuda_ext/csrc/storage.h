// Half-precision storage types with our own conversions. c10's are not used in the CPU kernels
// because an inline function compiled for AVX2 in one file may be the copy that the linker keeps
// for all; here everything is always inlined, plain enough to vectorise, and the same everywhere.
#pragma once

#include <cstdint>
#include <cstring>

#include "arith.h"

namespace rs {

RS_HD uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

RS_HD float float_of(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

struct BFloat16 {
  uint16_t bits;
};

struct Half {
  uint16_t bits;
};

RS_HD float widen(BFloat16 x) { return float_of(uint32_t(x.bits) << 16); }

RS_HD void narrow(float x, BFloat16& out) {
  const uint32_t bits = bits_of(x);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;  // to nearest even
  out.bits = uint16_t((bits & 0x7fffffffu) > 0x7f800000u ? 0x7fc0u : rounded);
}

RS_HD float widen(Half x) {
  const uint32_t magnitude = uint32_t(x.bits & 0x7fffu) << 13;
  // The exponent is rebiased by a product with 2^112, which is right for subnormal numbers too.
  const float value = float_of(magnitude) * float_of(0x77800000u);
  const uint32_t special = (x.bits & 0x7c00u) == 0x7c00u ? 0x7f800000u : 0u;
  return float_of(bits_of(value) | special | (uint32_t(x.bits & 0x8000u) << 16));
}

RS_HD void narrow(float x, Half& out) {
  const uint32_t bits = bits_of(x), magnitude = bits & 0x7fffffffu;
  const uint32_t normal = (magnitude + 0xc8000fffu + ((magnitude >> 13) & 1u)) >> 13;
  // Adding 0.5 leaves a subnormal result's bits, rounded to nearest even, at the low end.
  const uint32_t subnormal = bits_of(float_of(magnitude) + 0.5f) - 0x3f000000u;
  const uint32_t special = magnitude > 0x7f800000u ? 0x7e00u : 0x7c00u;
  uint32_t result = magnitude < 0x38800000u ? subnormal : normal;
  result = magnitude >= 0x47800000u ? special : result;
  out.bits = uint16_t(result | ((bits >> 16) & 0x8000u));
}

RS_HD float widen(float x) { return x; }
RS_HD double widen(double x) { return x; }
RS_HD void narrow(float x, float& out) { out = x; }
RS_HD void narrow(double x, double& out) { out = x; }

// The type that arithmetic runs in.
template <class T>
struct Arithmetic {
  using type = float;
};
template <>
struct Arithmetic<double> {
  using type = double;
};

}  // namespace rs
