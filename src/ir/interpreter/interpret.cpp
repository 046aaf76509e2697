#include "tenon/ir/interpret.h"

#include <array>

#include "ir/interpreter/compiler.h"
#include "ir/transform/init_empty_reductions.h"
#include "ir/verify/checker.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/thread.h"

namespace tenon {

const char* to_string(Finding::Kind kind) {
  constexpr std::array kText = {"out of bounds", "uninitialised", "race",      "domain",
                                "index error",   "assert",        "limit",     "divergence",
                                "copying",       "lane",          "alignment", "launch"};
  return kText[static_cast<std::size_t>(kind)];
}

std::string InterpretReport::text() const {
  std::string out;
  for (const Finding& f : findings) out += std::string(to_string(f.kind)) + ": " + f.message + "\n";
  return out;
}

void InterpretReport::check() const {
  if (ok()) return;
  const Finding& first = findings.front();
  TENON_USER_CHECK(first.kind != Finding::Kind::kIndexError, IndexError, "E0681", first.message);
  TENON_USER_CHECK(first.kind != Finding::Kind::kAssert, IndexError, "E0682", first.message);
  TENON_CHECK(ok(), "the interpreter found\n", text());
}

namespace {

using interpreter::Machine;
using interpreter::Memory;
using interpreter::Program;

std::string describe(const std::vector<std::int64_t>& shape) {
  std::string out = "[";
  for (std::size_t d = 0; d < shape.size(); ++d)
    out += (d > 0 ? ", " : "") + std::to_string(shape[d]);
  return out + "]";
}

void check_argument(const Function& f, const Buffer& p, const ArrayView& a) {
  TENON_USER_CHECK(a.dtype == p->dtype, DTypeError, "E0581", "argument '", p->name, "' of '",
                   f->name, "' has dtype ", to_string(a.dtype), ", expected ", to_string(p->dtype));
  TENON_USER_CHECK(a.shape.size() == p->shape.size(), ShapeError, "E0485", "argument '", p->name,
                   "' of '", f->name, "' has shape ", describe(a.shape), ", expected rank ",
                   p->shape.size());
}

/// Symbols take their values from the input dimensions that are just them.
class SymbolValues {
 public:
  SymbolValues(const Function& f, const std::vector<ArrayView>& arrays,
               const std::vector<std::int64_t>& given)
      : f_(f) {
    TENON_CHECK(given.empty() || given.size() == f->symbols.size(), given.size(), " values for ",
                f->symbols.size(), " symbols");
    for (std::size_t i = 0; i < given.size(); ++i) values_[f->symbols[i].var.get()] = given[i];
    for (std::size_t i = 0; i < f->inputs.size(); ++i) {
      for (std::size_t d = 0; d < arrays[i].shape.size(); ++d)
        take(f->inputs[i], d, arrays[i].shape[d]);
    }
    for (const Symbol& s : f->symbols) {
      const std::string& name = s.var.as<VarNode>()->name;
      TENON_CHECK(values_.count(s.var.get()) != 0, "symbol '", name, "' of '", f->name,
                  "' is no dimension of any input");
      const std::int64_t v = (*this)[s];
      TENON_USER_CHECK(v >= s.min && v <= s.max.value_or(v) && v % s.multiple_of == 0, ShapeError,
                       "E0483", "symbol '", name, "' of '", f->name, "' is ", v,
                       ", outside of what was declared");
    }
  }
  std::int64_t operator[](const Symbol& s) const { return values_.at(s.var.get()); }

 private:
  void take(const Buffer& input, std::size_t dimension, std::int64_t size) {
    const ExprNode* v = input->shape[dimension].get();
    if (v->kind != NodeKind::kVar) return;
    const auto [found, fresh] = values_.try_emplace(v, size);
    TENON_USER_CHECK(fresh || found->second == size, ShapeError, "E0482", "symbol '",
                     static_cast<const VarNode*>(v)->name, "' of '", f_->name, "' is ",
                     found->second, ", but dimension ", dimension, " of '", input->name, "' is ",
                     size);
  }
  const Function& f_;
  std::unordered_map<const ExprNode*, std::int64_t> values_;
};

class Run {
 public:
  Run(const Function& f, const std::vector<ArrayView>& arrays, const InterpretOptions& options)
      : f_(f),
        arrays_(arrays),
        symbols_(options.symbols),
        scope_(&program_, options),
        machine_(options) {}

  InterpretReport operator()() {
    check_arguments();
    const SymbolValues symbols(f_, arrays_, symbols_);
    program_.level = f_->level;
    std::vector<int> slots;
    for (const Symbol& s : f_->symbols) slots.push_back(scope_.define(s.var));
    compile_parameters();
    interpreter::Action* body = interpreter::compile_statement(f_->body, &scope_);
    integers_.resize(static_cast<std::size_t>(program_.integer_slots) + 1);
    reals_.resize(static_cast<std::size_t>(program_.real_slots) + 1);
    machine_.integers = integers_.data();
    machine_.reals = reals_.data();
    machine_.num_integers = integers_.size();
    machine_.num_reals = reals_.size();
    for (std::size_t i = 0; i < slots.size(); ++i) {
      machine_.integers[static_cast<std::size_t>(slots[i])] = symbols[f_->symbols[i]];
    }
    place_parameters();
    try {
      body->run(machine_);
    } catch (const interpreter::Stop&) {
      // what was found says why
    }
    return {std::move(machine_.findings)};
  }

 private:
  struct Parameter {
    Buffer buffer;
    Memory* memory;
    std::vector<interpreter::Integer*> shape, strides;
  };

  void check_arguments() const {
    const std::vector<Buffer> params = f_->params();
    TENON_USER_CHECK(arrays_.size() == params.size(), ShapeError, "E0484", "'", f_->name,
                     "' takes ", params.size(), " arrays, got ", arrays_.size());
    for (std::size_t i = 0; i < params.size(); ++i) check_argument(f_, params[i], arrays_[i]);
  }

  void compile_parameters() {
    const std::vector<Buffer> params = f_->params();
    for (std::size_t i = 0; i < params.size(); ++i) {
      Parameter p{params[i], scope_.define(params[i]), {}, {}};
      interpreter::ExprCompiler exprs(&scope_);
      for (const Expr& e : params[i]->shape) p.shape.push_back(exprs.integer(e));
      for (const Expr& e : params[i]->strides) p.strides.push_back(exprs.integer(e));
      parameters_.push_back(std::move(p));
    }
  }

  void place_parameters() {
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      const Parameter& p = parameters_[i];
      std::vector<std::int64_t> shape, strides;
      for (auto* e : p.shape) shape.push_back(e->get(machine_));
      for (auto* e : p.strides) strides.push_back(e->get(machine_));
      TENON_USER_CHECK(shape == arrays_[i].shape, ShapeError, "E0481", "argument '", p.buffer->name,
                       "' of '", f_->name, "' has shape ", describe(arrays_[i].shape),
                       ", expected ", describe(shape));
      p.memory->reset(std::move(shape), std::move(strides));
      p.memory->data = static_cast<char*>(arrays_[i].data);
      if (i >= f_->inputs.size()) continue;
      for (interpreter::Shadow& s : p.memory->shadow) s.write = 1;
    }
  }

  const Function& f_;
  const std::vector<ArrayView>& arrays_;
  const std::vector<std::int64_t>& symbols_;
  Program program_;
  interpreter::Scope scope_;
  std::vector<std::int64_t> integers_;
  std::vector<double> reals_;
  Machine machine_;
  std::vector<Parameter> parameters_;
};

/// Kernels have the launch form. What depends on the run (who reaches a barrier, how large the grid
/// is) is found while it runs.
void check_launch_form(const Function& f) {
  for (const Violation& v : verify_rules::launch_violations(f)) {
    TENON_CHECK(v.rule == "collective" || v.rule == "launch_limit", "function '", f->name,
                "' is not in launch form: rule '", v.rule, "': ", v.message);
  }
}

}  // namespace

InterpretReport interpret(const Function& f, const std::vector<ArrayView>& arrays,
                          const InterpretOptions& options) {
  TENON_CHECK(f->level != Level::kDevice, "the interpreter executes block and loop functions");
  if (f->level == Level::kLoop && has_thread_loops(f)) check_launch_form(f);
  const Function complete = f->level == Level::kBlock ? init_empty_reductions(f) : f;
  return Run(complete, arrays, options)();
}

}  // namespace tenon
