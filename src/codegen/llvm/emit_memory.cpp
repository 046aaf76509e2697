// Loads and stores.

#include <llvm/IR/Constants.h>
#include <llvm/IR/MDBuilder.h>

#include <numeric>
#include <unordered_set>

#include "codegen/llvm/emitter.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon::codegen {

using llvm::Value;

namespace {

constexpr int kMaxAffineDepth = 64;
constexpr std::size_t kMaxAliasBuffers = 64;

class BufferCollector : public Walker {
 public:
  std::vector<const BufferNode*> buffers;

 private:
  void visit_buffer(const Buffer& buffer) override {
    if (seen_.insert(buffer.get()).second) buffers.push_back(buffer.get());
  }
  std::unordered_set<const BufferNode*> seen_;
};

llvm::Align element_align(DType dtype) {
  return llvm::Align(static_cast<std::uint64_t>(dtype.bytes()));
}

std::vector<int> reversed_lanes(int lanes) {
  std::vector<int> order(static_cast<std::size_t>(lanes));
  std::iota(order.rbegin(), order.rend(), 0);
  return order;
}

Value* all_lanes(Builder& b, int lanes) { return splat(b, b.getTrue(), lanes); }

}  // namespace

void Emitter::make_alias_scopes() {
  BufferCollector collector;
  collector(f_->body);
  if (collector.buffers.size() > kMaxAliasBuffers) return;
  llvm::MDBuilder md(context_);
  llvm::MDNode* domain = md.createAnonymousAliasScopeDomain(symbol_);
  std::vector<llvm::Metadata*> scopes;
  for (const BufferNode* buffer : collector.buffers) {
    scopes.push_back(md.createAnonymousAliasScope(domain, buffer->name));
  }
  for (std::size_t i = 0; i < scopes.size(); ++i) {
    std::vector<llvm::Metadata*> others = scopes;
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(i));
    alias_[collector.buffers[i]] = {llvm::MDNode::get(context_, {scopes[i]}),
                                    llvm::MDNode::get(context_, others)};
  }
}

template <typename Instruction>
Instruction* Emitter::annotate(Instruction* access, const Buffer& buffer) {
  const auto it = alias_.find(buffer.get());
  if (it == alias_.end()) return access;
  access->setMetadata(llvm::LLVMContext::MD_alias_scope, it->second.first);
  access->setMetadata(llvm::LLVMContext::MD_noalias, it->second.second);
  return access;
}

Value* Emitter::element_address(const Buffer& buffer, Value* index) {
  const auto it = frame_.buffers.find(buffer.get());
  TENON_CHECK(it != frame_.buffers.end(), "buffer '", buffer->name, "' is not allocated here");
  return b_.CreateInBoundsGEP(memory_type(context_, buffer->dtype), it->second, index);
}

std::optional<Emitter::AffineIndex> Emitter::match_affine(const Expr& index, int depth) {
  if (depth > kMaxAffineDepth) return std::nullopt;
  if (const auto* n = index.as<RampNode>()) return AffineIndex{n->base, n->stride};
  if (const auto* n = index.as<BroadcastNode>()) {
    return AffineIndex{n->value, int_imm(n->dtype.element(), 0)};
  }
  const auto* n = index.as<BinaryNode>();
  if (n == nullptr) return std::nullopt;
  if (n->op != BinaryOp::kAdd && n->op != BinaryOp::kSub && n->op != BinaryOp::kMul) {
    return std::nullopt;
  }
  const auto a = match_affine(n->a, depth + 1);
  const auto b = a ? match_affine(n->b, depth + 1) : std::nullopt;
  if (!a || !b) return std::nullopt;
  if (n->op == BinaryOp::kAdd) return AffineIndex{a->base + b->base, a->stride + b->stride};
  if (n->op == BinaryOp::kSub) return AffineIndex{a->base - b->base, a->stride - b->stride};
  if (is_int(b->stride, 0)) return AffineIndex{a->base * b->base, a->stride * b->base};
  if (is_int(a->stride, 0)) return AffineIndex{a->base * b->base, a->base * b->stride};
  return std::nullopt;
}

Value* Emitter::lane_addresses(const Buffer& buffer, const Expr& index,
                               const std::optional<AffineIndex>& affine) {
  if (!affine) return element_address(buffer, emit(index));
  const int lanes = index->dtype.lanes;
  Value* base = element_address(buffer, emit(affine->base));
  Value* stride = emit(affine->stride);
  std::vector<llvm::Constant*> steps;
  for (int lane = 0; lane < lanes; ++lane) {
    steps.push_back(llvm::ConstantInt::get(stride->getType(), static_cast<std::uint64_t>(lane)));
  }
  Value* offsets = b_.CreateMul(splat(b_, stride, lanes), llvm::ConstantVector::get(steps));
  return b_.CreateInBoundsGEP(memory_type(context_, buffer->dtype), base, offsets);
}

// --- loads
// -----------------------------------------------------------------------------------------

Value* Emitter::emit_load(const LoadNode& n) {
  TENON_CHECK(n.indices.size() == 1, "a load of '", n.buffer->name, "' with ", n.indices.size(),
              " indices in loop IR");
  Value* own = n.predicate ? emit(n.predicate) : nullptr;
  Value* predicate = join_masks(frame_.mask, own, n.dtype.lanes);
  return n.dtype.is_scalar() ? emit_scalar_load(n, predicate) : emit_vector_load(n, predicate);
}

Value* Emitter::emit_scalar_load(const LoadNode& n, Value* predicate) {
  const auto read = [&]() -> Value* {
    Value* address = element_address(n.buffer, emit(n.indices[0]));
    llvm::Type* type = memory_type(context_, n.dtype);
    Value* value = annotate(b_.CreateAlignedLoad(type, address, element_align(n.dtype)), n.buffer);
    return from_memory(b_, n.dtype, value);
  };
  if (predicate == nullptr) return read();
  return emit_branches(predicate, read, [&]() -> Value* {
    return llvm::Constant::getNullValue(value_type(context_, n.dtype));
  });
}

Value* Emitter::load_contiguous(const Buffer& buffer, DType dtype, Value* address,
                                Value* predicate) {
  llvm::Type* type = memory_type(context_, dtype);
  const llvm::Align align = element_align(dtype);
  if (predicate == nullptr) return annotate(b_.CreateAlignedLoad(type, address, align), buffer);
  Value* zero = llvm::Constant::getNullValue(type);
  return annotate(b_.CreateMaskedLoad(type, address, align, predicate, zero), buffer);
}

Value* Emitter::load_reversed(const Buffer& buffer, DType dtype, Value* base, Value* predicate) {
  const std::vector<int> order = reversed_lanes(dtype.lanes);
  llvm::Type* element = memory_type(context_, dtype.element());
  Value* first = b_.CreateInBoundsGEP(
      element, base, b_.getInt64(static_cast<std::uint64_t>(1 - std::int64_t{dtype.lanes})));
  Value* mask = predicate == nullptr ? nullptr : b_.CreateShuffleVector(predicate, order);
  return b_.CreateShuffleVector(load_contiguous(buffer, dtype, first, mask), order);
}

Value* Emitter::emit_vector_load(const LoadNode& n, Value* predicate) {
  const Expr& index = n.indices[0];
  const auto read = [&]() -> Value* {
    const std::optional<AffineIndex> affine = match_affine(index);
    if (affine) keep_alive_.insert(keep_alive_.end(), {affine->base, affine->stride});
    if (affine && is_int(affine->stride, 1)) {
      Value* address = element_address(n.buffer, emit(affine->base));
      return load_contiguous(n.buffer, n.dtype, address, predicate);
    }
    if (affine && is_int(affine->stride, -1)) {
      Value* base = element_address(n.buffer, emit(affine->base));
      return load_reversed(n.buffer, n.dtype, base, predicate);
    }
    llvm::Type* type = memory_type(context_, n.dtype);
    if (affine && is_int(affine->stride, 0) && predicate == nullptr) {
      Value* address = element_address(n.buffer, emit(affine->base));
      llvm::LoadInst* value = b_.CreateAlignedLoad(memory_type(context_, n.dtype.element()),
                                                   address, element_align(n.dtype));
      return splat(b_, annotate(value, n.buffer), n.dtype.lanes);
    }
    Value* addresses = lane_addresses(n.buffer, index, affine);
    Value* mask = predicate == nullptr ? all_lanes(b_, n.dtype.lanes) : predicate;
    return annotate(b_.CreateMaskedGather(type, addresses, element_align(n.dtype), mask,
                                          llvm::Constant::getNullValue(type)),
                    n.buffer);
  };
  // An index that loads or checks is evaluated for the lanes that are read only.
  Value* value = n.predicate && has_effects_(index.get()) ? under_mask(predicate, read) : read();
  return from_memory(b_, n.dtype, value);
}

// --- stores
// ----------------------------------------------------------------------------------------

void Emitter::emit_store(const StoreNode& n) {
  TENON_CHECK(n.indices.size() == 1, "a store to '", n.buffer->name, "' with ", n.indices.size(),
              " indices in loop IR");
  in_scope([&]() -> Value* {
    Value* predicate = n.predicate ? emit(n.predicate) : nullptr;
    const auto write = [&] {
      Value* value = to_memory(b_, n.value->dtype, emit(n.value));
      if (n.indices[0]->dtype.is_vector()) {
        emit_vector_store(n, value, predicate);
        return;
      }
      Value* address = element_address(n.buffer, emit(n.indices[0]));
      annotate(b_.CreateAlignedStore(value, address, element_align(n.buffer->dtype)), n.buffer);
    };
    if (predicate == nullptr) {
      write();
    } else if (predicate->getType()->isVectorTy()) {
      under_mask(predicate, [&]() -> Value* {
        write();
        return nullptr;
      });
    } else {
      auto* then_block = llvm::BasicBlock::Create(context_, "stores", frame_.function);
      auto* done = llvm::BasicBlock::Create(context_, "stored", frame_.function);
      b_.CreateCondBr(predicate, then_block, done);
      b_.SetInsertPoint(then_block);
      in_scope([&]() -> Value* {
        write();
        return nullptr;
      });
      b_.CreateBr(done);
      b_.SetInsertPoint(done);
    }
    return nullptr;
  });
}

void Emitter::emit_vector_store(const StoreNode& n, Value* value, Value* predicate) {
  const Expr& index = n.indices[0];
  const DType dtype = n.value->dtype;
  const llvm::Align align = element_align(dtype);
  const std::optional<AffineIndex> affine = match_affine(index);
  if (affine) keep_alive_.insert(keep_alive_.end(), {affine->base, affine->stride});
  if (affine && is_int(affine->stride, 1)) {
    Value* address = element_address(n.buffer, emit(affine->base));
    if (predicate == nullptr) {
      annotate(b_.CreateAlignedStore(value, address, align), n.buffer);
    } else {
      annotate(b_.CreateMaskedStore(value, address, align, predicate), n.buffer);
    }
    return;
  }
  Value* addresses = lane_addresses(n.buffer, index, affine);
  Value* mask = predicate == nullptr ? all_lanes(b_, dtype.lanes) : predicate;
  annotate(b_.CreateMaskedScatter(value, addresses, align, mask), n.buffer);
}

}  // namespace tenon::codegen
