// One call of an operator: its arguments by name, and the checks of their devices, shapes, layouts
// and dtypes. No CUDA header is needed here, so the file compiles under nvcc and without it.
#pragma once

#include <ATen/ATen.h>

#include <tuple>
#include <vector>

#include "rows.h"

namespace rs {

using at::Tensor;
using Tensors = at::TensorList;

inline at::ScalarType arithmetic_type(at::ScalarType storage) {
  return storage == at::kDouble ? at::kDouble : at::kFloat;
}

// A tensor that is read in the layout of its call, and its name for messages.
struct Named {
  Tensor tensor;
  std::string name;
};

inline std::string shape_text(at::IntArrayRef sizes) {
  std::string text = "(";
  for (size_t i = 0; i < sizes.size(); ++i)
    text += (i ? ", " : "") + std::to_string(sizes[i]);
  return text + (sizes.size() == 1 ? ",)" : ")");
}

inline bool is_channels_last(const Tensor& t) { return t.stride(1) == 1 || t.size(1) == 1; }
inline bool is_nchw(const Tensor& t) { return t.stride(3) == 1 || t.size(3) == 1; }

inline void check_shape(const Tensor& t, const std::string& name, at::IntArrayRef expected) {
  TORCH_CHECK_VALUE(t.sizes() == expected, name, " has shape ", shape_text(t.sizes()),
                    ", expected ", shape_text(expected));
}

// One argument of an operator, a tensor (that may be absent) or a list, and its name for messages.
struct Argument {
  Argument(Tensors list, const char* name) : tensors(list), name(name), indexed(true) {}
  Argument(const Tensor& t, const char* name) : tensors(t), name(name), indexed(false) {}
  Argument(const std::optional<Tensor>& t, const char* name)
      : tensors(t.has_value() ? Tensors(*t) : Tensors()), name(name), indexed(false) {}

  Tensors tensors;
  const char* name;
  bool indexed;

  std::string name_of(size_t i) const {
    return indexed ? std::string(name) + "[" + std::to_string(i) + "]" : name;
  }
};

// The device of the first tensor, demanded of the rest. Asked before anything touches a device: a
// guard takes its own kind only, and a launch before the check would read another device's memory.
inline at::Device common_device(std::initializer_list<Argument> arguments) {
  const Argument& first = *arguments.begin();
  const at::Device device = first.tensors[0].device();
  for (const Argument& argument : arguments)
    for (size_t i = 0; i < argument.tensors.size(); ++i)
      TORCH_CHECK_VALUE(argument.tensors[i].device() == device, argument.name_of(i), " is on ",
                        argument.tensors[i].device(), ", expected ", device, " as ",
                        first.name_of(0), " is");
  return device;
}

// What a backend has kernels for beside channels-last float32 and bfloat16.
struct Accepts {
  bool float64, float16, nchw;

  bool type(at::ScalarType t) const {
    return t == at::kFloat || t == at::kBFloat16 || (t == at::kDouble && float64) ||
           (t == at::kHalf && float16);
  }
  std::string types() const {
    if (float64 && float16) return "float32, float64, bfloat16 or float16";
    return float64 ? "float32, float64 or bfloat16"
                   : "float32 or bfloat16; impl='reference' takes others";
  }
};

// One call's shape, layout and dtype, taken from its first tensor and demanded of the rest.
class Call {
 public:
  Call(const Tensor& first, const std::string& name, const Accepts& accepts)
      : accepts_(accepts), first_name_(name) {
    TORCH_CHECK_VALUE(first.dim() == 4, name, " has shape ", shape_text(first.sizes()),
                      ", expected (B, C, H, W)");
    TORCH_CHECK_VALUE(first.numel() > 0, name, " has shape ", shape_text(first.sizes()),
                      ", expected at least one image, channel and pixel");
    const auto type = first.scalar_type();
    TORCH_CHECK_VALUE(accepts.type(type), name, " has dtype ", type, ", expected ",
                      accepts.types());
    sizes = first.sizes().vec();
    options = first.options().requires_grad(false);
  }

  std::vector<int64_t> sizes;
  at::TensorOptions options;
  bool channels_last = true;

  at::ScalarType type() const { return c10::typeMetaToScalarType(options.dtype()); }
  at::ScalarType arithmetic() const { return arithmetic_type(type()); }
  int64_t channels() const { return sizes[1]; }
  int64_t count() const { return sizes[0] * sizes[2] * sizes[3]; }

  void check(const Tensor& t, const std::string& name) const {
    check_shape(t, name, sizes);
    TORCH_CHECK_VALUE(t.scalar_type() == type(), name, " has dtype ", t.scalar_type(),
                      ", expected ", type(), " as ", first_name_, " has");
  }

  // Channels-last if every tensor can be read so or the backend knows nothing else, else NCHW if
  // every one can; what is neither (a strided crop, an expanded gradient) is copied; one of each is
  // refused.
  void settle_layout(std::vector<Named>& tensors) {
    const Named *last = nullptr, *first = nullptr;
    for (const auto& [t, name] : tensors) check(t, name);
    for (const auto& named : tensors) {
      const bool cl = is_channels_last(named.tensor), nchw = is_nchw(named.tensor);
      if (cl && !nchw && !last) last = &named;
      if (nchw && !cl && !first) first = &named;
    }
    TORCH_CHECK_VALUE(!last || !first, "mixed layouts: ", last->name, " is channels-last and ",
                      first->name, " is NCHW, expected one layout for all");
    channels_last = first == nullptr || !accepts_.nchw;
    for (auto& [t, name] : tensors)
      if (!(channels_last ? is_channels_last(t) : is_nchw(t))) t = t.contiguous(format());
  }

  // A gradient comes in whatever layout autograd has; it is copied into the call's.
  Named gradient(const Tensor& t, const std::string& name) const {
    check(t, name);
    const bool readable = channels_last ? is_channels_last(t) : is_nchw(t);
    return {readable ? t : t.contiguous(format()), name};
  }

  at::MemoryFormat format() const {
    return channels_last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
  }

  Tensor new_output() const { return at::empty(sizes, options.memory_format(format())); }

  Tensor new_values(at::IntArrayRef shape) const {
    return at::empty(shape, options.dtype(arithmetic()));
  }

  Space space() const {
    const int64_t planes = channels_last ? 1 : sizes[1];
    return {sizes[0] * planes, planes, sizes[2], sizes[3], channels_last ? sizes[1] : 1};
  }

  Rows rows(const Tensor& t) const {
    if (channels_last) return {t.data_ptr(), t.stride(0), 0, t.stride(2), t.stride(3)};
    return {t.data_ptr(), t.stride(0), t.stride(1), t.stride(2), 1};
  }

  // A tensor that is written in place must have the layout of the call: it cannot be copied.
  Rows written(const Tensor& t, const std::string& name) const {
    check(t, name);
    TORCH_CHECK_VALUE(channels_last ? is_channels_last(t) : is_nchw(t), name, " has strides ",
                      shape_text(t.strides()), ", expected ",
                      channels_last ? "channels-last" : "NCHW", " as the inputs");
    return rows(t);
  }

  // Small tensors of weights and statistics: of the storage or of the arithmetic type, and read in
  // the latter.
  Tensor values(const Tensor& t, const std::string& name, at::IntArrayRef shape) const {
    check_shape(t, name, shape);
    TORCH_CHECK_VALUE(t.scalar_type() == type() || t.scalar_type() == arithmetic(), name,
                      " has dtype ", t.scalar_type(), ", expected ", type(), " or ", arithmetic());
    return t.to(arithmetic()).contiguous();
  }

 private:
  Accepts accepts_;
  std::string first_name_;
};

inline void append(std::vector<Named>& all, Tensors tensors, const char* name) {
  for (size_t i = 0; i < tensors.size(); ++i)
    all.push_back({tensors[i], std::string(name) + "[" + std::to_string(i) + "]"});
}

inline void check_sources(Tensors v, const char* name) {
  TORCH_CHECK_VALUE(v.size() >= 1 && v.size() <= kMaxSources, name, " has ", v.size(),
                    " tensors, expected 1 to ", kMaxSources);
}

inline void check_length(Tensors t, const char* name, size_t expected, const char* of) {
  TORCH_CHECK_VALUE(t.size() == expected, name, " has ", t.size(), " tensors, expected ", expected,
                    " as ", of, " has");
}

template <class T>
const T* offset_by(const Tensor& t, int64_t elements) {
  return static_cast<const T*>(t.data_ptr()) + elements;
}

inline const void* element(const Tensor& t, int64_t index) {
  return static_cast<const char*>(t.data_ptr()) + index * t.element_size();
}

}  // namespace rs
