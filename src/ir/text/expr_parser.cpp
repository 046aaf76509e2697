#include "ir/text/expr_parser.h"

#include <array>
#include <bit>
#include <charconv>
#include <limits>
#include <optional>

#include "tenon/ir/scalar_ops.h"
#include "tenon/ir/structural.h"
#include "tenon/support/stack.h"

namespace tenon::text {
namespace {

constexpr std::size_t kMaxText = std::size_t{64} << 20;
constexpr int kMaxNesting =
    4 * kMaxExprDepth;  // brackets and operators; make() limits the expression itself

constexpr BinaryOp kLastBinaryOp = BinaryOp::kOr;
constexpr UnaryOp kLastUnaryOp = UnaryOp::kRound;
constexpr int kMaxLanes = 65535;

std::optional<BinaryOp> binary_op(std::string_view text) {
  for (int i = 0; i <= static_cast<int>(kLastBinaryOp); ++i) {
    if (text == to_string(static_cast<BinaryOp>(i))) return static_cast<BinaryOp>(i);
  }
  return std::nullopt;
}

std::optional<UnaryOp> unary_function(std::string_view text) {
  for (int i = static_cast<int>(UnaryOp::kAbs); i <= static_cast<int>(kLastUnaryOp); ++i) {
    if (text == to_string(static_cast<UnaryOp>(i))) return static_cast<UnaryOp>(i);
  }
  return std::nullopt;
}

std::optional<DType> dtype_named(std::string_view name) {
  try {
    return parse_dtype(name);
  } catch (const DTypeError&) {
    return std::nullopt;
  }
}

/// The dtype of a literal's suffix: "f64", "u8"; a bare literal is int64 or float32.
std::optional<DType> suffix_dtype(std::string_view suffix) {
  constexpr std::array<std::pair<std::string_view, DType>, 12> kSuffixes = {{
      {"f64", kFloat64},
      {"f32", kFloat32},
      {"f16", DType::float_(16)},
      {"bf16", DType::bfloat16()},
      {"i8", DType::int_(8)},
      {"i16", DType::int_(16)},
      {"i32", kInt32},
      {"i64", kInt64},
      {"u8", DType::uint(8)},
      {"u16", DType::uint(16)},
      {"u32", DType::uint(32)},
      {"u64", DType::uint(64)},
  }};
  for (const auto& [name, dtype] : kSuffixes) {
    if (name == suffix) return dtype;
  }
  return std::nullopt;
}

std::string dtypes_of(const std::vector<Expr>& exprs) {
  std::string out;
  for (std::size_t i = 0; i < exprs.size(); ++i) {
    out += (i == 0 ? "" : i + 1 == exprs.size() ? " and " : ", ") + to_string(exprs[i]->dtype);
  }
  return out;
}

std::optional<std::int64_t> literal(const Expr& e) {
  const auto* i = e.as<IntImmNode>();
  return i != nullptr && i->dtype == kInt64 ? std::optional(i->value) : std::nullopt;
}

bool is_zero(const Expr& e) {
  const auto* i = e.as<IntImmNode>();
  return i != nullptr && i->value == 0;
}

}  // namespace

// --- names
// -----------------------------------------------------------------------------------------------------------

void Scopes::define(const std::string& name, Meaning meaning) {
  meanings_[name].push_back(std::move(meaning));
  order_.push_back(name);
}

const Scopes::Meaning* Scopes::find(const std::string& name) const {
  const auto found = meanings_.find(name);
  return found == meanings_.end() || found->second.empty() ? nullptr : &found->second.back();
}

void Scopes::leave(std::size_t state) {
  while (order_.size() > state) {
    meanings_[order_.back()].pop_back();
    order_.pop_back();
  }
}

// --- tokens
// ----------------------------------------------------------------------------------------------------------

ExprParser::ExprParser(std::string_view text) : lexer_(text) {
  TENON_USER_CHECK(text.size() <= kMaxText, ExpressionError, "E0123", "a text of ", text.size(),
                   " bytes is longer than ", kMaxText);
  current_ = lexer_.next();
}

Token ExprParser::take() {
  Token token = std::move(current_);
  current_ = lexer_.next();
  return token;
}

bool ExprParser::accept(std::string_view symbol_or_word) {
  if (!current_.is(symbol_or_word)) return false;
  take();
  return true;
}

void ExprParser::expected(const std::string& what) const {
  fail(current_, "E0120", "expected " + what + ", got " + describe(current_));
}

Token ExprParser::expect(std::string_view symbol_or_word, const char* where) {
  if (!current_.is(symbol_or_word)) expected("'" + std::string(symbol_or_word) + "' " + where);
  return take();
}

Token ExprParser::expect_kind(Kind kind, const char* what) {
  if (current_.kind != kind) expected(what);
  return take();
}

Token ExprParser::new_name(const char* what) {
  if (current_.kind != Kind::kName || is_keyword(current_.text)) expected(what);
  return take();
}

void ExprParser::expect_end() {
  while (current_.kind == Kind::kNewline || current_.kind == Kind::kDedent) take();
  if (current_.kind != Kind::kEnd) expected("the end of the text");
}

// --- operators
// -------------------------------------------------------------------------------------------------------

Expr ExprParser::expr(int level) {
  if (++nesting_ > kMaxNesting) fail(current_, "E0123", "an expression is nested too deeply");
  Expr out = with_stack([&] { return infix(operand(level), level); });
  --nesting_;
  return out;
}

Expr ExprParser::infix(Expr left, int level) {
  for (;;) {
    if (current_.kind != Kind::kSymbol && !current_.is("and") && !current_.is("or")) return left;
    const auto op = binary_op(current_.text);
    if (!op || precedence_of(*op) == kPrimaryLevel || precedence_of(*op) < level) return left;
    const Token at = take();
    Expr right = expr(precedence_of(*op) + 1);
    const std::string what = "no " + at.text + " of " + dtypes_of({left, right});
    left = build<BinaryNode>(at, what, *op, std::move(left), std::move(right));
    const auto next = current_.kind == Kind::kSymbol ? binary_op(current_.text) : std::nullopt;
    if (is_comparison(*op) && next && is_comparison(*next)) {
      fail(current_, "E0120", "comparisons do not chain: put one in brackets");
    }
  }
}

Expr ExprParser::operand(int level) {
  const Token& t = current_;
  if (t.is("let") || t.is("share")) {
    if (level > kLetLevel)
      fail(t, "E0120", "put '" + t.text + "' in brackets when it is an operand");
    return t.is("let") ? let() : shared();
  }
  if (t.kind == Kind::kNumber) return number(take(), false);
  if (t.kind == Kind::kName) return named(take());
  if (accept("-")) return sign();
  if (t.is("~")) {
    const Token at = take();
    Expr a = expr(kSignLevel);
    const std::string what = "no ~ of " + to_string(a->dtype);
    return build<UnaryNode>(at, what, UnaryOp::kBitNot, std::move(a));
  }
  if (!t.is("(")) expected("an expression");
  take();
  Expr inner = expr();
  expect(")", "after the expression in brackets");
  return inner;
}

/// A minus right before a number belongs to the number; `-(1)` is the negation of a literal.
Expr ExprParser::sign() {
  if (current_.kind == Kind::kNumber) return number(take(), true);
  if (current_.is("inf") || (current_.kind == Kind::kName && current_.text.starts_with("inf_"))) {
    const Token word = take();
    const auto t =
        word.text == "inf" ? kFloat32 : suffix_dtype(std::string_view(word.text).substr(4));
    if (!t || !t->is_float())
      fail(word, "E0120", "an infinity is inf, inf_f64, inf_f16 or inf_bf16");
    return make<FloatImmNode>(*t, -std::numeric_limits<double>::infinity());
  }
  return make<UnaryNode>(UnaryOp::kNeg, expr(kSignLevel));
}

Expr ExprParser::let() {
  take();
  const Token name = new_name("the name of a variable");
  expect("=", "after the name");
  Expr value = expr(kOrLevel);
  expect("in", "after the value");
  Expr var = make<VarNode>(value->dtype, name.text);
  const std::size_t before = scopes_.enter();
  define(name.text, {var, nullptr});
  Expr body = expr();
  scopes_.leave(before);
  return make<LetNode>(std::move(value), std::move(var), std::move(body));
}

Expr ExprParser::shared() {
  const std::size_t before = scopes_.enter();
  while (accept("share")) {
    const Token name = new_name("the name of a shared expression");
    expect("=", "after the name");
    Expr value = expr(kOrLevel);
    expect("in", "after the value");
    define(name.text, {std::move(value), nullptr});
  }
  Expr body = expr();
  scopes_.leave(before);
  return body;
}

// --- literals
// --------------------------------------------------------------------------------------------------------

Expr ExprParser::number(const Token& token, bool negative) {
  const std::string_view text = token.text;
  std::size_t end = text.find_first_not_of("0123456789");
  if (end == std::string_view::npos) end = text.size();
  bool is_float = false;
  if (end < text.size() && (text[end] == '.' || text[end] == 'e')) {
    is_float = true;
    end = text.find_first_not_of("0123456789.e+-", end);
    if (end == std::string_view::npos) end = text.size();
  }
  const std::string_view suffix = text.substr(end);
  const auto t =
      suffix.empty() ? std::optional(is_float ? kFloat32 : kInt64) : suffix_dtype(suffix);
  if (!t)
    fail(token, "E0120",
         "'" + std::string(suffix) + "' is no suffix of a number (such as f64, i32, u8)");
  if (t->is_float()) return float_literal(token, negative, text.substr(0, end), *t);
  if (is_float)
    fail(token, "E0120", "a number with a fraction should be a float, got '" + token.text + "'");
  return int_literal(token, negative, text.substr(0, end), suffix.empty() ? "i64" : suffix);
}

Expr ExprParser::int_literal(const Token& token, bool negative, std::string_view digits,
                             std::string_view suffix) {
  const DType t = *suffix_dtype(suffix);
  std::uint64_t magnitude = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), magnitude);
  const std::uint64_t most = t.is_signed_int()
                                 ? static_cast<std::uint64_t>(max_int(t)) + (negative ? 1 : 0)
                                 : (negative ? 0 : static_cast<std::uint64_t>(max_int(t)));
  if (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size() || magnitude > most) {
    fail(token, "E0122",
         std::string(negative ? "-" : "") + token.text + " does not fit " + to_string(t));
  }
  return make<IntImmNode>(t, static_cast<std::int64_t>(negative ? 0 - magnitude : magnitude));
}

Expr ExprParser::float_literal(const Token& token, bool negative, std::string_view digits,
                               DType t) {
  double value = 0;
  std::errc error{};
  const char* end = nullptr;
  if (t.bits == 64) {
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    error = parsed.ec;
    end = parsed.ptr;
  } else {
    float narrow = 0;
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), narrow);
    error = parsed.ec;
    end = parsed.ptr;
    value = round_to(t, static_cast<double>(narrow));
  }
  if (error != std::errc() || end != digits.data() + digits.size()) {
    fail(token, "E0122", "'" + token.text + "' is no number that " + to_string(t) + " can hold");
  }
  return make<FloatImmNode>(t, negative ? -value : value);
}

Expr ExprParser::nan_bits(const Token& at) {
  const DType t = dtype();
  expect(",", "after the dtype");
  const Token bits = expect_kind(Kind::kNumber, "the bits of a NaN");
  std::uint64_t value = 0;
  const std::string_view text = bits.text;
  const bool is_hex = text.starts_with("0x");
  const auto parsed =
      std::from_chars(text.data() + (is_hex ? 2 : 0), text.data() + text.size(), value, 16);
  const bool whole = is_hex && parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
  const auto number = std::bit_cast<double>(value);
  if (!whole || number == number || !t.is_float() || !t.is_scalar()) {
    fail(at, "E0122",
         "nan_bits takes a float dtype and the float64 bits of a NaN, such as 0x7ff8000000000000");
  }
  return make<FloatImmNode>(t, number);
}

// --- names and calls
// -------------------------------------------------------------------------------------------------

Expr ExprParser::named(const Token& name) {
  if (name.text == "true" || name.text == "false")
    return make<IntImmNode>(kBoolType, name.text == "true" ? 1 : 0);
  if (name.text == "not") {
    Expr a = expr(kNotLevel);
    const std::string what = "no 'not' of " + to_string(a->dtype);
    return build<UnaryNode>(name, what, UnaryOp::kNot, std::move(a));
  }
  const bool is_inf = name.text.starts_with("inf");
  if (name.text == "inf" || name.text == "nan" || name.text.starts_with("inf_") ||
      name.text.starts_with("nan_")) {
    if (name.text == "nan_bits" && current_.is("(")) return function_call(name);
    const auto t =
        name.text.size() == 3 ? kFloat32 : suffix_dtype(std::string_view(name.text).substr(4));
    if (!t || !t->is_float())
      fail(name, "E0120", "'" + name.text + "' should end in _f64, _f32, _f16 or _bf16");
    using Limits = std::numeric_limits<double>;
    return make<FloatImmNode>(*t, is_inf ? Limits::infinity() : Limits::quiet_NaN());
  }
  if (is_keyword(name.text)) fail(name, "E0120", "expected an expression, got '" + name.text + "'");
  if (current_.is("(")) return function_call(name);
  if (current_.is("[")) return load(name);
  const Scopes::Meaning* meaning = scopes_.find(name.text);
  if (meaning == nullptr) fail(name, "E0121", "no variable '" + name.text + "' is defined here");
  if (!meaning->expr)
    fail(name, "E0121", "'" + name.text + "' is a buffer: write " + name.text + "[...]");
  return meaning->expr;
}

Buffer ExprParser::known_buffer(const Token& name) const {
  const Scopes::Meaning* meaning = scopes_.find(name.text);
  if (meaning == nullptr) fail(name, "E0121", "no buffer '" + name.text + "' is defined here");
  if (!meaning->buffer) fail(name, "E0121", "'" + name.text + "' is no buffer");
  return meaning->buffer;
}

Expr ExprParser::load(const Token& name) {
  Buffer buffer = known_buffer(name);
  expect("[", "after the buffer");
  std::vector<Expr> indices;
  Expr predicate;
  while (!current_.is("]") && !current_.is("where")) {
    indices.push_back(expr());
    if (!accept(",")) break;
  }
  if (accept("where")) predicate = expr();
  expect("]", "after the indices");
  const std::string what = "indices should be integers and the predicate a bool, got " +
                           dtypes_of(indices) +
                           (predicate ? " where " + to_string(predicate->dtype) : "");
  return build<LoadNode>(name, what, std::move(buffer), std::move(indices), std::move(predicate));
}

std::vector<Expr> ExprParser::exprs_until(std::string_view closing) {
  std::vector<Expr> out;
  while (!current_.is(closing)) {
    out.push_back(expr());
    if (!accept(",")) break;
  }
  if (!current_.is(closing)) expected("',' or '" + std::string(closing) + "'");
  take();
  return out;
}

Expr ExprParser::function_call(const Token& name) {
  expect("(", "after the function");
  if (is_builtin_function(name.text)) return builtin(name);
  std::vector<Expr> args = exprs_until(")");
  if (args.empty() && has_no_operand(name.text)) return make<CallNode>(kInt64, name.text, args);
  if (args.empty())
    fail(name, "E0120",
         "'" + name.text + "' needs an operand; write call(\"name\", dtype) for one without");
  const DType t = args[0]->dtype;
  return make<CallNode>(t, name.text, std::move(args));
}

DType ExprParser::dtype() {
  const Token name = expect_kind(Kind::kName, "a dtype");
  const auto t = dtype_named(name.text);
  if (!t) fail(name, "E0120", "expected a dtype such as float32, got '" + name.text + "'");
  return *t;
}

std::int64_t ExprParser::integer(std::int64_t least, std::int64_t most, const char* what) {
  const Token at = current_;
  const bool negative = accept("-");
  const Token digits = expect_kind(Kind::kNumber, what);
  const auto value = literal(number(digits, negative));
  if (!value || *value < least || *value > most) {
    fail(at, "E0122",
         detail::concat(what, " should be an integer from ", least, " to ", most, ", got ",
                        negative ? "-" : "", digits.text));
  }
  return *value;
}

Expr ExprParser::builtin(const Token& name) {
  const std::string& f = name.text;
  if (f == "shuffle") return shuffle(name);
  if (f == "vector_reduce") return vector_reduce(name);
  if (f == "reduce") return reduce(name);
  if (f == "call") return plain_call();
  Expr out;
  if (f == "nan_bits") {
    out = nan_bits(name);
    expect(")", "after the bits");
    return out;
  }
  std::optional<DType> type;
  if (f == "reinterpret") {
    type = dtype();
    expect(",", "after the dtype");
  }
  std::vector<Expr> args;
  const std::size_t arity = f == "fma" || f == "select"               ? 3
                            : f == "min" || f == "max" || f == "ramp" ? 2
                                                                      : 1;
  for (std::size_t i = 0; i < arity; ++i) {
    if (i > 0) expect(",", "between operands");
    args.push_back(expr());
  }
  std::int64_t lanes = 1;
  if (f == "ramp" || f == "broadcast") {
    expect(",", "before the number of lanes");
    lanes = integer(2, kMaxLanes, "the number of lanes");
  }
  expect(")", "after the operands");
  const std::string what = "no " + f + " of " + dtypes_of(args);
  if (f == "fma") return build<FmaNode>(name, what, args[0], args[1], args[2]);
  if (f == "select") return build<SelectNode>(name, what, args[0], args[1], args[2]);
  if (f == "ramp") return build<RampNode>(name, what, args[0], args[1], static_cast<int>(lanes));
  if (f == "broadcast") return build<BroadcastNode>(name, what, args[0], static_cast<int>(lanes));
  if (f == "reinterpret") return build<ReinterpretNode>(name, what, *type, args[0]);
  if (f == "min" || f == "max")
    return build<BinaryNode>(name, what, *binary_op(f), args[0], args[1]);
  if (const auto op = unary_function(f)) return build<UnaryNode>(name, what, *op, args[0]);
  type = dtype_named(f);
  if (!type) fail(name, "E0120", "no function or dtype is called '" + f + "'");
  return build<CastNode>(name, what, *type, args[0]);
}

Expr ExprParser::plain_call() {
  const Token name = expect_kind(Kind::kString, "the name of the function, a string");
  expect(",", "after the name");
  const DType t = dtype();
  std::vector<Expr> args;
  if (accept(",")) {
    args = exprs_until(")");
  } else {
    expect(")", "after the dtype");
  }
  return make<CallNode>(t, name.text, std::move(args));
}

Expr ExprParser::shuffle(const Token& at) {
  expect("[", "before the vectors");
  std::vector<Expr> vectors = exprs_until("]");
  expect(",", "after the vectors");
  expect("[", "before the lanes");
  std::int64_t num_lanes = 0;
  for (const Expr& v : vectors) {
    num_lanes += v->dtype.lanes;
    if (v->dtype.element() != vectors[0]->dtype.element())
      fail(at, "E0122", "no shuffle of " + dtypes_of(vectors));
  }
  std::vector<std::int64_t> lanes;
  while (!current_.is("]")) {
    lanes.push_back(integer(0, num_lanes - 1, "a lane"));
    if (!accept(",")) break;
  }
  expect("]", "after the lanes");
  expect(")", "after the lanes");
  if (vectors.empty() || lanes.empty() || lanes.size() > kMaxLanes) {
    fail(at, "E0122", "a shuffle needs vectors and 1 to 65535 lanes of them");
  }
  return build<ShuffleNode>(at, "no shuffle of " + dtypes_of(vectors), vectors, std::move(lanes));
}

Expr ExprParser::vector_reduce(const Token& at) {
  const Token name = expect_kind(Kind::kString, "an operator in quotes");
  const auto op = binary_op(name.text);
  if (!op) fail(name, "E0120", "'" + name.text + "' is no operator that joins lanes");
  expect(",", "after the operator");
  Expr value = expr();
  expect(")", "after the vector");
  const std::string what = "no vector_reduce of " + to_string(value->dtype);
  return build<VectorReduceNode>(at, what, *op, std::move(value));
}

Expr ExprParser::reduce(const Token& at) {
  const Token name = expect_kind(Kind::kName, "sum, prod, min or max");
  std::optional<ReduceOp> op;
  for (const ReduceOp candidate :
       {ReduceOp::kSum, ReduceOp::kProd, ReduceOp::kMin, ReduceOp::kMax}) {
    if (name.text == to_string(candidate)) op = candidate;
  }
  if (!op) fail(name, "E0120", "expected sum, prod, min or max, got '" + name.text + "'");
  expect(",", "after the operator");
  expect("[", "before the axes");
  std::vector<IterVar> axes;
  do {
    IterKind kind = IterKind::kReduction;
    if (accept("spatial")) kind = IterKind::kSpatial;
    if (accept("ordered")) kind = IterKind::kOrdered;
    const Token axis = new_name("the name of an axis");
    expect("in", "after the axis");
    Range domain = range();
    axes.push_back({make<VarNode>(kInt64, axis.text), std::move(domain), kind});
  } while (accept(","));
  expect("]", "after the axes");
  expect(",", "after the axes");
  const std::size_t before = scopes_.enter();
  for (const IterVar& axis : axes) define(axis.var.as<VarNode>()->name, {axis.var, nullptr});
  while (accept("share")) {
    const Token shared_name = new_name("the name of a shared expression");
    expect("=", "after the name");
    Expr value = expr(kOrLevel);
    expect("in", "after the value");
    define(shared_name.text, {std::move(value), nullptr});
  }
  Expr source = expr();
  Expr condition = accept("where") ? expr() : nullptr;
  scopes_.leave(before);
  expect(")", "after the reduction");
  return build<ReduceNode>(at, "no such reduction", *op, std::move(axes), std::move(source),
                           std::move(condition));
}

// --- ranges, regions, buffers, attributes
// ----------------------------------------------------------------------------

Range ExprParser::range() {
  Expr lo = expr(kOrLevel);
  if (!current_.is("..") && !current_.is("..+")) expected("'..' after the lower bound");
  return upper_bound(std::move(lo), current_);
}

/// `lo..lo + extent` and `lo..+extent` keep the extent as it is written; other bounds are
/// subtracted.
Range ExprParser::upper_bound(Expr lo, const Token& at) {
  const Token dots = at;
  if (accept("..+")) return {std::move(lo), expr(kPrimaryLevel)};
  take();
  Expr hi = expr(kOrLevel);
  const auto first = literal(lo);
  const auto last = literal(hi);
  if (is_zero(lo)) return {std::move(lo), std::move(hi)};
  std::int64_t extent = 0;
  if (first && last && !__builtin_sub_overflow(*last, *first, &extent))
    return {std::move(lo), make<IntImmNode>(kInt64, extent)};
  const auto* sum = hi.as<BinaryNode>();
  if (sum != nullptr && sum->op == BinaryOp::kAdd && structural_equal(sum->a, lo))
    return {std::move(lo), sum->b};
  const std::string what = "a range from " + to_string(lo->dtype) + " to " + to_string(hi->dtype);
  return {lo, build<BinaryNode>(dots, what, BinaryOp::kSub, hi, lo)};
}

BufferRegion ExprParser::region() {
  const Token name = expect_kind(Kind::kName, "a buffer");
  BufferRegion out{known_buffer(name), {}};
  expect("[", "after the buffer");
  while (!current_.is("]")) {
    Expr lo = expr(kOrLevel);
    if (current_.is("..") || current_.is("..+")) {
      out.ranges.push_back(upper_bound(std::move(lo), current_));
    } else {
      out.ranges.push_back({std::move(lo), make<IntImmNode>(kInt64, 1)});
    }
    if (!accept(",")) break;
  }
  expect("]", "after the region");
  return out;
}

Buffer ExprParser::buffer_after(const Token& name) {
  constexpr int kMaxAlignment = 1 << 20;
  expect(":", "after the buffer's name");
  auto* node = new BufferNode;
  Buffer buffer(node);
  node->name = name.text;
  node->span = SpanScope::current();
  node->dtype = dtype();
  if (!node->dtype.is_scalar())
    fail(name, "E0122", "a buffer's elements should be scalars, got " + to_string(node->dtype));
  expect("[", "before the shape");
  node->shape = exprs_until("]");
  for (;;) {
    if (accept("strides")) {
      expect("=", "after 'strides'");
      expect("[", "before the strides");
      node->strides = exprs_until("]");
    } else if (accept("align")) {
      expect("=", "after 'align'");
      node->alignment = static_cast<int>(integer(1, kMaxAlignment, "an alignment"));
    } else if (current_.kind == Kind::kName) {
      const Token scope = take();
      try {
        node->scope = parse_scope(scope.text);
      } catch (const ScheduleError&) {
        fail(scope, "E0120",
             "expected a scope (global, local, register, shared, fragment), strides or align, got "
             "'" +
                 scope.text + "'");
      }
    } else {
      return buffer;
    }
  }
}

Attr ExprParser::attr() {
  if (current_.kind == Kind::kString) return take().text;
  const bool negative = accept("-");
  const double sign = negative ? -1 : 1;
  if (accept("inf")) return sign * std::numeric_limits<double>::infinity();
  if (accept("nan")) return std::numeric_limits<double>::quiet_NaN();
  const Token token = expect_kind(Kind::kNumber, "a number or a string");
  if (token.text.find_first_of(".e") == std::string::npos)
    return *literal(int_literal(token, negative, token.text, "i64"));
  return float_literal(token, negative, token.text, kFloat64).as<FloatImmNode>()->value;
}

Attrs ExprParser::attrs() {
  Attrs out;
  if (!accept("{")) return out;
  while (!current_.is("}")) {
    const Token key =
        current_.kind == Kind::kString ? take() : new_name("the name of an attribute");
    expect("=", "after the attribute's name");
    if (!out.emplace(key.text, attr()).second)
      fail(key, "E0122", "the attribute '" + key.text + "' is given twice");
    if (!accept(",")) break;
  }
  expect("}", "after the attributes");
  return out;
}

}  // namespace tenon::text
