#pragma once

/// What the rules of all levels share: the walk with its scopes, and the reports.

#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "tenon/ir/verify.h"

namespace tenon::verify_rules {

/// More are not listed.
inline constexpr std::size_t kMaxViolations = 20;

/// Walks a function in scope order and checks the rules common to all levels: scope, definition,
/// dtype, predicate, reduce, buffer, parameter, symbol, register, input, loop. A level adds its own
/// by overriding the hooks.
class Checker {
 public:
  explicit Checker(const Function& f) : function_(f) {}
  virtual ~Checker() = default;
  std::vector<Violation> run();

 protected:
  /// Called for each statement, then for each distinct expression of it, before their children.
  virtual void enter(const StmtNode& s) = 0;
  virtual void leave(const StmtNode& s) = 0;
  virtual void check(const ExprNode& e) = 0;
  /// Called between a block's head (bindings, domains, predicate) and its inside.
  virtual void enter_block_body(const BlockNode&) {}

  template <typename... Parts>
  void report(const char* rule, const Parts&... parts) {
    add(rule, detail::concat(parts...));
  }
  /// The statements around the current one, outermost first; the last is the current one.
  const std::vector<const StmtNode*>& path() const { return path_; }
  const Function& function() const { return function_; }
  bool is_symbol(const ExprNode* var) const { return symbols_.count(var) != 0; }
  bool is_output(const BufferNode* b) const { return outputs_.count(b) != 0; }
  static std::string name_of(const Expr& var);

 private:
  void add(const char* rule, std::string message);
  void head();
  void shape(const Buffer& b);
  void stmt(const Stmt& s);
  void children(const StmtNode& s);
  void loop(const StmtNode& s);
  void block(const StmtNode& s);
  void expr(const Expr& e);
  void visit_children(const ExprNode& e);
  void use_buffer(const Buffer& b);
  void define(const Expr& var);
  void undefine(const Expr& var);
  void expect_dtype(const Expr& e, DType t, const char* what);

  Function function_;
  std::vector<Violation> violations_;
  std::vector<const StmtNode*> path_;
  std::unordered_map<const void*, int> visible_;
  std::unordered_set<const void*> symbols_, inputs_, outputs_;
  std::unordered_set<const ExprNode*> seen_;  ///< within the current statement
};

std::vector<Violation> block_violations(const Function& f);
std::vector<Violation> loop_violations(const Function& f);
/// The rules of the launch form (docs/design/gpu.md) for loop functions: axis, launch,
/// launch_limit, extent, memory, host, mixed, thread_call, collective, shuffle, async_copy, tensor,
/// fragment.
std::vector<Violation> launch_violations(const Function& f);
/// The rules common to all levels, and an index per dimension.
std::vector<Violation> common_violations(const Function& f);

}  // namespace tenon::verify_rules
