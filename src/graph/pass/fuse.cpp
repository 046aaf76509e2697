#include "graph/expression_operator.h"
#include "graph/pass/pass.h"
#include "tenon/ir/builder.h"

namespace tenon::graph {
namespace {

/// Operators that are computed on the spot, at one place, at most.
constexpr std::int64_t kMaxInlined = 128;
/// Operators at most that follow another one in its kernel.
constexpr std::size_t kMaxEpilogue = 64;

class Fuser {
 public:
  Fuser(const std::vector<Value>& outputs, bool keeps_products)
      : order_(in_order(outputs)), keeps_products_(keeps_products) {
    for (const Value& v : order_) {
      for (const Value& x : v->inputs) {
        uses_[x.get()].push_back(v);
        if (v->control) is_output_.insert(x.get());
      }
    }
    for (const Value& v : outputs) is_output_.insert(v.get());
  }

  Fusion run() {
    for (const Value& v : order_) {
      if (kind_of(v) == nullptr || (is_light(v) && (must_be_stored(v) || is_large(v))))
        fusion_.stored.insert(v.get());
    }
    for (const Value& v : order_) {
      if (kind_of(v) != nullptr && !is_light(v)) add_group(v);
    }
    for (const Value& v : order_) {
      const bool is_alone = kind_of(v) != nullptr && is_light(v) &&
                            fusion_.stored.count(v.get()) != 0 && claimed_.count(v.get()) == 0;
      if (is_alone) fusion_.group_of[v.get()] = {nullptr, {}, v};
    }
    return std::move(fusion_);
  }

 private:
  static const Operator* kind_of(const Value& v) { return operator_of(*v); }
  static bool is_light(const Value& v) { return kind_of(v)->element != nullptr; }
  static bool is_movement(const Value& v) {
    return kind_of(v) != nullptr && kind_of(v)->kind == OperatorKind::kMovement;
  }

  /// Who computes with the value in the end, and from how many places.
  void readers(const Value& v, std::vector<Value>* found) const {
    const auto it = uses_.find(v.get());
    if (it == uses_.end()) return;
    std::unordered_set<const ValueNode*> seen;
    for (const Value& user : it->second) {
      if (!seen.insert(user.get()).second) continue;  // x * x reads one element
      if (is_movement(user) && is_output_.count(user.get()) == 0) {
        readers(user, found);
      } else {
        found->push_back(user);
      }
    }
  }

  bool must_be_stored(const Value& v) const {
    if (is_output_.count(v.get()) != 0) return true;
    const OperatorKind kind = kind_of(v)->kind;
    if (kind == OperatorKind::kConcat) return true;
    if (kind == OperatorKind::kMovement) return false;
    std::vector<Value> found;
    readers(v, &found);
    return found.size() != 1 || is_reread(v, *found[0]);
  }

  /// Whether computing it on the spot would make a large expression. What is read twice counts
  /// twice: of x * x * ... each operator has two operands, and passes may look at each.
  bool is_large(const Value& v) {
    std::int64_t size = 1;
    for (std::size_t i = 0; i < v->inputs.size(); ++i) {
      const ValueNode* x = v->inputs[i].get();
      const auto it = fusion_.stored.count(x) == 0 ? size_.find(x) : size_.end();
      if (it != size_.end()) size += it->second * (v->expression ? v->expression->num_reads[i] : 1);
    }
    size_[v.get()] = size;
    return size > kMaxInlined;
  }

  /// Whether the only reader of `v`, perhaps through movement, reads elements more than once.
  bool is_reread(const Value& v, const ValueNode& reader) const {
    const Operator& op = *operator_of(reader);
    if (op.rereads == nullptr) return op.kind == OperatorKind::kContraction;
    for (std::size_t i = 0; i < reader.inputs.size(); ++i) {
      Value base = reader.inputs[i];
      while (base != v && is_movement(base)) base = base->inputs[0];
      if (base == v && op.rereads(reader, i)) return true;
    }
    return false;
  }

  /// The element-wise operator that alone reads the result so far and has its loops; null when
  /// there is none.
  Value next_of(const Fusion::Group& group) const {
    if (is_output_.count(group.result.get()) != 0) return nullptr;
    if (group.root->expression && group.root->expression->scheduled) return nullptr;
    if (keeps_products_ && (group.root->is_op("linear") || group.root->is_op("matmul")))
      return nullptr;
    std::vector<Value> found;
    readers(group.result, &found);
    if (found.size() != 1 || kind_of(found[0])->kind != OperatorKind::kElementwise) return nullptr;
    const Value& next = found[0];
    const auto it = uses_.find(group.result.get());
    const bool is_direct = it->second[0] == next;
    if (is_direct && same_shape(next->shape, group.root->shape))
      return is_better_inlined(group, next) ? nullptr : next;
    // After a reduction along rows: what is computed of the row with the result.
    std::vector<Expr> lead;
    bool is_flat = false;
    kind_of(group.root)->space(*group.root, &lead, &is_flat);
    const auto is_column = [&](const std::vector<Expr>& shape) {
      return shape.size() == lead.size() + 1 && same_shape(lead, {shape.begin(), shape.end() - 1});
    };
    const Value& user = it->second[0];
    const bool is_kept = is_direct ? is_column(group.result->shape)
                                   : user->is_op("reshape") && is_column(user->shape) &&
                                         is_int(user->shape.back(), 1) &&
                                         user->inputs[0] == group.result &&
                                         uses_.at(user.get())[0] == next;
    const bool is_row = kind_of(group.root)->kind == OperatorKind::kRow && is_flat &&
                        !lead.empty() && is_kept && is_column(next->shape);
    return is_row ? next : nullptr;
  }

  /// What a row operator reads is computed there rather than after another row operator.
  bool is_better_inlined(const Fusion::Group& group, const Value& next) const {
    if (kind_of(group.root)->kind != OperatorKind::kRow || is_output_.count(next.get()) != 0)
      return false;
    std::vector<Value> found;
    readers(next, &found);
    return found.size() == 1 && kind_of(found[0])->kind == OperatorKind::kRow;
  }

  void add_group(const Value& root) {
    Fusion::Group group{root, {}, root};
    while (group.epilogue.size() < kMaxEpilogue) {
      const Value next = next_of(group);
      if (!next) break;
      if (!claimed_.insert(next.get()).second) break;
      group.epilogue.push_back(next);
      group.result = next;
    }
    for (const Value& v : group.epilogue) fusion_.stored.erase(v.get());
    fusion_.stored.insert(group.result.get());
    fusion_.group_of[group.result.get()] = group;
  }

  std::vector<Value> order_;
  bool keeps_products_;
  std::unordered_map<const ValueNode*, std::vector<Value>> uses_;
  std::unordered_set<const ValueNode*> is_output_, claimed_;
  /// Of light operators: how many are computed with them on the spot, where they are.
  std::unordered_map<const ValueNode*, std::int64_t> size_;
  Fusion fusion_;
};

}  // namespace

Fusion fuse(const std::vector<Value>& outputs, bool keeps_products) {
  return Fuser(outputs, keeps_products).run();
}

}  // namespace tenon::graph
