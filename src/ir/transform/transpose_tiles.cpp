#include "ir/transform/transpose_tiles.h"

#include <algorithm>
#include <map>

#include "tenon/ir/analyzer.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/structural.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

constexpr int kMinLanes = 4, kMaxLanes = 32;

/// A load of elements that lie `stride` apart.
struct Strided {
  Expr node;
  const LoadNode* load;
  const RampNode* ramp;
};

bool is_power_of_two(int n) { return (n & (n - 1)) == 0; }

/// The strided loads of a store's value that shuffles could replace.
std::vector<Strided> strided_loads(const StoreNode& s) {
  std::vector<Strided> found;
  post_order_visit(s.value, [&](const Node& n) {
    if (n.kind != NodeKind::kLoad) return;
    const auto& l = static_cast<const LoadNode&>(n);
    const auto* ramp = l.indices[0].as<RampNode>();
    if (ramp == nullptr || l.predicate || l.buffer->dtype.is_bool()) return;
    const bool fits =
        ramp->lanes >= kMinLanes && ramp->lanes <= kMaxLanes && is_power_of_two(ramp->lanes);
    const auto stride = as_int(ramp->stride);
    if (!fits || (stride && *stride >= -1 && *stride <= 1)) return;
    found.push_back({Expr(&l), &l, ramp});
  });
  return found;
}

/// Loads of one buffer with one stride, by how many elements they begin after the first one found.
struct Square {
  Strided first;
  std::map<std::int64_t, std::vector<Expr>> by_offset;
};

bool depends_on_lazy(const Expr& value) {
  bool lazy = false;
  post_order_visit(value, [&](const Node& n) {
    if (n.kind == NodeKind::kSelect) lazy = true;
    if (n.kind != NodeKind::kBinary) return;
    const BinaryOp op = static_cast<const BinaryNode&>(n).op;
    lazy |= op == BinaryOp::kAnd || op == BinaryOp::kOr;
  });
  return lazy;
}

class TransposeTiles : public Mutator {
 protected:
  using Mutator::rewrite;
  Stmt rewrite(const SeqNode& n) override {
    std::vector<Stmt> out, run;
    const auto flush = [&] {
      if (!run.empty()) out.push_back(transposed(run));
      run.clear();
    };
    for (const Stmt& s : n.stmts) {
      if (s.as<StoreNode>() != nullptr) {
        run.push_back(s);
        continue;
      }
      flush();
      out.push_back((*this)(s));
    }
    flush();
    return make_seq(std::move(out));
  }

 private:
  /// The stores with their squares read by rows.
  Stmt transposed(const std::vector<Stmt>& stores) {
    std::vector<Square> squares;
    for (const Stmt& s : stores) {
      const auto& store = *s.as<StoreNode>();
      if (depends_on_lazy(store.value)) continue;  // what is not chosen may not be read
      for (const Strided& l : strided_loads(store)) {
        if (!is_written(l.load->buffer, stores)) add(l, &squares);
      }
    }
    std::vector<std::pair<Expr, Expr>> lets;
    std::map<const Node*, Expr> replaced;
    for (const Square& square : squares) replace(square, &lets, &replaced);
    if (replaced.empty()) return make_seq(stores);
    Stmt body = rewrite_exprs(make_seq(stores), [&](const Expr& e) -> Expr {
      const auto found = replaced.find(e.get());
      return found == replaced.end() ? Expr() : found->second;
    });
    for (std::size_t i = lets.size(); i-- > 0;)
      body = make_let(lets[i].first, lets[i].second, body);
    return body;
  }

  static bool is_written(const Buffer& buffer, const std::vector<Stmt>& stores) {
    return std::any_of(stores.begin(), stores.end(),
                       [&](const Stmt& s) { return s.as<StoreNode>()->buffer.same_as(buffer); });
  }

  void add(const Strided& l, std::vector<Square>* squares) {
    for (Square& square : *squares) {
      const Strided& first = square.first;
      if (!first.load->buffer.same_as(l.load->buffer) || first.ramp->lanes != l.ramp->lanes ||
          !structural_equal(first.ramp->stride, l.ramp->stride))
        continue;
      const AffineForm distance = analyzer_.affine(l.ramp->base - first.ramp->base);
      if (!distance.terms.empty()) continue;
      square.by_offset[distance.constant].push_back(l.node);
      return;
    }
    squares->push_back({l, {{0, {l.node}}}});
  }

  /// Every full run of neighbouring loads becomes rows and shuffles.
  void replace(const Square& square, std::vector<std::pair<Expr, Expr>>* lets,
               std::map<const Node*, Expr>* replaced) {
    const int lanes = square.first.ramp->lanes;
    auto at = square.by_offset.begin();
    while (at != square.by_offset.end()) {
      std::vector<const std::vector<Expr>*> columns;
      auto next = at;
      while (next != square.by_offset.end() && static_cast<int>(columns.size()) < lanes &&
             next->first == at->first + static_cast<std::int64_t>(columns.size())) {
        columns.push_back(&next->second);
        ++next;
      }
      if (static_cast<int>(columns.size()) < lanes) {
        at = std::next(at);
        continue;
      }
      const auto& first = *columns[0]->front().as<LoadNode>();
      const std::vector<Expr> rows = transposed_rows(first, lanes, lets);
      for (std::size_t c = 0; c < columns.size(); ++c) {
        for (const Expr& l : *columns[c]) (*replaced)[l.get()] = rows[c];
      }
      at = next;
    }
  }

  /// The rows of the square whose first column is `first`, transposed: step d = 1, 2, 4, ... swaps
  /// bit d of the lane with bit d of the row.
  static std::vector<Expr> transposed_rows(const LoadNode& first, int lanes,
                                           std::vector<std::pair<Expr, Expr>>* lets) {
    const auto& ramp = *first.indices[0].as<RampNode>();
    const auto named = [&](const Expr& value) {
      lets->emplace_back(var("t", value->dtype), value);
      return lets->back().first;
    };
    std::vector<Expr> rows;
    for (int r = 0; r < lanes; ++r) {
      const Expr begin = ramp.base + ramp.stride * r;
      rows.push_back(named(load(first.buffer, {tenon::ramp(begin, imm(1), lanes)})));
    }
    for (int d = 1; d < lanes; d *= 2) {
      for (int r = 0; r < lanes; ++r) {
        if ((r & d) != 0) continue;
        std::vector<std::int64_t> low, high;
        for (int l = 0; l < lanes; ++l) {
          low.push_back((l & d) == 0 ? l : lanes + l - d);
          high.push_back((l & d) == 0 ? l + d : lanes + l);
        }
        const auto upper = static_cast<std::size_t>(r), lower = static_cast<std::size_t>(r + d);
        const std::vector<Expr> pair = {rows[upper], rows[lower]};
        rows[upper] = named(make<ShuffleNode>(pair, low));
        rows[lower] = named(make<ShuffleNode>(pair, high));
      }
    }
    return rows;
  }

  Analyzer analyzer_;
};

}  // namespace

Function transpose_tiles(const Function& f) { return with_body(f, TransposeTiles{}(f->body)); }

}  // namespace tenon
