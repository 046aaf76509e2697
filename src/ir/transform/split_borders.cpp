#include "ir/transform/split_borders.h"

#include <algorithm>
#include <optional>

#include "ir/transform/conditions.h"
#include "ir/transform/independent_copy.h"
#include "tenon/ir/analyzer.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/simplify.h"
#include "tenon/ir/structural.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

/// What the interior decides: `node` becomes `value` there, because `slack` is not negative.
struct Decision {
  Expr node, value, slack;
  std::vector<const ForNode*> loops;  ///< between the divided loop and the node
};

bool is_unrolled(const ForNode& n) { return n.attrs.kind == ForKind::kUnrolled; }

/// What depends on the divided loop below it: conditions that also use an unrolled loop, and
/// choices in the extents of unrolled loops.
class FindDecisions : public Walker {
 public:
  explicit FindDecisions(const Expr& variable) : variable_(variable) {}
  std::vector<Decision> found;
  bool has_condition = false;

 protected:
  using Walker::visit;
  void visit(const ForNode& n) override {
    if (is_unrolled(n) && !as_int(n.extent)) {
      post_order_visit(n.extent, [&](const Node& node) { consider_choice(node); });
    }
    loops_.push_back(&n);
    (*this)(n.body);
    loops_.pop_back();
  }
  void visit(const IfNode& n) override {
    for (const Expr& c : conjuncts(n.condition)) {
      const bool in_tile = std::any_of(loops_.begin(), loops_.end(), [&](const ForNode* f) {
        return is_unrolled(*f) && uses(c, f->var);
      });
      const Expr slack = slack_of(c);
      if (!in_tile || !slack || !uses(c, variable_) || reads_memory(c)) continue;
      has_condition = true;
      found.push_back({c, bool_imm(true), slack, loops_});
    }
    (*this)(n.then_case);
    if (n.else_case) (*this)(n.else_case);
  }
  void visit(const StoreNode&) override {}
  void visit(const EvaluateNode&) override {}

 private:
  void consider_choice(const Node& node) {
    if (node.kind != NodeKind::kBinary) return;
    const auto& b = static_cast<const BinaryNode&>(node);
    if (b.op != BinaryOp::kMin || !uses(b.a - b.b, variable_)) return;
    const bool first = as_int(b.a).has_value();  // the full tile
    found.push_back({Expr(&b), first ? b.a : b.b, first ? b.b - b.a : b.a - b.b, loops_});
  }

  Expr variable_;
  std::vector<const ForNode*> loops_;
};

/// The iterations [begin, end) of a loop.
struct Part {
  Expr begin, end;
  bool is_interior = false;
};

class SplitBorders : public Mutator {
 public:
  explicit SplitBorders(const Function& f) {
    analyzer_.bind_symbols(f);
    memoise_ = false;
  }

 protected:
  using Mutator::rewrite;
  Stmt rewrite(const StoreNode& n) override { return Stmt(&n); }
  Stmt rewrite(const EvaluateNode& n) override { return Stmt(&n); }
  Stmt rewrite(const ForNode& n) override {
    Analyzer::Scope scope(&analyzer_);
    analyzer_.bind(n.var, {n.min, n.extent});
    const Stmt body = (*this)(n.body);
    Stmt loop = body.same_as(n.body) ? Stmt(&n) : with_body(n, body);
    if (n.attrs.kind != ForKind::kSerial) return loop;
    FindDecisions find(n.var);
    find(body);
    if (!find.has_condition) return loop;
    const auto interior = interior_of(*loop.as<ForNode>(), find.found);
    if (!interior) return loop;
    std::vector<Stmt> parts;
    for (const Part& p : divide(n, *interior)) {
      const Stmt part = p.is_interior ? decided(body, find.found) : body;
      parts.push_back(independent_copy(make_for(n.var, p.begin, p.end - p.begin, part, n.attrs)));
    }
    return make_seq(std::move(parts));
  }

 private:
  static constexpr std::int64_t kMaxSingle = 3;  ///< iterations that get a part each, at either end

  /// The iterations in which every decision is as in the interior; nothing when one is not linear.
  std::optional<Part> interior_of(const ForNode& n, const std::vector<Decision>& decisions) {
    Expr begin = n.min, end = n.min + n.extent;
    const Expr last = end;
    for (const Decision& d : decisions) {
      const Expr least = least_of(d);
      if (!least) return std::nullopt;
      const std::int64_t step = analyzer_.affine(least).coefficient_of(n.var);
      const Expr rest = analyzer_.simplify(least - n.var * step);
      const bool varies = uses_var(rest, [](const VarNode& v) { return v.symbol == nullptr; });
      if (step == 0 || varies) return std::nullopt;
      if (step > 0) {
        begin = max(begin, ceildiv(-rest, imm(step)));
      } else {
        end = min(end, floordiv(rest, imm(-step)) + 1);
      }
    }
    begin = analyzer_.simplify(min(begin, last));
    return Part{begin, analyzer_.simplify(max(begin, end)), true};
  }

  /// The least slack over the loops between; null when unknown.
  Expr least_of(const Decision& d) {
    Analyzer::Scope scope(&analyzer_);
    std::vector<Expr> inner;
    for (const ForNode* f : d.loops) {
      // A tile has its full extent in the interior.
      const auto largest = analyzer_.const_bounds(f->extent).upper;
      analyzer_.bind(f->var, {f->min, largest ? imm(*largest) : f->extent});
      inner.push_back(f->var);
    }
    return analyzer_.symbolic_bounds(d.slack, inner).min;
  }

  std::vector<Part> divide(const ForNode& n, const Part& interior) {
    const Expr first = n.min, last = analyzer_.simplify(n.min + n.extent);
    std::vector<Part> parts;
    const auto is_empty = [&](const Part& p) { return analyzer_.can_prove(ge(p.begin, p.end)); };
    const auto outside = [&](const Part& p) {
      const auto begin = as_int(p.begin), end = as_int(p.end);
      if (!begin || !end || *end - *begin > kMaxSingle) {
        if (!is_empty(p)) parts.push_back(p);
        return;
      }
      for (std::int64_t i = *begin; i < *end; ++i) parts.push_back({imm(i), imm(i + 1)});
    };
    if (is_empty(interior)) {
      outside({first, last});
      return parts;
    }
    outside({first, interior.begin});
    parts.push_back(interior);
    outside({interior.end, last});
    return parts;
  }

  static Stmt decided(const Stmt& body, const std::vector<Decision>& decisions) {
    return rewrite_exprs(body, [&](const Expr& e) -> Expr {
      if (e->kind != NodeKind::kBinary) return nullptr;
      for (const Decision& d : decisions) {
        if (e.same_as(d.node) || structural_equal(e, d.node)) return d.value;
      }
      return nullptr;
    });
  }

  Analyzer analyzer_;
};

}  // namespace

Function split_borders(const Function& f) {
  const Stmt body = SplitBorders(f)(f->body);
  return body.same_as(f->body) ? f : simplify(with_body(f, body));
}

}  // namespace tenon
