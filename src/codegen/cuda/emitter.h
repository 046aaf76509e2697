#pragma once

/// `KernelEmitter`: the statements of one kernel as CUDA C++.
///
/// emit_expr.cpp: expressions, sharing and laziness; emit_memory.cpp: loads, stores and copies;
/// emit_call.cpp: checks, shuffles; emit_tensor.cpp: tensor instructions; emit_stmt.cpp:
/// statements.

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "codegen/cuda/arith.h"
#include "codegen/cuda/int_range.h"
#include "codegen/cuda/names.h"
#include "codegen/cuda/prelude.h"
#include "codegen/expr_operands.h"
#include "tenon/ir/analyzer.h"
#include "tenon/ir/function.h"
#include "tenon/ir/tensor_instruction.h"
#include "tenon/ir/thread.h"

namespace tenon::codegen::cuda {

/// Bytes that each shared buffer is aligned to: enough for every access and for ldmatrix.
inline constexpr int kSharedAlignment = 16;

/// A value of any number of lanes, one expression for each.
struct Value {
  std::vector<Scalar> lanes;
  IntRange range;  ///< of all lanes, for integers
};

class KernelEmitter {
 public:
  /// `num_threads` of a block; `has_collectives`: threads of the kernel wait for each other.
  KernelEmitter(Prelude* prelude, std::int64_t num_threads, bool has_collectives);

  // --- what is there before the statements
  /// A parameter: a pointer to the elements of `buffer`. Returns its name.
  std::string add_buffer(const Buffer& buffer);
  /// A variable that has the value `text` of type long long or int.
  void add_variable(const Expr& var, const std::string& text, const IntRange& range, bool is_int32);
  std::string unique_name(const std::string& wanted) { return names_.unique(wanted); }
  Analyzer& analyzer() { return analyzer_; }
  /// Where a shared buffer begins in the block's dynamic shared memory; unset: it is static.
  void place_shared(const BufferNode* buffer, std::int64_t offset) { dynamic_[buffer] = offset; }
  /// The variable of a loop around the kernel: a grid that depends on it is launched at its
  /// largest.
  void add_host_variable(const Expr& var) { host_vars_.insert(var.get()); }
  /// Defines the thread's number in its warp, which tensor instructions use.
  void define_lane(const std::array<std::int64_t, 3>& block);
  /// Loops over these variables are unrolled, whatever their kind.
  void unroll_over(const std::unordered_set<const ExprNode*>& vars) { to_unroll_ = vars; }
  void set_assert_site(const StmtNode* s, int site) { assert_sites_[s] = site; }

  void emit(const Stmt& s);
  /// Emits `body` under the condition.
  void emit_guarded(const Expr& condition, const std::function<void()>& body);
  /// A line of text as it is.
  void line(const std::string& text);
  /// The lines so far, indented by two columns.
  std::string text() const;
  bool uses_error_record() const { return uses_error_record_; }

 private:
  using Memo = std::unordered_map<const ExprNode*, Value>;

  // emit_stmt.cpp
  void emit_statement(const StmtNode& s);
  void emit_for(const ForNode& n);
  void emit_thread_loop(const ForNode& n);
  void emit_while(const WhileNode& n);
  void emit_if(const IfNode& n);
  void emit_let(const LetStmtNode& n);
  void emit_allocate(const AllocateNode& n);
  void emit_evaluate(const EvaluateNode& n);
  void emit_assert(const AssertNode& n);
  void emit_body(const Stmt& s);
  /// "if (condition) ..." around the lines that `body` emits.
  void emit_guarded_lines(const Scalar& condition, const std::function<void()>& body);
  /// "const T name = value;" for each lane; the variable is these names from now on.
  void define(const ExprNode* var, const std::string& wanted, const Value& value);
  void open(const std::string& head);
  void close(const std::string& tail = "}");

  // emit_expr.cpp
  /// Begins a statement whose expressions are these: counts the uses of their parts.
  void begin_statement(const std::vector<Expr>& roots);
  /// The value of `e`, memoised in the current scope; does not recurse over chains of operators.
  Value emit(const Expr& e);
  Scalar emit_scalar(const Expr& e);
  Value emit_node(const ExprNode& n);
  Value emit_constant(const IntImmNode& n);
  Value emit_float(const FloatImmNode& n);
  Value emit_cast(const CastNode& n);
  Value emit_unary(const UnaryNode& n);
  Value emit_binary(const BinaryNode& n);
  Value emit_int_binary(BinaryOp op, DType dtype, const Value& a, const Value& b, std::size_t lane);
  Value combine(BinaryOp op, DType dtype, const Value& a, const Value& b);
  Value emit_select(const SelectNode& n);
  Value emit_lazy_select(const SelectNode& n);
  Value emit_lazy_logic(const BinaryNode& n);
  Value emit_ramp(const RampNode& n);
  Value emit_shuffle(const ShuffleNode& n);
  Value emit_vector_reduce(const VectorReduceNode& n);
  const Value* find(const ExprNode* n) const;
  /// The value under a name if its text is long or it is used several times.
  Value name_if_needed(const ExprNode& n, Value value);
  Scalar name_it(const Scalar& s, const std::string& wanted = "v");
  /// `value()` where the scalar `condition` holds, else `other()`; only one is run.
  Value emit_branches(const Scalar& condition, DType dtype, const std::function<Value()>& value,
                      const std::function<Value()>& other);
  Value in_scope(const std::function<Value()>& f);
  Value under_mask(const std::vector<Scalar>& mask, const std::function<Value()>& f);
  /// The condition under which lane `lane` of `lanes` is wanted; nothing: in any case.
  std::optional<Scalar> mask_of(std::size_t lane, std::size_t lanes) const;
  std::vector<const ExprNode*> effects_always_evaluated(const Expr& e);
  void emit_common_effects(const SelectNode& n);
  void push_operands(const ExprNode& n, std::vector<const ExprNode*>* out);

  // emit_memory.cpp
  struct AffineIndex {
    Expr base, stride;
  };
  /// An access of several elements at once: the built-in vector type and its parts.
  struct WideAccess {
    std::string type;
    int elements_per_part = 1;
    int num_parts = 1;
  };
  Value emit_load(const LoadNode& n);
  void emit_store(const StoreNode& n);
  void emit_store_lanes(const StoreNode& n, const Value& value);
  bool emit_wide_store(const StoreNode& n, const Value& value);
  void emit_async_copy(const StoreNode& n, const LoadNode& load);
  std::optional<AffineIndex> match_affine(const Expr& index, int depth = 0);
  /// base of a contiguous access of `lanes` elements that is known to be aligned to all of them.
  std::optional<Expr> aligned_base(const Buffer& buffer, const Expr& index, int lanes);
  std::optional<WideAccess> wide_access(DType element, int lanes) const;
  /// The text of each lane's index.
  std::vector<Scalar> lane_indices(const Expr& index);
  std::string element(const Buffer& buffer, const Scalar& index) const;
  std::string pointer(const Buffer& buffer, const Scalar& index) const;
  void check_register_index(const Buffer& buffer, const Expr& index) const;

  // emit_call.cpp
  Value emit_call(const CallNode& n);
  Value emit_checked_index(const CallNode& n);
  Value emit_warp_shuffle(const CallNode& n, ThreadCall which);
  std::string warp_mask();

  // emit_tensor.cpp
  void emit_tensor_call(const CallNode& n, const TensorInstruction& t);
  void allocate_fragment(const Buffer& buffer, std::int64_t size);
  void emit_ptx(const LaneStep& step, const TensorInstruction& t,
                const std::vector<TensorPlace>& places);
  void emit_store_step(const TensorInstruction& t, const std::vector<TensorPlace>& places);
  /// Register `index` of the lane's part of the tile at `place`, which must be a constant.
  std::string fragment_register(const TensorOperand& operand, const TensorPlace& place,
                                const std::string& index);
  /// Element (row, column) of the tile at `place`, C expressions.
  std::string tile_element(const TensorPlace& place, const std::string& row,
                           const std::string& column);

  Prelude* prelude_;
  std::int64_t num_threads_;
  bool has_collectives_;
  Names names_;
  Analyzer analyzer_;
  std::vector<std::string> lines_;
  int indent_ = 1;
  std::unordered_map<const ExprNode*, Value> vars_;
  std::unordered_map<const BufferNode*, std::string> buffers_;
  std::unordered_map<const BufferNode*, std::int64_t> dynamic_;
  std::unordered_set<const ExprNode*> to_unroll_;
  std::unordered_set<const ExprNode*> unrolled_;  ///< variables that are constants in the end
  std::unordered_set<const ExprNode*> host_vars_;
  std::unordered_map<const StmtNode*, int> assert_sites_;
  std::vector<Memo> memo_;
  std::unordered_map<const ExprNode*, int> num_uses_;
  std::vector<Scalar> mask_;
  EffectFinder has_effects_;
  std::vector<Expr> keep_alive_;  ///< expressions made here, which maps refer to by address
  bool uses_error_record_ = false;
  std::string lane_;  ///< name of the thread's number in its warp
};

}  // namespace tenon::codegen::cuda
