#include "ir/transform/storage_align.h"

#include <cstdio>

#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

class FindBlocks : public Walker {
 public:
  std::vector<const BlockNode*> blocks;

 protected:
  using Walker::visit;
  void visit(const BlockNode& n) override {
    if (n.annotations.count("storage_align") != 0) blocks.push_back(&n);
    walk(n);
  }
};

}  // namespace

StorageAlign::StorageAlign(const Function& f) {
  FindBlocks find;
  find(f->body);
  for (const BlockNode* b : find.blocks) {
    const auto* text = std::get_if<std::string>(&b->annotations.at("storage_align"));
    long long axis = 0, factor = 0, offset = 0;
    const bool valid = text != nullptr &&
                       std::sscanf(text->c_str(), "%lld:%lld:%lld", &axis, &factor, &offset) == 3;
    // The annotation may have been written by hand.
    if (!valid || axis < 0 || factor < 1 || offset < 0 || offset >= factor) continue;
    for (const BufferRegion& w : b->writes)
      paddings_[w.buffer.get()] = {static_cast<std::size_t>(axis), factor, offset};
  }
}

void StorageAlign::pad(const Buffer& buffer, BufferNode* placed) const {
  const auto found = paddings_.find(buffer.get());
  if (found == paddings_.end() || found->second.axis + 1 >= placed->shape.size()) return;
  const Padding& p = found->second;
  std::vector<Expr> strides(placed->shape.size());
  std::int64_t stride = 1;
  for (std::size_t d = placed->shape.size(); d-- > 0;) {
    if (d == p.axis) stride += ((p.offset - stride) % p.factor + p.factor) % p.factor;
    strides[d] = imm(stride);
    const auto extent = as_int(placed->shape[d]);
    if (!extent) return;
    stride *= *extent;
  }
  placed->strides = std::move(strides);
}

}  // namespace tenon
