// Entry, tasks and errors of a kernel.

#include <llvm/IR/IntrinsicsX86.h>
#include <llvm/IR/MDBuilder.h>

#include <cstddef>
#include <unordered_set>

#include "codegen/llvm/emitter.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"
#include "tenon/runtime/kernel_abi.h"

namespace tenon::codegen {

using llvm::Value;

namespace {

constexpr std::uint64_t kMxcsrDefault = 0x1f80;  // all exceptions masked, nearest, no FTZ, no DAZ
constexpr std::uint64_t kMxcsrMode = 0xffc0;     // all but the sticky exception flags

/// Variables used and buffers met in a statement, in the order of the first use.
class UseCollector : public Walker {
 public:
  std::vector<const ExprNode*> vars;
  std::vector<const BufferNode*> buffers;
  std::vector<const BufferNode*> allocated;

 private:
  void visit(const VarNode& n) override { vars.push_back(&n); }  // shared: visited once
  void visit(const AllocateNode& n) override {
    allocated.push_back(n.buffer.get());
    walk(n);
  }
  void visit_buffer(const Buffer& buffer) override {
    if (seen_.insert(buffer.get()).second) buffers.push_back(buffer.get());
  }
  std::unordered_set<const BufferNode*> seen_;
};

}  // namespace

/// What a task needs from the kernel around it, in the order of the closure's fields.
struct Emitter::Captures {
  std::vector<std::pair<const ExprNode*, Value*>> vars;
  std::vector<std::pair<const BufferNode*, Value*>> buffers;
  llvm::StructType* type = nullptr;
  static constexpr unsigned kFixedFields = 3;  ///< loop minimum, worker base, worker bytes
};

Emitter::Emitter(llvm::Module* module, Function f, const Target& target)
    : module_(module),
      context_(module->getContext()),
      b_(context_),
      f_(std::move(f)),
      target_(target),
      symbol_(kernel_symbol(f_)),
      storage_(plan_storage(f_)),
      info_(kernel_info(f_)) {
  for (const AssertSite& a : info_.asserts) assert_sites_.emplace(a.stmt.get(), a.site);
}

llvm::Function* Emitter::new_function(llvm::FunctionType* type, const std::string& name,
                                      bool exported) {
  auto linkage = exported ? llvm::Function::ExternalLinkage : llvm::Function::InternalLinkage;
  llvm::Function* function = llvm::Function::Create(type, linkage, name, module_);
  function->addFnAttr(llvm::Attribute::NoUnwind);
  function->addFnAttr("target-cpu", target_.mcpu);
  function->addFnAttr("target-features", target_.attributes());
  const std::string width = std::to_string(target_.vector_bytes * 8);
  function->addFnAttr("prefer-vector-width", width);
  function->addFnAttr("min-legal-vector-width", width);
  function->addFnAttr("no-trapping-math", "true");
  return function;
}

void Emitter::emit_kernel() {
  make_alias_scopes();
  llvm::Type* pointer = b_.getPtrTy();
  auto* type = llvm::FunctionType::get(b_.getInt32Ty(), {pointer, pointer, pointer}, false);
  llvm::Function* body = new_function(type, symbol_ + ".body", false);
  body->addFnAttr(llvm::Attribute::NoInline);
  frame_ = Frame{};
  frame_.function = body;
  frame_.context = body->getArg(0);
  b_.SetInsertPoint(llvm::BasicBlock::Create(context_, "entry", body));
  load_parameters(body->getArg(1), body->getArg(2));
  set_up_workspace();
  emit(f_->body);
  finish_kernel();
  add_mode_guard(body, symbol_, true);
}

void Emitter::load_parameters(Value* buffers, Value* sizes) {
  const auto invariant = [&](llvm::LoadInst* load) {
    load->setMetadata(llvm::LLVMContext::MD_invariant_load, llvm::MDNode::get(context_, {}));
    return load;
  };
  unsigned index = 0;
  for (const Buffer& buffer : f_->params()) {
    Value* slot = b_.CreateConstInBoundsGEP1_32(b_.getPtrTy(), buffers, index++);
    frame_.buffers[buffer.get()] = invariant(b_.CreateLoad(b_.getPtrTy(), slot, buffer->name));
  }
  index = 0;
  for (const Symbol& symbol : f_->symbols) {
    Value* slot = b_.CreateConstInBoundsGEP1_32(b_.getInt64Ty(), sizes, index++);
    const std::string& name = symbol.var.as<VarNode>()->name;
    frame_.vars[symbol.var.get()] = invariant(b_.CreateLoad(b_.getInt64Ty(), slot, name));
  }
}

void Emitter::set_up_workspace() {
  if (is_int(storage_.shared_bytes, 0) && is_int(storage_.worker_bytes, 0)) return;
  Value* slot = context_field(offsetof(tenon_kernel_context, workspace), "workspace");
  frame_.workspace = b_.CreateAlignedLoad(b_.getPtrTy(), slot, llvm::Align(8), "workspace");
  frame_.memo.emplace_back();
  Value* shared = emit(storage_.shared_bytes);
  frame_.worker_base = b_.CreateInBoundsGEP(b_.getInt8Ty(), frame_.workspace, shared);
  frame_.worker_bytes = emit(storage_.worker_bytes);
  frame_.memo.pop_back();
}

void Emitter::finish_kernel() {
  if (info_.num_index_sites == 0) {
    b_.CreateRet(b_.getInt32(TENON_KERNEL_OK));
    return;
  }
  Value* claimed = b_.CreateAlignedLoad(
      b_.getInt32Ty(), context_field(offsetof(tenon_kernel_context, error_claimed), "claimed"),
      llvm::Align(4));
  Value* failed = b_.CreateICmpNE(claimed, b_.getInt32(0));
  b_.CreateRet(
      b_.CreateSelect(failed, b_.getInt32(TENON_KERNEL_INDEX_ERROR), b_.getInt32(TENON_KERNEL_OK)));
}

Value* Emitter::context_field(std::size_t offset, const char* name) {
  return b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), frame_.context, offset, name);
}

llvm::Function* Emitter::add_mode_guard(llvm::Function* body, const std::string& name,
                                        bool exported) {
  llvm::Function* guard = new_function(body->getFunctionType(), name, exported);
  Builder b(llvm::BasicBlock::Create(context_, "entry", guard));
  auto* as_is = llvm::BasicBlock::Create(context_, "as_is", guard);
  auto* changed = llvm::BasicBlock::Create(context_, "changed", guard);
  std::vector<Value*> args;
  for (llvm::Argument& arg : guard->args()) args.push_back(&arg);
  Value* before = b.CreateAlloca(b.getInt32Ty());
  Value* during = b.CreateAlloca(b.getInt32Ty());
  b.CreateIntrinsic(llvm::Intrinsic::x86_sse_stmxcsr, {}, {before});
  Value* mode = b.CreateAnd(b.CreateLoad(b.getInt32Ty(), before), b.getInt32(kMxcsrMode));
  b.CreateCondBr(b.CreateICmpEQ(mode, b.getInt32(kMxcsrDefault)), as_is, changed,
                 llvm::MDBuilder(context_).createBranchWeights(1000, 1));
  b.SetInsertPoint(as_is);
  b.CreateRet(b.CreateCall(body, args));
  b.SetInsertPoint(changed);
  b.CreateStore(b.getInt32(kMxcsrDefault), during);
  b.CreateIntrinsic(llvm::Intrinsic::x86_sse_ldmxcsr, {}, {during});
  Value* status = b.CreateCall(body, args);
  b.CreateIntrinsic(llvm::Intrinsic::x86_sse_ldmxcsr, {}, {before});
  b.CreateRet(status);
  return guard;
}

Emitter::Captures Emitter::find_captures(const ForNode& n) {
  UseCollector uses;
  uses(n.body);
  for (const BufferNode* buffer : uses.allocated) {
    const Placement& placement = storage_.placements.at(buffer);
    if (placement.place == Place::kWorker) uses(placement.offset_bytes);
  }
  Captures captures;
  std::vector<llvm::Type*> types = {b_.getInt64Ty(), b_.getPtrTy(), b_.getInt64Ty()};
  for (const ExprNode* used : uses.vars) {
    const auto it = frame_.vars.find(used);
    if (it != frame_.vars.end()) captures.vars.emplace_back(used, it->second);
  }
  for (const BufferNode* used : uses.buffers) {
    const auto it = frame_.buffers.find(used);
    if (it != frame_.buffers.end()) captures.buffers.emplace_back(used, it->second);
  }
  for (const auto& [var, value] : captures.vars) types.push_back(value->getType());
  for (std::size_t i = 0; i < captures.buffers.size(); ++i) types.push_back(b_.getPtrTy());
  captures.type = llvm::StructType::get(context_, types);
  return captures;
}

void Emitter::emit_parallel_for(const ForNode& n) {
  frame_.memo.emplace_back();
  Value* minimum = emit(n.min);
  Value* extent = emit(n.extent);
  frame_.memo.pop_back();
  const Captures captures = find_captures(n);
  llvm::Function* task = emit_task(n, captures);

  Builder entry(&frame_.function->getEntryBlock(), frame_.function->getEntryBlock().begin());
  Value* closure = entry.CreateAlloca(captures.type, nullptr, "closure");
  unsigned index = 0;
  const auto put = [&](Value* value) {
    b_.CreateStore(value, b_.CreateStructGEP(captures.type, closure, index++));
  };
  put(minimum);
  put(frame_.worker_base != nullptr ? frame_.worker_base
                                    : llvm::ConstantPointerNull::get(b_.getPtrTy()));
  put(frame_.worker_bytes != nullptr ? frame_.worker_bytes : b_.getInt64(0));
  for (const auto& [var, value] : captures.vars) put(value);
  for (const auto& [buffer, value] : captures.buffers) put(value);

  auto* run = llvm::BasicBlock::Create(context_, "parallel", frame_.function);
  auto* failed = llvm::BasicBlock::Create(context_, "stopped", frame_.function);
  auto* done = llvm::BasicBlock::Create(context_, "joined", frame_.function);
  b_.CreateCondBr(b_.CreateICmpSGT(extent, b_.getInt64(0)), run, done);
  b_.SetInsertPoint(run);
  llvm::Type* pointer = b_.getPtrTy();
  auto* type =
      llvm::FunctionType::get(b_.getInt32Ty(), {pointer, b_.getInt64Ty(), pointer, pointer}, false);
  Value* parallel_for = b_.CreateLoad(
      pointer, context_field(offsetof(tenon_kernel_context, parallel_for), "parallel_for"));
  Value* status = b_.CreateCall(type, parallel_for, {frame_.context, extent, task, closure});
  b_.CreateCondBr(b_.CreateICmpEQ(status, b_.getInt32(TENON_KERNEL_OK)), done, failed);
  b_.SetInsertPoint(failed);
  b_.CreateRet(status);
  b_.SetInsertPoint(done);
}

llvm::Function* Emitter::emit_task(const ForNode& n, const Captures& captures) {
  const std::string name = symbol_ + ".task" + std::to_string(num_tasks_++);
  llvm::Type *pointer = b_.getPtrTy(), *int64 = b_.getInt64Ty();
  auto* type = llvm::FunctionType::get(b_.getInt32Ty(),
                                       {pointer, pointer, int64, int64, b_.getInt32Ty()}, false);
  llvm::Function* body = new_function(type, name + ".body", false);
  body->addFnAttr(llvm::Attribute::NoInline);

  Frame frame;
  frame.function = body;
  frame.is_task = true;
  frame.context = body->getArg(0);
  const Builder::InsertPoint kernel_point = b_.saveIP();
  b_.SetInsertPoint(llvm::BasicBlock::Create(context_, "entry", body));
  Value* minimum = load_captures(captures, body->getArg(1), &frame);
  std::swap(frame_, frame);

  // The chunk's iterations, as an ordinary loop: [minimum + begin, minimum + end).
  const Expr first = var("first"), count = var("count");
  frame_.vars[first.get()] = b_.CreateAdd(minimum, body->getArg(2));
  frame_.vars[count.get()] = b_.CreateSub(body->getArg(3), body->getArg(2));
  keep_alive_.insert(keep_alive_.end(), {first, count});
  ForAttrs serial = n.attrs;
  serial.kind = ForKind::kSerial;
  const Stmt chunk = make_for(n.var, first, count, n.body, serial);
  emit(chunk);
  b_.CreateRet(b_.getInt32(TENON_KERNEL_OK));

  std::swap(frame_, frame);
  b_.restoreIP(kernel_point);
  return add_mode_guard(body, name, false);
}

Value* Emitter::load_captures(const Captures& captures, Value* closure, Frame* frame) {
  unsigned index = 0;
  const auto take = [&](const std::string& name) -> Value* {
    llvm::Type* field = captures.type->getElementType(index);
    llvm::LoadInst* value =
        b_.CreateLoad(field, b_.CreateStructGEP(captures.type, closure, index++), name);
    value->setMetadata(llvm::LLVMContext::MD_invariant_load, llvm::MDNode::get(context_, {}));
    return value;
  };
  Value* minimum = take("minimum");
  Value* worker_base = take("worker_base");
  Value* worker_bytes = take("worker_bytes");
  for (const auto& [var, value] : captures.vars) frame->vars[var] = take(value->getName().str());
  for (const auto& [buffer, value] : captures.buffers) frame->buffers[buffer] = take(buffer->name);
  Value* worker = b_.CreateSExt(frame->function->getArg(4), b_.getInt64Ty());
  frame->workspace =
      b_.CreateInBoundsGEP(b_.getInt8Ty(), worker_base, b_.CreateMul(worker, worker_bytes));
  return minimum;
}

llvm::Function* Emitter::report_function() {
  const char* name = "tenon.report_error";
  if (report_ == nullptr) report_ = module_->getFunction(name);
  if (report_ != nullptr) return report_;
  llvm::Type *pointer = b_.getPtrTy(), *int64 = b_.getInt64Ty(), *int32 = b_.getInt32Ty();
  auto* type = llvm::FunctionType::get(b_.getVoidTy(), {pointer, int64, int64, int32}, false);
  report_ = new_function(type, name, false);
  report_->addFnAttr(llvm::Attribute::Cold);
  report_->addFnAttr(llvm::Attribute::NoInline);
  Builder b(llvm::BasicBlock::Create(context_, "entry", report_));
  auto* first = llvm::BasicBlock::Create(context_, "first", report_);
  auto* done = llvm::BasicBlock::Create(context_, "done", report_);
  const auto field = [&](std::size_t offset) {
    return b.CreateConstInBoundsGEP1_64(b.getInt8Ty(), report_->getArg(0), offset);
  };
  constexpr std::size_t kError = offsetof(tenon_kernel_context, index_error);
  Value* claim = b.CreateAtomicCmpXchg(
      field(offsetof(tenon_kernel_context, error_claimed)), b.getInt32(0), b.getInt32(1),
      llvm::MaybeAlign(4), llvm::AtomicOrdering::AcquireRelease, llvm::AtomicOrdering::Acquire);
  b.CreateCondBr(b.CreateExtractValue(claim, 1), first, done);
  b.SetInsertPoint(first);
  b.CreateStore(report_->getArg(1), field(kError + offsetof(tenon_index_error, value)));
  b.CreateStore(report_->getArg(2), field(kError + offsetof(tenon_index_error, extent)));
  b.CreateStore(report_->getArg(3), field(kError + offsetof(tenon_index_error, site)));
  b.CreateBr(done);
  b.SetInsertPoint(done);
  b.CreateRetVoid();
  return report_;
}

}  // namespace tenon::codegen
