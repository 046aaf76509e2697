#include "ir/transform/flatten_buffers.h"

#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

class Flatten : public Mutator {
 public:
  Buffer flat(const Buffer& b) {
    Buffer& known = flat_[b.get()];
    if (known) return known;
    const std::vector<Expr> strides = strides_of(*b);
    Expr size = imm(1);  // one past the last element
    if (b->strides.empty()) {
      for (const Expr& e : b->shape) size = size * e;
    } else {
      for (std::size_t d = 0; d < strides.size(); ++d) size = size + (b->shape[d] - 1) * strides[d];
    }
    known = make_buffer(b->name, b->dtype, {size}, b->scope);
    auto* node = const_cast<BufferNode*>(known.get());  // nobody else has seen it yet
    node->alignment = b->alignment;
    node->span = b->span;
    return known;
  }

 protected:
  using Mutator::rewrite;
  Buffer rewrite_buffer(const Buffer& b) override { return flat(b); }
  Expr rewrite(const LoadNode& n) override {
    Expr predicate = n.predicate ? (*this)(n.predicate) : nullptr;
    Expr out = load(flat(n.buffer), {offset(n.buffer, n.indices)}, predicate);
    keep_span(n, *out.get());
    return out;
  }
  Stmt rewrite(const StoreNode& n) override {
    Expr predicate = n.predicate ? (*this)(n.predicate) : nullptr;
    Stmt out = store(flat(n.buffer), {offset(n.buffer, n.indices)}, (*this)(n.value), predicate);
    keep_span(n, *out.get());
    return out;
  }

 private:
  Expr offset(const Buffer& b, const std::vector<Expr>& indices) {
    const std::vector<Expr> strides = strides_of(*b);
    Expr sum = imm(0);
    for (std::size_t d = 0; d < indices.size(); ++d) sum = sum + (*this)(indices[d]) * strides[d];
    return sum;
  }
  std::unordered_map<const BufferNode*, Buffer> flat_;
};

}  // namespace

Function flatten_buffers(const Function& f) {
  Flatten flatten;
  Stmt body = flatten(f->body);
  const auto all = [&](const std::vector<Buffer>& buffers) {
    std::vector<Buffer> out;
    for (const Buffer& b : buffers) out.push_back(flatten.flat(b));
    return out;
  };
  return make_function(f->name, all(f->inputs), all(f->outputs), f->symbols, body, Level::kLoop,
                       f->attrs);
}

}  // namespace tenon
