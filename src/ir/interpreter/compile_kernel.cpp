#include <set>

#include "ir/interpreter/compiler.h"
#include "ir/interpreter/lockstep.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/launch.h"
#include "tenon/ir/print.h"
#include "tenon/ir/tensor_instruction.h"
#include "tenon/ir/visit.h"

namespace tenon::interpreter {
namespace {

/// Whether the order of the threads changes nothing in a piece of a kernel: it waits for nobody,
/// and no memory that threads share is both read and written in it.
class IsIndependent : public Walker {
 public:
  static bool check(const Stmt& s) {
    IsIndependent walk;
    walk(s);
    for (const BufferNode* b : walk.writes_) walk.waits_ |= walk.reads_.count(b) != 0;
    return !walk.waits_;
  }

 protected:
  using Walker::visit;
  void visit(const LoadNode& n) override {
    note(n.buffer, &reads_);
    walk(n);
  }
  void visit(const StoreNode& n) override {
    note(n.buffer, &writes_);
    walk(n);
  }
  void visit(const EvaluateNode& n) override {
    waits_ |= thread_call(n) != ThreadCall::kAsyncCommit;
  }
  void visit(const LetStmtNode& n) override {
    const ThreadCall which = thread_call(n);
    waits_ |= which == ThreadCall::kShuffle || which == ThreadCall::kShuffleXor;
    walk(n);
  }

 private:
  static void note(const Buffer& b, std::set<const BufferNode*>* to) {
    if (b->scope == tenon::Scope::kGlobal || b->scope == tenon::Scope::kShared) to->insert(b.get());
  }
  bool waits_ = false;
  std::set<const BufferNode*> reads_, writes_;
};

/// Starts the threads of a block. A block that does not fit is reported and ends the run.
struct Block : Action {
  void run(Machine& m) override {
    ++m.epoch;
    std::array<std::int64_t, 3> extents = {1, 1, 1};
    for (std::size_t d = 0; d < 3; ++d) {
      if (extent[d] != nullptr) extents[d] = extent[d]->get(m);
      if (extents[d] <= 0) return;
      const auto axis = static_cast<ThreadAxis>(static_cast<int>(ThreadAxis::kThreadX) + d);
      if (extents[d] > max_extent(axis)) too_many(m, to_string(axis), extents[d], max_extent(axis));
    }
    const std::int64_t n = extents[0] * extents[1] * extents[2];
    if (n > kMaxBlockThreads) too_many(m, "the threads of a block", n, kMaxBlockThreads);
    threads.start(&m, extents, slots);
    body->run(m, threads.all());
    threads.finish(&m);
  }
  void too_many(Machine& m, const char* what, std::int64_t n, std::int64_t most) const {
    m.report(Finding::Kind::kLaunch,
             detail::concat("launch: ", what, " has extent ", n, ", at most ", most, " can run"),
             *place, span);
    throw Stop{};
  }
  std::array<Integer*, 3> extent = {nullptr, nullptr, nullptr};
  std::array<int, 3> slots = {-1, -1, -1};
  Step* body = nullptr;
  Threads threads;
  std::shared_ptr<const Place> place;
  Span span;
};

/// One block after the other; all of them run in parallel.
struct Grid : Action {
  struct Axis {
    ThreadAxis axis;
    Integer* extent;
    int slot;
  };
  void run(Machine& m) override {
    ++m.epoch;
    std::vector<std::int64_t> extents;
    std::int64_t count = 1;
    for (const Axis& a : axes) {
      const std::int64_t n = a.extent->get(m);
      if (n > max_extent(a.axis)) {
        m.report(Finding::Kind::kLaunch,
                 detail::concat("launch: ", to_string(a.axis), " has extent ", n, ", at most ",
                                max_extent(a.axis), " can run"),
                 *place, span);
        throw Stop{};
      }
      extents.push_back(n);
      count *= std::max<std::int64_t>(n, 0);
    }
    const std::uint32_t outer = m.iteration;
    const std::uint32_t instance = m.iterations.new_loop();
    for (std::int64_t b = 0; b < count; ++b) {
      std::int64_t rest = b;
      for (std::size_t d = axes.size(); d-- > 0;) {
        m.integers[axes[d].slot] = rest % extents[d];
        rest /= extents[d];
      }
      if (!axes.empty()) m.iteration = m.iterations.enter(outer, instance);
      body->run(m);
    }
    m.iteration = outer;
  }
  std::vector<Axis> axes;
  Action* body = nullptr;
  std::shared_ptr<const Place> place;
  Span span;
};

class KernelCompiler {
 public:
  explicit KernelCompiler(Scope* scope) : scope_(*scope) {}

  Action* operator()(const ForNode& outermost) {
    const Launch launch = launch_of(outermost);
    const auto outside = scope_.place();
    auto* grid = add<Grid>();
    grid->place = outside;
    grid->span = outermost.span;
    for (const ForNode* n : launch.block_loops) {
      Integer* extent = integer(n->extent);
      grid->axes.push_back({*axis_of(*n), extent, scope_.define_shown(n->var)});
    }
    scope_.in_kernel = true;
    grid->body = between(launch, 0);
    scope_.in_kernel = false;
    scope_.set_place(outside);
    return grid;
  }

 private:
  template <typename A>
  A* add() {
    return scope_.program.add<A>();
  }
  Integer* integer(const Expr& e) {
    ExprCompiler exprs(&scope_);
    exprs.survey(e);
    return exprs.integer(e);
  }

  Action* between(const Launch& launch, std::size_t i) {
    if (i == launch.between.size()) return block(launch);
    const StmtNode& s = *launch.between[i];
    if (s.kind == NodeKind::kAllocate) {
      Allocated* out = compile_allocated(static_cast<const AllocateNode&>(s), &scope_);
      out->body = between(launch, i + 1);
      return out;
    }
    Bind* out = compile_bind(static_cast<const LetStmtNode&>(s), &scope_);
    out->body = between(launch, i + 1);
    return out;
  }

  Action* block(const Launch& launch) {
    auto* out = add<Block>();
    out->place = scope_.place();
    for (const ForNode* n : launch.thread_loops) {
      const auto d = static_cast<std::size_t>(dimension_of(*axis_of(*n)));
      out->span = n->span;
      out->extent[d] = integer(n->extent);
      out->slots[d] = scope_.define_shown(n->var);
    }
    out->body = step(launch.body);
    return out;
  }

  Step* step(const Stmt& s) {
    return with_stack([&] { return build_step(s); });
  }

  Step* build_step(const Stmt& s) {
    const bool is_leaf = s->kind == NodeKind::kStore || s->kind == NodeKind::kAssert ||
                         (s->kind == NodeKind::kEvaluate && !is_collective(*s.get()));
    if (is_leaf || IsIndependent::check(s))
      return scope_.program.add<EachThread>(compile_statement(s, &scope_));
    return visit_stmt(*s.get(), Overloaded{
                                    [&](const SeqNode& n) { return sequence(n); },
                                    [&](const ForNode& n) { return loop(n); },
                                    [&](const WhileNode& n) { return repeat(n); },
                                    [&](const IfNode& n) { return branch(n); },
                                    [&](const LetStmtNode& n) { return bind(n); },
                                    [&](const AllocateNode& n) { return allocated(n); },
                                    [&](const EvaluateNode& n) { return evaluated(n); },
                                    [](const auto&) -> Step* {
                                      TENON_CHECK(false, "a statement of block IR in a kernel");
                                      return nullptr;
                                    },
                                });
  }

  static bool is_collective(const StmtNode& s) {
    return is_thread_barrier(s) || tensor_instruction_of(s) != nullptr;
  }

  Step* sequence(const SeqNode& n) {
    auto* out = add<StepSequence>();
    for (const Stmt& s : n.stmts) out->steps.push_back(step(s));
    return out;
  }

  Step* loop(const ForNode& n) {
    TENON_CHECK(n.attrs.kind != ForKind::kThread, "a thread loop inside of a kernel");
    auto* out = add<StepLoop>();
    out->min = integer(n.min);
    out->extent = integer(n.extent);
    out->why = "for " + print(n.var) + " in " + print(n.min) + "..+" + print(n.extent);
    const auto outside = scope_.place();
    out->slot = scope_.define_shown(n.var);
    out->body = step(n.body);
    scope_.set_place(outside);
    return out;
  }

  Step* repeat(const WhileNode& n) {
    auto* out = add<StepRepeat>();
    out->condition = integer(n.condition);
    out->why = "while " + print(n.condition);
    out->again.loop = out;
    out->body = step(n.body);
    return out;
  }

  Step* branch(const IfNode& n) {
    auto* out = add<StepBranch>();
    out->condition = integer(n.condition);
    out->why = "if " + print(n.condition);
    out->then_case = step(n.then_case);
    if (n.else_case) out->else_case = step(n.else_case);
    return out;
  }

  Step* bind(const LetStmtNode& n) {
    const ThreadCall which = thread_call(n);
    if (which == ThreadCall::kShuffle || which == ThreadCall::kShuffleXor)
      return n.value->dtype.is_float() ? shuffle<double>(n) : shuffle<std::int64_t>(n);
    auto* out = add<StepScope<Bind>>();
    out->head = compile_bind(n, &scope_);
    out->body = step(n.body);
    return out;
  }

  template <typename V>
  Step* shuffle(const LetStmtNode& n) {
    const auto& call = static_cast<const CallNode&>(*n.value.get());
    auto* out = collective<StepShuffle<V>>(n, call);
    ExprCompiler exprs(&scope_);
    for (const Expr& e : call.args) exprs.survey(e);
    out->value = as<V>(exprs.compile(call.args[0]));
    out->lane = exprs.integer(call.args[1]);
    out->is_xor = thread_call(n) == ThreadCall::kShuffleXor;
    out->slot = scope_.define(n.var);
    out->body = step(n.body);
    return out;
  }

  Step* allocated(const AllocateNode& n) {
    auto* out = add<StepScope<Allocated>>();
    out->head = compile_allocated(n, &scope_);
    out->body = step(n.body);
    return out;
  }

  Step* evaluated(const EvaluateNode& n) {
    const TensorInstruction* instruction = tensor_instruction_of(n);
    if (instruction != nullptr) return tensor(n, *instruction);
    return collective<StepBarrier>(n, static_cast<const CallNode&>(*n.value.get()));
  }

  Step* tensor(const EvaluateNode& n, const TensorInstruction& instruction) {
    const auto& c = static_cast<const CallNode&>(*n.value.get());
    auto* out = collective<StepTensor>(n, c);
    std::vector<TensorPlace> places = tensor_places(instruction, c);
    const SpanScope span(n.span);
    // The places are computed once for all the elements of the tiles.
    std::vector<std::pair<Expr, Expr>> lets;
    const auto once = [&](const Expr& e) {
      if (as_int(e)) return e;
      lets.emplace_back(var("at"), e);
      return lets.back().first;
    };
    for (std::size_t i = 0; i < places.size(); ++i) {
      const auto& first = static_cast<const LoadNode&>(*places[i].first.get());
      const bool is_matrix =
          first.buffer->scope == tenon::Scope::kShared && first.buffer->dtype.bits == 16;
      out->operands.push_back({integer(first.indices[0]), integer(places[i].stride),
                               is_matrix ? 8 : 1, instruction.operands[i].name});
      places[i] = {load(first.buffer, {once(first.indices[0])}), once(places[i].stride)};
    }
    const Stmt call = tensor_call(instruction, places);
    Stmt loops = expand_tensor_call(*call.as<EvaluateNode>()->value.as<CallNode>());
    for (const auto& [v, e] : lets) loops = make_let(v, e, loops);
    out->semantics = compile_statement(loops, &scope_);
    return out;
  }

  template <typename A>
  A* collective(const StmtNode& s, const CallNode& call) {
    auto* out = add<A>();
    out->what = call.name;
    out->place = scope_.place();
    out->span = s.span;
    return out;
  }

  Scope& scope_;
};

}  // namespace

Action* compile_kernel(const ForNode& outermost, Scope* scope) {
  return KernelCompiler(scope)(outermost);
}

}  // namespace tenon::interpreter
