#include <algorithm>

#include "ir/tensor_instruction/tile.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon {

const std::vector<const TensorInstruction*>& tensor_instructions() {
  // Never destroyed: nodes cannot be once the thread's queue of destroy() is gone.
  static const std::vector<TensorInstruction>& all = *[] {
    auto* out = new std::vector<TensorInstruction>;
    std::vector<TensorInstruction>& made = *out;
    for (const auto& some : {tensor::make_fill_zero(), tensor::make_load_a(), tensor::make_load_b(),
                             tensor::make_mma(), tensor::make_store()}) {
      made.insert(made.end(), some.begin(), some.end());
    }
    std::sort(made.begin(), made.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    return out;
  }();
  static const std::vector<const TensorInstruction*> pointers = [] {
    std::vector<const TensorInstruction*> out;
    for (const TensorInstruction& t : all) out.push_back(&t);
    return out;
  }();
  return pointers;
}

const TensorInstruction* find_tensor_instruction(std::string_view name) {
  for (const TensorInstruction* t : tensor_instructions()) {
    if (t->name == name) return t;
  }
  return nullptr;
}

const TensorInstruction* tensor_instruction_of(const Expr& e) {
  const auto* n = e.as<CallNode>();
  return n == nullptr ? nullptr : find_tensor_instruction(n->name);
}

const TensorInstruction* tensor_instruction_of(const StmtNode& s) {
  if (s.kind != NodeKind::kEvaluate) return nullptr;
  return tensor_instruction_of(static_cast<const EvaluateNode&>(s).value);
}

std::vector<TensorPlace> tensor_places(const TensorInstruction& t, const CallNode& call) {
  const std::size_t n = t.operands.size();
  TENON_CHECK(call.args.size() == 2 * n, "a call of ", t.name, " with ", call.args.size(),
              " arguments");
  std::vector<TensorPlace> places;
  for (std::size_t i = 0; i < n; ++i) {
    TENON_CHECK(call.args[i].as<LoadNode>() != nullptr, "operand ", t.operands[i].name, " of ",
                t.name, " is no place");
    places.push_back({call.args[i], call.args[n + i]});
  }
  return places;
}

Stmt tensor_call(const TensorInstruction& t, const std::vector<TensorPlace>& places) {
  std::vector<Expr> args;
  for (const TensorPlace& p : places) args.push_back(p.first);
  for (const TensorPlace& p : places) args.push_back(p.stride);
  return make<EvaluateNode>(call(places[0].first->dtype, t.name, std::move(args)));
}

namespace {

/// Accesses to tiles become accesses to what stands at the places.
class OverPlaces : public Mutator {
 public:
  OverPlaces(const TensorInstruction& t, std::vector<TensorPlace> places)
      : instruction_(t), places_(std::move(places)) {}

 protected:
  using Mutator::rewrite;
  Expr rewrite(const LoadNode& n) override {
    const TensorPlace& place = place_of(n.buffer);
    return load(place.first.as<LoadNode>()->buffer, {index(place, n.indices)});
  }
  Stmt rewrite(const StoreNode& n) override {
    const TensorPlace& place = place_of(n.buffer);
    return store(place.first.as<LoadNode>()->buffer, {index(place, n.indices)}, (*this)(n.value));
  }

 private:
  const TensorPlace& place_of(const Buffer& tile) const {
    const auto found = std::find_if(instruction_.tiles.begin(), instruction_.tiles.end(),
                                    [&](const Buffer& b) { return b.same_as(tile); });
    return places_[static_cast<std::size_t>(found - instruction_.tiles.begin())];
  }
  static Expr index(const TensorPlace& place, const std::vector<Expr>& at) {
    return place.first.as<LoadNode>()->indices[0] + at[0] * place.stride + at[1];
  }

  const TensorInstruction& instruction_;
  std::vector<TensorPlace> places_;
};

}  // namespace

Stmt expand_tensor_call(const CallNode& n) {
  const TensorInstruction* t = find_tensor_instruction(n.name);
  TENON_CHECK(t != nullptr, "no tensor instruction '", n.name, "'");
  return fresh_definitions(OverPlaces(*t, tensor_places(*t, n))(t->semantics));
}

}  // namespace tenon
