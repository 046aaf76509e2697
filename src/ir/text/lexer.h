#pragma once

/// The words of the text.

#include <string>
#include <string_view>
#include <vector>

namespace tenon::text {

struct Token {
  enum class Kind {
    kName,     ///< identifiers and keywords
    kNumber,   ///< digits, point, exponent, suffix
    kString,   ///< `text` holds the value, escapes resolved
    kSymbol,   ///< operators and brackets
    kNewline,  ///< end of a line outside of brackets
    kIndent,
    kDedent,
    kEnd,
  };
  Kind kind = Kind::kEnd;
  std::string text;
  int line = 1;
  int column = 1;

  bool is(std::string_view symbol_or_word) const {
    return (kind == Kind::kSymbol || kind == Kind::kName) && text == symbol_or_word;
  }
};

/// The token in words, for messages: "'for'", "the end of the line".
std::string describe(const Token& token);

/// Cuts a text into tokens, one at a time. Lines end statements except inside brackets; indentation
/// opens and closes bodies. Comments (from `#`) and the mark `<--- here` are skipped.
class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}
  /// Raises ExpressionError [E0120] for what is no token and for indentation that fits no enclosing
  /// line.
  Token next();
  /// Raises `ExpressionError` with the position of `at` and the line of the text that it stands in.
  [[noreturn]] void fail(const Token& at, const char* code, const std::string& message) const;

 private:
  bool start_line(Token* token);
  void skip_blanks();
  Token word();
  Token number();
  Token string();
  Token symbol();
  char peek(std::size_t ahead = 0) const {
    return pos_ + ahead < text_.size() ? text_[pos_ + ahead] : '\0';
  }
  Token at_here(Token::Kind kind) const;

  std::string_view text_;
  std::size_t pos_ = 0;
  std::size_t line_start_ = 0;
  int line_ = 1;
  std::vector<Token> brackets_;  ///< open ones
  int pending_dedents_ = 0;
  bool at_line_start_ = true;
  bool finished_ = false;
  std::vector<int> indents_;  ///< columns of the open bodies
};

}  // namespace tenon::text
