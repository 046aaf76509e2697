// Losses of classifiers: negative log-likelihood, and cross entropy of scores.

#include <numeric>

#include "graph/onnx/tools.h"
#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"

namespace tenon::onnx {
namespace {

/// The element of a class at the labels' place, times its sign; 0 where the label is to be ignored.
/// A label that is no class raises IndexError when the network runs.
Value at_labels(const NodeView& n, const std::string& name, const std::vector<Value>& x,
                const std::function<Expr(const graph::Indices& place, const Expr& label,
                                         const graph::ElementReader& read)>& element) {
  const bool ignores = n.has_attr("ignore_index");
  const Expr ignored = imm(ignores ? n.int_attr("ignore_index") : 0);
  const std::size_t labels = x.size() - 1;
  return computed(name, x, x[labels]->shape,
                  [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                    const Expr label = cast(kInt64, read(labels, at));
                    const Expr value = element(at, label, read);
                    if (!ignores) return value;
                    return te::select(eq(label, ignored), zero(value->dtype), value);
                  });
}

Value loss_of(const NodeView& n, const Value& log_p) {
  const Value& labels = n.in(1);
  const Value weights = n.maybe(2);
  const std::size_t rank = log_p->shape.size();
  const bool fits = rank >= 2 && labels->shape.size() == rank - 1 && labels->dtype.is_int() &&
                    graph::same_extent(labels->shape[0], log_p->shape[0]) &&
                    std::equal(labels->shape.begin() + 1, labels->shape.end(),
                               log_p->shape.begin() + 2, log_p->shape.end(), graph::same_extent);
  if (!fits)
    n.invalid("expected scores [N, C, ...] and integer labels [N, ...], got " +
              graph::type_str(*log_p) + " and " + graph::type_str(*labels));
  const bool weights_fit =
      !weights || (weights->dtype == log_p->dtype && weights->shape.size() == 1 &&
                   graph::same_extent(weights->shape[0], log_p->shape[1]));
  if (!weights_fit) n.invalid("expected one weight for each class of the scores' dtype");

  std::vector<Value> x{log_p};
  if (weights) x.push_back(weights);
  x.push_back(labels);
  const Value losses = at_labels(
      n, "nll", x,
      [&](const graph::Indices& place, const Expr& label, const graph::ElementReader& read) {
        graph::Indices at = place;
        at.insert(at.begin() + 1, label);
        const Expr loss = -read(0, at);
        return weights ? loss * read(1, {label}) : loss;
      });
  const std::string reduction = n.string_attr("reduction", "mean");
  if (reduction == "none") return losses;
  if (reduction != "sum" && reduction != "mean")
    n.invalid("'reduction' should be none, sum or mean, got '" + reduction + "'");

  std::vector<std::int64_t> axes(losses->shape.size());
  std::iota(axes.begin(), axes.end(), 0);
  const DType wide = sum_dtype(losses->dtype);
  Value total = reduce("sum", cast_to(losses, wide), axes, false);
  if (reduction == "mean") {
    // The mean is weighted; what is ignored has no weight.
    std::vector<Value> y;
    if (weights) y.push_back(weights);
    y.push_back(labels);
    const Value counted =
        at_labels(n, "weights_of_labels", y,
                  [&](const graph::Indices&, const Expr& label, const graph::ElementReader& read) {
                    return weights ? cast(wide, read(0, {label})) : const_like(wide, 1);
                  });
    total = op("div", {total, reduce("sum", counted, axes, false)});
  }
  return cast_to(total, losses->dtype);
}

std::vector<Value> convert_nll(const NodeView& n) { return {loss_of(n, n.in(0))}; }

std::vector<Value> convert_cross_entropy(const NodeView& n) {
  const Value& scores = n.in(0);
  if (scores->shape.size() < 2) n.invalid("expected scores [N, C, ...]");
  const Value log_p = along_axis(scores, 1, [](const Value& x) {
    return cast_to(op("log_softmax", {cast_to(x, sum_dtype(x->dtype))}), x->dtype);
  });
  return {loss_of(n, log_p), log_p};
}

}  // namespace

std::vector<Conversion> loss_conversions() {
  constexpr Support kDecomposed = Support::kDecomposed;
  return {
      {"NegativeLogLikelihoodLoss", 12, kDecomposed, convert_nll, "", "a gather and sums"},
      {"SoftmaxCrossEntropyLoss", 12, kDecomposed, convert_cross_entropy, "",
       "a log-softmax, a gather and sums"},
  };
}

}  // namespace tenon::onnx
