#include "tenon/ir/thread.h"

#include <array>

#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

constexpr std::array<const char*, kNumThreadAxes> kAxisNames = {
    "blockIdx.x", "blockIdx.y", "blockIdx.z", "threadIdx.x", "threadIdx.y", "threadIdx.z"};

struct NamedCall {
  const char* name;
  ThreadCall call;
};
constexpr NamedCall kCalls[] = {
    {"thread_barrier", ThreadCall::kBarrier},   {"warp_shuffle_xor", ThreadCall::kShuffleXor},
    {"warp_shuffle", ThreadCall::kShuffle},     {"async_copy", ThreadCall::kAsyncCopy},
    {"async_commit", ThreadCall::kAsyncCommit}, {"async_wait", ThreadCall::kAsyncWait},
};

const char* name_of(ThreadCall which) {
  for (const NamedCall& c : kCalls) {
    if (c.call == which) return c.name;
  }
  return "";
}

Stmt evaluate_call(ThreadCall which, std::vector<Expr> args = {}) {
  return make<EvaluateNode>(call(kInt64, name_of(which), std::move(args)));
}

class FindThreadLoops : public Walker {
 public:
  bool found = false;

 protected:
  using Walker::visit;
#define EXPR(Name) \
  void visit(const Name##Node&) override {}
#define STMT(Name)
#include "tenon/ir/nodes.def"
#undef EXPR
#undef STMT
  void visit(const ForNode& n) override {
    found |= n.attrs.kind == ForKind::kThread;
    if (!found) (*this)(n.body);
  }
};

}  // namespace

const char* to_string(ThreadAxis axis) { return kAxisNames[static_cast<std::size_t>(axis)]; }

std::optional<ThreadAxis> find_thread_axis(std::string_view name) {
  for (std::size_t i = 0; i < kAxisNames.size(); ++i) {
    if (name == kAxisNames[i]) return static_cast<ThreadAxis>(i);
  }
  return std::nullopt;
}

std::string thread_axis_names() {
  std::string out;
  for (const char* name : kAxisNames) out += (out.empty() ? "" : ", ") + std::string(name);
  return out;
}

bool is_block_axis(ThreadAxis axis) { return axis <= ThreadAxis::kBlockZ; }

bool is_thread_axis(ThreadAxis axis) { return !is_block_axis(axis); }

int dimension_of(ThreadAxis axis) { return static_cast<int>(axis) % 3; }

std::optional<ThreadAxis> axis_of(const ForNode& loop) {
  if (loop.attrs.kind != ForKind::kThread) return std::nullopt;
  return find_thread_axis(loop.attrs.thread_axis);
}

std::int64_t max_extent(ThreadAxis axis) {
  constexpr std::array<std::int64_t, kNumThreadAxes> kExtents = {2147483647, 65535, 65535,
                                                                 1024,       1024,  64};
  return kExtents[static_cast<std::size_t>(axis)];
}

bool has_thread_loops(const Stmt& s) {
  FindThreadLoops find;
  find(s);
  return find.found;
}

bool has_thread_loops(const Function& f) { return has_thread_loops(f->body); }

Stmt thread_barrier() { return evaluate_call(ThreadCall::kBarrier); }

Stmt async_commit() { return evaluate_call(ThreadCall::kAsyncCommit); }

Stmt async_wait(std::int64_t pending) {
  return evaluate_call(ThreadCall::kAsyncWait, {imm(pending)});
}

Expr async_copy(const Expr& load) {
  TENON_CHECK(load.as<LoadNode>() != nullptr, "an asynchronous copy of something but a load");
  return call(load->dtype, name_of(ThreadCall::kAsyncCopy), {load});
}

Expr warp_shuffle_xor(const Expr& v, std::int64_t mask) {
  return call(v->dtype, name_of(ThreadCall::kShuffleXor), {v, imm(mask)});
}

Expr warp_shuffle(const Expr& v, const Expr& lane) {
  return call(v->dtype, name_of(ThreadCall::kShuffle), {v, lane});
}

ThreadCall thread_call(std::string_view name) {
  for (const NamedCall& c : kCalls) {
    if (name == c.name) return c.call;
  }
  return ThreadCall::kNone;
}

ThreadCall thread_call(const Expr& e) {
  const auto* n = e.as<CallNode>();
  return n == nullptr ? ThreadCall::kNone : thread_call(n->name);
}

ThreadCall thread_call(const StmtNode& s) {
  if (s.kind == NodeKind::kEvaluate) return thread_call(static_cast<const EvaluateNode&>(s).value);
  if (s.kind == NodeKind::kStore) return thread_call(static_cast<const StoreNode&>(s).value);
  if (s.kind == NodeKind::kLetStmt) return thread_call(static_cast<const LetStmtNode&>(s).value);
  return ThreadCall::kNone;
}

bool is_thread_barrier(const StmtNode& s) {
  return s.kind == NodeKind::kEvaluate && thread_call(s) == ThreadCall::kBarrier;
}

bool is_async_copy(const StmtNode& s) {
  return s.kind == NodeKind::kStore && thread_call(s) == ThreadCall::kAsyncCopy;
}

}  // namespace tenon
