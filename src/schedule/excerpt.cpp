#include "schedule/excerpt.h"

#include "schedule/loop_tree.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

constexpr std::size_t kMarkColumn = 44;
constexpr int kMaxShownDepth =
    12;  // of an expression; shared parts of a deeper one could grow without end

std::string joined(const std::vector<Expr>& exprs) {
  std::string text;
  for (const Expr& e : exprs) text += (text.empty() ? "" : ", ") + text_of(e);
  return text;
}

class ExprText {
 public:
  std::string operator()(const IntImmNode& n) const {
    if (n.dtype.is_bool()) return n.value != 0 ? "True" : "False";
    return std::to_string(n.value);
  }
  std::string operator()(const FloatImmNode& n) const { return detail::concat(n.value); }
  std::string operator()(const VarNode& n) const { return n.name; }
  std::string operator()(const CastNode& n) const {
    return to_string(n.dtype) + "(" + text_of(n.value) + ")";
  }
  std::string operator()(const ReinterpretNode& n) const {
    return "reinterpret(" + text_of(n.value) + ")";
  }
  std::string operator()(const UnaryNode& n) const {
    return n.op == UnaryOp::kNeg ? "-" + operand(n.a)
                                 : std::string(to_string(n.op)) + "(" + text_of(n.a) + ")";
  }
  std::string operator()(const BinaryNode& n) const {
    if (n.op == BinaryOp::kMin || n.op == BinaryOp::kMax) {
      return std::string(to_string(n.op)) + "(" + text_of(n.a) + ", " + text_of(n.b) + ")";
    }
    return operand(n.a) + " " + to_string(n.op) + " " + operand(n.b);
  }
  std::string operator()(const FmaNode& n) const {
    return "fma(" + text_of(n.a) + ", " + text_of(n.b) + ", " + text_of(n.c) + ")";
  }
  std::string operator()(const SelectNode& n) const {
    return "select(" + text_of(n.condition) + ", " + text_of(n.true_value) + ", " +
           text_of(n.false_value) + ")";
  }
  std::string operator()(const LetNode& n) const { return text_of(n.body); }
  std::string operator()(const LoadNode& n) const {
    return n.buffer->name + "[" + joined(n.indices) + "]";
  }
  std::string operator()(const CallNode& n) const { return n.name + "(" + joined(n.args) + ")"; }
  template <typename N>
  std::string operator()(const N& n) const {
    return std::string(to_string(n.kind)) + "(...)";
  }

 private:
  static std::string operand(const Expr& e) {
    const auto* b = e.as<BinaryNode>();
    const bool atom = b == nullptr || b->op == BinaryOp::kMin || b->op == BinaryOp::kMax;
    return atom ? text_of(e) : "(" + text_of(e) + ")";
  }
};

class Lines {
 public:
  Lines(const Expr& loop_var, const std::string& block) : loop_var_(loop_var), block_(block) {}

  void print(const Stmt& s, int depth) {
    if (const auto* f = s.as<ForNode>()) {
      line(depth, header(*f), f->var.same_as(loop_var_));
      print(f->body, depth + 1);
    } else if (const auto* seq = s.as<SeqNode>()) {
      for (const Stmt& child : seq->stmts) print(child, depth);
    } else if (const auto* b = s.as<BlockNode>()) {
      line(depth, block_text(*b), !block_.empty() && b->name == block_);
    } else {
      line(depth, to_string(s->kind), false);
    }
  }
  std::string take() { return std::move(text_); }

 private:
  static std::string header(const ForNode& f) {
    const std::string kind =
        f.attrs.kind == ForKind::kSerial ? "" : std::string(to_string(f.attrs.kind)) + " ";
    return kind + "for " + text_of(f.var) + " in " + text_of(f.min) + ".." +
           text_of(normalise(f.min + f.extent));
  }

  /// The block's store over the loops that it is bound to.
  static std::string block_text(const BlockNode& b) {
    const auto* s = b.body.as<StoreNode>();
    if (s == nullptr || s->value->depth > kMaxShownDepth) return "block " + b.name;
    VarMap map;
    for (std::size_t i = 0; i < b.iters.size(); ++i) map[b.iters[i].var.get()] = b.bindings[i];
    std::vector<Expr> indices;
    for (const Expr& e : s->indices) indices.push_back(substitute(e, map));
    const std::string when = b.predicate ? "if " + text_of(b.predicate) + ": " : "";
    return when + s->buffer->name + "[" + joined(indices) +
           "] = " + text_of(substitute(s->value, map));
  }

  void line(int depth, const std::string& content, bool marked) {
    std::string out = std::string(4 + 2 * static_cast<std::size_t>(depth), ' ') + content;
    if (marked)
      out +=
          std::string(out.size() < kMarkColumn ? kMarkColumn - out.size() : 2, ' ') + "<--- here";
    text_ += (text_.empty() ? "" : "\n") + out;
  }

  const Expr loop_var_;
  const std::string& block_;
  std::string text_;
};

}  // namespace

std::string text_of(const Expr& e) { return visit_expr(*e.get(), ExprText{}); }

std::string loop_text(const Stmt& s) {
  const std::string no_block;
  Lines lines(nullptr, no_block);
  lines.print(s, 0);
  return lines.take();
}

std::string excerpt(const Stmt& root, const Expr& loop_var, const std::string& block) {
  const Path path = loop_var ? path_to_loop(root, loop_var) : path_to_block(root, block);
  for (const Stmt& s : path) {
    if (s.as<ForNode>() == nullptr && s.as<BlockNode>() == nullptr) continue;
    Lines lines(loop_var, block);
    lines.print(s, 0);
    return lines.take();
  }
  return {};
}

}  // namespace tenon
