#include "ir/text/expr_printer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "tenon/ir/structural.h"
#include "tenon/ir/thread.h"
#include "tenon/ir/visit.h"
#include "tenon/support/stack.h"

namespace tenon::text {

Precedence precedence_of(BinaryOp op) {
  switch (op) {
    case BinaryOp::kAdd:
    case BinaryOp::kSub:
      return kAddLevel;
    case BinaryOp::kMul:
    case BinaryOp::kDiv:
    case BinaryOp::kFloorDiv:
    case BinaryOp::kFloorMod:
      return kMulLevel;
    case BinaryOp::kMin:
    case BinaryOp::kMax:
      return kPrimaryLevel;
    case BinaryOp::kBitAnd:
      return kBitAndLevel;
    case BinaryOp::kBitOr:
      return kBitOrLevel;
    case BinaryOp::kBitXor:
      return kBitXorLevel;
    case BinaryOp::kShl:
    case BinaryOp::kShr:
      return kShiftLevel;
    case BinaryOp::kEq:
    case BinaryOp::kNe:
    case BinaryOp::kLt:
    case BinaryOp::kLe:
    case BinaryOp::kGt:
    case BinaryOp::kGe:
      return kCompareLevel;
    case BinaryOp::kAnd:
      return kAndLevel;
    case BinaryOp::kOr:
      return kOrLevel;
  }
  return kPrimaryLevel;
}

bool is_builtin_function(std::string_view name) {
  constexpr std::array<std::string_view, 18> kNames = {
      "min",       "max",     "abs",           "sqrt",   "floor",       "ceil",
      "trunc",     "round",   "fma",           "select", "reinterpret", "ramp",
      "broadcast", "shuffle", "vector_reduce", "reduce", "call",        "nan_bits"};
  if (std::find(kNames.begin(), kNames.end(), name) != kNames.end()) return true;
  return name.starts_with("int") || name.starts_with("uint") || name.starts_with("float") ||
         name.starts_with("bfloat") || name.starts_with("bool");  // casts
}

bool has_no_operand(std::string_view name) {
  const ThreadCall which = thread_call(name);
  return which == ThreadCall::kBarrier || which == ThreadCall::kAsyncCommit;
}

std::string quote(std::string_view text) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + '"';
}

namespace {

/// "f64" for a literal of dtype float64; empty for those that a literal has by itself.
std::string literal_suffix(DType t) {
  if (t == kFloat32 || t == kInt64 || t.is_bool()) return "";
  const std::string bits = std::to_string(t.bits);
  if (t.code == DTypeCode::kBFloat) return "bf" + bits;
  if (t.is_float()) return "f" + bits;
  return (t.is_signed_int() ? "i" : "u") + bits;
}

/// The shortest digits that give `v` back, with a point or an exponent.
template <typename T>
std::string shortest(T v) {
  std::array<char, 64> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), v).ptr;
  std::string out(buffer.data(), end);
  return out.find_first_of(".e") == std::string::npos ? out + ".0" : out;
}

std::string hex(std::uint64_t v) {
  std::array<char, 20> buffer;
  return "0x" + std::string(buffer.data(),
                            std::to_chars(buffer.data(), buffer.data() + buffer.size(), v, 16).ptr);
}

std::string print_attr(const Attr& a) {
  if (const auto* i = std::get_if<std::int64_t>(&a)) return std::to_string(*i);
  if (const auto* d = std::get_if<double>(&a)) {
    if (std::isnan(*d)) return "nan";
    if (std::isinf(*d)) return *d < 0 ? "-inf" : "inf";
    return shortest(*d);
  }
  return quote(std::get<std::string>(a));
}

std::optional<std::int64_t> literal(const Expr& e) {
  const auto* i = e.as<IntImmNode>();
  return i != nullptr && i->dtype == kInt64 ? std::optional(i->value) : std::nullopt;
}

}  // namespace

std::string print_float(DType t, double v) {
  const std::string suffix = literal_suffix(t);
  const std::string named = suffix.empty() ? "" : "_" + suffix;
  if (std::isinf(v)) return (v < 0 ? "-inf" : "inf") + named;
  if (std::isnan(v)) {
    const auto bits = std::bit_cast<std::uint64_t>(v);
    if (bits == std::bit_cast<std::uint64_t>(std::numeric_limits<double>::quiet_NaN()))
      return "nan" + named;
    return "nan_bits(" + to_string(t) + ", " + hex(bits) + ")";
  }
  return (t.bits == 64 ? shortest(v) : shortest(static_cast<float>(v))) + suffix;
}

std::string print_attrs(const Attrs& attrs) {
  if (attrs.empty()) return "";
  std::string out;
  for (const auto& [key, value] : attrs) {
    out += out.empty() ? "{" : ", ";
    out += (is_identifier(key) ? key : quote(key)) + "=" + print_attr(value);
  }
  return out + "}";
}

// --- groups
// ----------------------------------------------------------------------------------------------------------

std::vector<std::string> ExprPrinter::begin_group(const std::vector<Expr>& group) {
  plan_ = plan_sharing(group);
  names_before_ = names_->enter();
  num_shared_ = 0;
  return define_shared(nullptr);
}

void ExprPrinter::end_group() {
  plan_.clear();
  shared_name_.clear();
  names_->leave(names_before_);
}

std::vector<std::string> ExprPrinter::define_shared(const ExprNode* place) {
  std::vector<std::string> lines;
  const auto planned = plan_.find(place);
  if (planned == plan_.end()) return lines;
  for (const ExprNode* e : planned->second) {
    std::string definition;
    std::swap(*out_, definition);  // the definition is written apart
    part(Expr(e), place == nullptr ? kLetLevel : kOrLevel);
    std::swap(*out_, definition);
    const std::string& name = names_->define(e, "t" + std::to_string(num_shared_++));
    shared_name_[e] = name;
    lines.push_back("share " + name + " = " + definition);
  }
  return lines;
}

void ExprPrinter::shared_prefix(const ExprNode* place) {
  for (const std::string& line : define_shared(place)) *out_ += line + " in ";
}

void ExprPrinter::whole(const Expr& e, int level) {
  std::vector<std::string> lines = begin_group({e});
  const bool bracketed = !lines.empty() && level > kLetLevel;
  if (bracketed) *out_ += '(';
  for (const std::string& line : lines) *out_ += line + " in ";
  part(e, lines.empty() ? level : kLetLevel);
  if (bracketed) *out_ += ')';
  end_group();
}

// --- parts of a group
// ------------------------------------------------------------------------------------------------

namespace {

int level_of(const ExprNode& e) {
  if (e.kind == NodeKind::kLet) return kLetLevel;
  if (e.kind == NodeKind::kBinary) return precedence_of(static_cast<const BinaryNode&>(e).op);
  if (e.kind == NodeKind::kUnary) {
    const UnaryOp op = static_cast<const UnaryNode&>(e).op;
    if (op == UnaryOp::kNot) return kNotLevel;
    if (op == UnaryOp::kNeg || op == UnaryOp::kBitNot) return kSignLevel;
  }
  return kPrimaryLevel;
}

}  // namespace

void ExprPrinter::part(const Expr& e, int level) {
  if (const auto named = shared_name_.find(e.get()); named != shared_name_.end()) {
    *out_ += named->second;
    return;
  }
  with_stack([&] {
    const bool bracketed = level_of(*e.get()) < level;
    if (bracketed) *out_ += '(';
    visit_expr(*e.get(), [&](const auto& n) { node(n); });
    if (bracketed) *out_ += ')';
  });
}

void ExprPrinter::list(const std::vector<Expr>& exprs) {
  for (std::size_t i = 0; i < exprs.size(); ++i) {
    if (i > 0) *out_ += ", ";
    part(exprs[i], kLetLevel);
  }
}

void ExprPrinter::call(const std::string& name, const std::vector<Expr>& args) {
  *out_ += name + "(";
  list(args);
  *out_ += ')';
}

void ExprPrinter::node(const IntImmNode& n) {
  if (n.dtype.is_bool()) {
    *out_ += n.value != 0 ? "true" : "false";
  } else if (n.dtype.is_signed_int()) {
    *out_ += std::to_string(n.value) + literal_suffix(n.dtype);
  } else {
    *out_ += std::to_string(static_cast<std::uint64_t>(n.value)) + literal_suffix(n.dtype);
  }
}

void ExprPrinter::node(const ReinterpretNode& n) {
  *out_ += "reinterpret(" + to_string(n.dtype) + ", ";
  part(n.value, kLetLevel);
  *out_ += ')';
}

void ExprPrinter::node(const UnaryNode& n) {
  switch (n.op) {
    case UnaryOp::kNeg:
    case UnaryOp::kBitNot: {
      *out_ += to_string(n.op);
      const std::size_t before = out_->size();
      part(n.a, kSignLevel);
      const char first = (*out_)[before];  // -(1) is the negation of a literal, -1 a literal
      if (n.op == UnaryOp::kNeg && ((first >= '0' && first <= '9') || first == '-' ||
                                    out_->compare(before, 3, "inf") == 0)) {
        out_->insert(before, 1, '(');
        *out_ += ')';
      }
      return;
    }
    case UnaryOp::kNot:
      *out_ += "not ";
      part(n.a, kNotLevel);
      return;
    case UnaryOp::kAbs:
    case UnaryOp::kSqrt:
    case UnaryOp::kFloor:
    case UnaryOp::kCeil:
    case UnaryOp::kTrunc:
    case UnaryOp::kRound:
      call(to_string(n.op), {n.a});
      return;
  }
}

void ExprPrinter::node(const BinaryNode& n) {
  if (n.op == BinaryOp::kMin || n.op == BinaryOp::kMax) {
    call(to_string(n.op), {n.a, n.b});
    return;
  }
  const int level = precedence_of(n.op);
  part(n.a, is_comparison(n.op) ? level + 1 : level);
  *out_ += ' ';
  *out_ += to_string(n.op);
  *out_ += ' ';
  part(n.b, level + 1);
}

void ExprPrinter::node(const LetNode& n) {
  std::string value;
  std::swap(*out_, value);
  part(n.value, kOrLevel);
  std::swap(*out_, value);
  const std::size_t before = names_->enter();
  *out_ += "let " + names_->define(n.var.get(), n.var.as<VarNode>()->name) + " = " + value + " in ";
  shared_prefix(&n);
  part(n.body, kLetLevel);
  names_->leave(before);
}

void ExprPrinter::node(const LoadNode& n) {
  *out_ += name_of(n.buffer) + "[";
  list(n.indices);
  if (n.predicate) {
    *out_ += n.indices.empty() ? "where " : " where ";
    part(n.predicate, kLetLevel);
  }
  *out_ += ']';
}

void ExprPrinter::node(const RampNode& n) {
  *out_ += "ramp(";
  list({n.base, n.stride});
  *out_ += ", " + std::to_string(n.lanes) + ")";
}

void ExprPrinter::node(const BroadcastNode& n) {
  *out_ += "broadcast(";
  part(n.value, kLetLevel);
  *out_ += ", " + std::to_string(n.lanes) + ")";
}

void ExprPrinter::node(const ShuffleNode& n) {
  *out_ += "shuffle([";
  list(n.vectors);
  *out_ += "], [";
  for (std::size_t i = 0; i < n.lane_indices.size(); ++i) {
    *out_ += (i > 0 ? ", " : "") + std::to_string(n.lane_indices[i]);
  }
  *out_ += "])";
}

void ExprPrinter::node(const VectorReduceNode& n) {
  *out_ += "vector_reduce(" + quote(to_string(n.op)) + ", ";
  part(n.value, kLetLevel);
  *out_ += ')';
}

void ExprPrinter::node(const ReduceNode& n) {
  *out_ += std::string("reduce(") + to_string(n.op) + ", [";
  std::vector<std::string> domains;
  for (const IterVar& axis : n.axes) {
    std::string domain;
    std::swap(*out_, domain);
    range(axis.domain);
    std::swap(*out_, domain);
    domains.push_back(std::move(domain));
  }
  const std::size_t before = names_->enter();
  for (std::size_t i = 0; i < n.axes.size(); ++i) {
    if (i > 0) *out_ += ", ";
    if (n.axes[i].kind != IterKind::kReduction)
      *out_ += std::string(to_string(n.axes[i].kind)) + " ";
    *out_ += names_->define(n.axes[i].var.get(), n.axes[i].var.as<VarNode>()->name) + " in " +
             domains[i];
  }
  *out_ += "], ";
  shared_prefix(&n);
  part(n.source, kLetLevel);
  if (n.condition) {
    *out_ += " where ";
    part(n.condition, kLetLevel);
  }
  *out_ += ')';
  names_->leave(before);
}

void ExprPrinter::node(const CallNode& n) {
  const bool first =
      n.args.empty() ? n.dtype == kInt64 && has_no_operand(n.name) : n.args[0]->dtype == n.dtype;
  const bool plain = first && is_identifier(n.name) && !is_builtin_function(n.name);
  if (plain) {
    call(n.name, n.args);
    return;
  }
  *out_ += "call(" + quote(n.name) + ", " + to_string(n.dtype);
  if (!n.args.empty()) *out_ += ", ";
  list(n.args);
  *out_ += ')';
}

namespace {

bool is_zero(const Expr& e) {
  const auto* i = e.as<IntImmNode>();
  return i != nullptr && i->value == 0;
}

/// The bound `hi` if the extent is `hi - min`, written so that the parser makes just that of it;
/// else null.
Expr difference_bound(const Range& range) {
  const auto* sub = range.extent.as<BinaryNode>();
  if (sub == nullptr || sub->op != BinaryOp::kSub || !structural_equal(sub->b, range.min))
    return nullptr;
  if (literal(range.min) && literal(sub->a)) return nullptr;
  const auto* sum = sub->a.as<BinaryNode>();
  const bool is_sum_from_min =
      sum != nullptr && sum->op == BinaryOp::kAdd && structural_equal(sum->a, range.min);
  return is_sum_from_min ? nullptr : sub->a;
}

}  // namespace

void ExprPrinter::range(const Range& range) {
  constexpr int kRepeatableDepth = 4;
  const auto lo = literal(range.min);
  const auto extent = literal(range.extent);
  std::int64_t hi = 0;
  part(range.min, kOrLevel);
  if (is_zero(range.min)) {
    *out_ += "..";
    part(range.extent, kOrLevel);
  } else if (const Expr bound = difference_bound(range)) {
    *out_ += "..";
    part(bound, kOrLevel);
  } else if (lo && extent && !__builtin_add_overflow(*lo, *extent, &hi)) {
    *out_ += ".." + std::to_string(hi);
  } else if (range.min->depth <= kRepeatableDepth && range.min->dtype == range.extent->dtype &&
             range.min->dtype.is_int() && level_of(*range.min.get()) >= kAddLevel) {
    *out_ += "..";
    part(range.min, kAddLevel);
    *out_ += " + ";
    part(range.extent, kMulLevel);
  } else {
    *out_ += "..+";
    part(range.extent, kPrimaryLevel);
  }
}

void ExprPrinter::region(const BufferRegion& r) {
  *out_ += name_of(r.buffer) + "[";
  for (std::size_t d = 0; d < r.ranges.size(); ++d) {
    if (d > 0) *out_ += ", ";
    if (literal(r.ranges[d].extent) == 1) {
      part(r.ranges[d].min, kOrLevel);
    } else {
      range(r.ranges[d]);
    }
  }
  *out_ += ']';
}

void ExprPrinter::buffer(const Buffer& b) {
  std::string type = ": " + to_string(b->dtype) + "[";
  std::swap(*out_, type);
  const auto dims = [&](const std::vector<Expr>& exprs) {
    for (std::size_t d = 0; d < exprs.size(); ++d) {
      if (d > 0) *out_ += ", ";
      whole(exprs[d], kLetLevel);
    }
    *out_ += ']';
  };
  dims(b->shape);
  if (b->scope != Scope::kGlobal) *out_ += std::string(" ") + to_string(b->scope);
  if (!b->strides.empty()) {
    *out_ += " strides=[";
    dims(b->strides);
  }
  if (b->alignment != 64) *out_ += " align=" + std::to_string(b->alignment);
  std::swap(*out_, type);
  *out_ += name_of(b) + type;
}

}  // namespace tenon::text
