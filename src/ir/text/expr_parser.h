#pragma once

/// Expressions from text.

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ir/text/expr_printer.h"
#include "ir/text/lexer.h"
#include "tenon/ir/function.h"

namespace tenon::text {

/// The names visible at a place; inner definitions hide outer ones.
class Scopes {
 public:
  /// A variable, a shared expression, or a buffer.
  struct Meaning {
    Expr expr;
    Buffer buffer;
  };
  void define(const std::string& name, Meaning meaning);
  const Meaning* find(const std::string& name) const;
  std::size_t enter() const { return order_.size(); }
  void leave(std::size_t state);

 private:
  std::unordered_map<std::string, std::vector<Meaning>> meanings_;
  std::vector<std::string> order_;
};

/// A recursive-descent parser of expressions; the base of the parser of statements.
class ExprParser {
 public:
  explicit ExprParser(std::string_view text);

  /// An expression that binds at least as tightly as `level`.
  Expr expr(int level = kLetLevel);
  void define(const std::string& name, Scopes::Meaning meaning) {
    scopes_.define(name, std::move(meaning));
  }
  /// Raises unless the text ends here.
  void expect_end();

 protected:
  using Kind = Token::Kind;

  // --- tokens ---
  const Token& peek() const { return current_; }
  Token take();
  bool accept(std::string_view symbol_or_word);
  Token expect(std::string_view symbol_or_word, const char* where);
  Token expect_kind(Kind kind, const char* what);
  /// A name that the text defines: an identifier that is no keyword.
  Token new_name(const char* what);
  [[noreturn]] void fail(const Token& at, const char* code, const std::string& message) const {
    lexer_.fail(at, code, message);
  }
  [[noreturn]] void expected(const std::string& what) const;

  // --- pieces that statements share ---
  Range range();
  BufferRegion region();
  /// "A: float32[4] register", the name read already. Defines nothing.
  Buffer buffer_after(const Token& name);
  Buffer known_buffer(const Token& name) const;
  DType dtype();
  std::int64_t integer(std::int64_t least, std::int64_t most, const char* what);
  std::vector<Expr> exprs_until(std::string_view closing);
  Attrs attrs();

  /// `make<N>(args...)`, an ExpressionError [E0122] at `at` if the operands do not fit.
  template <typename N, typename... Args>
  auto build(const Token& at, const std::string& what, Args&&... args) {
    try {
      return make<N>(std::forward<Args>(args)...);
    } catch (const InternalError&) {
      fail(at, "E0122", what);
    }
  }

  Scopes scopes_;

 private:
  Expr infix(Expr left, int level);
  Expr operand(int level);
  Expr let();
  Expr shared();
  Expr sign();
  Expr number(const Token& token, bool negative);
  Expr int_literal(const Token& token, bool negative, std::string_view digits,
                   std::string_view suffix);
  Expr float_literal(const Token& token, bool negative, std::string_view digits, DType t);
  Expr named(const Token& name);
  Expr function_call(const Token& name);
  Expr builtin(const Token& name);
  Expr load(const Token& name);
  Expr shuffle(const Token& at);
  Expr vector_reduce(const Token& at);
  Expr reduce(const Token& at);
  Expr plain_call();
  Expr nan_bits(const Token& at);
  Attr attr();
  Range upper_bound(Expr lo, const Token& at);

  Lexer lexer_;
  Token current_;
  int nesting_ = 0;
};

}  // namespace tenon::text
