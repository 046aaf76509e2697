#include <algorithm>

#include "ir/interpreter/compiler.h"
#include "ir/interpreter/value_nodes.h"
#include "tenon/ir/builder.h"
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

// --- actions
// ---------------------------------------------------------------------------------------------------------

struct Sequence : Action {
  void run(Machine& m) override {
    for (Action* a : actions) a->run(m);
  }
  std::vector<Action*> actions;
};

struct Loop : Action {
  void run(Machine& m) override {
    ++m.epoch;
    const std::int64_t first = min->get(m), n = extent->get(m);
    const std::uint32_t outer = m.iteration;
    const std::uint32_t instance = parallel && n > 1 ? m.iterations.new_loop() : 0;
    for (std::int64_t i = 0; i < n; ++i) {
      if (instance != 0) m.iteration = m.iterations.enter(outer, instance);
      m.integers[static_cast<std::size_t>(slot)] = first + i;
      body->run(m);
    }
    m.iteration = outer;
  }
  Integer *min = nullptr, *extent = nullptr;
  Action* body = nullptr;
  int slot = 0;
  bool parallel = false;
};

struct Repeat : Action {
  void run(Machine& m) override {
    while (++m.epoch, condition->get(m) != 0) body->run(m);
  }
  Integer* condition = nullptr;
  Action* body = nullptr;
};

struct Branch : Action {
  void run(Machine& m) override {
    ++m.epoch;
    if (condition->get(m) != 0) {
      then_case->run(m);
    } else if (else_case != nullptr) {
      else_case->run(m);
    }
  }
  Integer* condition = nullptr;
  Action *then_case = nullptr, *else_case = nullptr;
};

struct Bind : Action {
  void run(Machine& m) override {
    ++m.epoch;
    if (integer != nullptr)
      assign(m, integer);
    else
      assign(m, real);
    body->run(m);
  }
  template <typename V>
  void assign(Machine& m, Value<V>* value) {
    if (value->lanes == 1) {
      const V v = value->get(m);
      slots<V>(m)[slot] = v;
      return;
    }
    Lanes<V> v(value->lanes);
    value->fill(m, nullptr, v.get());
    std::copy_n(v.get(), value->lanes, slots<V>(m) + slot);
  }
  Integer* integer = nullptr;
  Real* real = nullptr;
  int slot = 0;
  Action* body = nullptr;
};

template <typename V>
void put(Memory* memory, std::int64_t offset, V v) {
  if constexpr (std::is_same_v<V, double>)
    memory->set_real(offset, v);
  else
    memory->set_integer(offset, v);
}

template <typename V>
struct Stored : Action {
  void run(Machine& m) override {
    ++m.epoch;
    if (m.options.max_stores > 0 && ++m.stores > m.options.max_stores) {
      m.report(Finding::Kind::kLimit,
               "more than " + std::to_string(m.options.max_stores) + " stores",
               *address.access.place, address.access.span);
      throw Stop{};
    }
    if (lanes == 1) {
      if (predicate != nullptr && predicate->get(m) == 0) return;
      std::int64_t at[kMaxRank];
      for (std::size_t d = 0; d < address.indices.size(); ++d) at[d] = address.indices[d]->get(m);
      one(m, at, value->get(m));
    } else {
      vector(m);
    }
  }
  void vector(Machine& m) {
    Lanes<std::uint8_t> active(lanes);
    std::fill_n(active.get(), lanes, std::uint8_t{1});
    if (predicate != nullptr) {
      Lanes<std::int64_t> keep(lanes);
      predicate->fill(m, nullptr, keep.get());
      if (!narrow(nullptr, keep.get(), true, lanes, active.get())) return;
    }
    Lanes<std::int64_t> index(lanes);
    Lanes<V> v(lanes);
    address.indices[0]->fill(m, active.get(), index.get());
    value->fill(m, active.get(), v.get());
    for (int l = 0; l < lanes; ++l) {
      if (active[l] != 0) one(m, &index[l], v[l]);
    }
  }
  void one(Machine& m, const std::int64_t* at, V v) {
    const std::int64_t offset = address.offset(m, at, true);
    if (offset < 0) return;
    m.note_write(address.access.memory, offset, address.access);
    put(address.access.memory, offset, v);
  }
  int lanes = 1;
  Address address;
  Value<V>* value = nullptr;
  Integer* predicate = nullptr;
};

struct Allocated : Action {
  void run(Machine& m) override {
    ++m.epoch;
    std::vector<std::int64_t> extents, steps;
    for (Integer* e : shape) extents.push_back(e->get(m));
    for (Integer* e : strides) steps.push_back(e->get(m));
    memory->reset(std::move(extents), std::move(steps));
    memory->allocate();
    body->run(m);
  }
  Memory* memory = nullptr;
  std::vector<Integer*> shape, strides;
  Action* body = nullptr;
};

struct BlockRun : Action {
  struct Iter {
    Integer *value, *min, *extent;
    int slot;
    bool is_reduction;
    std::string name;
  };

  void run(Machine& m) override {
    ++m.epoch;
    if (predicate != nullptr && predicate->get(m) == 0) return;
    bool first = true;
    for (const Iter& iter : iters) {
      const std::int64_t v = iter.value->get(m), low = iter.min->get(m);
      m.integers[static_cast<std::size_t>(iter.slot)] = v;
      if (iter.is_reduction && v != low) first = false;
      if (v < low || v - low >= iter.extent->get(m)) outside(m, iter, v, low);
    }
    if (first && init != nullptr) init->run(m);
    body->run(m);
  }
  void outside(Machine& m, const Iter& iter, std::int64_t v, std::int64_t low) {
    if (reported) return;
    reported = true;
    m.report(Finding::Kind::kDomain,
             detail::concat("iteration variable ", iter.name, " of block '", place->block, "' is ",
                            v, ", outside its domain ", low, "..", low + iter.extent->get(m)),
             *place, span);
  }
  Integer* predicate = nullptr;
  std::vector<Iter> iters;
  Action *init = nullptr, *body = nullptr;
  std::shared_ptr<const Place> place;
  Span span;
  bool reported = false;
};

struct Evaluated : Action {
  void run(Machine& m) override {
    ++m.epoch;
    if (integer != nullptr) {
      Lanes<std::int64_t> v(integer->lanes);
      all_lanes<std::int64_t>(m, integer, nullptr, v.get());
    } else {
      Lanes<double> v(real->lanes);
      all_lanes<double>(m, real, nullptr, v.get());
    }
  }
  Integer* integer = nullptr;
  Real* real = nullptr;
};

struct Asserted : Action {
  void run(Machine& m) override {
    ++m.epoch;
    if (condition->get(m) != 0) return;
    m.report(Finding::Kind::kAssert, "assertion failed: " + message, *place, span);
    throw Stop{};
  }
  Integer* condition = nullptr;
  std::string message;
  std::shared_ptr<const Place> place;
  Span span;
};

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
    auto* out = add<Loop>();
    out->min = integer(n.min);
    out->extent = integer(n.extent);
    out->parallel = n.attrs.kind == ForKind::kParallel || n.attrs.kind == ForKind::kThread;
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
    auto* out = add<Bind>();
    ExprCompiler exprs(&scope_);
    exprs.survey(n.value);
    const AnyValue v = exprs.compile(n.value);
    out->integer = v.integer;
    out->real = v.real;
    out->slot = scope_.define(n.var);
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
    auto* out = add<Allocated>();
    for (const Expr& e : n.buffer->shape) out->shape.push_back(integer(e));
    for (const Expr& e : n.buffer->strides) out->strides.push_back(integer(e));
    out->memory = scope_.define(n.buffer);
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

Action* compile_statement(const Stmt& s, Scope* scope) { return StmtCompiler(scope).compile(s); }

}  // namespace tenon::interpreter
