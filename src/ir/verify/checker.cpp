#include "ir/verify/checker.h"

#include <bit>

#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"
#include "tenon/ir/visit.h"
#include "tenon/support/stack.h"

namespace tenon::verify_rules {
namespace {

template <typename F>
void for_each_operand(const ExprNode& e, F&& f) {
  visit_expr(e, [&](const auto& n) {
    for_each_field(n, [&](const auto&, const auto& value) {
      using T = std::decay_t<decltype(value)>;
      if constexpr (std::is_same_v<T, Expr>) {
        if (value) f(value);
      } else if constexpr (std::is_same_v<T, std::vector<Expr>>) {
        for (const Expr& x : value) f(x);
      }
    });
  });
}

}  // namespace

std::string Checker::name_of(const Expr& var) {
  const auto* v = var.as<VarNode>();
  return v != nullptr ? "'" + v->name + "'" : print(var);
}

void Checker::add(const char* rule, std::string message) {
  if (violations_.size() >= kMaxViolations) return;
  violations_.push_back({rule, std::move(message), path_.empty() ? Stmt() : Stmt(path_.back())});
}

std::vector<Violation> Checker::run() {
  head();
  stmt(function_->body);
  return std::move(violations_);
}

// --- the head
// --------------------------------------------------------------------------------------------------------

void Checker::head() {
  const FunctionNode& f = *function_;
  for (const Symbol& s : f.symbols) {
    define(s.var);
    symbols_.insert(s.var.get());
    if (s.min < 0 || s.multiple_of < 1 || (s.max && *s.max < s.min)) {
      report("symbol", "symbol ", name_of(s.var), " has an empty range: min ", s.min,
             ", multiple_of ", s.multiple_of);
    }
  }
  for (const Buffer& b : f.inputs) inputs_.insert(b.get());
  for (const Buffer& b : f.outputs) outputs_.insert(b.get());
  if (inputs_.size() != f.inputs.size() || outputs_.size() != f.outputs.size()) {
    report("parameter", "a buffer is listed twice among the inputs or among the outputs");
  }
  for (const Buffer& b : f.params()) {
    visible_[b.get()] = 1;
    shape(b);
    if (b->scope != Scope::kGlobal) {
      report("parameter", "parameter '", b->name, "' has scope ", to_string(b->scope),
             ", should be global");
    }
  }
  if (f.level != Level::kBlock) return;  // flattened shapes are products
  for (const Symbol& s : f.symbols) {
    bool found = false;
    for (const Buffer& b : f.inputs) {
      for (const Expr& dim : b->shape) found |= dim.same_as(s.var);
    }
    if (!found)
      report("symbol", "symbol ", name_of(s.var), " is not a whole dimension of any input");
  }
}

void Checker::shape(const Buffer& b) {
  for (const std::vector<Expr>* dims : {&b->shape, &b->strides}) {
    for (const Expr& d : *dims) {
      expect_dtype(d, kInt64, "a dimension");
      seen_.clear();
      expr(d);
    }
  }
  if (!b->strides.empty() && b->strides.size() != b->shape.size()) {
    report("buffer", "buffer '", b->name, "' has ", b->shape.size(), " dimensions and ",
           b->strides.size(), " strides");
  }
  if (b->alignment <= 0 || !std::has_single_bit(static_cast<unsigned>(b->alignment))) {
    report("buffer", "the alignment of buffer '", b->name, "' is ", b->alignment,
           ", should be a power of two");
  }
  if (!b->dtype.is_scalar())
    report("buffer", "the elements of buffer '", b->name, "' are ", to_string(b->dtype));
  if (b->scope != Scope::kRegister || function_->level == Level::kBlock)
    return;  // shrunk by lowering
  for (const Expr& d : b->shape) {
    if (!as_int(d))
      report("register", "register buffer '", b->name, "' has the size ", print(d),
             ", should be constant");
  }
}

// --- statements
// ------------------------------------------------------------------------------------------------------

void Checker::stmt(const Stmt& s) {
  path_.push_back(s.get());
  seen_.clear();
  enter(*s.get());
  with_stack([&] { children(*s.get()); });
  leave(*s.get());
  path_.pop_back();
}

void Checker::children(const StmtNode& s) {
  visit_stmt(s,
             Overloaded{
                 [&](const StoreNode& n) {
                   use_buffer(n.buffer);
                   if (inputs_.count(n.buffer.get()) != 0 && outputs_.count(n.buffer.get()) == 0) {
                     report("input", "a store to input '", n.buffer->name, "'");
                   }
                   for (const Expr& i : n.indices) expr(i);
                   expr(n.value);
                   if (n.predicate) {
                     expect_dtype(n.predicate, DType::bool_(n.value->dtype.lanes),
                                  "the predicate of a store");
                     expr(n.predicate);
                   }
                 },
                 [&](const ForNode& n) { loop(n); },
                 [&](const WhileNode& n) {
                   expect_dtype(n.condition, kBoolType, "the condition of a while");
                   expr(n.condition);
                   stmt(n.body);
                 },
                 [&](const BlockNode& n) { block(n); },
                 [&](const IfNode& n) {
                   expect_dtype(n.condition, kBoolType, "the condition of an if");
                   expr(n.condition);
                   stmt(n.then_case);
                   if (n.else_case) stmt(n.else_case);
                 },
                 [&](const LetStmtNode& n) {
                   expr(n.value);
                   define(n.var);
                   stmt(n.body);
                   undefine(n.var);
                 },
                 [&](const AllocateNode& n) {
                   shape(n.buffer);
                   if (visible_[n.buffer.get()]++ > 0)
                     report("definition", "buffer '", n.buffer->name, "' is allocated twice");
                   stmt(n.body);
                   --visible_[n.buffer.get()];
                 },
                 [&](const SeqNode& n) {
                   for (const Stmt& x : n.stmts) stmt(x);
                 },
                 [&](const EvaluateNode& n) { expr(n.value); },
                 [&](const AssertNode& n) {
                   expect_dtype(n.condition, kBoolType, "the condition of an assert");
                   expr(n.condition);
                 },
             });
}

void Checker::loop(const StmtNode& s) {
  const auto& n = static_cast<const ForNode&>(s);
  expect_dtype(n.min, kInt64, "the lower bound of a loop");
  expect_dtype(n.extent, kInt64, "the extent of a loop");
  expect_dtype(n.var, kInt64, "the variable of a loop");
  if ((n.attrs.kind == ForKind::kThread) == n.attrs.thread_axis.empty()) {
    report("loop", to_string(n.attrs.kind), " loop ", name_of(n.var), " has thread axis '",
           n.attrs.thread_axis, "'");
  }
  expr(n.min);
  expr(n.extent);
  define(n.var);
  stmt(n.body);
  undefine(n.var);
}

void Checker::block(const StmtNode& s) {
  const auto& n = static_cast<const BlockNode&>(s);
  for (std::size_t i = 0; i < n.iters.size(); ++i) {
    expect_dtype(n.iters[i].var, kInt64, "an iteration variable");
    expect_dtype(n.bindings[i], kInt64, "a binding");
    expect_dtype(n.iters[i].domain.min, kInt64, "the domain of an iteration variable");
    expect_dtype(n.iters[i].domain.extent, kInt64, "the domain of an iteration variable");
    expr(n.bindings[i]);
    expr(n.iters[i].domain.min);
    expr(n.iters[i].domain.extent);
    define(n.iters[i].var);  // later domains may use it
  }
  if (n.predicate) {
    expect_dtype(n.predicate, kBoolType, "the predicate of a block");
    expr(n.predicate);
  }
  enter_block_body(n);
  for (const std::vector<BufferRegion>* regions : {&n.reads, &n.writes}) {
    for (const BufferRegion& r : *regions) {
      use_buffer(r.buffer);
      for (const Range& range : r.ranges) {
        expr(range.min);
        expr(range.extent);
      }
    }
  }
  if (n.init) stmt(n.init);
  stmt(n.body);
  for (const IterVar& i : n.iters) undefine(i.var);
}

// --- expressions
// -----------------------------------------------------------------------------------------------------

void Checker::expr(const Expr& e) {
  if (!seen_.insert(e.get()).second) return;
  check(*e.get());
  with_stack([&] { visit_children(*e.get()); });
}

void Checker::visit_children(const ExprNode& e) {
  if (e.kind == NodeKind::kVar) {
    if (visible_[&e] <= 0)
      report("scope", "variable ", name_of(Expr(&e)), " is used where it is not defined");
    return;
  }
  if (e.kind == NodeKind::kReduce) {
    report("reduce", "a reduce expression is legal only inside a tensor expression");
    return;
  }
  if (e.kind == NodeKind::kLet) {
    const auto& n = static_cast<const LetNode&>(e);
    expr(n.value);
    define(n.var);
    expr(n.body);
    undefine(n.var);
    return;
  }
  if (e.kind == NodeKind::kLoad) use_buffer(static_cast<const LoadNode&>(e).buffer);
  for_each_operand(e, [&](const Expr& x) { expr(x); });
}

void Checker::use_buffer(const Buffer& b) {
  if (visible_[b.get()] <= 0)
    report("scope", "buffer '", b->name, "' is used where it does not exist");
}

void Checker::define(const Expr& var) {
  if (visible_[var.get()]++ > 0)
    report("definition", "variable ", name_of(var), " is defined again where it is visible");
}

void Checker::undefine(const Expr& var) { --visible_[var.get()]; }

void Checker::expect_dtype(const Expr& e, DType t, const char* what) {
  if (e->dtype != t)
    report("dtype", what, " is ", to_string(e->dtype), ", should be ", to_string(t), ": ",
           print(e));
}

namespace {

class CommonChecker : public Checker {
 public:
  using Checker::Checker;

 protected:
  void enter(const StmtNode& s) override {
    if (s.kind != NodeKind::kStore) return;
    const auto& n = static_cast<const StoreNode&>(s);
    arity(n.buffer, n.indices.size());
  }
  void leave(const StmtNode&) override {}
  void check(const ExprNode& e) override {
    if (e.kind != NodeKind::kLoad) return;
    const auto& n = static_cast<const LoadNode&>(e);
    arity(n.buffer, n.indices.size());
  }

 private:
  void arity(const Buffer& b, std::size_t count) {
    if (count == b->shape.size()) return;
    report("arity", "an access of '", b->name, "' has ", count, " indices, the buffer ",
           b->shape.size(), " dimensions");
  }
};

}  // namespace

std::vector<Violation> common_violations(const Function& f) { return CommonChecker(f).run(); }

}  // namespace tenon::verify_rules
