#include "ir/text/lexer.h"

#include <algorithm>
#include <array>

#include "tenon/support/error.h"

namespace tenon::text {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

/// Longest first.
constexpr std::array<std::string_view, 31> kSymbols = {
    "..+", "->", "..", "//", "<<", ">>", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "&",
    "|",   "^",  "~",  "<",  ">",  "=",  "(",  ")",  "[",  "]",  "{", "}", ",", ":", "."};

}  // namespace

std::string describe(const Token& token) {
  switch (token.kind) {
    case Token::Kind::kName:
    case Token::Kind::kNumber:
    case Token::Kind::kSymbol:
      return "'" + token.text + "'";
    case Token::Kind::kString:
      return "a string";
    case Token::Kind::kNewline:
      return "the end of the line";
    case Token::Kind::kIndent:
      return "a deeper indented line";
    case Token::Kind::kDedent:
      return "the end of the body";
    case Token::Kind::kEnd:
      break;
  }
  return "the end of the text";
}

void Lexer::fail(const Token& at, const char* code, const std::string& message) const {
  std::size_t begin = 0;
  for (int line = 1; line < at.line && begin != std::string_view::npos; ++line)
    begin = text_.find('\n', begin) + 1;
  std::string shown(text_.substr(begin, text_.find('\n', begin) - begin));
  auto caret = static_cast<std::size_t>(at.column - 1);
  constexpr std::size_t kShown = 120;
  if (shown.size() > kShown) {  // the part around the mistake
    const std::size_t first = caret > kShown / 2 ? caret - kShown / 2 : 0;
    shown = shown.substr(std::min(first, shown.size()), kShown);
    caret -= first;
  }
  for (char& c : shown) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = '?';
  }
  detail::raise<ExpressionError>(
      code, detail::concat("line ", at.line, ", column ", at.column, ": ", message, "\n  ", shown,
                           "\n  ", std::string(caret, ' '), "^"));
}

Token Lexer::at_here(Token::Kind kind) const {
  Token t;
  t.kind = kind;
  t.line = line_;
  t.column = static_cast<int>(pos_ - line_start_) + 1;
  return t;
}

void Lexer::skip_blanks() {
  while (pos_ < text_.size()) {
    const char c = text_[pos_];
    if (c == '#' || text_.substr(pos_, 4) == "<---") {
      while (pos_ < text_.size() && text_[pos_] != '\n') ++pos_;
    } else if (c == ' ' || c == '\r' || c == '\t' || (c == '\n' && !brackets_.empty())) {
      ++pos_;
      if (c == '\n') {
        ++line_;
        line_start_ = pos_;
      }
    } else {
      return;
    }
  }
}

/// Handles the indentation of the next line that is not blank. True if `token` was set.
bool Lexer::start_line(Token* token) {
  for (;;) {
    skip_blanks();
    if (peek() != '\n') break;
    ++pos_;
    ++line_;
    line_start_ = pos_;
  }
  at_line_start_ = false;
  const bool at_end = pos_ >= text_.size();
  finished_ = at_end;
  const int column = at_end ? -1 : static_cast<int>(pos_ - line_start_);
  *token = at_here(Token::Kind::kIndent);
  if (!at_end && (indents_.empty() || column > indents_.back())) {
    indents_.push_back(column);
    return indents_.size() > 1;  // the first line only sets the margin
  }
  while (indents_.size() > 1 && column < indents_.back()) {
    indents_.pop_back();
    ++pending_dedents_;
  }
  if (!at_end && column != indents_.back()) {
    fail(*token, "E0120", "this indentation fits none of the lines above");
  }
  return false;
}

Token Lexer::next() {
  Token token;
  if (at_line_start_ && start_line(&token)) return token;
  if (pending_dedents_ > 0) {
    --pending_dedents_;
    return at_here(Token::Kind::kDedent);
  }
  skip_blanks();
  if (pos_ >= text_.size()) {
    if (!brackets_.empty()) fail(brackets_.back(), "E0120", "this bracket is never closed");
    if (finished_) return at_here(Token::Kind::kEnd);
    at_line_start_ = true;  // the last line lacks its newline
    return at_here(Token::Kind::kNewline);
  }
  const char c = peek();
  if (c == '\n') {
    token = at_here(Token::Kind::kNewline);
    ++pos_;
    ++line_;
    line_start_ = pos_;
    at_line_start_ = true;
    return token;
  }
  if (is_letter(c)) return word();
  if (is_digit(c)) return number();
  if (c == '"') return string();
  return symbol();
}

Token Lexer::word() {
  Token t = at_here(Token::Kind::kName);
  while (is_letter(peek()) || is_digit(peek()) ||
         (peek() == '.' && (is_letter(peek(1)) || is_digit(peek(1))))) {
    t.text += text_[pos_++];
  }
  return t;
}

Token Lexer::number() {
  Token t = at_here(Token::Kind::kNumber);
  const auto digits = [&] {
    while (is_digit(peek())) t.text += text_[pos_++];
  };
  digits();
  if (peek() == '.' && is_digit(peek(1))) {
    t.text += text_[pos_++];
    digits();
  }
  if (peek() == 'e' &&
      (is_digit(peek(1)) || ((peek(1) == '+' || peek(1) == '-') && is_digit(peek(2))))) {
    t.text += text_[pos_++];
    t.text += text_[pos_++];
    digits();
  }
  while (is_letter(peek()) || is_digit(peek())) t.text += text_[pos_++];
  return t;
}

Token Lexer::string() {
  Token t = at_here(Token::Kind::kString);
  ++pos_;
  for (;;) {
    const char c = peek();
    if (pos_ >= text_.size() || c == '\n') fail(t, "E0120", "a string should end on its line");
    ++pos_;
    if (c == '"') return t;
    if (c != '\\') {
      t.text += c;
      continue;
    }
    const char escaped = peek();
    ++pos_;
    if (escaped == 'n') {
      t.text += '\n';
    } else if (escaped == '"' || escaped == '\\') {
      t.text += escaped;
    } else if (escaped == 'x' && hex_digit(peek()) >= 0 && hex_digit(peek(1)) >= 0) {
      t.text += static_cast<char>(hex_digit(peek()) * 16 + hex_digit(peek(1)));
      pos_ += 2;
    } else {
      fail(t, "E0120",
           "a string has only the escapes \\n, \\\", \\\\ and \\x with two hexadecimal digits");
    }
  }
}

Token Lexer::symbol() {
  Token t = at_here(Token::Kind::kSymbol);
  for (const std::string_view s : kSymbols) {
    if (text_.substr(pos_, s.size()) != s) continue;
    t.text = s;
    pos_ += s.size();
    if (s == "(" || s == "[" || s == "{") brackets_.push_back(t);
    if ((s == ")" || s == "]" || s == "}") && !brackets_.empty()) brackets_.pop_back();
    return t;
  }
  fail(t, "E0120", "this character begins no word, number or operator");
}

}  // namespace tenon::text
