#include <algorithm>

#include "ir/interpreter/actions.h"
#include "ir/interpreter/compiler.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/thread.h"
#include "tenon/ir/visit.h"

namespace tenon::interpreter {

// --- scope
// -----------------------------------------------------------------------------------------------------------

int Scope::define(const Expr& var) {
  int& next = var->dtype.is_float() ? program.real_slots : program.integer_slots;
  const int slot = next;
  next += var->dtype.lanes;
  slots_[var.get()] = slot;
  return slot;
}

int Scope::define_shown(const Expr& var) {
  const int slot = define(var);
  auto place = std::make_shared<Place>(*place_);
  place->variables.push_back({var.as<VarNode>()->name, slot});
  place_ = std::move(place);
  return slot;
}

void Scope::enter_block(const std::string& name) {
  auto place = std::make_shared<Place>(*place_);
  place->block = name;
  place_ = std::move(place);
}

int Scope::slot(const ExprNode* var) const {
  const auto found = slots_.find(var);
  TENON_CHECK(found != slots_.end(), "variable '", static_cast<const VarNode*>(var)->name,
              "' is not defined here");
  return found->second;
}

Memory* Scope::define(const Buffer& buffer) {
  auto owned = std::make_unique<Memory>();
  owned->buffer = buffer.get();
  owned->dtype = buffer->dtype;
  if (in_kernel &&
      (buffer->scope == tenon::Scope::kLocal || buffer->scope == tenon::Scope::kRegister))
    owned->owner = Owner::kThread;
  if (in_kernel && buffer->scope == tenon::Scope::kFragment) owned->owner = Owner::kWarp;
  Memory* memory = owned.get();
  program.memories.push_back(std::move(owned));
  memories_[buffer.get()] = memory;
  return memory;
}

Memory* Scope::memory(const BufferNode* buffer) const {
  const auto found = memories_.find(buffer);
  TENON_CHECK(found != memories_.end(), "buffer '", buffer->name, "' is not defined here");
  return found->second;
}

void Scope::note_access(Memory* memory) {
  const auto [found, fresh] = owners.try_emplace(memory, parallel_loops);
  if (fresh) return;
  auto& common = found->second;
  const auto end =
      std::mismatch(common.begin(), common.end(), parallel_loops.begin(), parallel_loops.end())
          .first;
  common.erase(end, common.end());
}

namespace {

// --- compilation
// -----------------------------------------------------------------------------------------------------

class StmtCompiler {
 public:
  explicit StmtCompiler(Scope* scope) : scope_(*scope) {}

  Action* compile(const Stmt& s) {
    return with_stack(
        [&] { return visit_stmt(*s.get(), [&](const auto& n) { return build(n); }); });
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

  Action* build(const SeqNode& n) {
    auto* out = add<Sequence>();
    for (const Stmt& s : n.stmts) out->actions.push_back(compile(s));
    return out;
  }

  Action* build(const ForNode& n) {
    if (n.attrs.kind == ForKind::kThread && scope_.program.level == Level::kLoop)
      return compile_kernel(n, &scope_);
    auto* out = add<Loop>();
    out->min = integer(n.min);
    out->extent = integer(n.extent);
    out->parallel = n.attrs.kind == ForKind::kParallel;
    const auto outside = scope_.place();
    out->slot = scope_.define_shown(n.var);
    if (out->parallel && !is_int(n.extent, 1)) scope_.parallel_loops.push_back(n.var.get());
    out->body = compile(n.body);
    if (out->parallel && !is_int(n.extent, 1)) scope_.parallel_loops.pop_back();
    scope_.set_place(outside);
    return out;
  }

  Action* build(const WhileNode& n) {
    auto* out = add<Repeat>();
    out->condition = integer(n.condition);
    out->body = compile(n.body);
    return out;
  }

  Action* build(const IfNode& n) {
    auto* out = add<Branch>();
    out->condition = integer(n.condition);
    out->then_case = compile(n.then_case);
    if (n.else_case) out->else_case = compile(n.else_case);
    return out;
  }

  Action* build(const LetStmtNode& n) {
    auto* out = compile_bind(n, &scope_);
    out->body = compile(n.body);
    return out;
  }

  Action* build(const StoreNode& n) {
    return n.value->dtype.is_float() ? stored<double>(n) : stored<std::int64_t>(n);
  }

  template <typename V>
  Action* stored(const StoreNode& n) {
    TENON_CHECK(n.indices.size() <= kMaxRank, "a store of rank ", n.indices.size());
    auto* out = add<Stored<V>>();
    ExprCompiler exprs(&scope_);
    std::vector<Expr> indices = n.indices;
    Expr value = n.value, predicate = n.predicate;
    if (is_async_copy(n)) {
      out->is_copy = true;
      value = value.as<CallNode>()->args[0];
    }
    int lanes = value->dtype.lanes;
    for (const Expr& i : indices) lanes = std::max<int>(lanes, i->dtype.lanes);
    value = broadcast(value, lanes);
    if (predicate) predicate = broadcast(predicate, lanes);
    for (const Expr& i : indices) exprs.survey(i);
    exprs.survey(value);
    exprs.survey(predicate);
    out->lanes = lanes;
    out->address.access = exprs.access(n.buffer, n.span);
    out->address.flat = scope_.program.level != Level::kBlock;
    for (const Expr& i : indices) out->address.indices.push_back(exprs.integer(i));
    out->value = as<V>(exprs.compile(value));
    if (predicate) out->predicate = exprs.integer(predicate);
    return out;
  }

  Action* build(const AllocateNode& n) {
    auto* out = compile_allocated(n, &scope_);
    out->body = compile(n.body);
    if (scope_.program.level == Level::kBlock) {
      const auto found = scope_.owners.find(out->memory);
      const std::size_t own = scope_.parallel_loops.size();
      if (found != scope_.owners.end() && found->second.size() > own)
        out->memory->private_depth = static_cast<int>(found->second.size());
    }
    return out;
  }

  Action* build(const BlockNode& n) {
    auto* out = add<BlockRun>();
    const auto outside = scope_.place();
    if (n.predicate) out->predicate = integer(n.predicate);
    std::vector<Integer*> values;
    for (const Expr& b : n.bindings) values.push_back(integer(b));
    scope_.enter_block(n.name);
    for (std::size_t i = 0; i < n.iters.size(); ++i) {
      const IterVar& iter = n.iters[i];
      Integer* min = integer(iter.domain.min);
      Integer* extent = integer(iter.domain.extent);
      const int slot = scope_.define_shown(iter.var);
      out->iters.push_back({values[i], min, extent, slot, iter.kind == IterKind::kReduction,
                            iter.var.as<VarNode>()->name});
    }
    out->place = scope_.place();
    out->span = n.span;
    if (n.init) out->init = compile(n.init);
    out->body = compile(n.body);
    scope_.set_place(outside);
    return out;
  }

  Action* build(const EvaluateNode& n) {
    const ThreadCall which = thread_call(n);
    if (which == ThreadCall::kAsyncCommit) return add<CopyCommit>();
    if (which == ThreadCall::kAsyncWait) {
      auto* out = add<CopyWait>();
      out->pending = integer(n.value.as<CallNode>()->args[0]);
      return out;
    }
    auto* out = add<Evaluated>();
    ExprCompiler exprs(&scope_);
    exprs.survey(n.value);
    const AnyValue v = exprs.compile(n.value);
    out->integer = v.integer;
    out->real = v.real;
    return out;
  }

  Action* build(const AssertNode& n) {
    auto* out = add<Asserted>();
    out->condition = integer(n.condition);
    out->message = n.message;
    out->place = scope_.place();
    out->span = n.span;
    return out;
  }

  Scope& scope_;
};

}  // namespace

Bind* compile_bind(const LetStmtNode& n, Scope* scope) {
  auto* out = scope->program.add<Bind>();
  ExprCompiler exprs(scope);
  exprs.survey(n.value);
  const AnyValue v = exprs.compile(n.value);
  out->integer = v.integer;
  out->real = v.real;
  out->slot = scope->define(n.var);
  return out;
}

Allocated* compile_allocated(const AllocateNode& n, Scope* scope) {
  auto* out = scope->program.add<Allocated>();
  const auto compiled = [&](const Expr& e) {
    ExprCompiler exprs(scope);
    exprs.survey(e);
    return exprs.integer(e);
  };
  for (const Expr& e : n.buffer->shape) out->shape.push_back(compiled(e));
  for (const Expr& e : n.buffer->strides) out->strides.push_back(compiled(e));
  out->memory = scope->define(n.buffer);
  return out;
}

Action* compile_statement(const Stmt& s, Scope* scope) { return StmtCompiler(scope).compile(s); }

}  // namespace tenon::interpreter
