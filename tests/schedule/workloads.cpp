#include "schedule/workloads.h"

#include "tenon/ir/builder.h"

namespace tenon::testing {
namespace {

IterVar iter(const char* name, const Expr& extent, IterKind kind = IterKind::kSpatial) {
  return {var(name), {imm(0), extent}, kind};
}

/// The block inside one loop for each iter.
Stmt nest(const std::string& name, const std::vector<IterVar>& iters, const Stmt& init,
          const Stmt& body, Attrs attrs = {}) {
  std::vector<Expr> loops;
  for (const IterVar& i : iters) loops.push_back(var(i.var.as<VarNode>()->name));
  Stmt s = make_block(name, iters, loops, nullptr, init, body, std::move(attrs));
  for (std::size_t i = iters.size(); i-- > 0;)
    s = make_for(loops[i], imm(0), iters[i].domain.extent, s);
  return s;
}

Function matmul_of(const Expr& m, const Expr& n, const Expr& k, bool transposed,
                   std::vector<Symbol> symbols) {
  const Buffer a = make_buffer("A", kFloat32, {m, k});
  const Buffer b =
      make_buffer("B", kFloat32, transposed ? std::vector<Expr>{n, k} : std::vector<Expr>{k, n});
  const Buffer c = make_buffer("C", kFloat32, {m, n});
  const IterVar i = iter("i", m), j = iter("j", n), r = iter("k", k, IterKind::kReduction);
  const Expr right = transposed ? load(b, {j.var, r.var}) : load(b, {r.var, j.var});
  const Stmt init = store(c, {i.var, j.var}, zero(kFloat32));
  const Stmt body =
      store(c, {i.var, j.var}, fma(load(a, {i.var, r.var}), right, load(c, {i.var, j.var})));
  return make_function(
      "matmul", {a, b}, {c}, std::move(symbols),
      nest("C", {i, j, r}, init, body, {{"reduction_order", std::string("chain")}}));
}

}  // namespace

Function matmul(std::int64_t m, std::int64_t n, std::int64_t k, bool transposed) {
  return matmul_of(imm(m), imm(n), imm(k), transposed, {});
}

Function symbolic_matmul(std::int64_t n, std::int64_t k) {
  const Expr m = var("m");
  return matmul_of(m, imm(n), imm(k), false, {{m, 0, std::nullopt, 1}});
}

Function elementwise_chain(std::int64_t n) {
  const Buffer a = make_buffer("A", kFloat32, {imm(n)});
  const Buffer t = make_buffer("T", kFloat32, {imm(n)});
  const Buffer c = make_buffer("C", kFloat32, {imm(n)});
  const IterVar i = iter("i", imm(n)), j = iter("i", imm(n));
  const Stmt first =
      nest("T", {i}, nullptr, store(t, {i.var}, load(a, {i.var}) * float_imm(kFloat32, 2)));
  const Stmt second =
      nest("C", {j}, nullptr, store(c, {j.var}, load(t, {j.var}) + float_imm(kFloat32, 1)));
  return make_function("chain", {a}, {c}, {}, make_allocate(t, make_seq({first, second})));
}

}  // namespace tenon::testing
