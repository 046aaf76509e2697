#pragma once

/// Expression nodes.
///
/// **Meaning common to all.** Every operation is total and means the same in the interpreter and in
/// generated code. Integers wrap. `x // 0` and `x % 0` are 0, `INT_MIN // -1` wraps. Shifts by the
/// width or more give 0, or the sign for a signed `>>`. Float to integer truncates, saturates, and
/// NaN gives 0. `min` and `max` propagate NaN. `select`, `and` and `or` are lazy per lane: what is
/// not taken has no effect. No multiply-add is contracted except `fma`. Vector operands have equal
/// lanes; operations are per lane.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tenon/ir/buffer.h"
#include "tenon/ir/node.h"

namespace tenon {

/// A compile-time integer or bool; the value is stored sign- or zero-extended from the dtype's
/// width.
struct IntImmNode : ExprNode {
  static constexpr NodeKind kKind = NodeKind::kIntImm;
  std::int64_t value;
  IntImmNode(DType t, std::int64_t v);
  static constexpr auto fields() { return std::make_tuple(field("value", &IntImmNode::value)); }
};

/// A compile-time float, exactly representable in its dtype. Equality compares bits.
struct FloatImmNode : ExprNode {
  static constexpr NodeKind kKind = NodeKind::kFloatImm;
  double value;
  FloatImmNode(DType t, double v);
  static constexpr auto fields() { return std::make_tuple(field("value", &FloatImmNode::value)); }
};

/// What is known of a symbolic size: a value in [min, max] that is a multiple of multiple_of.
struct SymbolRange {
  std::int64_t min = 0;
  std::optional<std::int64_t> max;
  std::int64_t multiple_of = 1;
  bool operator==(const SymbolRange&) const = default;
};

/// A scalar (or, after let-binding a vector, vector) variable. An identity.
struct VarNode : ExprNode {
  static constexpr NodeKind kKind = NodeKind::kVar;
  std::string name;
  /// Set for symbolic sizes (te.symbol), null for everything else.
  std::shared_ptr<const SymbolRange> symbol;
  VarNode(DType t, std::string n) : ExprNode(kKind, t), name(std::move(n)) {}
  static constexpr auto fields() { return std::make_tuple(field("name", &VarNode::name)); }
};

/// value converted to dtype (same lanes).
struct CastNode : ExprNode {
  static constexpr NodeKind kKind = NodeKind::kCast;
  Expr value;
  CastNode(DType t, Expr v);
  static constexpr auto fields() { return std::make_tuple(field("value", &CastNode::value)); }
};

/// The bits of value read as dtype (same width and lanes).
struct ReinterpretNode : ExprNode {
  static constexpr NodeKind kKind = NodeKind::kReinterpret;
  Expr value;
  ReinterpretNode(DType t, Expr v);
  static constexpr auto fields() {
    return std::make_tuple(field("value", &ReinterpretNode::value));
  }
};

enum class UnaryOp : std::uint8_t {
  kNeg,     ///< -x; flips the sign bit of a float
  kNot,     ///< bool
  kBitNot,  ///< integers
  kAbs,     ///< integers wrap; clears the sign bit of a float
  kSqrt,    ///< correctly rounded; floats
  kFloor,
  kCeil,
  kTrunc,
  kRound,  ///< half to even
};
/// "sqrt"; for kNeg "-".
const char* to_string(UnaryOp op);

struct UnaryNode : ExprNode {
  static constexpr NodeKind kKind = NodeKind::kUnary;
  UnaryOp op;
  Expr a;
  UnaryNode(UnaryOp o, Expr x);
  static constexpr auto fields() {
    return std::make_tuple(field("op", &UnaryNode::op), field("a", &UnaryNode::a));
  }
};

enum class BinaryOp : std::uint8_t {
  kAdd,
  kSub,
  kMul,
  kDiv,  ///< floats
  kFloorDiv,
  kFloorMod,  ///< integers; the remainder has the divisor's sign
  kMin,
  kMax,  ///< NaN if one operand is; of zeros of both signs: min -0, max +0
  kBitAnd,
  kBitOr,
  kBitXor,
  kShl,
  kShr,  ///< integers; kShr is arithmetic for signed ones
  kEq,
  kNe,
  kLt,
  kLe,
  kGt,
  kGe,  ///< bool; false with a NaN, but kNe is true
  kAnd,
  kOr,  ///< bool, lazy in b
};
/// The operator's text: "+", "//", "min".
const char* to_string(BinaryOp op);
bool is_comparison(BinaryOp op);

struct BinaryNode : ExprNode {
  static constexpr NodeKind kKind = NodeKind::kBinary;
  BinaryOp op;
  Expr a, b;
  BinaryNode(BinaryOp o, Expr x, Expr y);
  static constexpr auto fields() {
    return std::make_tuple(field("op", &BinaryNode::op), field("a", &BinaryNode::a),
                           field("b", &BinaryNode::b));
  }
};

/// a * b + c, rounded once. float32 and float64.
struct FmaNode : ExprNode {
  static constexpr NodeKind kKind = NodeKind::kFma;
  Expr a, b, c;
  FmaNode(Expr x, Expr y, Expr z);
  static constexpr auto fields() {
    return std::make_tuple(field("a", &FmaNode::a), field("b", &FmaNode::b),
                           field("c", &FmaNode::c));
  }
};

/// condition ? true_value : false_value; only the taken one is evaluated (per lane).
struct SelectNode : ExprNode {
  static constexpr NodeKind kKind = NodeKind::kSelect;
  Expr condition, true_value, false_value;
  SelectNode(Expr c, Expr t, Expr f);
  static constexpr auto fields() {
    return std::make_tuple(field("condition", &SelectNode::condition),
                           field("true_value", &SelectNode::true_value),
                           field("false_value", &SelectNode::false_value));
  }
};

/// let var = value in body. The variable may be used in body only.
struct LetNode : ExprNode {
  static constexpr NodeKind kKind = NodeKind::kLet;
  Expr value, var, body;
  LetNode(Expr v, Expr variable, Expr b);
  static constexpr auto fields() {
    return std::make_tuple(field("value", &LetNode::value),
                           field("var", &LetNode::var, FieldRole::kDef),
                           field("body", &LetNode::body));
  }
};

/// buffer[indices]. In block IR one index per dimension; in loop IR exactly one, in elements,
/// scalar or vector (then the result is a vector). Where the optional `predicate` (bool, same
/// lanes) is false, the lane is not read and gives 0.
struct LoadNode : ExprNode {
  static constexpr NodeKind kKind = NodeKind::kLoad;
  Buffer buffer;
  std::vector<Expr> indices;
  Expr predicate;  ///< may be null: always read
  LoadNode(Buffer buf, std::vector<Expr> idx, Expr pred = nullptr);
  static constexpr auto fields() {
    return std::make_tuple(field("buffer", &LoadNode::buffer), field("indices", &LoadNode::indices),
                           field("predicate", &LoadNode::predicate));
  }
};

/// [base, base + stride, ...], `dtype.lanes` of them. Loop IR only.
struct RampNode : ExprNode {
  static constexpr NodeKind kKind = NodeKind::kRamp;
  Expr base, stride;
  int lanes;
  RampNode(Expr b, Expr s, int n);
  static constexpr auto fields() {
    return std::make_tuple(field("base", &RampNode::base), field("stride", &RampNode::stride),
                           field("lanes", &RampNode::lanes));
  }
};

/// A scalar repeated in every lane. Loop IR only.
struct BroadcastNode : ExprNode {
  static constexpr NodeKind kKind = NodeKind::kBroadcast;
  Expr value;
  int lanes;
  BroadcastNode(Expr v, int n);
  static constexpr auto fields() {
    return std::make_tuple(field("value", &BroadcastNode::value),
                           field("lanes", &BroadcastNode::lanes));
  }
};

/// The lanes of the concatenated vectors at the constant positions `lane_indices`. Loop IR only.
struct ShuffleNode : ExprNode {
  static constexpr NodeKind kKind = NodeKind::kShuffle;
  std::vector<Expr> vectors;
  std::vector<std::int64_t> lane_indices;
  ShuffleNode(std::vector<Expr> v, std::vector<std::int64_t> idx);
  static constexpr auto fields() {
    return std::make_tuple(field("vectors", &ShuffleNode::vectors),
                           field("lane_indices", &ShuffleNode::lane_indices));
  }
};

/// All lanes of value joined by `op` (add, mul, min, max, and, or) by halving: lane l joins lane l
/// + n/2, and so on while n is even; an odd rest joins ascending. Loop IR only.
struct VectorReduceNode : ExprNode {
  static constexpr NodeKind kKind = NodeKind::kVectorReduce;
  BinaryOp op;
  Expr value;
  VectorReduceNode(BinaryOp o, Expr v);
  static constexpr auto fields() {
    return std::make_tuple(field("op", &VectorReduceNode::op),
                           field("value", &VectorReduceNode::value));
  }
};

enum class IterKind : std::uint8_t {
  kSpatial,    ///< iterations are independent
  kReduction,  ///< iterations accumulate into the same elements
  kOrdered,    ///< ascending; may read what earlier iterations wrote
};
const char* to_string(IterKind kind);

/// A variable that runs over [domain.min, domain.min + domain.extent).
struct IterVar {
  Expr var;  ///< VarNode, int64
  Range domain;
  IterKind kind = IterKind::kSpatial;
};

enum class ReduceOp : std::uint8_t { kSum, kProd, kMin, kMax };
const char* to_string(ReduceOp op);

/// source reduced over the axes, ascending, where `condition` holds. Legal only inside a tensor
/// expression; never in a function.
struct ReduceNode : ExprNode {
  static constexpr NodeKind kKind = NodeKind::kReduce;
  ReduceOp op;
  std::vector<IterVar> axes;
  Expr source;
  Expr condition;  ///< may be null: every term counts
  ReduceNode(ReduceOp o, std::vector<IterVar> ax, Expr src, Expr cond = nullptr);
  static constexpr auto fields() {
    return std::make_tuple(
        field("op", &ReduceNode::op), field("axes", &ReduceNode::axes, FieldRole::kDef),
        field("source", &ReduceNode::source), field("condition", &ReduceNode::condition));
  }
};

/// A named pure function of its operands (exp, log, tanh, erf, sigmoid, sin, cos, pow, rsqrt, gelu,
/// gelu_tanh, softplus); the pass expand_math replaces it by arithmetic. `checked_index(i, extent,
/// site)` gives i when 0 <= i < extent, else -1 and records an index error of the call at `site`
/// (an index into the function's attribute "index_sites"); loads and stores that use it carry the
/// predicate `checked >= 0`.
struct CallNode : ExprNode {
  static constexpr NodeKind kKind = NodeKind::kCall;
  std::string name;
  std::vector<Expr> args;
  CallNode(DType t, std::string n, std::vector<Expr> a);
  static constexpr auto fields() {
    return std::make_tuple(field("name", &CallNode::name), field("args", &CallNode::args));
  }
};

}  // namespace tenon
