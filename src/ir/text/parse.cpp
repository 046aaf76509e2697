#include "tenon/ir/parse.h"

#include <limits>

#include "ir/text/expr_parser.h"
#include "tenon/support/stack.h"

namespace tenon {
namespace {

using text::ExprParser;
using text::kOrLevel;
using text::Token;

class Parser : public ExprParser {
 public:
  Parser(std::string_view text, std::string file) : ExprParser(text), file_(std::move(file)) {}

  Function function() {
    return limited([&] {
      const SpanScope span(here());
      Level level = Level::kBlock;
      if (accept("loop")) level = Level::kLoop;
      if (accept("device")) level = Level::kDevice;
      expect("function", "at the beginning");
      const std::string name = name_or_string("the name of the function");
      std::vector<Symbol> symbols;
      if (accept("[")) symbols = this->symbols();
      std::vector<Buffer> inputs = buffers("before the inputs");
      expect("->", "after the inputs");
      std::vector<Buffer> outputs = buffers("before the outputs");
      Attrs a = attrs();
      Stmt s = body();
      expect_end();
      return make_function(name, std::move(inputs), std::move(outputs), std::move(symbols),
                           std::move(s), level, std::move(a));
    });
  }

  /// The whole text as statements.
  Stmt statements() {
    return limited([&] {
      Stmt s = list();
      expect_end();
      return s;
    });
  }

  Expr expression() {
    return limited([&] {
      const SpanScope span(here());
      Expr e = expr();
      expect_end();
      return e;
    });
  }

 private:
  /// The node's own depth limit, raised with the place in the text.
  template <typename F>
  auto limited(F&& f) -> std::invoke_result_t<F> {
    try {
      return f();
    } catch (const ExpressionError& e) {
      if (e.code() != "E0101") throw;
    }
    fail(peek(), "E0123", "expressions are at most 10000 and statements 1000 levels deep");
  }

  Span here() const { return Span(file_, peek().line); }

  std::string name_or_string(const char* what) {
    return peek().kind == Kind::kString ? take().text : new_name(what).text;
  }

  // --- the head of a function ---

  std::vector<Symbol> symbols() {
    std::vector<Symbol> out;
    do {
      const Token name = new_name("the name of a symbol");
      Symbol symbol{make<VarNode>(kInt64, name.text), 0, std::nullopt, 1};
      if (accept(":")) {
        while (peek().kind == Kind::kName) limit(&symbol);
      }
      define_new(name, {symbol.var, nullptr});
      out.push_back(std::move(symbol));
    } while (accept(","));
    expect("]", "after the symbols");
    return out;
  }

  void limit(Symbol* symbol) {
    constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
    const Token name = take();
    expect("=", "after the limit's name");
    if (name.text == "min") {
      symbol->min = integer(0, kMost, "min");
    } else if (name.text == "max") {
      symbol->max = integer(0, kMost, "max");
    } else if (name.text == "multiple_of") {
      symbol->multiple_of = integer(1, kMost, "multiple_of");
    } else {
      fail(name, "E0120", "expected min, max or multiple_of, got '" + name.text + "'");
    }
  }

  std::vector<Buffer> buffers(const char* where) {
    std::vector<Buffer> out;
    expect("(", where);
    while (!peek().is(")")) {
      const Token name = new_name("the name of a buffer");
      if (peek().is(":")) {
        out.push_back(buffer_after(name));
        define_new(name, {nullptr, out.back()});
      } else {
        out.push_back(known_buffer(name));  // in place: declared among the inputs
      }
      if (!accept(",")) break;
    }
    expect(")", "after the buffers");
    return out;
  }

  void define_new(const Token& name, text::Scopes::Meaning meaning) {
    if (scopes_.find(name.text) != nullptr)
      fail(name, "E0121", "'" + name.text + "' is defined twice");
    define(name.text, std::move(meaning));
  }

  // --- statement lists ---

  void end_of_line() { expect_kind(Kind::kNewline, "the end of the line"); }

  /// A deeper indented list, after the line that it belongs to.
  Stmt body() {
    end_of_line();
    expect_kind(Kind::kIndent, "a deeper indented body");
    Stmt s = list();
    expect_kind(Kind::kDedent, "a statement, or the end of the body");
    return s;
  }

  /// What `alloc` and `let` hold open: the statement is made when the rest of its list is known.
  struct Opened {
    std::size_t position;  ///< in the list of statements
    Buffer buffer;
    Expr var, value;
    Span span;
  };

  Stmt list() {
    std::vector<Stmt> stmts = folded_items();
    return stmts.size() == 1 ? stmts[0] : make<SeqNode>(std::move(stmts));
  }

  std::vector<Stmt> folded_items() {
    std::vector<Opened> opened;
    std::vector<Stmt> items = this->items(&opened);
    while (!opened.empty()) {
      Opened last = std::move(opened.back());
      opened.pop_back();
      const SpanScope span(last.span);
      std::vector<Stmt> held(items.begin() + static_cast<std::ptrdiff_t>(last.position),
                             items.end());
      items.resize(last.position);
      Stmt inner = held.size() == 1 ? held[0] : make<SeqNode>(std::move(held));
      items.push_back(last.buffer ? make<AllocateNode>(std::move(last.buffer), std::move(inner))
                                  : make<LetStmtNode>(std::move(last.value), std::move(last.var),
                                                      std::move(inner)));
    }
    return items;
  }

  /// Statements up to the end of the body.
  std::vector<Stmt> items(std::vector<Opened>* opened) {
    const std::size_t before = scopes_.enter();
    std::vector<Stmt> items;
    for (;;) {
      const SpanScope span(here());
      if (accept("share")) {
        share();
      } else if (accept("alloc")) {
        const Token name = new_name("the name of a buffer");
        Buffer buffer = buffer_after(name);
        define(name.text, {nullptr, buffer});
        end_of_line();
        opened->push_back(
            {items.size(), std::move(buffer), nullptr, nullptr, SpanScope::current()});
      } else if (accept("let")) {
        const Token name = new_name("the name of a variable");
        expect("=", "after the name");
        Expr value = expr();
        end_of_line();
        Expr var = make<VarNode>(value->dtype, name.text);
        define(name.text, {var, nullptr});
        opened->push_back(
            {items.size(), nullptr, std::move(var), std::move(value), SpanScope::current()});
      } else {
        items.push_back(with_stack([&] { return statement(); }));
      }
      if (peek().kind == Kind::kDedent || peek().kind == Kind::kEnd) break;
    }
    if (!opened->empty() && opened->back().position == items.size())
      expected("a statement under the 'alloc' or 'let'");
    if (items.empty()) expected("a statement");
    scopes_.leave(before);
    return items;
  }

  void share() {
    const Token name = new_name("the name of a shared expression");
    expect("=", "after the name");
    Expr value = expr();
    end_of_line();
    define(name.text, {std::move(value), nullptr});
  }

  // --- statements ---

  Stmt statement() {
    const Token first = peek();
    if (accept("pass")) {
      end_of_line();
      return make<SeqNode>(std::vector<Stmt>{});
    }
    if (accept("seq")) return sequence();
    if (accept("do")) return body();
    if (first.is("for") || first.is("parallel") || first.is("vectorized") || first.is("unrolled") ||
        first.is("thread")) {
      return loop();
    }
    if (accept("block")) return block();
    if (accept("if")) return branch();
    if (accept("while")) {
      Expr condition = expr();
      Stmt inner = body();
      return make<WhileNode>(std::move(condition), std::move(inner));
    }
    if (accept("evaluate")) {
      Expr value = expr();
      end_of_line();
      return make<EvaluateNode>(std::move(value));
    }
    if (accept("assert")) {
      Expr condition = expr();
      expect(",", "before the message");
      const Token message = expect_kind(Kind::kString, "the message, a string");
      end_of_line();
      return make<AssertNode>(std::move(condition), message.text);
    }
    if (first.kind != Kind::kName || text::is_keyword(first.text)) expected("a statement");
    return store();
  }

  Stmt store() {
    const Token name = take();
    Buffer buffer = known_buffer(name);
    expect("[", "after the buffer");
    std::vector<Expr> indices = exprs_until("]");
    expect("=", "after the element to store to");
    Expr value = expr();
    Expr predicate = accept("where") ? expr() : nullptr;
    end_of_line();
    const std::string what = "no store of " + to_string(value->dtype) + " to buffer '" + name.text +
                             "' of " + to_string(buffer->dtype);
    return build<StoreNode>(name, what, std::move(buffer), std::move(indices), std::move(value),
                            std::move(predicate));
  }

  /// One SeqNode of exactly the statements in the body.
  Stmt sequence() {
    end_of_line();
    expect_kind(Kind::kIndent, "a deeper indented body");
    std::vector<Stmt> items = folded_items();
    expect_kind(Kind::kDedent, "a statement, or the end of the body");
    return make<SeqNode>(std::move(items));
  }

  Stmt loop() {
    ForAttrs a;
    for (const ForKind kind :
         {ForKind::kParallel, ForKind::kVectorized, ForKind::kUnrolled, ForKind::kThread}) {
      if (accept(to_string(kind))) {
        a.kind = kind;
        break;
      }
    }
    expect("for", "after the kind of loop");
    const Token name = new_name("the name of the loop's variable");
    Expr var = make<VarNode>(accept(":") ? dtype() : kInt64, name.text);
    expect("in", "after the variable");
    Range bounds = range();
    if (accept("on")) a.thread_axis = expect_kind(Kind::kString, "a thread axis, a string").text;
    a.annotations = attrs();
    const std::size_t before = scopes_.enter();
    define(name.text, {var, nullptr});
    Stmt inner = body();
    scopes_.leave(before);
    return make<ForNode>(std::move(bounds.min), std::move(bounds.extent), std::move(var),
                         std::move(a), std::move(inner));
  }

  Stmt branch() {
    Expr condition = expr();
    Stmt then_case = body();
    Stmt else_case = accept("else") ? body() : nullptr;
    return make<IfNode>(std::move(condition), std::move(then_case), std::move(else_case));
  }

  // --- blocks ---

  Stmt block() {
    const std::string name = name_or_string("the name of the block");
    Attrs annotations = attrs();
    end_of_line();
    expect_kind(Kind::kIndent, "a deeper indented body");
    const std::size_t before = scopes_.enter();
    std::vector<IterVar> iters;
    std::vector<Expr> bindings;
    while (peek().is("spatial") || peek().is("reduction") || peek().is("ordered"))
      iter(&iters, &bindings);
    Expr predicate;
    if (accept("where")) {
      predicate = expr();
      end_of_line();
    }
    for (const IterVar& i : iters) define(i.var.as<VarNode>()->name, {i.var, nullptr});
    const std::vector<BufferRegion> reads = regions("reads");
    const std::vector<BufferRegion> writes = regions("writes");
    Stmt init = accept("init") ? body() : nullptr;
    Stmt inner = list();
    scopes_.leave(before);
    expect_kind(Kind::kDedent, "a statement, or the end of the block");
    return make<BlockNode>(name, std::move(bindings), std::move(predicate), std::move(iters), reads,
                           writes, std::move(init), std::move(inner), std::move(annotations));
  }

  void iter(std::vector<IterVar>* iters, std::vector<Expr>* bindings) {
    IterVar out;
    for (const IterKind kind : {IterKind::kSpatial, IterKind::kReduction, IterKind::kOrdered}) {
      if (accept(to_string(kind))) {
        out.kind = kind;
        break;
      }
    }
    const Token name = new_name("the name of an iteration variable");
    out.var = make<VarNode>(accept(":") ? dtype() : kInt64, name.text);
    expect("in", "after the variable");
    out.domain = range();
    expect("=", "before the binding");
    bindings->push_back(expr());
    end_of_line();
    iters->push_back(std::move(out));
  }

  std::vector<BufferRegion> regions(std::string_view what) {
    std::vector<BufferRegion> out;
    while (accept("share")) share();
    if (!accept(what)) return out;
    do {
      out.push_back(region());
    } while (accept(","));
    end_of_line();
    return out;
  }

  std::string file_;
};

void define_all(Parser* parser, const ParseScope& scope) {
  for (const Expr& v : scope.vars) parser->define(v.as<VarNode>()->name, {v, nullptr});
  for (const Buffer& b : scope.buffers) parser->define(b->name, {nullptr, b});
}

}  // namespace

Function parse_function(std::string_view text, const std::string& file) {
  return Parser(text, file).function();
}

Expr parse_expr(std::string_view text, const ParseScope& scope) {
  Parser parser(text, "<text>");
  define_all(&parser, scope);
  return parser.expression();
}

Stmt parse_stmt(std::string_view text, const ParseScope& scope) {
  Parser parser(text, "<text>");
  define_all(&parser, scope);
  return parser.statements();
}

}  // namespace tenon
