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

Function window_sum(std::int64_t n) {
  const Buffer a = make_buffer("A", kFloat32, {imm(n + 2)});
  const Buffer t = make_buffer("T", kFloat32, {imm(n + 2)});
  const Buffer c = make_buffer("C", kFloat32, {imm(n)});
  const IterVar x = iter("x", imm(n + 2)), i = iter("i", imm(n)),
                w = iter("w", imm(3), IterKind::kReduction);
  const Stmt square =
      nest("T", {x}, nullptr, store(t, {x.var}, load(a, {x.var}) * load(a, {x.var})));
  const Stmt sum = nest("C", {i, w}, store(c, {i.var}, zero(kFloat32)),
                        store(c, {i.var}, load(c, {i.var}) + load(t, {i.var + w.var})));
  return make_function("window_sum", {a}, {c}, {}, make_allocate(t, make_seq({square, sum})));
}

Function softmax_chain(std::int64_t m, std::int64_t n) {
  const Buffer a = make_buffer("A", kFloat32, {imm(m), imm(n)});
  const Buffer top = make_buffer("M", kFloat32, {imm(m)});
  const Buffer e = make_buffer("E", kFloat32, {imm(m), imm(n)});
  const Buffer sum = make_buffer("S", kFloat32, {imm(m)});
  const Buffer c = make_buffer("C", kFloat32, {imm(m), imm(n)});
  const auto i = [&] { return iter("i", imm(m)); };
  const auto j = [&](IterKind kind) { return iter("j", imm(n), kind); };
  const IterVar mi = i(), mj = j(IterKind::kReduction), ei = i(), ej = j(IterKind::kSpatial);
  const IterVar si = i(), sj = j(IterKind::kReduction), ci = i(), cj = j(IterKind::kSpatial);
  const Stmt body = make_seq({
      nest("M", {mi, mj}, store(top, {mi.var}, identity_element(ReduceOp::kMax, kFloat32)),
           store(top, {mi.var}, tenon::max(load(top, {mi.var}), load(a, {mi.var, mj.var})))),
      nest("E", {ei, ej}, nullptr,
           store(e, {ei.var, ej.var}, load(a, {ei.var, ej.var}) - load(top, {ei.var}))),
      nest("S", {si, sj}, store(sum, {si.var}, zero(kFloat32)),
           store(sum, {si.var}, load(sum, {si.var}) + load(e, {si.var, sj.var}))),
      nest("C", {ci, cj}, nullptr,
           store(c, {ci.var, cj.var}, load(e, {ci.var, cj.var}) / load(sum, {ci.var}))),
  });
  return make_function("softmax_chain", {a}, {c}, {},
                       make_allocate(top, make_allocate(e, make_allocate(sum, body))));
}

Function gather(std::int64_t n, std::int64_t m, std::int64_t rows) {
  const Buffer a = make_buffer("A", kFloat32, {imm(rows), imm(m)});
  const Buffer index = make_buffer("I", kInt64, {imm(n)});
  const Buffer c = make_buffer("C", kFloat32, {imm(n), imm(m)});
  const IterVar i = iter("i", imm(n)), j = iter("j", imm(m));
  const Expr row = call(kInt64, "checked_index", {load(index, {i.var}), imm(rows), imm(0)});
  return make_function("gather", {a, index}, {c}, {},
                       nest("C", {i, j}, nullptr, store(c, {i.var, j.var}, load(a, {row, j.var}))));
}

Function column_sum(std::int64_t m, std::int64_t n) {
  const Buffer a = make_buffer("A", kFloat32, {imm(m), imm(n)});
  const Buffer c = make_buffer("C", kFloat32, {imm(n)});
  const IterVar j = iter("j", imm(n)), i = iter("i", imm(m), IterKind::kReduction);
  return make_function("column_sum", {a}, {c}, {},
                       nest("C", {j, i}, store(c, {j.var}, zero(kFloat32)),
                            store(c, {j.var}, load(c, {j.var}) + load(a, {i.var, j.var}))));
}

Function symbolic_sums(std::int64_t n) {
  const Expr m = var("m"), p = var("p");
  const Buffer a = make_buffer("A", kFloat32, {m, p, imm(n)});
  const Buffer c = make_buffer("C", kFloat32, {imm(n)});
  const IterVar j = iter("j", imm(n)), i = iter("i", m, IterKind::kReduction),
                l = iter("l", p, IterKind::kReduction);
  return make_function("symbolic_sums", {a}, {c},
                       {{m, 0, std::nullopt, 1}, {p, 0, std::nullopt, 1}},
                       nest("C", {j, i, l}, store(c, {j.var}, zero(kFloat32)),
                            store(c, {j.var}, load(c, {j.var}) + load(a, {i.var, l.var, j.var}))));
}

Function padded_select(std::int64_t n) {
  const Buffer a = make_buffer("A", kFloat32, {imm(n)});
  const Buffer p = make_buffer("P", kFloat32, {imm(n + 2)});
  const Buffer c = make_buffer("C", kFloat32, {imm(n + 1)});
  const IterVar x = iter("x", imm(n + 2)), i = iter("i", imm(n + 1));
  const Expr inside = logical_and(ge(x.var, imm(1)), lt(x.var, imm(n + 1)));
  const Stmt pad = nest("P", {x}, nullptr,
                        store(p, {x.var}, select(inside, load(a, {x.var - 1}), zero(kFloat32))));
  const Stmt add =
      nest("C", {i}, nullptr, store(c, {i.var}, load(p, {i.var}) + load(p, {i.var + 1})));
  return make_function("padded_select", {a}, {c}, {}, make_allocate(p, make_seq({pad, add})));
}

Function column_scan(std::int64_t m, std::int64_t n) {
  const Buffer a = make_buffer("A", kFloat32, {imm(m), imm(n)});
  const Buffer s = make_buffer("S", kFloat32, {imm(m), imm(n)});
  const IterVar i = iter("i", imm(m), IterKind::kOrdered), j = iter("j", imm(n));
  const Expr before = load(s, {i.var - 1, j.var}), term = load(a, {i.var, j.var});
  return make_function(
      "column_scan", {a}, {s}, {},
      nest("S", {i, j}, nullptr,
           store(s, {i.var, j.var}, select(eq(i.var, imm(0)), term, before + term))));
}

Function updated_copy(std::int64_t n) {
  const Buffer a = make_buffer("A", kFloat32, {imm(n)}), t = make_buffer("T", kFloat32, {imm(n)});
  const Buffer r = make_buffer("R", kFloat32, {imm(n)});
  const IterVar i = iter("i", imm(n)), j = iter("j", imm(n));
  const IterVar k = iter("k", imm(n), IterKind::kOrdered);
  const Stmt body = make_seq(
      {nest("T", {i}, nullptr, store(t, {i.var}, load(a, {i.var}) + float_imm(kFloat32, 1))),
       nest("R_init", {j}, nullptr, store(r, {j.var}, load(a, {j.var}))),
       nest("R", {k}, nullptr, store(r, {k.var}, load(t, {k.var})))});
  return make_function("updated_copy", {a}, {r}, {}, make_allocate(t, body));
}

}  // namespace tenon::testing
