#pragma once

/// Buffers: named, typed regions of memory that loads and stores address.

#include <string>
#include <vector>

#include "tenon/ir/node.h"

namespace tenon {

enum class Scope : std::uint8_t {
  kGlobal,    ///< addressable by everyone: parameters, and intermediates of a kernel
  kLocal,     ///< memory private to the thread that allocates it
  kRegister,  ///< a promise: after unrolling every index is constant and the tile fits the register
              ///< file
  kShared,    ///< shared by the threads of a GPU block
  kFragment,  ///< operand layout of a tensor instruction
};
const char* to_string(Scope scope);
/// The scope of a name; ScheduleError [E0250] listing the names when unknown.
Scope parse_scope(const std::string& name);

/// A buffer is an identity: two are the same only if they are the same object. Distinct buffers of
/// a function never overlap.
struct BufferNode : RefCounted {
  std::string name;
  DType dtype;                ///< of one element; always scalar
  std::vector<Expr> shape;    ///< int64 extents, may use the function's symbols; empty for a scalar
  std::vector<Expr> strides;  ///< in elements; empty means row-major
  Scope scope = Scope::kGlobal;
  int alignment = 64;  ///< bytes, of the first element
  Span span;
};
using Buffer = Ref<BufferNode>;

/// A buffer with row-major strides.
Buffer make_buffer(std::string name, DType dtype, std::vector<Expr> shape,
                   Scope scope = Scope::kGlobal);
/// Another buffer with everything of `buffer`.
Buffer copy_buffer(const BufferNode& buffer);
/// The strides as expressions, row-major ones computed.
std::vector<Expr> strides_of(const BufferNode& buffer);

/// A hyper-rectangle of a buffer.
struct BufferRegion {
  Buffer buffer;
  std::vector<Range> ranges;
};

}  // namespace tenon
