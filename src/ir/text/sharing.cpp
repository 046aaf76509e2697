#include "ir/text/sharing.h"

#include <algorithm>
#include <unordered_set>

#include "tenon/ir/visit.h"
#include "tenon/support/stack.h"

namespace tenon::text {
namespace {

constexpr int kSmallText = 80;        ///< nodes; a group of this size is written out
constexpr int kSmallNode = 20;        ///< nodes; a smaller operand is repeated rather than named
constexpr std::size_t kMaxLive = 64;  ///< enclosing definitions that a named node may depend on

/// The operands of a node in reading order, with the definitions that the node makes.
struct Parts {
  std::vector<const ExprNode*> outer;    ///< outside the node's own definitions
  std::vector<const ExprNode*> inner;    ///< under them
  std::vector<const ExprNode*> defined;  ///< variables
};

Parts parts_of(const ExprNode& e) {
  Parts parts;
  const auto add = [](std::vector<const ExprNode*>* to, const Expr& x) {
    if (x) to->push_back(x.get());
  };
  visit_expr(e, Overloaded{
                    [&](const LetNode& n) {
                      add(&parts.outer, n.value);
                      parts.defined.push_back(n.var.get());
                      add(&parts.inner, n.body);
                    },
                    [&](const ReduceNode& n) {
                      for (const IterVar& axis : n.axes) {
                        add(&parts.outer, axis.domain.min);
                        add(&parts.outer, axis.domain.extent);
                        parts.defined.push_back(axis.var.get());
                      }
                      add(&parts.inner, n.source);
                      add(&parts.inner, n.condition);
                    },
                    [&](const auto& n) {
                      for_each_field(n, [&](const auto&, const auto& value) {
                        using T = std::decay_t<decltype(value)>;
                        if constexpr (std::is_same_v<T, Expr>) add(&parts.outer, value);
                        if constexpr (std::is_same_v<T, std::vector<Expr>>) {
                          for (const Expr& x : value) add(&parts.outer, x);
                        }
                      });
                    },
                });
  return parts;
}

/// Whether the expressions written out in full have at most `limit` nodes.
bool is_small(const std::vector<Expr>& roots, int limit) {
  std::vector<const ExprNode*> pending;
  for (const Expr& e : roots) {
    if (e) pending.push_back(e.get());
  }
  while (!pending.empty()) {
    const ExprNode* e = pending.back();
    pending.pop_back();
    if (--limit < 0) return false;
    const Parts parts = parts_of(*e);
    pending.insert(pending.end(), parts.outer.begin(), parts.outer.end());
    pending.insert(pending.end(), parts.inner.begin(), parts.inner.end());
  }
  return true;
}

/// One walk over the DAG that counts uses and finds out which definitions each node depends on.
class Survey {
 public:
  SharePlan plan(const std::vector<Expr>& roots) {
    find_binders(roots);
    for (const Expr& e : roots) {
      if (e) use(e.get());
    }
    SharePlan plan;
    for (const ExprNode* e : order_) {
      Node& n = nodes_[e];
      n.size = 1;
      for (const ExprNode* x : n.operands) {
        const Node& operand = nodes_[x];
        n.size = std::min(n.size + (operand.named ? 1 : operand.size), 1 << 20);
      }
      n.named = n.uses > 1 && n.size >= kSmallNode && n.placeable;
      if (n.named) plan[n.live.empty() ? nullptr : n.live.back()].push_back(e);
    }
    return plan;
  }

 private:
  struct Node {
    int uses = 0;
    int size = 1;
    bool named = false;
    bool placeable = true;  ///< there is one place where all its uses see it
    std::vector<const ExprNode*>
        live;  ///< enclosing let and reduce nodes that it depends on, outermost first
    std::vector<const ExprNode*> operands;
  };

  void find_binders(const std::vector<Expr>& roots) {
    std::vector<const ExprNode*> pending;
    std::unordered_set<const ExprNode*> seen;
    for (const Expr& e : roots) {
      if (e) pending.push_back(e.get());
    }
    while (!pending.empty()) {
      const ExprNode* e = pending.back();
      pending.pop_back();
      if (!seen.insert(e).second) continue;
      const Parts parts = parts_of(*e);
      for (const ExprNode* v : parts.defined) {
        if (!binder_.emplace(v, e).second) binder_[v] = nullptr;  // defined twice: no single place
      }
      pending.insert(pending.end(), parts.outer.begin(), parts.outer.end());
      pending.insert(pending.end(), parts.inner.begin(), parts.inner.end());
    }
  }

  void use(const ExprNode* e) {
    Node& n = nodes_[e];
    if (n.uses++ > 0) return;
    with_stack([&] { survey(e); });
  }

  void survey(const ExprNode* e) {
    const Parts parts = parts_of(*e);
    for (const ExprNode* x : parts.outer) use(x);
    if (!parts.defined.empty()) {
      level_[e] = ++depth_;
      for (const ExprNode* x : parts.inner) use(x);
      --depth_;
    }
    Node n = std::move(nodes_[e]);
    n.operands = parts.outer;
    n.operands.insert(n.operands.end(), parts.inner.begin(), parts.inner.end());
    collect_live(e, &n);
    nodes_[e] = std::move(n);
    order_.push_back(e);
  }

  void collect_live(const ExprNode* e, Node* n) {
    if (const auto bound = binder_.find(e); bound != binder_.end()) {
      n->placeable = bound->second != nullptr;
      if (n->placeable) n->live.push_back(bound->second);
    }
    for (const ExprNode* x : n->operands) {
      const Node& operand = nodes_[x];
      n->placeable &= operand.placeable;
      for (const ExprNode* binder : operand.live) {
        if (binder != e && std::find(n->live.begin(), n->live.end(), binder) == n->live.end())
          n->live.push_back(binder);
      }
    }
    std::sort(n->live.begin(), n->live.end(),
              [&](const ExprNode* a, const ExprNode* b) { return level_[a] < level_[b]; });
    if (n->live.size() > kMaxLive) {
      n->placeable = false;
      n->live.clear();
    }
  }

  std::unordered_map<const ExprNode*, Node> nodes_;
  std::unordered_map<const ExprNode*, const ExprNode*>
      binder_;                                      ///< variable -> the node that defines it
  std::unordered_map<const ExprNode*, int> level_;  ///< of a binder: how many enclose it
  std::vector<const ExprNode*> order_;              ///< operands first
  int depth_ = 0;
};

}  // namespace

SharePlan plan_sharing(const std::vector<Expr>& roots) {
  return is_small(roots, kSmallText) ? SharePlan{} : Survey{}.plan(roots);
}

}  // namespace tenon::text
