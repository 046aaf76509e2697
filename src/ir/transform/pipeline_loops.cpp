#include "ir/transform/pipeline_loops.h"

#include <algorithm>
#include <unordered_set>

#include "ir/transform/conditions.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/tensor_instruction.h"
#include "tenon/ir/thread.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

using BufferSet = std::unordered_set<const BufferNode*>;

struct Touched {
  BufferSet reads, writes;
};

Touched touched_by(const Stmt& s) {
  Touched out;
  post_order_visit(s, [&](const Node& n) {
    if (n.kind == NodeKind::kLoad) out.reads.insert(static_cast<const LoadNode&>(n).buffer.get());
    if (n.kind == NodeKind::kStore)
      out.writes.insert(static_cast<const StoreNode&>(n).buffer.get());
    if (n.kind != NodeKind::kEvaluate) return;
    const auto& e = static_cast<const EvaluateNode&>(n);
    const TensorInstruction* instruction = tensor_instruction_of(e);
    if (instruction == nullptr) return;
    const auto places = tensor_places(*instruction, *e.value.as<CallNode>());
    for (std::size_t i = 0; i < places.size(); ++i) {
      if (instruction->operands[i].is_written)
        out.writes.insert(places[i].first.as<LoadNode>()->buffer.get());
    }
  });
  return out;
}

bool meet(const BufferSet& a, const BufferSet& b) {
  return std::any_of(a.begin(), a.end(), [&](const BufferNode* x) { return b.count(x) != 0; });
}

bool copies_asynchronously(const Stmt& s) {
  bool any = false;
  post_order_visit(s, [&](const Node& n) {
    if (n.kind == NodeKind::kStore) any |= is_async_copy(static_cast<const StoreNode&>(n));
  });
  return any;
}

/// The body of a pipelined loop, taken apart.
struct Parts {
  std::vector<Stmt> copies, work;
  std::vector<Buffer> allocated;  ///< by the body, for its work
};

Parts parts_of(const Stmt& body) {
  Parts parts;
  Stmt rest = body;
  while (const auto* a = rest.as<AllocateNode>()) {
    parts.allocated.push_back(a->buffer);
    const Stmt inner = a->body;
    rest = inner;
  }
  std::vector<Stmt> stmts = {rest};
  if (const auto* seq = rest.as<SeqNode>()) stmts = seq->stmts;
  for (const Stmt& s : stmts) (copies_asynchronously(s) ? parts.copies : parts.work).push_back(s);
  return parts;
}

/// Accesses of the copied buffers go to one version.
class UseVersion : public Mutator {
 public:
  UseVersion(const BufferMap& versions, Expr version)
      : versions_(versions), version_(std::move(version)) {}

 protected:
  using Mutator::rewrite;
  Expr rewrite(const LoadNode& n) override {
    const auto found = versions_.find(n.buffer.get());
    if (found == versions_.end()) return rebuild(n);
    const SpanScope span(n.span);
    return load(found->second, indices(n.indices),
                n.predicate ? (*this)(n.predicate) : n.predicate);
  }
  Stmt rewrite(const StoreNode& n) override {
    const auto found = versions_.find(n.buffer.get());
    if (found == versions_.end()) return rebuild(n);
    const SpanScope span(n.span);
    return store(found->second, indices(n.indices), (*this)(n.value),
                 n.predicate ? (*this)(n.predicate) : n.predicate);
  }

 private:
  std::vector<Expr> indices(const std::vector<Expr>& of) {
    std::vector<Expr> out = {version_};
    for (const Expr& e : of) out.push_back((*this)(e));
    return out;
  }
  const BufferMap& versions_;
  Expr version_;
};

class PipelineLoops : public Mutator {
 public:
  PipelineLoops() { memoise_ = false; }

  /// Buffers with versions replace those of their allocations.
  BufferMap versions;

 protected:
  using Mutator::rewrite;
  Stmt rewrite(const ForNode& n) override {
    const auto axis = axis_of(n);
    if (axis && is_thread_axis(*axis)) {
      threads_.push_back(n.var);
      Stmt out = rebuild(n);
      threads_.pop_back();
      return out;
    }
    const auto found = n.attrs.annotations.find(kSoftwarePipeline);
    if (found == n.attrs.annotations.end()) return rebuild(n);
    const std::int64_t stages = std::get<std::int64_t>(found->second);
    return stages > 1 ? pipeline(n, stages) : rebuild(n);
  }

 private:
  Stmt pipeline(const ForNode& n, std::int64_t stages) {
    const std::string& name = n.var.as<VarNode>()->name;
    Parts parts = parts_of(n.body);
    const auto depends = [&](const Expr& e) {
      return reads_memory(e) || std::any_of(threads_.begin(), threads_.end(),
                                            [&](const Expr& t) { return uses(e, t); });
    };
    TENON_USER_CHECK(
        !parts.copies.empty() && n.attrs.kind == ForKind::kSerial && !depends(n.min) &&
            !depends(n.extent),
        ScheduleError, "E1248", "loop '", name,
        "' is pipelined; it should be serial, have the same range for all threads, and "
        "hold blocks marked with async_copy next to their uses");
    const Stmt copies = make_seq(parts.copies), work = make_seq(parts.work);
    check_order(name, touched_by(copies), touched_by(work));
    BufferMap here;
    for (const BufferNode* b : touched_by(copies).writes) here[b] = with_versions(*b, stages);
    versions.insert(here.begin(), here.end());

    const SpanScope span(n.span);
    const auto copy = [&](const Expr& iteration) {
      Stmt s = UseVersion(here, floormod(iteration, imm(stages)))(
          substitute(copies, {{n.var.get(), n.min + iteration}}));
      return make_if(lt(iteration, n.extent), fresh_definitions(s));
    };
    std::vector<Stmt> out;
    for (std::int64_t i = 0; i + 1 < stages; ++i) {
      out.push_back(copy(imm(i)));
      out.push_back(async_commit());
    }
    const Expr iteration = n.var - n.min;
    Stmt body =
        make_seq({async_wait(stages - 2), thread_barrier(), copy(iteration + (stages - 1)),
                  async_commit(), UseVersion(here, floormod(iteration, imm(stages)))(work)});
    for (std::size_t i = parts.allocated.size(); i-- > 0;)
      body = make_allocate(parts.allocated[i], body);
    out.push_back(with_body(n, body));
    return make_seq(std::move(out));
  }

  static Buffer with_versions(const BufferNode& b, std::int64_t stages) {
    Buffer out = copy_buffer(b);
    auto* node = const_cast<BufferNode*>(out.get());  // nobody else has seen it yet
    node->shape.insert(node->shape.begin(), imm(stages));
    if (!b.strides.empty()) node->strides.insert(node->strides.begin(), b.shape[0] * b.strides[0]);
    return out;
  }

  static void check_order(const std::string& loop, const Touched& copies, const Touched& work) {
    for (const BufferNode* b : copies.writes) {
      TENON_USER_CHECK(work.writes.count(b) == 0, ScheduleError, "E1249", "loop '", loop,
                       "' is pipelined, and its work writes '", b->name,
                       "', which its copies write: give one of them a buffer of its own");
    }
    const bool reads_results = meet(copies.reads, work.writes) || meet(copies.reads, copies.writes);
    TENON_USER_CHECK(
        !reads_results, ScheduleError, "E1249", "loop '", loop,
        "' is pipelined, and a copy reads what the loop writes, so that it cannot start "
        "before: do not pipeline it");
  }

  std::vector<Expr> threads_;
};

/// Puts the versions into allocations; any use that is left is outside of the pipelined loop.
class Reallocate : public Mutator {
 public:
  explicit Reallocate(const BufferMap& versions) : versions_(versions) {}

 protected:
  using Mutator::rewrite;
  Stmt rewrite(const AllocateNode& n) override {
    Stmt body = (*this)(n.body);
    const auto found = versions_.find(n.buffer.get());
    if (found != versions_.end()) return make_allocate(found->second, body);
    return body.same_as(n.body) ? Stmt(&n) : with_body(n, body);
  }
  Expr rewrite(const LoadNode& n) override {
    check(n.buffer);
    return rebuild(n);
  }
  Stmt rewrite(const StoreNode& n) override {
    check(n.buffer);
    return rebuild(n);
  }

 private:
  void check(const Buffer& b) const {
    TENON_USER_CHECK(versions_.count(b.get()) == 0, ScheduleError, "E1249", "'", b->name,
                     "' is copied in a pipelined loop and used outside of it, should be used in it "
                     "alone: do not pipeline the loop, or compute a copy of its own");
  }
  const BufferMap& versions_;
};

}  // namespace

Function pipeline_loops(const Function& f) {
  PipelineLoops pipeline;
  Stmt body = pipeline(f->body);
  if (pipeline.versions.empty()) return f;
  return with_body(f, Reallocate(pipeline.versions)(body));
}

}  // namespace tenon
