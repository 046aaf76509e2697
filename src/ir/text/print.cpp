#include "tenon/ir/print.h"

#include <unordered_set>

#include "ir/text/expr_printer.h"
#include "tenon/ir/visit.h"
#include "tenon/support/stack.h"

namespace tenon {
namespace {

using text::ExprPrinter;
using text::kLetLevel;
using text::kOrLevel;
using text::Names;

constexpr std::size_t kLineWidth = 100;

/// The variables and buffers that a statement uses and defines.
class Identities : public Walker {
 public:
  std::unordered_set<const void*> used, defined;
  std::vector<std::pair<const void*, std::string>> in_order;

  void use(const Expr& e) {
    if (e) (*this)(e);
  }
  void use(const BufferRegion& r) { visit_buffer(r.buffer); }

 protected:
  using Walker::visit;
  void visit(const VarNode& n) override { add(&n, n.name); }
  void visit_buffer(const Buffer& b) override { add(b.get(), b->name); }
  void visit(const ForNode& n) override {
    defined.insert(n.var.get());
    walk(n);
  }
  void visit(const LetStmtNode& n) override {
    defined.insert(n.var.get());
    walk(n);
  }
  void visit(const LetNode& n) override {
    defined.insert(n.var.get());
    walk(n);
  }
  void visit(const ReduceNode& n) override {
    define(n.axes);
    walk(n);
  }
  void visit(const BlockNode& n) override {
    define(n.iters);
    walk(n);
  }
  void visit(const AllocateNode& n) override {
    defined.insert(n.buffer.get());
    for (const Expr& e : n.buffer->shape) use(e);
    for (const Expr& e : n.buffer->strides) use(e);
    walk(n);
  }

 private:
  void define(const std::vector<IterVar>& iters) {
    for (const IterVar& iter : iters) defined.insert(iter.var.get());
  }
  void add(const void* identity, const std::string& name) {
    if (used.insert(identity).second) in_order.emplace_back(identity, name);
  }
};

class Printer {
 public:
  explicit Printer(const PrintOptions& options) : options_(options), indent_(options.indent) {}

  std::string function(const FunctionNode& f) {
    signature(f);
    ++indent_levels_;
    list(f.body);
    return std::move(out_);
  }

  /// `s` on its own: what it uses and does not define is visible from the start.
  std::string statement(const Stmt& s) {
    Identities ids;
    ids(s);
    for (const auto& [identity, name] : ids.in_order) {
      if (ids.defined.count(identity) == 0) names_.define(identity, name);
    }
    list(s);
    return std::move(out_);
  }

 private:
  // --- lines ---

  void begin_line() { out_.append(static_cast<std::size_t>(indent_ + 2 * indent_levels_), ' '); }

  void end_line() { out_ += '\n'; }

  /// Ends the first line of `n`.
  void end_line(const Node& n, const Node* identity = nullptr) {
    const bool marked =
        options_.mark != nullptr && (options_.mark == &n || options_.mark == identity);
    if (options_.spans && n.span) out_ += "  # " + n.span.str();
    if (marked) out_ += "            <--- here";
    out_ += '\n';
  }

  void line(const std::string& text) {
    begin_line();
    out_ += text;
    end_line();
  }

  /// Begins the line of a statement that prints the expressions `group`; the definitions that they
  /// share come first.
  void begin_line(const std::vector<Expr>& group) {
    for (const std::string& definition : exprs_.begin_group(group)) line(definition);
    begin_line();
  }

  void attrs(const Attrs& a) {
    if (!a.empty()) out_ += " " + text::print_attrs(a);
  }

  // --- statement lists ---

  /// The statements at the current indentation. A sequence is its items; `alloc` and `let` hold for
  /// the rest of the list.
  void list(const Stmt& s) {
    const auto* seq = s.as<SeqNode>();
    if (seq == nullptr || seq->stmts.size() < 2) {
      item(s, true);
      return;
    }
    for (std::size_t i = 0; i < seq->stmts.size(); ++i)
      item(seq->stmts[i], i + 1 == seq->stmts.size());
  }

  void item(const Stmt& s, bool is_last) {
    if (!is_last && (s->kind == NodeKind::kAllocate || s->kind == NodeKind::kLetStmt)) {
      line("do");
      nested(s);
      return;
    }
    with_stack([&] { visit_stmt(*s.get(), [&](const auto& n) { statement(n); }); });
  }

  void nested(const Stmt& s) {
    ++indent_levels_;
    list(s);
    --indent_levels_;
  }

  // --- one function per kind ---

  void statement(const SeqNode& n) {
    if (n.stmts.empty()) {
      begin_line();
      out_ += "pass";
      end_line(n);
      return;
    }
    begin_line();
    out_ += "seq";
    end_line(n);
    ++indent_levels_;
    for (std::size_t i = 0; i < n.stmts.size(); ++i) item(n.stmts[i], i + 1 == n.stmts.size());
    --indent_levels_;
  }

  void statement(const StoreNode& n) {
    std::vector<Expr> group = n.indices;
    group.push_back(n.value);
    group.push_back(n.predicate);
    begin_line(group);
    out_ += exprs_.name_of(n.buffer) + "[";
    for (std::size_t i = 0; i < n.indices.size(); ++i) {
      if (i > 0) out_ += ", ";
      exprs_.part(n.indices[i], kLetLevel);
    }
    out_ += "] = ";
    exprs_.part(n.value, kLetLevel);
    if (n.predicate) {
      out_ += " where ";
      exprs_.part(n.predicate, kLetLevel);
    }
    exprs_.end_group();
    end_line(n);
  }

  void statement(const ForNode& n) {
    begin_line({n.min, n.extent});
    std::string range;
    std::swap(out_, range);
    exprs_.range({n.min, n.extent});
    exprs_.end_group();
    std::swap(out_, range);
    if (n.attrs.kind != ForKind::kSerial) out_ += std::string(to_string(n.attrs.kind)) + " ";
    const std::size_t before = names_.enter();
    out_ += "for " + names_.define(n.var.get(), n.var.as<VarNode>()->name);
    if (n.var->dtype != kInt64) out_ += ": " + to_string(n.var->dtype);
    out_ += " in " + range;
    if (!n.attrs.thread_axis.empty()) out_ += " on " + text::quote(n.attrs.thread_axis);
    attrs(n.attrs.annotations);
    end_line(n, n.var.get());
    nested(n.body);
    names_.leave(before);
  }

  void statement(const WhileNode& n) {
    begin_line({n.condition});
    out_ += "while ";
    exprs_.part(n.condition, kLetLevel);
    exprs_.end_group();
    end_line(n);
    nested(n.body);
  }

  void statement(const IfNode& n) {
    begin_line({n.condition});
    out_ += "if ";
    exprs_.part(n.condition, kLetLevel);
    exprs_.end_group();
    end_line(n);
    nested(n.then_case);
    if (!n.else_case) return;
    line("else");
    nested(n.else_case);
  }

  void statement(const LetStmtNode& n) {
    begin_line({n.value});
    std::string value;
    std::swap(out_, value);
    exprs_.part(n.value, kLetLevel);
    exprs_.end_group();
    std::swap(out_, value);
    const std::size_t before = names_.enter();
    out_ += "let " + names_.define(n.var.get(), n.var.as<VarNode>()->name) + " = " + value;
    end_line(n);
    list(n.body);
    names_.leave(before);
  }

  void statement(const AllocateNode& n) {
    begin_line();
    out_ += "alloc ";
    const std::size_t before = names_.enter();
    names_.define(n.buffer.get(), n.buffer->name);
    exprs_.buffer(n.buffer);
    end_line(n);
    list(n.body);
    names_.leave(before);
  }

  void statement(const EvaluateNode& n) {
    begin_line({n.value});
    out_ += "evaluate ";
    exprs_.part(n.value, kLetLevel);
    exprs_.end_group();
    end_line(n);
  }

  void statement(const AssertNode& n) {
    begin_line({n.condition});
    out_ += "assert ";
    exprs_.part(n.condition, kLetLevel);
    exprs_.end_group();
    out_ += ", " + text::quote(n.message);
    end_line(n);
  }

  // --- blocks ---

  void statement(const BlockNode& n) {
    std::vector<std::string> lines = block_head(n);
    line_of_block(n);
    ++indent_levels_;
    const std::size_t before = names_.enter();
    const std::vector<std::size_t> hidden = names_.hide_unused(used_inside(n));
    for (std::size_t i = 0; i < n.iters.size(); ++i) {
      const IterVar& iter = n.iters[i];
      line(std::string(to_string(iter.kind)) + " " +
           names_.define(iter.var.get(), iter.var.as<VarNode>()->name) +
           (iter.var->dtype == kInt64 ? "" : ": " + to_string(iter.var->dtype)) + lines[i]);
    }
    if (n.predicate) line("where " + lines.back());
    regions("reads", n.reads);
    regions("writes", n.writes);
    if (n.init) {
      line("init");
      nested(n.init);
    }
    list(n.body);
    names_.unhide(hidden);
    names_.leave(before);
    --indent_levels_;
  }

  /// " in 0..8 = i" for each iter, then the predicate: everything that speaks of the variables
  /// outside the block.
  std::vector<std::string> block_head(const BlockNode& n) {
    std::vector<Expr> group = n.bindings;
    for (const IterVar& iter : n.iters) {
      group.push_back(iter.domain.min);
      group.push_back(iter.domain.extent);
    }
    group.push_back(n.predicate);
    for (const std::string& definition : exprs_.begin_group(group)) line(definition);
    std::string rest;
    std::swap(out_, rest);
    std::vector<std::string> lines;
    for (std::size_t i = 0; i < n.iters.size(); ++i) {
      out_ = " in ";
      exprs_.range(n.iters[i].domain);
      out_ += " = ";
      exprs_.part(n.bindings[i], kLetLevel);
      lines.push_back(std::move(out_));
    }
    out_.clear();
    if (n.predicate) exprs_.part(n.predicate, kLetLevel);
    lines.push_back(std::move(out_));
    out_ = std::move(rest);
    exprs_.end_group();
    return lines;
  }

  void line_of_block(const BlockNode& n) {
    begin_line();
    out_ += "block " + (text::is_identifier(n.name) ? n.name : text::quote(n.name));
    attrs(n.annotations);
    end_line(n);
  }

  static std::unordered_set<const void*> used_inside(const BlockNode& n) {
    Identities ids;
    for (const std::vector<BufferRegion>* regions : {&n.reads, &n.writes}) {
      for (const BufferRegion& r : *regions) {
        ids.use(r);
        for (const Range& range : r.ranges) {
          ids.use(range.min);
          ids.use(range.extent);
        }
      }
    }
    if (n.init) ids(n.init);
    ids(n.body);
    return std::move(ids.used);
  }

  void regions(const char* what, const std::vector<BufferRegion>& all) {
    if (all.empty()) return;
    std::vector<Expr> group;
    for (const BufferRegion& r : all) {
      for (const Range& range : r.ranges) {
        group.push_back(range.min);
        group.push_back(range.extent);
      }
    }
    begin_line(group);
    out_ += what;
    for (std::size_t i = 0; i < all.size(); ++i) {
      out_ += i > 0 ? ", " : " ";
      exprs_.region(all[i]);
    }
    exprs_.end_group();
    end_line();
  }

  // --- the head of a function ---

  void signature(const FunctionNode& f) {
    std::string symbols;
    for (const Symbol& s : f.symbols) symbols += (symbols.empty() ? "[" : ", ") + symbol(s);
    if (!symbols.empty()) symbols += "]";
    const std::vector<std::string> inputs = declare(f.inputs);
    const std::vector<std::string> outputs = declare(f.outputs);
    begin_line();
    if (f.level != Level::kBlock) out_ += std::string(to_string(f.level)) + " ";
    out_ += "function " + (text::is_identifier(f.name) ? f.name : text::quote(f.name)) + symbols;
    const std::string tail = f.attrs.empty() ? "" : " " + text::print_attrs(f.attrs);
    const std::string results = " -> (" + join(outputs, ", ") + ")" + tail;
    const std::string arguments = "(" + join(inputs, ", ") + ")";
    const bool is_short = out_.size() + arguments.size() + results.size() <= kLineWidth;
    out_ += is_short ? arguments : wrapped(inputs);
    out_ += results.size() <= kLineWidth ? results : " -> " + wrapped(outputs) + tail;
    if (options_.mark != nullptr && options_.mark == f.body.get() &&
        f.body->kind == NodeKind::kSeq) {
      out_ += "            <--- here";
    }
    out_ += '\n';
  }

  std::string symbol(const Symbol& s) {
    std::string out = names_.define(s.var.get(), s.var.as<VarNode>()->name);
    const bool plain = s.min == 0 && !s.max && s.multiple_of == 1;
    if (!plain) out += ":";
    if (s.min != 0) out += " min=" + std::to_string(s.min);
    if (s.max) out += " max=" + std::to_string(*s.max);
    if (s.multiple_of != 1) out += " multiple_of=" + std::to_string(s.multiple_of);
    return out;
  }

  /// A buffer that is input and output is declared once.
  std::vector<std::string> declare(const std::vector<Buffer>& buffers) {
    std::vector<std::string> out;
    for (const Buffer& b : buffers) {
      std::string text;
      std::swap(out_, text);
      if (declared_.insert(b.get()).second) {
        names_.define(b.get(), b->name);
        exprs_.buffer(b);
      } else {
        out_ += exprs_.name_of(b);
      }
      std::swap(out_, text);
      out.push_back(std::move(text));
    }
    return out;
  }

  static std::string join(const std::vector<std::string>& items, const std::string& separator) {
    std::string out;
    for (const std::string& item : items) out += (out.empty() ? "" : separator) + item;
    return out;
  }

  /// One a line.
  std::string wrapped(const std::vector<std::string>& items) const {
    if (items.empty()) return "()";
    const std::string margin = "\n" + std::string(static_cast<std::size_t>(indent_), ' ');
    return "(" + margin + "    " + join(items, "," + margin + "    ") + margin + ")";
  }

  const PrintOptions& options_;
  int indent_;
  int indent_levels_ = 0;
  std::string out_;
  Names names_;
  ExprPrinter exprs_{&names_, &out_};
  std::unordered_set<const void*> declared_;
};

}  // namespace

std::string print(const Function& f, const PrintOptions& options) {
  return Printer(options).function(*f);
}

std::string print(const Stmt& s, const PrintOptions& options) {
  return Printer(options).statement(s);
}

std::string print(const Expr& e) {
  std::string out;
  Names names;
  ExprPrinter(&names, &out).whole(e, kLetLevel);
  return out;
}

std::string print(const BufferRegion& region) {
  std::string out;
  Names names;
  ExprPrinter(&names, &out).region(region);
  return out;
}

std::string print(const Buffer& buffer) {
  std::string out;
  Names names;
  ExprPrinter(&names, &out).buffer(buffer);
  return out;
}

}  // namespace tenon
