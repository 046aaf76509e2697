#pragma once

/// Functions: what is scheduled, lowered, interpreted and compiled.

#include <optional>
#include <string>
#include <vector>

#include "tenon/ir/stmt.h"

namespace tenon {

enum class Level : std::uint8_t {
  kBlock,   ///< blocks, multi-dimensional accesses; what schedules rewrite
  kLoop,    ///< no blocks, one-dimensional accesses, vector expressions
  kDevice,  ///< host part and kernels split
};
const char* to_string(Level level);

/// A symbolic size. A function is valid for every value in [min, max] that is a multiple of
/// multiple_of.
struct Symbol {
  Expr var;  ///< VarNode, int64
  std::int64_t min = 0;
  std::optional<std::int64_t> max;
  std::int64_t multiple_of = 1;
};

/// A function over buffers. Parameters are the inputs, then the outputs; their scopes are global.
/// `symbols` are the variables that parameter shapes may use (each appears alone as a dimension of
/// some input).
struct FunctionNode : RefCounted {
  std::string name;
  std::vector<Buffer> inputs;
  std::vector<Buffer> outputs;
  std::vector<Symbol> symbols;
  Stmt body;
  Level level = Level::kBlock;
  Attrs attrs;

  /// Inputs, then outputs.
  std::vector<Buffer> params() const;
};
using Function = Ref<FunctionNode>;

/// A copy of `f` with another body (and level).
Function with_body(const Function& f, Stmt body);
Function with_body(const Function& f, Stmt body, Level level);
Function make_function(std::string name, std::vector<Buffer> inputs, std::vector<Buffer> outputs,
                       std::vector<Symbol> symbols, Stmt body, Level level = Level::kBlock,
                       Attrs attrs = {});

}  // namespace tenon
