#pragma once

/// The interpreter: executes functions slowly and strictly. It is the oracle that schedules, passes
/// and compiled code are compared with, and shares no code with code generation. Its results have
/// the bits of compiled code (all NaNs count as equal).

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tenon/ir/function.h"

namespace tenon {

/// An argument: memory that the caller owns, as large as the parameter's shape needs, laid out by
/// the parameter's strides (row-major unless declared otherwise).
struct ArrayView {
  void* data = nullptr;
  DType dtype;
  std::vector<std::int64_t> shape;
};

struct InterpretOptions {
  /// Report reads of elements that nothing wrote (outputs and allocations start so).
  bool check_initialised = true;
  /// Report two iterations of a parallel loop, two blocks of a grid, or two threads of a block with
  /// no barrier between, that touch one element, at least one of them writing.
  bool check_races = true;
  /// Stop after this many findings.
  int max_findings = 8;
  /// Stop, with a finding, after this many executed stores (0: no limit), so that a `while` cannot
  /// hang a test.
  std::int64_t max_stores = 0;
  /// The values of the function's symbols, in order. Empty: from the shapes of the inputs (loop IR
  /// with flat buffers does not show them).
  std::vector<std::int64_t> symbols = {};
  /// Gives the arithmetic that a call (exp, tanh, ...) stands for, in terms of its operands. Unset:
  /// the float functions stand for what the pass expand_math inserts, and other calls but
  /// checked_index raise UnsupportedError [E0750], which names the call.
  std::function<Expr(const CallNode&)> expand_call = nullptr;
};

/// Something that a correct program does not do.
struct Finding {
  enum class Kind : std::uint8_t {
    kOutOfBounds,    ///< the read gave 0, the write was dropped
    kUninitialised,  ///< the read gave what was in memory
    kRace,
    kDomain,      ///< a block's iteration variable outside its domain
    kIndexError,  ///< a data-dependent index (checked_index) out of range: what compiled code
                  ///< raises at the end
    kAssert,      ///< an assert failed; execution stopped
    kLimit,       ///< max_stores reached; execution stopped
    kDivergence,  ///< a barrier that not all threads of the block reach, or a shuffle or tensor
                  ///< instruction that not all lanes of the warp reach
    kCopying,     ///< an access to an element while an asynchronous copy to it is under way
    kLane,        ///< a shuffle from a lane that does not exist, a tensor instruction in a warp of
                  ///< fewer than 32
    kAlignment,   ///< an operand of a tensor instruction in shared memory whose rows do not start
                  ///< at multiples of 16 bytes
    kLaunch,      ///< more blocks or threads than an axis has; execution stopped
  };
  Kind kind;
  /// One line: what, the buffer and indices, the block, the values of the loops around it, the
  /// user's line.
  std::string message;
  Span span;
};
const char* to_string(Finding::Kind kind);

struct InterpretReport {
  std::vector<Finding> findings;

  bool ok() const { return findings.empty(); }
  /// One finding a line.
  std::string text() const;
  /// Raises what compiled code would raise (IndexError [E0681] for kIndexError, IndexError [E0682]
  /// for kAssert), and InternalError for everything else; nothing when ok().
  void check() const;
};

/// Runs `f` (verified, block or loop level; kernels of a loop function in launch form) on arrays in
/// parameter order: inputs, then outputs. Symbols take their values from the shapes of the inputs.
/// ShapeError [E0481 to E0485] or DTypeError [E0581] where an array does not fit its parameter.
InterpretReport interpret(const Function& f, const std::vector<ArrayView>& arrays,
                          const InterpretOptions& options = {});

}  // namespace tenon
