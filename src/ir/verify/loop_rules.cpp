#include "ir/verify/checker.h"

namespace tenon::verify_rules {
namespace {

/// Rules of loop IR: no blocks, one int64 index per access, lanes that agree.
class LoopChecker : public Checker {
 public:
  using Checker::Checker;

 protected:
  void enter(const StmtNode& s) override {
    if (s.kind == NodeKind::kBlock)
      report("no_block", "block '", static_cast<const BlockNode&>(s).name, "' in loop IR");
    if (s.kind == NodeKind::kStore) {
      const auto& n = static_cast<const StoreNode&>(s);
      access("store to", n.buffer, n.indices);
      if (n.indices.size() == 1 && n.indices[0]->dtype.lanes != n.value->dtype.lanes) {
        report("lanes", "a store of ", n.value->dtype.lanes, " lanes to ",
               n.indices[0]->dtype.lanes, " elements of '", n.buffer->name, "'");
      }
    }
  }
  void leave(const StmtNode&) override {}

  void check(const ExprNode& e) override {
    if (e.kind == NodeKind::kLoad) {
      const auto& n = static_cast<const LoadNode&>(e);
      access("load of", n.buffer, n.indices);
    } else if (e.kind == NodeKind::kShuffle) {
      shuffle(static_cast<const ShuffleNode&>(e));
    } else if (e.kind == NodeKind::kVectorReduce) {
      const BinaryOp op = static_cast<const VectorReduceNode&>(e).op;
      const bool joins = op == BinaryOp::kAdd || op == BinaryOp::kMul || op == BinaryOp::kMin ||
                         op == BinaryOp::kMax || op == BinaryOp::kAnd || op == BinaryOp::kOr;
      if (!joins)
        report("vector_reduce", "lanes are joined by ", to_string(op),
               ", should be +, *, min, max, and, or");
    }
  }

 private:
  void access(const char* what, const Buffer& b, const std::vector<Expr>& indices) {
    if (indices.size() != 1) {
      report("arity", "a ", what, " '", b->name, "' has ", indices.size(),
             " indices, should have one in loop IR");
      return;
    }
    if (indices[0]->dtype.element() != kInt64) {
      report("dtype", "an index of '", b->name, "' is ", to_string(indices[0]->dtype),
             ", should be int64");
    }
  }

  void shuffle(const ShuffleNode& n) {
    std::int64_t lanes = 0;
    for (const Expr& v : n.vectors) {
      lanes += v->dtype.lanes;
      if (v->dtype.element() != n.dtype.element())
        report("lanes", "a shuffle of ", to_string(v->dtype), " and ", to_string(n.dtype));
    }
    for (const std::int64_t l : n.lane_indices) {
      if (l < 0 || l >= lanes) report("lanes", "a shuffle takes lane ", l, " of ", lanes);
    }
  }
};

}  // namespace

std::vector<Violation> loop_violations(const Function& f) { return LoopChecker(f).run(); }

}  // namespace tenon::verify_rules
