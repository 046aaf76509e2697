#pragma once

/// `Emitter`: one function of loop IR as LLVM IR.
///
/// emit_kernel.cpp: entry, tasks, errors; emit_stmt.cpp: statements; emit_expr.cpp: expressions and
/// laziness; emit_memory.cpp: loads and stores.

#include <llvm/IR/Module.h>

#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "codegen/expr_operands.h"
#include "codegen/llvm/arith.h"
#include "codegen/storage.h"
#include "tenon/codegen/kernel_info.h"
#include "tenon/ir/function.h"
#include "tenon/runtime/target.h"

namespace tenon::codegen {

class Emitter {
 public:
  Emitter(llvm::Module* module, Function f, const Target& target);
  /// Adds the kernel, its tasks and what they need to the module.
  void emit_kernel();

 private:
  using Memo = std::unordered_map<const ExprNode*, llvm::Value*>;

  /// What belongs to the LLVM function that is being written: the kernel, or a task of it.
  struct Frame {
    llvm::Function* function = nullptr;
    llvm::Value* context = nullptr;      ///< tenon_kernel_context*
    llvm::Value* workspace = nullptr;    ///< the shared part; in a task, the worker's
    llvm::Value* worker_base = nullptr;  ///< the first worker's part; kernel only
    llvm::Value* worker_bytes = nullptr;
    bool is_task = false;
    std::unordered_map<const ExprNode*, llvm::Value*> vars;
    std::unordered_map<const BufferNode*, llvm::Value*> buffers;
    std::vector<Memo> memo;       ///< values of expressions, innermost scope last
    llvm::Value* mask = nullptr;  ///< lanes that the expression is evaluated for; null: all
  };

  /// base + stride * lane, both scalar.
  struct AffineIndex {
    Expr base, stride;
  };

  // emit_kernel.cpp
  void load_parameters(llvm::Value* buffers, llvm::Value* sizes);
  void set_up_workspace();
  void finish_kernel();
  llvm::Function* new_function(llvm::FunctionType* type, const std::string& name, bool exported);
  /// `body` behind a check that puts the floating-point mode right and restores the caller's.
  llvm::Function* add_mode_guard(llvm::Function* body, const std::string& name, bool exported);
  void emit_parallel_for(const ForNode& n);
  struct Captures;
  Captures find_captures(const ForNode& n);
  llvm::Function* emit_task(const ForNode& n, const Captures& captures);
  /// Fills the task's frame from its closure; returns the parallel loop's minimum.
  llvm::Value* load_captures(const Captures& captures, llvm::Value* closure, Frame* frame);
  /// The function that records the first failure in the context.
  llvm::Function* report_function();
  llvm::Value* context_field(std::size_t offset, const char* name);

  // emit_stmt.cpp
  void emit(const Stmt& s);
  void emit_statement(const StmtNode& s);
  void emit_for(const ForNode& n);
  void emit_loop(const ForNode& n);
  void emit_unrolled(const ForNode& n, std::int64_t extent);
  void emit_while(const WhileNode& n);
  void emit_if(const IfNode& n);
  void emit_allocate(const AllocateNode& n);
  void emit_assert(const AssertNode& n);
  void emit_store(const StoreNode& n);
  llvm::MDNode* loop_metadata();

  // emit_expr.cpp
  /// The value of `e`, memoised in the current scope; does not recurse over chains of operators.
  llvm::Value* emit(const Expr& e);
  llvm::Value* emit_node(const ExprNode& n);
  llvm::Value* emit_constant(const IntImmNode& n);
  llvm::Value* emit_lazy_select(const SelectNode& n);
  /// Evaluates what both branches evaluate in any case, so that chains of selects that share
  /// operands stay as long as they are.
  void emit_common_effects(const SelectNode& n);
  std::vector<const ExprNode*> effects_always_evaluated(const Expr& e);
  llvm::Value* emit_lazy_logic(const BinaryNode& n);
  llvm::Value* emit_shuffle(const ShuffleNode& n);
  llvm::Value* emit_ramp(const RampNode& n);
  llvm::Value* emit_call(const CallNode& n);
  llvm::Value* emit_checked_index(const CallNode& n);
  void emit_index_report(llvm::Value* failed, llvm::Value* index, llvm::Value* extent,
                         const Expr& site);
  llvm::Value* find(const ExprNode* n) const;
  llvm::Value* in_scope(const std::function<llvm::Value*()>& f);
  /// `then_value()` where the scalar `condition` holds, else `else_value()`; only one is run.
  llvm::Value* emit_branches(llvm::Value* condition,
                             const std::function<llvm::Value*()>& then_value,
                             const std::function<llvm::Value*()>& else_value);
  /// `f()` evaluated for the lanes in `mask` only.
  llvm::Value* under_mask(llvm::Value* mask, const std::function<llvm::Value*()>& f);
  llvm::Value* join_masks(llvm::Value* a, llvm::Value* b, int lanes);
  /// The current mask with this many lanes; null when there is none.
  llvm::Value* current_mask(int lanes);
  void push_operands(const ExprNode& n, std::vector<const ExprNode*>* out);

  // emit_memory.cpp
  llvm::Value* emit_load(const LoadNode& n);
  llvm::Value* emit_scalar_load(const LoadNode& n, llvm::Value* predicate);
  llvm::Value* emit_vector_load(const LoadNode& n, llvm::Value* predicate);
  llvm::Value* load_contiguous(const Buffer& buffer, DType dtype, llvm::Value* address,
                               llvm::Value* predicate);
  llvm::Value* load_reversed(const Buffer& buffer, DType dtype, llvm::Value* base,
                             llvm::Value* predicate);
  void emit_vector_store(const StoreNode& n, llvm::Value* value, llvm::Value* predicate);
  llvm::Value* element_address(const Buffer& buffer, llvm::Value* index);
  /// One address for each lane.
  llvm::Value* lane_addresses(const Buffer& buffer, const Expr& index,
                              const std::optional<AffineIndex>& affine);
  std::optional<AffineIndex> match_affine(const Expr& index, int depth = 0);
  /// Marks the access as one of `buffer`, which no access to another buffer aliases.
  template <typename Instruction>
  Instruction* annotate(Instruction* access, const Buffer& buffer);
  void make_alias_scopes();

  llvm::Module* module_;
  llvm::LLVMContext& context_;
  Builder b_;
  Function f_;
  const Target& target_;
  std::string symbol_;
  StoragePlan storage_;
  KernelInfo info_;
  Frame frame_;
  int num_tasks_ = 0;
  std::unordered_map<const StmtNode*, int> assert_sites_;
  llvm::Function* report_ = nullptr;
  EffectFinder has_effects_;
  std::vector<Expr> keep_alive_;  ///< expressions made here, which memo refers to by address
  std::unordered_map<const BufferNode*, std::pair<llvm::MDNode*, llvm::MDNode*>> alias_;
};

}  // namespace tenon::codegen
