#include "ir/verify/block_access.h"

#include <algorithm>

#include "tenon/ir/analyzer.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"
#include "tenon/ir/regions.h"
#include "tenon/ir/structural.h"
#include "tenon/ir/visit.h"

namespace tenon::verify_rules {

/// Notes the loops above each block.
class UseCollector : public Walker {
 public:
  explicit UseCollector(SharedBuffers* out) : out_(out) {}

 protected:
  using Walker::visit;
  void visit(const ForNode& n) override {
    loops_.push_back(n.var.get());
    (*this)(n.body);
    loops_.pop_back();
  }
  void visit(const BlockNode& n) override {
    std::unordered_set<const BufferNode*> written;
    for (const BufferRegion& r : n.reads) out_->uses_[r.buffer.get()].push_back({loops_});
    for (const BufferRegion& r : n.writes) {
      out_->uses_[r.buffer.get()].push_back({loops_});
      if (written.insert(r.buffer.get()).second) ++out_->num_writers_[r.buffer.get()];
    }
  }

 private:
  SharedBuffers* out_;
  std::vector<const ExprNode*> loops_;
};

SharedBuffers::SharedBuffers(const Function& f) {
  for (const Buffer& b : f->params()) params_.insert(b.get());
  UseCollector collect(this);
  collect(f->body);
}

bool SharedBuffers::is_shared_across(const BufferNode* buffer, const ExprNode* loop_var) const {
  if (params_.count(buffer) != 0) return true;
  const auto uses = uses_.find(buffer);
  if (uses == uses_.end()) return false;
  return std::any_of(uses->second.begin(), uses->second.end(), [&](const Use& use) {
    return std::find(use.loops.begin(), use.loops.end(), loop_var) == use.loops.end();
  });
}

int SharedBuffers::num_writers(const BufferNode* buffer) const {
  const auto found = num_writers_.find(buffer);
  return found == num_writers_.end() ? 0 : found->second;
}

namespace {

/// The accesses of a block's body.
class Accesses : public Walker {
 public:
  std::vector<const LoadNode*> loads;
  std::vector<const StoreNode*> stores;
  std::unordered_set<const BufferNode*> local;
  std::unordered_set<const ExprNode*> inner_vars;
  bool has_blocks = false;

 protected:
  using Walker::visit;
  void visit(const LoadNode& n) override {
    loads.push_back(&n);
    walk(n);
  }
  void visit(const StoreNode& n) override {
    stores.push_back(&n);
    walk(n);
  }
  void visit(const AllocateNode& n) override {
    local.insert(n.buffer.get());
    walk(n);
  }
  void visit(const ForNode& n) override {
    inner_vars.insert(n.var.get());
    walk(n);
  }
  void visit(const LetStmtNode& n) override {
    inner_vars.insert(n.var.get());
    walk(n);
  }
  void visit(const BlockNode&) override { has_blocks = true; }
};

class AccessCheck {
 public:
  AccessCheck(const BlockNode& block, const Function& f) : block_(block) {
    analyzer_.bind_symbols(f);
    for (const IterVar& i : block.iters) {
      analyzer_.bind_kept(i.var, i.domain);
      ordered_ |= i.kind == IterKind::kOrdered;
    }
    accesses_(block.body);
  }

  std::optional<AccessFault> fault() {
    if (accesses_.has_blocks || !has_matching_ranks()) return std::nullopt;
    if (auto fault = regions()) return fault;
    if (auto fault = spatial()) return fault;
    return ordered_ ? std::nullopt : in_place();
  }

 private:
  /// Whether each access has an index per dimension (reported as arity if not).
  bool has_matching_ranks() {
    if (block_.init) accesses_in_init_(block_.init);
    const auto fits = [](const auto* n) { return n->indices.size() == n->buffer->shape.size(); };
    return std::all_of(accesses_.loads.begin(), accesses_.loads.end(), fits) &&
           std::all_of(accesses_.stores.begin(), accesses_.stores.end(), fits) &&
           std::all_of(accesses_in_init_.loads.begin(), accesses_in_init_.loads.end(), fits) &&
           std::all_of(accesses_in_init_.stores.begin(), accesses_in_init_.stores.end(), fits);
  }

  std::optional<AccessFault> regions() {
    const AccessRegions found = detect_regions(block_.init, block_.body);
    for (const BufferRegion& r : found.reads) {
      if (!may_be_covered(block_.reads, r))
        return AccessFault{"regions", "its reads do not cover " + print(r)};
    }
    for (const BufferRegion& r : found.writes) {
      if (!may_be_covered(block_.writes, r))
        return AccessFault{"regions", "its writes do not cover " + print(r)};
    }
    return std::nullopt;
  }

  /// False if every declared region of the buffer surely leaves out a part of `r`.
  bool may_be_covered(const std::vector<BufferRegion>& declared, const BufferRegion& r) {
    return std::any_of(declared.begin(), declared.end(), [&](const BufferRegion& d) {
      if (!d.buffer.same_as(r.buffer) || d.ranges.size() != r.ranges.size()) return false;
      for (std::size_t i = 0; i < r.ranges.size(); ++i) {
        const Range& outer = d.ranges[i];
        const Range& inner = r.ranges[i];
        if (structural_equal(outer.min, inner.min) && structural_equal(outer.extent, inner.extent))
          continue;
        const bool before = analyzer_.can_prove(lt(inner.min, outer.min));
        if (before || analyzer_.can_prove(gt(inner.min + inner.extent, outer.min + outer.extent)))
          return false;
      }
      return true;
    });
  }

  std::optional<AccessFault> spatial() {
    for (const StoreNode* s : accesses_.stores) {
      if (accesses_.local.count(s->buffer.get()) != 0) continue;
      for (const IterVar& i : block_.iters) {
        if (i.kind != IterKind::kSpatial || is_int(i.domain.extent, 1) || !same_for_all(*s, i.var))
          continue;
        return AccessFault{
            "spatial",
            detail::concat("every iteration of the spatial variable '", i.var.as<VarNode>()->name,
                           "' writes the same elements of '", s->buffer->name, "'")};
      }
    }
    return std::nullopt;
  }

  bool same_for_all(const StoreNode& s, const Expr& var) const {
    return std::none_of(s.indices.begin(), s.indices.end(), [&](const Expr& e) {
      return uses_var(e, [&](const VarNode& v) {
        return &v == var.get() || accesses_.inner_vars.count(&v) != 0;
      });
    });
  }

  std::optional<AccessFault> in_place() {
    for (const StoreNode* s : accesses_.stores) {
      if (accesses_.local.count(s->buffer.get()) != 0 || depends_on_inner(s->indices)) continue;
      for (const LoadNode* l : accesses_.loads) {
        if (!l->buffer.same_as(s->buffer) || depends_on_inner(l->indices) || is_harmless(*l, *s))
          continue;
        return AccessFault{"in_place", detail::concat("element ", print(Expr(l)),
                                                      " is read while another iteration writes '",
                                                      s->buffer->name, "'")};
      }
    }
    return std::nullopt;
  }

  /// Whether the element read is the iteration's own, or one that no iteration writes.
  bool is_harmless(const LoadNode& l, const StoreNode& s) {
    if (l.indices.size() != s.indices.size()) return true;  // reported as arity
    bool same = true;
    for (std::size_t d = 0; d < l.indices.size(); ++d) {
      same &= structural_equal(l.indices[d], s.indices[d]) ||
              analyzer_.can_prove_equal(l.indices[d], s.indices[d]);
      const ConstRange read = analyzer_.const_bounds(l.indices[d]);
      const ConstRange written = analyzer_.const_bounds(s.indices[d]);
      const bool apart = (read.upper && written.lower && *read.upper < *written.lower) ||
                         (written.upper && read.lower && *written.upper < *read.lower);
      if (apart) return true;
    }
    return same;
  }

  bool depends_on_inner(const std::vector<Expr>& indices) const {
    return std::any_of(indices.begin(), indices.end(), [&](const Expr& e) {
      return uses_var(e, [&](const VarNode& v) { return accesses_.inner_vars.count(&v) != 0; });
    });
  }

  const BlockNode& block_;
  Analyzer analyzer_;
  Accesses accesses_;
  Accesses accesses_in_init_;
  bool ordered_ = false;
};

}  // namespace

std::optional<AccessFault> find_access_fault(const BlockNode& block, const Function& f) {
  return AccessCheck(block, f).fault();
}

}  // namespace tenon::verify_rules
