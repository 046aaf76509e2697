#include "tenon/ir/variants.h"

#include <algorithm>
#include <limits>

#include "ir/transform/flatten_buffers.h"
#include "ir/transform/independent_copy.h"
#include "tenon/ir/analyzer.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"
#include "tenon/ir/thread.h"
#include "tenon/ir/verify.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

/// Whether `e` is made of symbols and constants by sums and products.
bool is_size(const FunctionNode& f, const Expr& e) {
  if (as_int(e)) return true;
  if (e->kind == NodeKind::kVar) {
    return std::any_of(f.symbols.begin(), f.symbols.end(),
                       [&](const Symbol& s) { return s.var.same_as(e); });
  }
  const auto* n = e.as<BinaryNode>();
  return n != nullptr && (n->op == BinaryOp::kMul || n->op == BinaryOp::kAdd) && is_size(f, n->a) &&
         is_size(f, n->b);
}

void require_condition(const FunctionNode& f, const Expr& condition, const Expr& whole) {
  const auto* n = condition ? condition.as<BinaryNode>() : nullptr;
  if (n != nullptr && n->op == BinaryOp::kAnd) {
    require_condition(f, n->a, whole);
    require_condition(f, n->b, whole);
    return;
  }
  const bool fits = n != nullptr && is_comparison(n->op) && n->op != BinaryOp::kNe &&
                    is_size(f, n->a) && is_size(f, n->b) && (as_int(n->a) || as_int(n->b));
  TENON_USER_CHECK(
      fits, ShapeError, "E1430", "a variant of '", f.name, "' has the condition '",
      whole ? print(whole) : std::string("none"),
      "', which does not compare its symbolic sizes with constants\n  hint: write m <= "
      "16, m * n <= 4096, or several such joined by &");
}

void at_most(Symbol* s, std::int64_t value) { s->max = s->max ? std::min(*s->max, value) : value; }
void at_least(Symbol* s, std::int64_t value) { s->min = std::max(s->min, value); }

/// Narrows the symbol's range by a comparison that holds, or that does not.
void narrow(std::vector<Symbol>* symbols, const Expr& condition, bool holds) {
  const auto* n = condition.as<BinaryNode>();
  if (n->op == BinaryOp::kAnd) {
    if (!holds) return;  // one of them fails, which is not known
    narrow(symbols, n->a, true);
    narrow(symbols, n->b, true);
    return;
  }
  const bool is_left = !as_int(n->a);
  const Expr& size = is_left ? n->a : n->b;
  const auto constant = as_int(is_left ? n->b : n->a);
  if (!constant) return;
  constexpr std::int64_t kFar = std::int64_t{1} << 48;  // no size; sums below do not overflow
  const std::int64_t c = std::clamp(*constant, -kFar, kFar);
  for (Symbol& s : *symbols) {
    if (!s.var.same_as(size)) continue;
    if (n->op == BinaryOp::kEq) {
      if (holds) {
        at_most(&s, c);
        at_least(&s, c);
      } else if (s.min == c) {
        at_least(&s, c + 1);
      } else if (s.max && *s.max == c) {
        at_most(&s, c - 1);
      }
    } else {
      const bool is_less = n->op == BinaryOp::kLt || n->op == BinaryOp::kLe;
      const std::int64_t strict = n->op == BinaryOp::kLt || n->op == BinaryOp::kGt ? 1 : 0;
      if (is_less == is_left) {  // the symbol is on the smaller side
        if (holds) at_most(&s, c - strict);
        if (!holds) at_least(&s, c + 1 - strict);
      } else {
        if (holds) at_least(&s, c + strict);
        if (!holds) at_most(&s, c - 1 + strict);
      }
    }
  }
}

/// The body of a variant, with the parameters of the whole function in place of its own.
Stmt body_over(const Function& from, const Function& to) {
  BufferMap replaced;
  const std::vector<Buffer> old = from->params(), now = to->params();
  for (std::size_t i = 0; i < old.size(); ++i) replaced[old[i].get()] = now[i];
  return replace_buffers(from->body, replaced);
}

bool same_params(const Function& a, const Function& b) {
  const std::vector<Buffer> left = a->params(), right = b->params();
  return left.size() == right.size() &&
         std::equal(left.begin(), left.end(), right.begin(),
                    [](const Buffer& x, const Buffer& y) { return x.same_as(y); });
}

bool same_ranges(const Function& a, const Function& b) {
  return std::equal(a->symbols.begin(), a->symbols.end(), b->symbols.begin(), b->symbols.end(),
                    [](const Symbol& x, const Symbol& y) {
                      return x.var.same_as(y.var) && x.min == y.min && x.max == y.max &&
                             x.multiple_of == y.multiple_of;
                    });
}

void require_variant(const Function& f, const Function& whole, const Function& narrow,
                     std::size_t number) {
  const bool fits = f && f->level == Level::kBlock && same_params(f, whole) &&
                    same_ranges(f, narrow) && !has_thread_loops(f);
  TENON_USER_CHECK(fits, ShapeError, "E1432", "variant ", number, " of '", whole->name,
                   "' is no CPU schedule of this function for the sizes that come to it\n  hint: "
                   "schedule what narrowed() returns for its condition");
}

}  // namespace

Function narrowed(const Function& f, const Expr& condition, bool holds) {
  require_condition(*f, condition, condition);
  std::vector<Symbol> symbols = f->symbols;
  narrow(&symbols, condition, holds);
  for (const Symbol& s : symbols) {
    const std::int64_t first = (s.min + s.multiple_of - 1) / s.multiple_of * s.multiple_of;
    TENON_USER_CHECK(!s.max || first <= *s.max, ShapeError, "E1431", "no size of '", f->name,
                     "' comes to a variant: '", print(condition), "' ",
                     holds ? "never holds" : "always holds", " where '", s.var.as<VarNode>()->name,
                     "' lies in its range\n  hint: leave the variant out, or widen the symbol");
  }
  return make_function(f->name, f->inputs, f->outputs, std::move(symbols), f->body, f->level,
                       f->attrs);
}

Function lower_variants(const Function& f, const std::vector<Variant>& variants,
                        const LowerOptions& options) {
  TENON_USER_CHECK(!variants.empty(), ShapeError, "E1432", "'", f->name,
                   "' has no variant\n  hint: give one without a condition");
  // The parameters keep the shapes of all sizes: a variant's may be simplified by its ranges.
  const Function flat = flatten_buffers(with_body(f, make_seq({})));
  Function rest = f;
  std::vector<Stmt> bodies;
  for (std::size_t i = 0; i < variants.size(); ++i) {
    const Variant& v = variants[i];
    const bool is_last = i + 1 == variants.size();
    TENON_USER_CHECK(static_cast<bool>(v.condition) != is_last, ShapeError, "E1432", "variant ", i,
                     " of '", f->name, is_last ? "' is the last and has" : "' has no",
                     " condition\n  hint: every variant but the last has one");
    require_variant(v.function, f, is_last ? rest : narrowed(rest, v.condition, true), i);
    bodies.push_back(independent_copy(body_over(lower(v.function, options), flat)));
    if (!is_last) rest = narrowed(rest, v.condition, false);
  }
  Stmt body = bodies.back();
  for (std::size_t i = variants.size() - 1; i-- > 0;)
    body = make_if(variants[i].condition, bodies[i], body);
  Function joined = with_body(flat, body);
  if (options.verify) verify_lowered(joined);
  return joined;
}

}  // namespace tenon
