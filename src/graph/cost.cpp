#include "tenon/graph/cost.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "tenon/ir/builder.h"
#include "tenon/ir/simplify.h"
#include "tenon/ir/visit.h"

namespace tenon::graph {
namespace {

double operations_of(const UnaryNode& n) {
  return n.op == UnaryOp::kNot || n.op == UnaryOp::kBitNot ? 0 : 1;
}
double operations_of(const BinaryNode& n) {
  return n.op == BinaryOp::kAnd || n.op == BinaryOp::kOr ? 0 : 1;
}

class Counter {
 public:
  Counter(const Function& f, const std::vector<std::int64_t>& sizes) {
    for (std::size_t i = 0; i < f->symbols.size() && i < sizes.size(); ++i)
      values_[f->symbols[i].var.get()] = imm(sizes[i]);
    for (const Buffer& b : f->inputs) inputs_.insert(b.get());
    for (const Buffer& b : f->outputs) outputs_.insert(b.get());
  }

  KernelCost run(const Function& f) {
    count(f->body, 1);
    end_of_block();
    KernelCost cost;
    cost.operations = operations_;
    for (const auto& [buffer, elements] : read_) cost.bytes_read += bytes(*buffer, elements);
    for (const auto& [buffer, elements] : written_) cost.bytes_written += bytes(*buffer, elements);
    return cost;
  }

 private:
  using Elements = std::unordered_map<const BufferNode*, double>;

  std::int64_t value(const Expr& e) const {
    return as_int(simplify(substitute(e, values_))).value_or(1);
  }
  double bytes(const BufferNode& b, double elements) const {
    double size = 1;
    for (const Expr& e : b.shape) size *= static_cast<double>(std::max<std::int64_t>(value(e), 0));
    return std::min(elements, size) * b.dtype.bytes();
  }

  /// `times`: how often the statement runs.
  void count(const Stmt& s, double times) {
    if (!s) return;
    visit_stmt(*s, Overloaded{
                       [&](const ForNode& n) { count_loop(n, times); },
                       [&](const BlockNode& n) { count_block(n, times); },
                       [&](const StoreNode& n) {
                         add(n.value, times);
                         for (const Expr& e : n.indices) add_reads(e, times);
                         if (n.predicate) add_reads(n.predicate, times);
                         if (outputs_.count(n.buffer.get()) != 0)
                           touch(*n.buffer.get(), n.indices, times, &now_written_);
                       },
                       [&](const SeqNode& n) {
                         for (const Stmt& part : n.stmts) count(part, times);
                       },
                       [&](const IfNode& n) {
                         add(n.condition, times);
                         count(n.then_case, times);
                         count(n.else_case, times);
                       },
                       [&](const LetStmtNode& n) {
                         add(n.value, times);
                         extents_[n.var.get()] = range_of(n.value);
                         count(n.body, times);
                       },
                       [&](const AllocateNode& n) { count(n.body, times); },
                       [&](const WhileNode& n) {  // how often is not known: once
                         add(n.condition, times);
                         count(n.body, times);
                       },
                       [&](const EvaluateNode& n) { add(n.value, times); },
                       [&](const AssertNode& n) { add(n.condition, times); },
                   });
  }

  void count_loop(const ForNode& n, double times) {
    const std::int64_t extent = value(n.extent);
    if (extent <= 0) return;
    extents_[n.var.get()] = static_cast<double>(extent);
    const bool is_bound = uses_in_extents(n.body, n.var.get());
    if (!is_bound) {
      count(n.body, times * static_cast<double>(extent));
      return;
    }
    // Inner extents depend on it: the mean of its ends is right for extents that grow evenly.
    const std::int64_t first = value(n.min), last = first + extent - 1;
    for (const std::int64_t end : {first, last}) {
      values_[n.var.get()] = imm(end);
      count(n.body, times * static_cast<double>(extent) / 2);
    }
    values_.erase(n.var.get());
  }

  static bool uses_in_extents(const Stmt& s, const ExprNode* var) {
    bool found = false;
    post_order_visit(s, [&](const Node& n) {
      if (n.kind != NodeKind::kFor) return;
      found = found || uses_var(static_cast<const ForNode&>(n).extent,
                                [&](const VarNode& v) { return &v == var; });
    });
    return found;
  }

  void count_block(const BlockNode& n, double times) {
    end_of_block();
    for (const IterVar& iter : n.iters)
      extents_[iter.var.get()] =
          static_cast<double>(std::max<std::int64_t>(value(iter.domain.extent), 0));
    count(n.body, times);
    end_of_block();
  }

  /// Two blocks that read a buffer read the same of it, as far as is known; two loads of one block
  /// do not.
  void end_of_block() {
    for (auto* both : {&now_read_, &now_written_}) {
      Elements& all = both == &now_read_ ? read_ : written_;
      for (const auto& [buffer, elements] : *both) all[buffer] = std::max(all[buffer], elements);
      both->clear();
    }
  }

  /// Arithmetic and reads of an expression that is evaluated `times` times.
  void add(const Expr& e, double times) {
    std::unordered_set<const ExprNode*> seen;
    add(e, times, true, &seen);
  }
  /// An index: reads alone.
  void add_reads(const Expr& e, double times) {
    std::unordered_set<const ExprNode*> seen;
    add(e, times, false, &seen);
  }

  void add(const Expr& e, double times, bool counts, std::unordered_set<const ExprNode*>* seen) {
    if (!e || !seen->insert(e.get()).second) return;
    const auto go = [&](const Expr& x) { add(x, times, counts, seen); };
    const auto all = [&](const std::vector<Expr>& xs) {
      for (const Expr& x : xs) go(x);
    };
    const double lanes = e->dtype.lanes;
    const auto work = [&](double operations) {
      if (counts) operations_ += operations * lanes * times;
    };
    visit_expr(*e, Overloaded{
                       [](const IntImmNode&) {},
                       [](const FloatImmNode&) {},
                       [](const VarNode&) {},
                       [&](const CastNode& n) { go(n.value); },
                       [&](const ReinterpretNode& n) { go(n.value); },
                       [&](const UnaryNode& n) {
                         work(operations_of(n));
                         go(n.a);
                       },
                       [&](const BinaryNode& n) {
                         work(operations_of(n));
                         go(n.a);
                         go(n.b);
                       },
                       [&](const FmaNode& n) {
                         work(2);
                         go(n.a);
                         go(n.b);
                         go(n.c);
                       },
                       [&](const SelectNode& n) {
                         add(n.condition, times, false, seen);
                         go(n.true_value);
                         go(n.false_value);
                       },
                       [&](const LetNode& n) {
                         go(n.value);
                         extents_[n.var.get()] = range_of(n.value);
                         go(n.body);
                       },
                       [&](const LoadNode& n) {
                         // What is accumulated in a result is no input.
                         if (inputs_.count(n.buffer.get()) != 0)
                           touch(*n.buffer.get(), n.indices, times, &now_read_);
                         for (const Expr& i : n.indices) add(i, times, false, seen);
                         if (n.predicate) add(n.predicate, times, false, seen);
                       },
                       [&](const RampNode& n) { go(n.base); },
                       [&](const BroadcastNode& n) { go(n.value); },
                       [&](const ShuffleNode& n) { all(n.vectors); },
                       [&](const VectorReduceNode& n) {
                         work(n.value->dtype.lanes - 1);
                         go(n.value);
                       },
                       [&](const ReduceNode& n) { go(n.source); },
                       [&](const CallNode& n) {
                         const bool is_check = n.name == "checked_index";
                         work(is_check ? 0 : 1);
                         for (const Expr& x : n.args) add(x, times, counts && !is_check, seen);
                       },
                   });
  }

  /// The most values that an index takes: as many as the loops in it have iterations.
  double range_of(const Expr& index) const {
    double range = 1;
    std::unordered_set<const ExprNode*> known;
    post_order_visit(index, [&](const Node& n) {
      const auto it = n.kind == NodeKind::kVar ? extents_.find(static_cast<const ExprNode*>(&n))
                                               : extents_.end();
      if (it != extents_.end() && known.insert(it->first).second) range *= it->second;
    });
    return range;
  }

  /// An access that happens `times` times.
  void touch(const BufferNode& b, const std::vector<Expr>& indices, double times, Elements* to) {
    double elements = 1;
    for (std::size_t d = 0; d < indices.size(); ++d) {
      const double range = range_of(indices[d]);
      const double size = static_cast<double>(std::max<std::int64_t>(value(b.shape[d]), 0));
      elements *= indices.size() == b.shape.size() ? std::min(range, size) : range;
    }
    (*to)[&b] += std::min(elements, times);
  }

  VarMap values_;
  std::unordered_set<const BufferNode*> inputs_, outputs_;
  std::unordered_map<const ExprNode*, double> extents_;  ///< of loops and iters so far
  double operations_ = 0;
  Elements read_, written_;          ///< elements of parameters, so far
  Elements now_read_, now_written_;  ///< of the block at hand
};

}  // namespace

KernelCost cost_of(const Function& f, const std::vector<std::int64_t>& sizes) {
  return Counter(f, sizes).run(f);
}

}  // namespace tenon::graph
