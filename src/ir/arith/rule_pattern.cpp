#include "ir/arith/rule_pattern.h"

#include <cctype>
#include <string_view>

#include "tenon/ir/builder.h"

namespace tenon::arith {
namespace {

/// Recursive descent with Python's precedences. The table is ours, so an error is an internal one.
/// Nodes are made without folding.
class Parser {
 public:
  Parser(const Rule& rule, std::unordered_map<std::string, Expr>* names)
      : rule_(rule), names_(*names) {}

  Expr parse(const char* text) {
    text_ = text;
    at_ = 0;
    Expr e = disjunction();
    space();
    TENON_CHECK(at_ == text_.size(), "rule ", rule_.name, ": '", text, "' at ", at_);
    return e;
  }

 private:
  void space() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  bool accept(std::string_view token) {
    space();
    if (text_.substr(at_, token.size()) != token) return false;
    const std::size_t end = at_ + token.size();
    const bool word = std::isalpha(static_cast<unsigned char>(token[0])) != 0;
    if (word && end < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[end])) != 0))
      return false;
    at_ = end;
    return true;
  }
  void expect(std::string_view token) {
    TENON_CHECK(accept(token), "rule ", rule_.name, ": expected ", token, " at ", at_);
  }

  static Expr node(BinaryOp op, const Expr& x, const Expr& y) { return make<BinaryNode>(op, x, y); }

  Expr disjunction() {
    Expr e = conjunction();
    while (accept("or")) e = node(BinaryOp::kOr, e, conjunction());
    return e;
  }
  Expr conjunction() {
    Expr e = negation();
    while (accept("and")) e = node(BinaryOp::kAnd, e, negation());
    return e;
  }
  Expr negation() {
    if (accept("not")) return make<UnaryNode>(UnaryOp::kNot, negation());
    return comparison();
  }
  Expr comparison() {
    Expr e = sum();
    constexpr std::pair<const char*, BinaryOp> kOps[] = {
        {"==", BinaryOp::kEq}, {"!=", BinaryOp::kNe}, {"<=", BinaryOp::kLe},
        {">=", BinaryOp::kGe}, {"<", BinaryOp::kLt},  {">", BinaryOp::kGt}};
    for (const auto& [text, op] : kOps) {
      if (accept(text)) return node(op, e, sum());
    }
    return e;
  }
  Expr sum() {
    Expr e = product();
    for (;;) {
      if (accept("+"))
        e = node(BinaryOp::kAdd, e, product());
      else if (accept("-"))
        e = node(BinaryOp::kSub, e, product());
      else
        return e;
    }
  }
  Expr product() {
    Expr e = atom();
    for (;;) {
      if (accept("*"))
        e = node(BinaryOp::kMul, e, atom());
      else if (accept("//"))
        e = node(BinaryOp::kFloorDiv, e, atom());
      else if (accept("%"))
        e = node(BinaryOp::kFloorMod, e, atom());
      else
        return e;
    }
  }
  Expr call_of_two(BinaryOp op) {
    expect("(");
    Expr x = disjunction();
    expect(",");
    Expr y = disjunction();
    expect(")");
    return node(op, x, y);
  }
  Expr atom() {
    space();
    if (accept("(")) {
      Expr e = disjunction();
      expect(")");
      return e;
    }
    if (accept("-")) {
      Expr x = atom();
      return x.as<IntImmNode>() != nullptr ? -x : make<UnaryNode>(UnaryOp::kNeg, x);
    }
    if (accept("min")) return call_of_two(BinaryOp::kMin);
    if (accept("max")) return call_of_two(BinaryOp::kMax);
    if (accept("select")) return selection();
    if (accept("abs")) return make<UnaryNode>(UnaryOp::kAbs, atom());
    if (accept("True")) return bool_imm(true);
    if (accept("False")) return bool_imm(false);
    if (std::isdigit(static_cast<unsigned char>(text_[at_])) != 0) {
      std::int64_t v = 0;
      while (at_ < text_.size() && std::isdigit(static_cast<unsigned char>(text_[at_])) != 0)
        v = v * 10 + (text_[at_++] - '0');
      return imm(v);
    }
    return name();
  }
  Expr selection() {
    expect("(");
    Expr c = disjunction();
    expect(",");
    Expr t = disjunction();
    expect(",");
    Expr f = disjunction();
    expect(")");
    return make<SelectNode>(c, t, f);
  }
  Expr name() {
    std::string text;
    while (at_ < text_.size() && std::isalnum(static_cast<unsigned char>(text_[at_])) != 0)
      text += text_[at_++];
    TENON_CHECK(!text.empty(), "rule ", rule_.name, ": a name is missing at ", at_);
    Expr& known = names_[text];
    if (!known) {
      const DType other = rule_.domain == Domain::kFloat ? kFloat32 : kInt64;
      known = var(text, is_bool_name(text) ? kBoolType : is_constant_name(text) ? kInt64 : other);
    }
    return known;
  }

  const Rule& rule_;
  std::unordered_map<std::string, Expr>& names_;
  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

CompiledRule compile(const Rule& rule) {
  std::unordered_map<std::string, Expr> names;
  Parser parser(rule, &names);
  CompiledRule out{&rule, parser.parse(rule.pattern), parser.parse(rule.result), nullptr};
  if (rule.condition[0] != '\0') out.condition = parser.parse(rule.condition);
  return out;
}

}  // namespace tenon::arith
