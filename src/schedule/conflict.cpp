#include "schedule/conflict.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "tenon/ir/scalar_ops.h"

namespace tenon {
namespace {

using Element = std::vector<std::int64_t>;
using Values = std::unordered_map<const ExprNode*, std::int64_t>;

constexpr std::int64_t kMaxIterations = 64;  ///< of all loops around an access
constexpr std::int64_t kMaxElements = 8;     ///< of one region, in each dimension
constexpr std::int64_t kTypicalSize = 8;     ///< of a symbol

/// The value of an index expression; nothing for what depends on data.
std::optional<std::int64_t> value_of(const Expr& e, const Values& values) {
  if (const auto* i = e.as<IntImmNode>()) return i->value;
  if (e.as<VarNode>() != nullptr) {
    const auto it = values.find(e.get());
    return it == values.end() ? std::nullopt : std::optional(it->second);
  }
  if (const auto* s = e.as<SelectNode>()) {
    const auto condition = value_of(s->condition, values);
    if (!condition) return std::nullopt;
    return value_of(*condition != 0 ? s->true_value : s->false_value, values);
  }
  const auto* b = e.as<BinaryNode>();
  if (b == nullptr || b->a->dtype.is_float()) return std::nullopt;
  const auto x = value_of(b->a, values), y = value_of(b->b, values);
  if (!x || !y) return std::nullopt;
  return eval_int(b->op, b->a->dtype, *x, *y);
}

/// An access in one iteration.
struct Touch {
  std::int64_t iteration;  ///< of the loop in question
  bool is_write;
  std::string text;  ///< "(i=0, k=1)"
};

class Search {
 public:
  Search(const ForNode& loop, const std::vector<Expr>& fixed, const std::vector<Symbol>& symbols)
      : loop_(loop), fixed_(fixed) {
    for (const Symbol& s : symbols) {
      const std::int64_t size =
          std::max(s.min, std::min(s.max.value_or(kTypicalSize), kTypicalSize));
      values_[s.var.get()] = (size + s.multiple_of - 1) / s.multiple_of * s.multiple_of;
    }
  }

  /// Whether the access meets one seen before; then `text` says where.
  bool meets(const Access& access) {
    std::int64_t moving = 0;
    for (const ForNode* f : access.loops) moving += is_fixed(*f) ? 0 : 1;
    for (limit_ = 2; power(limit_ + 1, moving) <= kMaxIterations && limit_ < kMaxIterations;)
      ++limit_;
    return run(access, 0);
  }
  std::string text;

 private:
  static std::int64_t power(std::int64_t base, std::int64_t exponent) {
    std::int64_t result = 1;
    for (; exponent > 0 && result <= kMaxIterations; --exponent) result *= base;
    return result;
  }

  bool is_fixed(const ForNode& f) const {
    return std::any_of(fixed_.begin(), fixed_.end(),
                       [&](const Expr& v) { return v.same_as(f.var); });
  }

  bool run(const Access& access, std::size_t depth) {
    if (depth == access.loops.size()) return visit(access);
    const ForNode& f = *access.loops[depth];
    const auto min = value_of(f.min, values_), extent = value_of(f.extent, values_);
    if (!min || !extent) return false;
    const std::int64_t count = std::min(*extent, is_fixed(f) ? 1 : limit_);
    for (std::int64_t i = 0; i < count; ++i) {
      values_[f.var.get()] = *min + i;
      if (run(access, depth + 1)) return true;
    }
    return false;
  }

  bool visit(const Access& access) {
    for (const Expr& c : conjuncts_of(access.block->predicate)) {
      if (value_of(c, values_).value_or(0) == 0) return false;
    }
    Element min;
    std::vector<std::int64_t> extent;
    for (const Range& r : access.ranges) {
      const auto low = value_of(r.min, values_), size = value_of(r.extent, values_);
      if (!low || !size || *size <= 0) return false;
      min.push_back(*low);
      extent.push_back(std::min(*size, kMaxElements));
    }
    std::string iteration;
    for (const ForNode* f : access.loops) {
      iteration += detail::concat(iteration.empty() ? "(" : ", ", f->var.as<VarNode>()->name, "=",
                                  values_.at(f->var.get()));
    }
    const Touch touch{values_.at(loop_.var.get()), access.is_write, iteration + ")"};
    Element element = min;
    for (bool more = true; more;) {
      if (meets(access, element, touch)) return true;
      more = false;
      for (std::size_t d = element.size(); d-- > 0 && !more;) {
        more = ++element[d] < min[d] + extent[d];
        if (!more) element[d] = min[d];
      }
    }
    return false;
  }

  bool meets(const Access& access, const Element& element, const Touch& touch) {
    std::vector<Touch>& before = touched_[element];
    for (const Touch& t : before) {
      if (t.iteration == touch.iteration || (!t.is_write && !touch.is_write)) continue;
      std::string name = access.buffer->name;
      for (std::size_t d = 0; d < element.size(); ++d)
        name += detail::concat(d == 0 ? "[" : ", ", element[d]);
      if (!element.empty()) name += "]";
      const Touch& writer = t.is_write ? t : touch;
      const Touch& other = t.is_write ? touch : t;
      text = writer.is_write && other.is_write
                 ? detail::concat("iterations ", t.text, " and ", touch.text, " both write ", name)
                 : detail::concat("iteration ", writer.text, " writes ", name, ", which iteration ",
                                  other.text, " reads");
      return true;
    }
    before.push_back(touch);
    return false;
  }

  const ForNode& loop_;
  const std::vector<Expr>& fixed_;
  Values values_;
  std::int64_t limit_ = 2;
  std::map<Element, std::vector<Touch>> touched_;
};

}  // namespace

std::string find_conflict(const ForNode& loop, const std::vector<Access>& accesses,
                          const std::vector<Expr>& fixed, const std::vector<Symbol>& symbols) {
  Search search(loop, fixed, symbols);
  // Writes first: what two iterations write is the clearer example.
  for (const bool is_write : {true, false}) {
    for (const Access& a : accesses) {
      if (a.is_write == is_write && search.meets(a)) return search.text;
    }
  }
  return "";
}

}  // namespace tenon
