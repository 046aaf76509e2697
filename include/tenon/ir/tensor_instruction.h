#pragma once

/// Tensor instructions: what they mean as loops, what their operands are, and what each lane of a
/// warp does.
///
/// **At block level** a block with the annotation kTensorInstructionKey is the instruction of that
/// name; its body are the loops that it stands for. **At loop level** it is
/// `evaluate <name>(place, ..., stride, ...)`: for each operand, the result first, the load of its
/// first element; then for each operand its row stride in elements. Element (i, j) of an operand's
/// tile is `place + i * stride + j`. All 32 lanes of a warp execute it together.
///
/// **Fragments.** An operand in scope `fragment` is held by the lanes of the warp: lane l has
/// elements e = 0..7 of each tile of 16 x 16, at (row, column) of the tile as its FragmentLayout
/// says. The tiles of a fragment buffer of `rows` x `columns` are numbered row by row: the place at
/// offset o (a constant once loops are unrolled) of a buffer with row stride s is tile
/// `o / (16 * s) * (s / 16) + o % s / 16`, and a lane keeps `size / 32` elements of the buffer.
/// Each buffer has one layout: that of the operand of every instruction that it is given to.
///
/// **Memory.** Rows of operands in shared memory start at multiples of 16 bytes: offset and row
/// stride are multiples of 8 elements of 2 bytes.

#include <string>
#include <string_view>
#include <vector>

#include "tenon/ir/function.h"

namespace tenon {

/// The annotation of a block that is a tensor instruction; its value is the name.
inline constexpr const char* kTensorInstructionKey = "tensor_instruction";

/// Which lane holds which element of a tile of 16 x 16. Formulas are C expressions over `lane` (0
/// to 31) and `e` (0 to 7, the element of the lane).
struct FragmentLayout {
  const char* name;  ///< "accumulator", "left", "right"
  const char* row;   ///< "lane / 4 + e / 2 % 2 * 8"
  const char* column;
};
extern const FragmentLayout kAccumulatorLayout;  ///< results, float32
extern const FragmentLayout kLeftLayout;         ///< left operands, 2 bytes an element
extern const FragmentLayout kRightLayout;        ///< right operands, 2 bytes an element

/// A tile of a buffer.
struct TensorOperand {
  std::string name;
  DType dtype;
  std::vector<Scope> scopes;  ///< where the buffer may be
  std::int64_t rows, columns;
  bool is_read, is_written;
  const FragmentLayout* layout = nullptr;  ///< of operands in scope fragment
};

/// What a placeholder `%n` of a PTX text stands for.
struct PtxOperand {
  enum class Kind : std::uint8_t {
    kRegister,  ///< a 32-bit register of a lane: element `index` of a float32 fragment, elements
                ///< 2 * index and 2 * index + 1 of one with 2 bytes an element
    kAddress,   ///< the 32-bit shared address of element (row, column) of the tile
  };
  Kind kind;
  int operand;                ///< of the instruction
  int index = 0;              ///< of kRegister
  bool is_written = false;    ///< of kRegister
  bool is_read = true;        ///< of kRegister
  const char* row = nullptr;  ///< of kAddress: C expressions over `lane`
  const char* column = nullptr;
};

/// One thing that each lane does.
struct LaneStep {
  enum class Kind : std::uint8_t {
    kPtx,    ///< the text, which the whole warp executes
    kFill,   ///< every element of operand 0 becomes 0
    kStore,  ///< elements of operand 1, rounded to the dtype of operand 0, go to their (row,
             ///< column) there
  };
  Kind kind;
  std::string text = {};                  ///< of kPtx, with placeholders %0, %1, ...
  std::vector<PtxOperand> operands = {};  ///< of kPtx, in the order of the placeholders
};

struct TensorInstruction {
  std::string name;
  std::string summary;                  ///< one sentence
  std::vector<TensorOperand> operands;  ///< the result first
  std::vector<Buffer> tiles;            ///< one for each operand, of its rows x columns
  Stmt semantics;                       ///< loops and stores over `tiles`
  std::vector<LaneStep> cuda;
  int min_arch = 80;  ///< sm_80
};

/// All instructions, sorted by name.
const std::vector<const TensorInstruction*>& tensor_instructions();
/// Null when there is none of that name.
const TensorInstruction* find_tensor_instruction(std::string_view name);
/// The instruction that an expression calls, that a statement evaluates; null for all others.
const TensorInstruction* tensor_instruction_of(const Expr& e);
const TensorInstruction* tensor_instruction_of(const StmtNode& s);

/// One operand of a call.
struct TensorPlace {
  Expr first;   ///< the LoadNode of the first element
  Expr stride;  ///< in elements
};
/// The operands of a call of `instruction`, in its order.
std::vector<TensorPlace> tensor_places(const TensorInstruction& instruction, const CallNode& call);
/// The statement of a call.
Stmt tensor_call(const TensorInstruction& instruction, const std::vector<TensorPlace>& places);
/// The loops that a call at loop level stands for: the semantics over the buffers of its places.
Stmt expand_tensor_call(const CallNode& call);

}  // namespace tenon
