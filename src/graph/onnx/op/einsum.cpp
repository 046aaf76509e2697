// Einsum: operands are joined from the left, each pair as one product of matrices.

#include <algorithm>
#include <map>

#include "graph/onnx/products.h"
#include "graph/onnx/tools.h"
#include "tenon/ir/builder.h"
#include "tenon/te/tensor.h"

namespace tenon::onnx {
namespace {

constexpr Support kDecomposed = Support::kDecomposed;

/// A letter as its code; the axes of an ellipsis, counted from its end, are negative.
using Label = int;
using Labels = std::vector<Label>;

/// A value whose axes have labels, each once.
struct Term {
  Value value;
  Labels labels;
};

bool has(const Labels& labels, Label label) {
  return std::find(labels.begin(), labels.end(), label) != labels.end();
}

std::int64_t place_of(const Labels& labels, Label label) {
  return std::find(labels.begin(), labels.end(), label) - labels.begin();
}

/// The labels of one side of the equation; an ellipsis stands for `num_dots` axes.
Labels parsed(const NodeView& n, const std::string& text, std::size_t num_dots, bool* has_dots) {
  Labels labels;
  *has_dots = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '.') {
      if (*has_dots || text.compare(i, 3, "...") != 0) n.invalid("a wrong '.' in the equation");
      *has_dots = true;
      for (std::size_t d = num_dots; d > 0; --d) labels.push_back(-static_cast<Label>(d));
      i += 2;
      continue;
    }
    const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!is_letter) n.invalid(std::string("'") + c + "' in the equation is no letter");
    labels.push_back(c);
  }
  return labels;
}

std::vector<std::string> divided(const std::string& text, char at) {
  std::vector<std::string> parts{""};
  for (const char c : text) {
    if (c == at) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

/// The equation of a node, for the ranks of its operands.
struct Equation {
  std::vector<Labels> terms;
  Labels result;

  explicit Equation(const NodeView& n) {
    std::string text = n.string_attr("equation", "");
    std::erase(text, ' ');
    const std::size_t arrow = text.find("->");
    const std::vector<std::string> inputs = divided(text.substr(0, arrow), ',');
    if (inputs.size() != n.num_inputs())
      n.invalid(detail::concat("the equation has ", inputs.size(), " terms for ", n.num_inputs(),
                               " inputs"));
    std::size_t most_dots = 0;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const std::size_t num_letters =
          inputs[i].size() -
          static_cast<std::size_t>(std::count(inputs[i].begin(), inputs[i].end(), '.'));
      const std::size_t rank = n.rank(i);
      const std::size_t num_dots = rank > num_letters ? rank - num_letters : 0;
      bool has_dots = false;
      terms.push_back(parsed(n, inputs[i], num_dots, &has_dots));
      if (terms.back().size() != rank)
        n.invalid(detail::concat("term ", i, " of the equation has ", terms.back().size(),
                                 " axes, the input ", rank));
      if (has_dots) most_dots = std::max(most_dots, num_dots);
    }
    bool has_dots = false;
    if (arrow != std::string::npos) {
      result = parsed(n, text.substr(arrow + 2), most_dots, &has_dots);
    } else {
      for (std::size_t d = most_dots; d > 0; --d) result.push_back(-static_cast<Label>(d));
      std::map<Label, int> counts;
      for (const Labels& term : terms) {
        for (const Label l : term) ++counts[l];
      }
      for (const auto& [label, count] : counts) {
        if (label > 0 && count == 1) result.push_back(label);
      }
    }
    for (const Label l : result) {
      if (std::count(result.begin(), result.end(), l) > 1)
        n.invalid("a label is twice in the result");
      const bool is_known =
          std::any_of(terms.begin(), terms.end(), [&](const Labels& term) { return has(term, l); });
      if (!is_known) n.invalid("a label of the result is in no term");
    }
  }
};

Term summed(const Term& t, const std::function<bool(Label)>& keeps) {
  std::vector<std::int64_t> axes;
  Term result{t.value, {}};
  for (std::size_t d = 0; d < t.labels.size(); ++d) {
    if (keeps(t.labels[d])) {
      result.labels.push_back(t.labels[d]);
    } else {
      axes.push_back(static_cast<std::int64_t>(d));
    }
  }
  if (!axes.empty()) result.value = op("sum", {t.value}, {{"axes", axes}});
  return result;
}

class Einsum {
 public:
  explicit Einsum(const NodeView& n) : n_(n), equation_(n) {
    for (std::size_t i = 0; i < equation_.terms.size(); ++i) {
      for (std::size_t d = 0; d < equation_.terms[i].size(); ++d)
        add_size(equation_.terms[i][d], n.in(i)->shape[d]);
    }
  }

  Value run() const {
    Term all = needed(term(0), 1);
    for (std::size_t i = 1; i < equation_.terms.size(); ++i) {
      const Term next =
          summed(term(i), [&](Label l) { return has(all.labels, l) || is_needed(l, i + 1); });
      all = joined(summed(all, [&](Label l) { return has(next.labels, l) || is_needed(l, i + 1); }),
                   next, i + 1);
    }
    return arranged(all, equation_.result);
  }

 private:
  void add_size(Label label, const Expr& size) {
    Expr& known = sizes_.try_emplace(label, size).first->second;
    if (graph::same_extent(known, size) || is_int(size, 1)) return;
    if (!is_int(known, 1)) n_.invalid("a label has two sizes");
    known = size;
  }

  /// Operand `i` with each label once, and without axes of one element that are repeated.
  Term term(std::size_t i) const {
    Labels once;
    const Labels& all = equation_.terms[i];
    const Value& x = n_.in(i);
    std::vector<Expr> shape;
    for (std::size_t d = 0; d < all.size(); ++d) {
      const bool is_repeated = is_int(x->shape[d], 1) && !is_int(sizes_.at(all[d]), 1);
      if (is_repeated || has(once, all[d])) continue;
      once.push_back(all[d]);
      shape.push_back(sizes_.at(all[d]));
    }
    if (once.size() == all.size()) return {x, once};
    const Value part = computed(
        "diagonal", {x}, shape, [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
          graph::Indices place;
          for (std::size_t d = 0; d < all.size(); ++d) {
            const bool is_there = has(once, all[d]) && !is_int(x->shape[d], 1);
            place.push_back(is_there ? at[static_cast<std::size_t>(place_of(once, all[d]))]
                                     : imm(0));
          }
          return read(0, place);
        });
    return {part, once};
  }

  /// Whether a label is in the result, or in a term from `next` on.
  bool is_needed(Label l, std::size_t next) const {
    return has(equation_.result, l) ||
           std::any_of(equation_.terms.begin() + static_cast<std::ptrdiff_t>(next),
                       equation_.terms.end(), [&](const Labels& t) { return has(t, l); });
  }
  Term needed(const Term& t, std::size_t next) const {
    return summed(t, [&](Label l) { return is_needed(l, next); });
  }

  Expr size_of(const Labels& labels) const {
    Expr size = imm(1);
    for (const Label l : labels) size = size * sizes_.at(l);
    return size;
  }

  /// The axes of `t` in the order of `labels`, which are its own.
  static Value arranged_own(const Term& t, const Labels& labels) {
    std::vector<std::int64_t> axes;
    for (const Label l : labels) axes.push_back(place_of(t.labels, l));
    return transpose(t.value, axes);
  }

  /// Likewise with labels that `t` does not have, along which it is repeated.
  Value arranged(const Term& t, const Labels& labels) const {
    Labels own;
    std::vector<Expr> ones, shape;
    for (const Label l : labels) {
      const bool is_own = has(t.labels, l);
      if (is_own) own.push_back(l);
      ones.push_back(is_own ? sizes_.at(l) : imm(1));
      shape.push_back(sizes_.at(l));
    }
    return broadcast(reshape(arranged_own(t, own), ones), shape);
  }

  Term joined(const Term& a, const Term& b, std::size_t next) const {
    Labels batch, rows, columns, inner;
    for (const Label l : a.labels) {
      if (!has(b.labels, l)) {
        rows.push_back(l);
      } else {
        (is_needed(l, next) ? batch : inner).push_back(l);
      }
    }
    for (const Label l : b.labels) {
      if (!has(a.labels, l)) columns.push_back(l);
    }
    const auto together = [](std::initializer_list<Labels> parts) {
      Labels all;
      for (const Labels& p : parts) all.insert(all.end(), p.begin(), p.end());
      return all;
    };
    const Labels result = together({batch, rows, columns});
    std::vector<Expr> shape;
    for (const Label l : result) shape.push_back(sizes_.at(l));
    if (inner.empty()) return {op("mul", {arranged(a, result), arranged(b, result)}), result};
    const auto matrices = [&](const Term& t, const Labels& left, const Labels& right) {
      std::vector<Expr> sizes;
      for (const Label l : batch) sizes.push_back(sizes_.at(l));
      sizes.push_back(size_of(left));
      sizes.push_back(size_of(right));
      return reshape(arranged_own(t, together({batch, left, right})), sizes);
    };
    const Value product = matrix_product(n_, matrices(a, rows, inner), matrices(b, inner, columns));
    return {reshape(product, shape), result};
  }

  const NodeView& n_;
  Equation equation_;
  std::map<Label, Expr> sizes_;
};

std::vector<Value> convert_einsum(const NodeView& n) { return {Einsum(n).run()}; }

}  // namespace

std::vector<Conversion> einsum_conversions() {
  return {
      {"Einsum", 12, kDecomposed, convert_einsum, "", "Transpose, Reshape, MatMul and ReduceSum"},
  };
}

}  // namespace tenon::onnx
