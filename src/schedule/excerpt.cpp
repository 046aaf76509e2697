#include "schedule/excerpt.h"

#include <algorithm>

#include "schedule/loop_tree.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

constexpr std::size_t kMarkColumn = 44;
constexpr int kMaxShownDepth =
    12;  // of an expression; shared parts of a deeper one could grow without end

class Lines {
 public:
  Lines(const Expr& loop_var, const std::string& block) : loop_var_(loop_var), block_(block) {}

  void add(const Stmt& s, int depth) {
    if (const auto* f = s.as<ForNode>()) {
      const Expr shown = name_loop(f->var);
      line(depth, header(*f, shown), f->var.same_as(loop_var_));
      names_.push_back(print(shown));
      add(f->body, depth + 1);
      names_.pop_back();
    } else if (const auto* seq = s.as<SeqNode>()) {
      for (const Stmt& child : seq->stmts) add(child, depth);
    } else if (const auto* b = s.as<BlockNode>()) {
      line(depth, block_text(*b), !block_.empty() && b->name == block_);
    } else {
      line(depth, to_string(s->kind), false);
    }
  }
  std::string take() { return std::move(text_); }

 private:
  /// The loop's variable under a name that no loop around it has.
  const Expr& name_loop(const Expr& v) {
    std::string name = print(v);
    const std::string wanted = name;
    for (int n = 1; std::find(names_.begin(), names_.end(), name) != names_.end(); ++n) {
      name = wanted + "_" + std::to_string(n);
    }
    return shown_[v.get()] = name == wanted ? v : var(name);
  }

  std::string text(const Expr& e) const { return print(substitute(e, shown_)); }

  std::string header(const ForNode& f, const Expr& shown) const {
    const std::string kind =
        f.attrs.kind == ForKind::kSerial ? "" : std::string(to_string(f.attrs.kind)) + " ";
    return kind + "for " + print(shown) + " in " + text(f.min) + ".." +
           text(normalise(f.min + f.extent)) +
           (f.attrs.thread_axis.empty() ? "" : " on " + f.attrs.thread_axis);
  }

  /// The block's store over the loops that it is bound to.
  std::string block_text(const BlockNode& b) const {
    const auto* s = b.body.as<StoreNode>();
    if (s == nullptr || s->value->depth > kMaxShownDepth) return "block " + b.name;
    VarMap map;
    for (std::size_t i = 0; i < b.iters.size(); ++i) map[b.iters[i].var.get()] = b.bindings[i];
    std::string indices;
    for (const Expr& e : s->indices)
      indices += (indices.empty() ? "" : ", ") + text(substitute(e, map));
    const std::string when = b.predicate ? "if " + text(b.predicate) + ": " : "";
    return when + s->buffer->name + "[" + indices + "] = " + text(substitute(s->value, map));
  }

  void line(int depth, const std::string& content, bool marked) {
    std::string out = std::string(4 + 2 * static_cast<std::size_t>(depth), ' ') + content;
    if (marked)
      out +=
          std::string(out.size() < kMarkColumn ? kMarkColumn - out.size() : 2, ' ') + "<--- here";
    text_ += (text_.empty() ? "" : "\n") + out;
  }

  VarMap shown_;
  std::vector<std::string> names_;  ///< of the loops around
  const Expr loop_var_;
  const std::string& block_;
  std::string text_;
};

}  // namespace

std::string loop_text(const Stmt& s) {
  const std::string no_block;
  Lines lines(nullptr, no_block);
  lines.add(s, 0);
  return lines.take();
}

std::string excerpt(const Stmt& root, const Expr& loop_var, const std::string& block) {
  const Path path = loop_var ? path_to_loop(root, loop_var) : path_to_block(root, block);
  for (const Stmt& s : path) {
    if (s.as<ForNode>() == nullptr && s.as<BlockNode>() == nullptr) continue;
    Lines lines(loop_var, block);
    lines.add(s, 0);
    return lines.take();
  }
  return {};
}

}  // namespace tenon
