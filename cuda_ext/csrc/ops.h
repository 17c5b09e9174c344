// The operators, written once for every backend: checks, allocation, and calls of the backend's
// kernels. A backend is a struct with the static functions that CpuBackend (mixed_op.cpp) shows.
// No CUDA header is needed here, so the file compiles under nvcc and without it.
#pragma once

#include <torch/library.h>

#include <tuple>
#include <vector>

#include "call.h"

namespace rs {

template <class Backend>
struct Ops {
  // Mean and biased variance per channel of every y[t], each (T, C).
  static std::tuple<Tensor, Tensor> channel_moments(Tensors y) {
    TORCH_CHECK_VALUE(y.size() >= 1 && y.size() <= kMaxTerms, "y has ", y.size(),
                      " tensors, expected 1 to ", kMaxTerms);
    typename Backend::Guard guard(common_device({{y, "y"}}));
    Call call(y[0], "y[0]", Backend::accepts);
    std::vector<Named> all;
    append(all, y, "y");
    call.settle_layout(all);
    return moments(call, all, 0, y.size());
  }

  // The node in training, with statistics that are already known; relu_out is empty without relu.
  static std::tuple<Tensor, Tensor> training_node_write(Tensors v, Tensors y1, Tensors y3,
                                                        const Tensor& w, const Tensor& mean,
                                                        const Tensor& var, double eps, bool relu) {
    check_sources(v, "v");
    typename Backend::Guard guard(common_device(
        {{v, "v"}, {y1, "y1"}, {y3, "y3"}, {w, "w"}, {mean, "mean"}, {var, "var"}}));
    Call call(v[0], "v[0]", Backend::accepts);
    const int64_t S = v.size(), C = call.channels();
    auto all = training_inputs(call, v, y1, y3);
    const Tensor weights = call.values(w, "w", {S, kNumOps});
    const Tensor means = call.values(mean, "mean", {S, 2, C});
    const Tensor variances = call.values(var, "var", {S, 2, C});
    Tensor factor = call.new_values({S, 2, C}), offset = call.new_values({C});
    Backend::norm_factors(weights, means, variances, eps, factor, offset);
    NodeWrite k = node(call, all, S, 2 * S);
    k.w = {weights.data_ptr(), kNumOps, kSkip, kPool};
    for (int t = 0; t < k.terms; ++t) k.factor[t] = element(factor, t * C);
    k.offset = offset.data_ptr();
    return write_outputs(k, call, relu);
  }

  // dw (S, 5) and, for y1[0], y3[0], y1[1], ..., the coefficients of norm_backward (2S, 3, C).
  static std::tuple<Tensor, Tensor> training_node_sums(const Tensor& g, Tensors v, Tensors y1,
                                                       Tensors y3, const Tensor& w,
                                                       const Tensor& mean, const Tensor& var,
                                                       double eps) {
    check_sources(v, "v");
    typename Backend::Guard guard(common_device(
        {{v, "v"}, {y1, "y1"}, {y3, "y3"}, {g, "g"}, {w, "w"}, {mean, "mean"}, {var, "var"}}));
    Call call(v[0], "v[0]", Backend::accepts);
    const int64_t S = v.size(), C = call.channels();
    auto all = training_inputs(call, v, y1, y3, &g);
    const Tensor weights = call.values(w, "w", {S, kNumOps});
    const Tensor means = call.values(mean, "mean", {S, 2, C});
    const Tensor variances = call.values(var, "var", {S, 2, C});
    NodeSums k{};
    k.space = call.space();
    k.sources = S, k.terms = 2 * S;
    for (int i = 0; i < S; ++i) k.v[i] = call.rows(all[i].tensor);
    for (int t = 0; t < k.terms; ++t) {
      k.term[t] = call.rows(all[S + t].tensor);
      k.mean[t] = element(means, t * C);
    }
    k.g = call.rows(all.back().tensor);
    Tensor dw = call.new_values({S, kNumOps}), coef = call.new_values({2 * S, 3, C});
    Backend::node_sums(k, call, {weights, means, variances, eps}, dw, coef);
    return {dw, coef};
  }

  // dy[t] = a * g + b * y[t] + d with coef[t] = (a, b, d), for every t, in place.
  static void norm_backward(const Tensor& g, Tensors y, const Tensor& coef, Tensors dy) {
    typename Backend::Guard guard(common_device({{g, "g"}, {y, "y"}, {coef, "coef"}, {dy, "dy"}}));
    Call call(g, "g", Backend::accepts);
    TORCH_CHECK_VALUE(y.size() >= 1 && y.size() <= kMaxTerms, "y has ", y.size(),
                      " tensors, expected 1 to ", kMaxTerms);
    check_length(dy, "dy", y.size(), "y");
    std::vector<Named> all;
    append(all, y, "y");
    call.settle_layout(all);
    all.push_back(call.gradient(g, "g"));
    const int64_t terms = y.size();
    const Tensor values = call.values(coef, "coef", {terms, 3, call.channels()});
    NormBackward k{};
    k.space = call.space();
    k.terms = terms, k.C = call.channels(), k.coef = values.data_ptr();
    k.g = call.rows(all.back().tensor);
    for (int t = 0; t < terms; ++t) {
      k.y[t] = call.rows(all[t].tensor);
      k.dy[t] = call.written(dy[t], "dy[" + std::to_string(t) + "]");
    }
    Backend::norm_backward(k, call);
  }

  static std::tuple<Tensor, Tensor> attack_node(Tensors v, Tensors z, const Tensor& w,
                                                const Tensor& bias, bool relu) {
    check_sources(v, "v");
    check_length(z, "z", v.size(), "v");
    typename Backend::Guard guard(common_device({{v, "v"}, {z, "z"}, {w, "w"}, {bias, "bias"}}));
    Call call(v[0], "v[0]", Backend::accepts);
    const int64_t S = v.size();
    std::vector<Named> all;
    append(all, v, "v");
    append(all, z, "z");
    call.settle_layout(all);
    const Tensor weights = call.values(w, "w", {S, 2});
    const Tensor offset = call.values(bias, "bias", {call.channels()});
    NodeWrite k = node(call, all, S, S);
    k.w = {weights.data_ptr(), 2, 0, 1};
    k.offset = offset.data_ptr();
    return write_outputs(k, call, relu);
  }

  // out = sum_s w[s, 0] g_s + w[s, 1] poolT(g_s) + [mask > 0] * sum_t z_t, into every out.
  static void node_backward(Tensors g, const Tensor& w, Tensors z, const std::optional<Tensor>& mask,
                            Tensors out) {
    check_sources(g, "g");
    typename Backend::Guard guard(common_device(
        {{g, "g"}, {z, "z"}, {mask, "mask"}, {w, "w"}, {out, "out"}}));
    Call call(g[0], "g[0]", Backend::accepts);
    const int64_t S = g.size();
    TORCH_CHECK_VALUE(z.size() <= kMaxGathered, "z has ", z.size(), " tensors, expected at most ",
                      kMaxGathered);
    TORCH_CHECK_VALUE(out.size() >= 1 && out.size() <= kMaxSources, "out has ", out.size(),
                      " tensors, expected 1 to ", kMaxSources);
    std::vector<Named> all;
    append(all, g, "g");
    append(all, z, "z");
    if (mask.has_value()) all.push_back({*mask, "mask"});
    call.settle_layout(all);
    const Tensor weights = call.values(w, "w", {S, 2});
    NodeWrite k = node(call, all, S, z.size());
    k.w = {weights.data_ptr(), 2, 0, 1};
    k.adjoint = true;
    if (mask.has_value()) k.has_mask = true, k.mask = call.rows(all.back().tensor);
    k.dsts = out.size();
    for (int i = 0; i < k.dsts; ++i)
      k.dst[i] = call.written(out[i], "out[" + std::to_string(i) + "]");
    Backend::node_write(k, call);
  }

  // out, mean and var of the node in training; the statistics are those of y1 and y3.
  static std::tuple<Tensor, Tensor, Tensor> training_node(Tensors v, Tensors y1, Tensors y3,
                                                          const Tensor& w, double eps) {
    check_sources(v, "v");
    typename Backend::Guard guard(common_device({{v, "v"}, {y1, "y1"}, {y3, "y3"}, {w, "w"}}));
    Call call(v[0], "v[0]", Backend::accepts);
    const auto all = training_inputs(call, v, y1, y3);
    auto [mean, var] = moments(call, all, v.size(), 2 * v.size());
    mean = mean.view({int64_t(v.size()), 2, call.channels()});
    var = var.view(mean.sizes());
    Tensor out = std::get<0>(training_node_write(v, y1, y3, w, mean, var, eps, false));
    return {out, mean, var};
  }

  using Lists = std::tuple<std::vector<Tensor>, std::vector<Tensor>, std::vector<Tensor>, Tensor>;

  // dv, dy1, dy3 (empty where not needed) and dw.
  static Lists training_node_backward(const Tensor& g, Tensors v, Tensors y1, Tensors y3,
                                      const Tensor& w, const Tensor& mean, const Tensor& var,
                                      double eps, bool need_v, bool need_y) {
    auto [dw, coef] = training_node_sums(g, v, y1, y3, w, mean, var, eps);
    Call call(v[0], "v[0]", Backend::accepts);
    auto all = training_inputs(call, v, y1, y3, &g);
    const int64_t S = v.size();
    std::vector<Tensor> dv, dy1, dy3, y, dy;
    if (need_v)
      dv = source_gradients(all.back().tensor, edge_weights(w), call);
    if (need_y) {
      for (int64_t t = 0; t < 2 * S; ++t) {
        y.push_back(all[S + t].tensor);
        dy.push_back(call.new_output());
        (t % 2 ? dy3 : dy1).push_back(dy.back());
      }
      norm_backward(all.back().tensor, y, coef, dy);
    }
    return {dv, dy1, dy3, dw.to(w.scalar_type())};
  }

  // The gradient g of the node's sum, which is that of every z, and dv (empty where not needed).
  static std::tuple<Tensor, std::vector<Tensor>> attack_node_backward(
      const Tensor& g_out, const std::optional<Tensor>& g_relu, const Tensor& out, const Tensor& w,
      bool need_v) {
    typename Backend::Guard guard(common_device(
        {{out, "out"}, {g_out, "g_out"}, {g_relu, "g_relu"}, {w, "w"}}));
    Call call(out, "out", Backend::accepts);
    std::vector<Named> all{{out, "out"}};
    call.settle_layout(all);
    Tensor g = call.gradient(g_out, "g_out").tensor;
    if (g_relu.has_value()) {
      const Tensor sum = call.new_output();
      // Filled on the device: a copy from the host could not be captured in a CUDA graph.
      const Tensor one = at::zeros({1, 2}, call.options.dtype(call.arithmetic()));
      one.select(1, 0).fill_(1);
      node_backward({g}, one, {call.gradient(*g_relu, "g_relu").tensor}, all[0].tensor, {sum});
      g = sum;
    }
    std::vector<Tensor> dv;
    if (need_v) dv = source_gradients(g, w, call);
    return {g, dv};
  }

  static void attack_step(Tensor x_adv, const Tensor& grad, const Tensor& x,
                          std::optional<double> eps, double step_size) {
    typename Backend::Guard guard(common_device({{x_adv, "x_adv"}, {grad, "grad"}, {x, "x"}}));
    Call call(x_adv, "x_adv", Backend::accepts);
    call.check(grad, "grad");
    call.check(x, "x");
    // One flat pass; what is not laid out as x_adv is copied first.
    const bool dense = x_adv.is_non_overlapping_and_dense();
    Tensor target = dense ? x_adv : x_adv.contiguous();
    const auto like_target = [&](const Tensor& t) {
      return t.strides() == target.strides() ? t : at::empty_like(target).copy_(t);
    };
    const Tensor g = like_target(grad), origin = like_target(x);
    Step k{target.data_ptr(), g.data_ptr(), origin.data_ptr(), step_size, eps.value_or(0),
           eps.has_value()};
    Backend::step(k, call, target.numel());
    if (!dense) x_adv.copy_(target);
  }

  static void implement(torch::Library& m) {
    m.impl("training_node", &training_node);
    m.impl("training_node_backward", &training_node_backward);
    m.impl("attack_node_backward", &attack_node_backward);
    m.impl("channel_moments", &channel_moments);
    m.impl("training_node_write", &training_node_write);
    m.impl("training_node_sums", &training_node_sums);
    m.impl("norm_backward", &norm_backward);
    m.impl("attack_node", &attack_node);
    m.impl("node_backward", &node_backward);
    m.impl("attack_step", &attack_step);
  }

 private:
  // In the order v[0..S), then y1[0], y3[0], y1[1], ..., then g.
  static std::vector<Named> training_inputs(Call& call, Tensors v, Tensors y1, Tensors y3,
                                            const Tensor* g = nullptr) {
    check_length(y1, "y1", v.size(), "v");
    check_length(y3, "y3", v.size(), "v");
    std::vector<Named> all;
    append(all, v, "v");
    for (size_t s = 0; s < v.size(); ++s) {
      all.push_back({y1[s], "y1[" + std::to_string(s) + "]"});
      all.push_back({y3[s], "y3[" + std::to_string(s) + "]"});
    }
    call.settle_layout(all);
    if (g) all.push_back(call.gradient(*g, "g"));
    return all;
  }

  static std::tuple<Tensor, Tensor> moments(const Call& call, const std::vector<Named>& all,
                                            size_t first, size_t terms) {
    Tensor mean = call.new_values({int64_t(terms), call.channels()}), var = at::empty_like(mean);
    ChannelMoments k{};
    k.space = call.space();
    k.terms = terms;
    for (size_t t = 0; t < terms; ++t) k.y[t] = call.rows(all[first + t].tensor);
    Backend::channel_moments(k, call, mean, var);
    return {mean, var};
  }

  // Columns skip and pool of a training node's weights.
  static Tensor edge_weights(const Tensor& w) {
    return at::stack({w.select(1, kSkip), w.select(1, kPool)}, 1);
  }

  // w[s, 0] g + w[s, 1] poolT(g) for every s.
  static std::vector<Tensor> source_gradients(const Tensor& g, const Tensor& w, const Call& call) {
    std::vector<Tensor> dv;
    for (int64_t s = 0; s < w.size(0); ++s) {
      dv.push_back(call.new_output());
      node_backward({g}, w.narrow(0, s, 1), {}, std::nullopt, {dv.back()});
    }
    return dv;
  }

  static NodeWrite node(const Call& call, const std::vector<Named>& all, int64_t S, int64_t terms) {
    NodeWrite k{};
    k.space = call.space();
    k.sources = S, k.terms = terms;
    for (int i = 0; i < S; ++i) k.v[i] = call.rows(all[i].tensor);
    for (int t = 0; t < terms; ++t) k.term[t] = call.rows(all[S + t].tensor);
    return k;
  }

  static std::tuple<Tensor, Tensor> write_outputs(NodeWrite& k, const Call& call, bool relu) {
    Tensor out = call.new_output();
    Tensor relu_out = relu ? call.new_output() : at::empty({0}, call.options);
    k.dsts = 1, k.dst[0] = call.rows(out);
    k.has_relu = relu;
    if (relu) k.relu_dst = call.rows(relu_out);
    Backend::node_write(k, call);
    return {out, relu_out};
  }
};

// What node_sums needs beside the sums to finish them.
struct NodeState {
  Tensor w, mean, var;  // (S, 5), (S, 2, C), (S, 2, C), of the arithmetic type
  double eps;
};

// The operators' signatures, for the library and for the emulation of the CUDA kernels.
inline void define_operators(torch::Library& m) {
  m.def(
      "training_node(Tensor[] v, Tensor[] y1, Tensor[] y3, Tensor w, float eps) -> "
      "(Tensor, Tensor, Tensor)");
  m.def(
      "training_node_backward(Tensor g, Tensor[] v, Tensor[] y1, Tensor[] y3, Tensor w, "
      "Tensor mean, Tensor var, float eps, bool need_v, bool need_y) -> "
      "(Tensor[], Tensor[], Tensor[], Tensor)");
  m.def(
      "attack_node_backward(Tensor g_out, Tensor? g_relu, Tensor out, Tensor w, bool need_v) -> "
      "(Tensor, Tensor[])");
  m.def("channel_moments(Tensor[] y) -> (Tensor, Tensor)");
  m.def(
      "training_node_write(Tensor[] v, Tensor[] y1, Tensor[] y3, Tensor w, Tensor mean, "
      "Tensor var, float eps, bool relu) -> (Tensor, Tensor)");
  m.def(
      "training_node_sums(Tensor g, Tensor[] v, Tensor[] y1, Tensor[] y3, Tensor w, Tensor mean, "
      "Tensor var, float eps) -> (Tensor, Tensor)");
  m.def("norm_backward(Tensor g, Tensor[] y, Tensor coef, Tensor(a!)[] dy) -> ()");
  m.def(
      "attack_node(Tensor[] v, Tensor[] z, Tensor w, Tensor bias, bool relu) -> (Tensor, Tensor)");
  m.def(
      "node_backward(Tensor[] g, Tensor w, Tensor[] z, Tensor? mask, Tensor(a!)[] out) -> ()");
  m.def(
      "attack_step(Tensor(a!) x_adv, Tensor grad, Tensor x, float? eps, float step_size) -> ()");
}

}  // namespace rs
