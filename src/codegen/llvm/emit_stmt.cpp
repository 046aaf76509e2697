// Statements.

#include "codegen/llvm/emitter.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"
#include "tenon/runtime/kernel_abi.h"
#include "tenon/support/stack.h"

namespace tenon::codegen {

using llvm::Value;

void Emitter::emit(const Stmt& s) {
  if (s) with_stack([&] { emit_statement(*s); });
}

void Emitter::emit_statement(const StmtNode& s) {
  visit_stmt(s,
             Overloaded{
                 [&](const StoreNode& n) { emit_store(n); },
                 [&](const ForNode& n) { emit_for(n); },
                 [&](const WhileNode& n) { emit_while(n); },
                 [&](const BlockNode& n) { TENON_CHECK(false, "block '", n.name, "' in loop IR"); },
                 [&](const IfNode& n) { emit_if(n); },
                 [&](const LetStmtNode& n) {
                   Value* value = in_scope([&] { return emit(n.value); });
                   frame_.vars[n.var.get()] = value;
                   emit(n.body);
                 },
                 [&](const AllocateNode& n) { emit_allocate(n); },
                 [&](const SeqNode& n) {
                   for (const Stmt& child : n.stmts) emit(child);
                 },
                 [&](const EvaluateNode& n) { in_scope([&] { return emit(n.value); }); },
                 [&](const AssertNode& n) { emit_assert(n); },
             });
}

void Emitter::emit_for(const ForNode& n) {
  TENON_CHECK(n.attrs.kind != ForKind::kThread, "a loop bound to a GPU thread in CPU code");
  if (n.attrs.kind == ForKind::kParallel && !frame_.is_task) {
    emit_parallel_for(n);
    return;
  }
  const auto extent = as_int(n.extent);
  if (extent && *extent <= 0) return;
  if (extent && (n.attrs.kind == ForKind::kUnrolled || *extent == 1)) {
    emit_unrolled(n, *extent);
  } else {
    emit_loop(n);
  }
}

void Emitter::emit_unrolled(const ForNode& n, std::int64_t extent) {
  Value* minimum = in_scope([&] { return emit(n.min); });
  for (std::int64_t i = 0; i < extent; ++i) {
    Value* offset = llvm::ConstantInt::get(minimum->getType(), static_cast<std::uint64_t>(i));
    frame_.vars[n.var.get()] = b_.CreateAdd(minimum, offset);
    emit(n.body);
  }
}

/// if (min < end) do { body; } while (++var != end): a rotated loop, whose guard goes where the
/// extent is a positive constant.
void Emitter::emit_loop(const ForNode& n) {
  Value* minimum = in_scope([&] { return emit(n.min); });
  Value* extent = in_scope([&] { return emit(n.extent); });
  Value* end = b_.CreateAdd(minimum, extent);
  auto* body = llvm::BasicBlock::Create(context_, "loop", frame_.function);
  auto* done = llvm::BasicBlock::Create(context_, "done", frame_.function);
  llvm::BasicBlock* before = b_.GetInsertBlock();
  Value* zero = llvm::ConstantInt::get(extent->getType(), 0);
  b_.CreateCondBr(b_.CreateICmpSGT(extent, zero), body, done);
  b_.SetInsertPoint(body);
  llvm::PHINode* index = b_.CreatePHI(minimum->getType(), 2, n.var.as<VarNode>()->name);
  index->addIncoming(minimum, before);
  frame_.vars[n.var.get()] = index;
  emit(n.body);
  Value* one = llvm::ConstantInt::get(index->getType(), 1);
  Value* next = b_.CreateAdd(index, one, "", false, true);
  index->addIncoming(next, b_.GetInsertBlock());
  llvm::BranchInst* back = b_.CreateCondBr(b_.CreateICmpNE(next, end), body, done);
  back->setMetadata(llvm::LLVMContext::MD_loop, loop_metadata());
  b_.SetInsertPoint(done);
}

llvm::MDNode* Emitter::loop_metadata() {
  const auto option = [&](const char* name) {
    return llvm::MDNode::get(context_, {llvm::MDString::get(context_, name)});
  };
  auto* node = llvm::MDNode::getDistinct(
      context_, {nullptr, option("llvm.loop.unroll.disable"), option("llvm.loop.mustprogress")});
  node->replaceOperandWith(0, node);
  return node;
}

void Emitter::emit_while(const WhileNode& n) {
  auto* head = llvm::BasicBlock::Create(context_, "while", frame_.function);
  auto* body = llvm::BasicBlock::Create(context_, "do", frame_.function);
  auto* done = llvm::BasicBlock::Create(context_, "done", frame_.function);
  b_.CreateBr(head);
  b_.SetInsertPoint(head);
  Value* condition = in_scope([&] { return emit(n.condition); });
  b_.CreateCondBr(condition, body, done);
  b_.SetInsertPoint(body);
  emit(n.body);
  b_.CreateBr(head);
  b_.SetInsertPoint(done);
}

void Emitter::emit_if(const IfNode& n) {
  Value* condition = in_scope([&] { return emit(n.condition); });
  auto* then_block = llvm::BasicBlock::Create(context_, "then", frame_.function);
  auto* done = llvm::BasicBlock::Create(context_, "endif", frame_.function);
  auto* else_block =
      n.else_case ? llvm::BasicBlock::Create(context_, "else", frame_.function) : done;
  b_.CreateCondBr(condition, then_block, else_block);
  b_.SetInsertPoint(then_block);
  emit(n.then_case);
  b_.CreateBr(done);
  if (n.else_case) {
    b_.SetInsertPoint(else_block);
    emit(n.else_case);
    b_.CreateBr(done);
  }
  b_.SetInsertPoint(done);
}

void Emitter::emit_allocate(const AllocateNode& n) {
  const Placement& placement = storage_.placements.at(n.buffer.get());
  Value* address;
  if (placement.place == Place::kStack) {
    const std::int64_t elements = std::max<std::int64_t>(constant_size(*n.buffer), 1);
    llvm::BasicBlock& entry = frame_.function->getEntryBlock();
    Builder at_entry(&entry, entry.begin());
    llvm::Type* type = llvm::ArrayType::get(memory_type(context_, n.buffer->dtype),
                                            static_cast<std::uint64_t>(elements));
    llvm::AllocaInst* slot = at_entry.CreateAlloca(type, nullptr, n.buffer->name);
    slot->setAlignment(llvm::Align(64));
    address = slot;
  } else {
    TENON_CHECK(frame_.is_task == (placement.place == Place::kWorker), "misplaced allocation");
    Value* offset = in_scope([&] { return emit(placement.offset_bytes); });
    address = b_.CreateInBoundsGEP(b_.getInt8Ty(), frame_.workspace, offset, n.buffer->name);
  }
  frame_.buffers[n.buffer.get()] = address;
  emit(n.body);
}

void Emitter::emit_assert(const AssertNode& n) {
  const auto number = static_cast<std::uint32_t>(assert_sites_.at(&n));
  Value* condition = in_scope([&] { return emit(n.condition); });
  auto* failed = llvm::BasicBlock::Create(context_, "assert_failed", frame_.function);
  auto* holds = llvm::BasicBlock::Create(context_, "assert_holds", frame_.function);
  b_.CreateCondBr(condition, holds, failed);
  b_.SetInsertPoint(failed);
  Value* zero = b_.getInt64(0);
  b_.CreateCall(report_function(), {frame_.context, zero, zero, b_.getInt32(number)});
  b_.CreateRet(b_.getInt32(TENON_KERNEL_ASSERT_FAILED));
  b_.SetInsertPoint(holds);
}

}  // namespace tenon::codegen
