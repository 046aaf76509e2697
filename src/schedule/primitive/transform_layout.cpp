#include <algorithm>
#include <optional>

#include "schedule/rewrite.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

/// `var // divisor % modulus`; no modulus means all that is left.
struct Digit {
  std::size_t var;
  std::int64_t divisor = 1;
  std::optional<std::int64_t> modulus;
};

std::optional<Digit> digit_of(const Expr& e, const std::vector<Expr>& vars) {
  for (std::size_t i = 0; i < vars.size(); ++i) {
    if (e.same_as(vars[i])) return Digit{i, 1, std::nullopt};
  }
  const auto* b = e.as<BinaryNode>();
  const auto constant = b == nullptr ? std::nullopt : as_int(b->b);
  if (!constant || *constant < 1 || (b->op != BinaryOp::kFloorDiv && b->op != BinaryOp::kFloorMod))
    return std::nullopt;
  auto digit = digit_of(b->a, vars);
  if (!digit || digit->modulus) return std::nullopt;
  if (b->op == BinaryOp::kFloorDiv) {
    digit->divisor *= *constant;
  } else {
    digit->modulus = *constant;
  }
  return digit;
}

/// Whether the digits of one variable, together, determine it.
bool complete(std::vector<Digit> digits) {
  std::sort(digits.begin(), digits.end(),
            [](const Digit& a, const Digit& b) { return a.divisor < b.divisor; });
  std::int64_t next = 1;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (digits[i].divisor != next) return false;
    if (!digits[i].modulus) return i + 1 == digits.size();
    next *= *digits[i].modulus;
  }
  return false;
}

std::vector<Expr> new_shape(Step& step, const Buffer& buffer, const IndexMap& map) {
  TENON_REQUIRE(step, map.vars.size() == buffer->shape.size(), 3, ScheduleError, "E0264",
                "the index map has ", map.vars.size(), " variables, but buffer '", buffer->name,
                "' has ", buffer->shape.size(), " dimensions");
  std::vector<std::vector<Digit>> digits(map.vars.size());
  std::vector<Expr> shape;
  for (const Expr& r : map.results) {
    const auto digit = digit_of(r, map.vars);
    TENON_REQUIRE(step, digit, 3, ScheduleError, "E0264", "the index ", print(r),
                  " is no quotient or remainder of a variable");
    digits[digit->var].push_back(*digit);
    shape.push_back(digit->modulus ? imm(*digit->modulus)
                                   : ceildiv(buffer->shape[digit->var], imm(digit->divisor)));
  }
  for (std::size_t i = 0; i < digits.size(); ++i) {
    TENON_REQUIRE(step, complete(digits[i]), 4, ScheduleError, "E0265",
                  "the results do not determine '", print(map.vars[i]), "'");
  }
  return shape;
}

/// Every access to one buffer at its new place in another.
class Relocate : public Mutator {
 public:
  Relocate(Buffer from, Buffer to, const IndexMap& map)
      : from_(std::move(from)), to_(std::move(to)), map_(map) {}

 protected:
  using Mutator::rewrite;
  Expr rewrite(const LoadNode& n) override {
    if (!n.buffer.same_as(from_)) return rebuild(n);
    const Expr out = load(to_, place(n.indices), n.predicate ? (*this)(n.predicate) : nullptr);
    keep_span(n, *out.get());
    return out;
  }
  Stmt rewrite(const StoreNode& n) override {
    if (!n.buffer.same_as(from_)) return rebuild(n);
    const Stmt out = store(to_, place(n.indices), (*this)(n.value),
                           n.predicate ? (*this)(n.predicate) : nullptr);
    keep_span(n, *out.get());
    return out;
  }
  Stmt rewrite(const BlockNode& n) override {
    BlockParts parts = parts_of(n);
    if (parts.init) parts.init = (*this)(parts.init);
    parts.body = (*this)(parts.body);
    return parts.body.same_as(n.body) && parts.init.same_as(n.init) ? Stmt(&n)
                                                                    : make_block(std::move(parts));
  }
  Buffer rewrite_buffer(const Buffer& b) override { return b.same_as(from_) ? to_ : b; }

 private:
  std::vector<Expr> place(const std::vector<Expr>& indices) {
    VarMap at;
    for (std::size_t d = 0; d < indices.size(); ++d) at[map_.vars[d].get()] = (*this)(indices[d]);
    std::vector<Expr> out;
    for (const Expr& r : map_.results) out.push_back(substitute(r, at));
    return out;
  }
  Buffer from_, to_;
  const IndexMap& map_;
};

ScheduleValue apply(Step& step) {
  const auto& block_ref = step.argument<BlockRef>(0);
  const auto& map = step.argument<IndexMap>(2);
  const Path path = step.path_to(block_ref);
  const Buffer buffer =
      accessed_buffer(step, *path.back().as<BlockNode>(), step.argument<std::string>(1), 1);
  TENON_REQUIRE(step, !step.is_parameter(buffer), 2, ScheduleError, "E0262", "buffer '",
                buffer->name, "' is a parameter; its layout is the caller's");
  const Buffer changed =
      make_buffer(buffer->name, buffer->dtype, new_shape(step, buffer, map), buffer->scope);
  step.set_root(Relocate(buffer, changed, map)(step.root()));
  return {};
}

}  // namespace

extern const Primitive kTransformLayout;
const Primitive kTransformLayout = {
    "transform_layout",
    "Stores an intermediate buffer in another order of its elements.",
    {{"block", ParameterKind::kBlock},
     {"buffer", ParameterKind::kText},
     {"index_map", ParameterKind::kIndexMap}},
    {"the block uses the buffer", "the buffer is no parameter of the function",
     "the map has one variable for each dimension, and its results are quotients and remainders of "
     "them by constants",
     "the results determine every variable"},
    ResultKind::kNothing,
    apply};

}  // namespace tenon
