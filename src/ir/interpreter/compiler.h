#pragma once

/// Turns IR into trees of Code with slots for variables.

#include <string>
#include <unordered_map>

#include "ir/interpreter/value.h"

namespace tenon::interpreter {

/// Owns the code, the buffers and the number of slots.
struct Program {
  std::vector<std::unique_ptr<Code>> code;
  std::vector<std::unique_ptr<Memory>> memories;
  int integer_slots = 0;
  int real_slots = 0;
  Level level = Level::kBlock;

  template <typename T, typename... Args>
  T* add(Args&&... args) {
    auto owned = std::make_unique<T>(std::forward<Args>(args)...);
    T* raw = owned.get();
    code.push_back(std::move(owned));
    return raw;
  }
};

/// What is visible where an expression or statement stands.
class Scope {
 public:
  Scope(Program* p, const InterpretOptions& o)
      : program(*p), options(o), place_(std::make_shared<Place>()) {}

  Program& program;
  const InterpretOptions& options;

  /// A new slot for the variable (one for each lane), of its type.
  int define(const Expr& var);
  /// Also shown in messages.
  int define_shown(const Expr& var);
  int slot(const ExprNode* var) const;
  Memory* define(const Buffer& buffer);
  Memory* memory(const BufferNode* buffer) const;
  /// The place for messages from here.
  std::shared_ptr<const Place> place() const { return place_; }
  void set_place(std::shared_ptr<const Place> p) { place_ = std::move(p); }
  void enter_block(const std::string& name);

  /// The parallel loops around, outermost first.
  std::vector<const ExprNode*> parallel_loops;
  bool in_kernel = false;  ///< allocations belong to threads or warps, by their scope
  /// Every access notes its parallel loops: the common ones own the buffer, where it is an
  /// intermediate of a block function.
  void note_access(Memory* memory);
  std::unordered_map<Memory*, std::vector<const ExprNode*>> owners;

 private:
  std::unordered_map<const ExprNode*, int> slots_;
  std::unordered_map<const BufferNode*, Memory*> memories_;
  std::shared_ptr<const Place> place_;
};

/// Compiles the expressions of one statement. Values shared between them are computed once for each
/// execution of the statement.
class ExprCompiler {
 public:
  explicit ExprCompiler(Scope* scope) : scope_(*scope) {}

  /// Announces an expression that will be compiled, so that what it shares with others is known.
  void survey(const Expr& e);
  AnyValue compile(const Expr& e);
  Integer* integer(const Expr& e) { return compile(e).integer; }
  Access access(const Buffer& buffer, const Span& span);

 private:
  AnyValue build(const Expr& e);
  AnyValue constant(const ExprNode& e);
  AnyValue unary(const UnaryNode& n);
  AnyValue binary(const BinaryNode& n);
  AnyValue integer_binary(const BinaryNode& n, Integer* a, Integer* b);
  AnyValue real_binary(const BinaryNode& n, Real* a, Real* b);
  AnyValue comparison(const BinaryNode& n, const AnyValue& a, const AnyValue& b);
  AnyValue cast(const CastNode& n);
  AnyValue reinterpret(const ReinterpretNode& n);
  AnyValue fma(const FmaNode& n);
  AnyValue select(const SelectNode& n);
  AnyValue let(const LetNode& n);
  AnyValue load(const LoadNode& n);
  AnyValue shuffle(const ShuffleNode& n);
  AnyValue reduce(const VectorReduceNode& n);
  AnyValue call(const CallNode& n);

  template <typename T, typename... Args>
  T* add(int lanes, Args&&... args) {
    T* node = scope_.program.add<T>(std::forward<Args>(args)...);
    node->lanes = lanes;
    return node;
  }
  template <typename Out, typename In, typename F>
  AnyValue map(int lanes, Value<In>* a, F f);
  template <typename Out, typename In, typename F>
  AnyValue map(int lanes, Value<In>* a, Value<In>* b, F f);

  Scope& scope_;
  std::unordered_map<const ExprNode*, int> uses_;
  std::unordered_map<const ExprNode*, std::pair<Expr, AnyValue>> done_;
};

struct Bind;
struct Allocated;

/// The code of a function body.
Action* compile_statement(const Stmt& s, Scope* scope);
/// Its variable or buffer is visible from here on; the body is the caller's to set.
Bind* compile_bind(const LetStmtNode& n, Scope* scope);
Allocated* compile_allocated(const AllocateNode& n, Scope* scope);
/// The code of a kernel in launch form, from its outermost loop on.
Action* compile_kernel(const ForNode& outermost, Scope* scope);

}  // namespace tenon::interpreter
