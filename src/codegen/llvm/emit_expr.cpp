// Expressions: order, sharing and laziness.

#include <llvm/IR/Constants.h>
#include <llvm/IR/MDBuilder.h>

#include <unordered_set>

#include "codegen/llvm/emitter.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon::codegen {

using llvm::Value;

Value* Emitter::find(const ExprNode* n) const {
  if (n->kind == NodeKind::kVar) {
    const auto it = frame_.vars.find(n);
    return it == frame_.vars.end() ? nullptr : it->second;
  }
  for (auto scope = frame_.memo.rbegin(); scope != frame_.memo.rend(); ++scope) {
    const auto it = scope->find(n);
    if (it != scope->end()) return it->second;
  }
  return nullptr;
}

Value* Emitter::in_scope(const std::function<Value*()>& f) {
  frame_.memo.emplace_back();
  Value* value = f();
  frame_.memo.pop_back();
  return value;
}

/// The operands to evaluate before the node; those of lazy nodes, loads and lets come later.
void Emitter::push_operands(const ExprNode& n, std::vector<const ExprNode*>* out) {
  if (n.kind == NodeKind::kLoad || n.kind == NodeKind::kCall) return;
  if (n.kind == NodeKind::kSelect) {
    const auto& select = static_cast<const SelectNode&>(n);
    if (has_effects_(select.true_value.get()) || has_effects_(select.false_value.get())) {
      out->push_back(select.condition.get());
      return;
    }
  }
  if (is_lazy_logic(n) && has_effects_(static_cast<const BinaryNode&>(n).b.get())) {
    out->push_back(static_cast<const BinaryNode&>(n).a.get());
    return;
  }
  if (n.kind == NodeKind::kLet) {
    out->push_back(static_cast<const LetNode&>(n).value.get());
    return;
  }
  add_operands(n, out);
}

Value* Emitter::emit(const Expr& e) {
  std::vector<Pending> stack = {{e.get(), 0}};
  std::vector<const ExprNode*> operands;
  while (!stack.empty()) {
    const ExprNode* node = stack.back().node;
    const int stage = stack.back().stage++;
    if (stage == 0) {
      if (node->kind == NodeKind::kVar) {
        TENON_CHECK(find(node) != nullptr, "variable '", static_cast<const VarNode*>(node)->name,
                    "' has no value here");
      }
      if (find(node) != nullptr) {
        stack.pop_back();
        continue;
      }
      operands.clear();
      push_operands(*node, &operands);
      for (auto it = operands.rbegin(); it != operands.rend(); ++it) stack.push_back({*it, 0});
      continue;
    }
    if (node->kind == NodeKind::kLet && stage == 1) {
      const auto& let = *static_cast<const LetNode*>(node);
      frame_.vars[let.var.get()] = find(let.value.get());
      stack.push_back({let.body.get(), 0});
      continue;
    }
    stack.pop_back();
    Value* value = emit_node(*node);
    frame_.memo.back()[node] = value;
  }
  return find(e.get());
}

Value* Emitter::emit_constant(const IntImmNode& n) {
  return llvm::ConstantInt::get(value_type(context_, n.dtype), static_cast<std::uint64_t>(n.value),
                                n.dtype.is_signed_int());
}

Value* Emitter::emit_node(const ExprNode& node) {
  const auto at = [&](const Expr& e) { return find(e.get()); };
  return visit_expr(
      node,
      Overloaded{
          [&](const IntImmNode& n) -> Value* { return emit_constant(n); },
          [&](const FloatImmNode& n) -> Value* {
            return llvm::ConstantFP::get(value_type(context_, n.dtype), n.value);
          },
          [&](const VarNode& n) -> Value* { return find(&n); },
          [&](const CastNode& n) { return emit_cast(b_, n.value->dtype, n.dtype, at(n.value)); },
          [&](const ReinterpretNode& n) {
            return emit_reinterpret(b_, n.value->dtype, n.dtype, at(n.value));
          },
          [&](const UnaryNode& n) { return emit_unary(b_, n.op, n.dtype, at(n.a)); },
          [&](const BinaryNode& n) {
            if (at(n.b) == nullptr) return emit_lazy_logic(n);
            return emit_binary(b_, n.op, n.a->dtype, at(n.a), at(n.b));
          },
          [&](const FmaNode& n) { return emit_fma(b_, n.dtype, at(n.a), at(n.b), at(n.c)); },
          [&](const SelectNode& n) {
            Value *t = at(n.true_value), *f = at(n.false_value);
            if (t == nullptr || f == nullptr) return emit_lazy_select(n);
            return b_.CreateSelect(at(n.condition), t, f);
          },
          [&](const LetNode& n) { return at(n.body); },
          [&](const LoadNode& n) { return emit_load(n); },
          [&](const RampNode& n) { return emit_ramp(n); },
          [&](const BroadcastNode& n) { return splat(b_, at(n.value), n.lanes); },
          [&](const ShuffleNode& n) { return emit_shuffle(n); },
          [&](const VectorReduceNode& n) {
            return emit_vector_reduce(b_, n.op, n.value->dtype, at(n.value));
          },
          [&](const ReduceNode&) -> Value* {
            TENON_CHECK(false, "a reduction in loop IR");
            return nullptr;
          },
          [&](const CallNode& n) { return emit_call(n); },
      });
}

Value* Emitter::emit_ramp(const RampNode& n) {
  Value* base = find(n.base.get());
  Value* stride = find(n.stride.get());
  std::vector<llvm::Constant*> steps;
  for (int lane = 0; lane < n.lanes; ++lane) {
    steps.push_back(llvm::ConstantInt::get(base->getType(), static_cast<std::uint64_t>(lane)));
  }
  Value* offsets = b_.CreateMul(splat(b_, stride, n.lanes), llvm::ConstantVector::get(steps));
  return b_.CreateAdd(splat(b_, base, n.lanes), offsets);
}

Value* Emitter::emit_shuffle(const ShuffleNode& n) {
  std::vector<std::pair<Value*, int>> sources;
  for (const Expr& v : n.vectors) {
    for (int lane = 0; lane < v->dtype.lanes; ++lane) sources.emplace_back(find(v.get()), lane);
  }
  const bool is_plain = n.vectors.size() <= 2 && n.vectors[0]->dtype.is_vector() &&
                        n.vectors.front()->dtype == n.vectors.back()->dtype &&
                        n.lane_indices.size() > 1;
  for (const std::int64_t index : n.lane_indices) {
    TENON_CHECK(index >= 0 && index < static_cast<std::int64_t>(sources.size()),
                "shuffle takes lane ", index, " of ", sources.size());
  }
  if (is_plain) {
    std::vector<int> mask(n.lane_indices.begin(), n.lane_indices.end());
    Value* first = find(n.vectors.front().get());
    if (n.vectors.size() == 1) return b_.CreateShuffleVector(first, mask);
    return b_.CreateShuffleVector(first, find(n.vectors.back().get()), mask);
  }
  Value* result = llvm::PoisonValue::get(value_type(context_, n.dtype));
  for (std::size_t i = 0; i < n.lane_indices.size(); ++i) {
    const auto& [source, lane] = sources[static_cast<std::size_t>(n.lane_indices[i])];
    Value* element = source->getType()->isVectorTy()
                         ? b_.CreateExtractElement(source, static_cast<std::uint64_t>(lane))
                         : source;
    if (n.lane_indices.size() == 1) return element;
    result = b_.CreateInsertElement(result, element, static_cast<std::uint64_t>(i));
  }
  return result;
}

// --- laziness
// --------------------------------------------------------------------------------------

Value* Emitter::emit_branches(Value* condition, const std::function<Value*()>& then_value,
                              const std::function<Value*()>& else_value) {
  auto* then_block = llvm::BasicBlock::Create(context_, "taken", frame_.function);
  auto* else_block = llvm::BasicBlock::Create(context_, "other", frame_.function);
  auto* done = llvm::BasicBlock::Create(context_, "chosen", frame_.function);
  b_.CreateCondBr(condition, then_block, else_block);
  const auto fill = [&](llvm::BasicBlock* block, const std::function<Value*()>& value) {
    b_.SetInsertPoint(block);
    Value* result = in_scope(value);
    llvm::BasicBlock* end = b_.GetInsertBlock();
    b_.CreateBr(done);
    return std::pair(result, end);
  };
  const auto [then_result, then_end] = fill(then_block, then_value);
  const auto [else_result, else_end] = fill(else_block, else_value);
  b_.SetInsertPoint(done);
  llvm::PHINode* phi = b_.CreatePHI(then_result->getType(), 2);
  phi->addIncoming(then_result, then_end);
  phi->addIncoming(else_result, else_end);
  return phi;
}

Value* Emitter::join_masks(Value* a, Value* b, int lanes) {
  const auto fit = [&](Value* mask) -> Value* {
    const auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(mask->getType());
    const int have = vector == nullptr ? 1 : static_cast<int>(vector->getNumElements());
    return have == lanes ? mask : splat(b_, any_of(b_, mask), lanes);
  };
  if (a == nullptr || b == nullptr) {
    Value* only = a == nullptr ? b : a;
    return only == nullptr ? nullptr : fit(only);
  }
  return b_.CreateAnd(fit(a), fit(b));
}

Value* Emitter::current_mask(int lanes) { return join_masks(frame_.mask, nullptr, lanes); }

Value* Emitter::under_mask(Value* mask, const std::function<Value*()>& f) {
  Value* outer = frame_.mask;
  frame_.mask = mask;
  Value* value = in_scope(f);
  frame_.mask = outer;
  return value;
}

std::vector<const ExprNode*> Emitter::effects_always_evaluated(const Expr& e) {
  std::vector<const ExprNode*> found, stack = {e.get()};
  std::unordered_set<const ExprNode*> seen;
  while (!stack.empty()) {
    const ExprNode* node = stack.back();
    stack.pop_back();
    if (find(node) != nullptr || !has_effects_(node) || !seen.insert(node).second) continue;
    found.push_back(node);
    push_operands(*node, &stack);
  }
  return found;
}

void Emitter::emit_common_effects(const SelectNode& n) {
  const auto in_true = effects_always_evaluated(n.true_value);
  const std::unordered_set<const ExprNode*> set(in_true.begin(), in_true.end());
  for (const ExprNode* node : effects_always_evaluated(n.false_value)) {
    if (set.count(node) != 0) emit(Expr(node));
  }
}

Value* Emitter::emit_lazy_select(const SelectNode& n) {
  Value* condition = find(n.condition.get());
  emit_common_effects(n);
  const auto then_value = [&] { return emit(n.true_value); };
  const auto else_value = [&] { return emit(n.false_value); };
  if (n.dtype.is_scalar()) return emit_branches(condition, then_value, else_value);
  const int lanes = n.dtype.lanes;
  Value* t = under_mask(join_masks(frame_.mask, condition, lanes), then_value);
  Value* f = under_mask(join_masks(frame_.mask, b_.CreateNot(condition), lanes), else_value);
  return b_.CreateSelect(condition, t, f);
}

Value* Emitter::emit_lazy_logic(const BinaryNode& n) {
  Value* a = find(n.a.get());
  const bool is_and = n.op == BinaryOp::kAnd;
  const auto rest = [&] { return emit(n.b); };
  if (n.dtype.is_scalar()) {
    const auto known = [&]() -> Value* { return b_.getInt1(!is_and); };
    return is_and ? emit_branches(a, rest, known) : emit_branches(a, known, rest);
  }
  Value* open = is_and ? a : b_.CreateNot(a);
  Value* b = under_mask(join_masks(frame_.mask, open, n.dtype.lanes), rest);
  return is_and ? b_.CreateAnd(a, b) : b_.CreateOr(a, b);
}

// --- calls
// -----------------------------------------------------------------------------------------

Value* Emitter::emit_call(const CallNode& n) {
  TENON_CHECK(n.name == "checked_index", "intrinsic '", n.name, "' was not expanded");
  TENON_CHECK(n.args.size() == 3, "checked_index takes an index, an extent and a site");
  return emit_checked_index(n);
}

Value* Emitter::emit_checked_index(const CallNode& n) {
  const int lanes = n.dtype.lanes;
  TENON_CHECK(n.args[0]->dtype == n.dtype && n.dtype.is_int(), "checked_index of ",
              to_string(n.args[0]->dtype));
  Value* index = emit(n.args[0]);
  Value* extent = splat(b_, emit(n.args[1]), n.args[1]->dtype.is_scalar() ? lanes : 1);
  // The extent is at least 0: an unsigned comparison finds negative indices too.
  llvm::Type* wide = value_type(context_, DType::int_(64, lanes));
  const auto widen = [&](Value* v, DType t) {
    return t.is_signed_int() ? b_.CreateSExt(v, wide) : b_.CreateZExt(v, wide);
  };
  Value* wide_index = widen(index, n.dtype);
  Value* wide_extent = widen(extent, n.args[1]->dtype);
  Value* fits = b_.CreateICmpULT(wide_index, wide_extent);
  Value* failed = b_.CreateNot(fits);
  if (Value* mask = current_mask(lanes)) failed = b_.CreateAnd(failed, mask);
  emit_index_report(failed, wide_index, wide_extent, n.args[2]);
  return b_.CreateSelect(fits, index, llvm::Constant::getAllOnesValue(index->getType()));
}

void Emitter::emit_index_report(Value* failed, Value* index, Value* extent, const Expr& site) {
  auto* report = llvm::BasicBlock::Create(context_, "index_error", frame_.function);
  auto* done = llvm::BasicBlock::Create(context_, "checked", frame_.function);
  llvm::MDNode* unlikely = llvm::MDBuilder(context_).createBranchWeights(1, 100000);
  b_.CreateCondBr(any_of(b_, failed), report, done, unlikely);
  b_.SetInsertPoint(report);
  if (failed->getType()->isVectorTy()) {
    const unsigned lanes = llvm::cast<llvm::FixedVectorType>(failed->getType())->getNumElements();
    Value* bits = b_.CreateBitCast(failed, b_.getIntNTy(lanes));
    Value* first = b_.CreateBinaryIntrinsic(llvm::Intrinsic::cttz, bits, b_.getTrue());
    first = b_.CreateZExtOrTrunc(first, b_.getInt64Ty());
    index = b_.CreateExtractElement(index, first);
    extent = b_.CreateExtractElement(extent, first);
  }
  const auto number = as_int(site);
  TENON_CHECK(number, "checked_index needs a constant site");
  Value* number_value = b_.getInt32(static_cast<std::uint32_t>(*number));
  b_.CreateCall(report_function(), {frame_.context, index, extent, number_value});
  b_.CreateBr(done);
  b_.SetInsertPoint(done);
}

}  // namespace tenon::codegen
