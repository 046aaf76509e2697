#include "ir/transform/unroll_loops.h"

#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

constexpr std::int64_t kMaxExtent = 4096;

class Unroll : public Mutator {
 protected:
  using Mutator::rewrite;
  Stmt rewrite(const ForNode& n) override {
    if (n.attrs.kind != ForKind::kUnrolled) return rebuild(n);
    Stmt body = (*this)(n.body);
    const auto extent = as_int(n.extent);
    if (!extent || *extent > kMaxExtent) {
      ForAttrs attrs = n.attrs;
      attrs.kind = ForKind::kSerial;
      return make_for(n.var, n.min, n.extent, body, std::move(attrs));
    }
    std::vector<Stmt> copies;
    for (std::int64_t i = 0; i < *extent; ++i) {
      Stmt copy = substitute(body, {{n.var.get(), n.min + i}});
      copies.push_back(i == 0 ? copy : fresh_definitions(copy));
    }
    return make_seq(std::move(copies));
  }
};

}  // namespace

Stmt unroll_loops(const Stmt& body) { return Unroll{}(body); }

}  // namespace tenon
