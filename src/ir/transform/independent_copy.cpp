#include "ir/transform/independent_copy.h"

#include "tenon/ir/visit.h"

namespace tenon {

Stmt independent_copy(const Stmt& s) {
  BufferMap copies;
  post_order_visit(s, [&](const Node& n) {
    if (n.kind != NodeKind::kAllocate) return;
    const Buffer& b = static_cast<const AllocateNode&>(n).buffer;
    copies[b.get()] = copy_buffer(*b);
  });
  return fresh_definitions(replace_buffers(s, copies));
}

}  // namespace tenon
