#pragma once

/// Expressions as text.

#include <string>
#include <vector>

#include "ir/text/names.h"
#include "ir/text/sharing.h"
#include "tenon/ir/expr.h"

namespace tenon::text {

/// How tightly an expression binds; higher is tighter. Shared with the parser.
enum Precedence : int {
  kLetLevel,
  kOrLevel,
  kAndLevel,
  kNotLevel,
  kCompareLevel,
  kBitOrLevel,
  kBitXorLevel,
  kBitAndLevel,
  kShiftLevel,
  kAddLevel,
  kMulLevel,
  kSignLevel,
  kPrimaryLevel,
};
/// Of an infix operator; kPrimaryLevel for min and max, which are written as calls.
Precedence precedence_of(BinaryOp op);
/// Whether `name(...)` means something else than the pure function `name`.
bool is_builtin_function(std::string_view name);
/// Calls that are written `name()`, of dtype int64.
bool has_no_operand(std::string_view name);

/// `"text"` with escapes.
std::string quote(std::string_view text);
/// {a=1, b="x"}; empty for no attributes.
std::string print_attrs(const Attrs& attrs);
std::string print_float(DType t, double v);

/// Writes expressions to `out`, with names from `names`.
class ExprPrinter {
 public:
  ExprPrinter(Names* names, std::string* out) : names_(names), out_(out) {}

  /// One expression, with what it shares in front of it (`share t0 = ... in`).
  void whole(const Expr& e, int level);
  /// Starts a group of expressions: returns the definitions ("share t0 = ...") to be written, a
  /// line each, before it. The group ends with `end_group`.
  std::vector<std::string> begin_group(const std::vector<Expr>& group);
  void end_group();
  /// A part of the current group, in brackets if it binds less tightly than `level`.
  void part(const Expr& e, int level);
  /// "lo..hi" of the current group.
  void range(const Range& range);
  void region(const BufferRegion& region);
  /// "A: float32[4, 8] register". Each dimension is whole.
  void buffer(const Buffer& buffer);
  const std::string& name_of(const Expr& var) {
    return names_->of(var.get(), var.as<VarNode>()->name);
  }
  const std::string& name_of(const Buffer& buffer) {
    return names_->of(buffer.get(), buffer->name);
  }

 private:
  void node(const IntImmNode& n);
  void node(const FloatImmNode& n) { *out_ += print_float(n.dtype, n.value); }
  void node(const VarNode& n) { *out_ += names_->of(&n, n.name); }
  void node(const CastNode& n) { call(to_string(n.dtype), {n.value}); }
  void node(const ReinterpretNode& n);
  void node(const UnaryNode& n);
  void node(const BinaryNode& n);
  void node(const FmaNode& n) { call("fma", {n.a, n.b, n.c}); }
  void node(const SelectNode& n) { call("select", {n.condition, n.true_value, n.false_value}); }
  void node(const LetNode& n);
  void node(const LoadNode& n);
  void node(const RampNode& n);
  void node(const BroadcastNode& n);
  void node(const ShuffleNode& n);
  void node(const VectorReduceNode& n);
  void node(const ReduceNode& n);
  void node(const CallNode& n);

  void call(const std::string& name, const std::vector<Expr>& args);
  void list(const std::vector<Expr>& exprs);
  /// "share t0 = ..." for each planned node, named from then on.
  std::vector<std::string> define_shared(const ExprNode* place);
  /// The same inside an expression, each followed by " in ".
  void shared_prefix(const ExprNode* place);

  Names* names_;
  std::string* out_;
  SharePlan plan_;
  std::size_t names_before_ = 0;
  int num_shared_ = 0;
  std::unordered_map<const ExprNode*, std::string> shared_name_;
};

}  // namespace tenon::text
