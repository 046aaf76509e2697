// Statements.

#include <algorithm>

#include "codegen/cuda/emitter.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"
#include "tenon/support/stack.h"

namespace tenon::codegen::cuda {
namespace {

std::int64_t saturating_add(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return a < 0 ? std::numeric_limits<std::int64_t>::min()
               : std::numeric_limits<std::int64_t>::max();
}

std::int64_t constant_size(const BufferNode& buffer) {
  std::int64_t size = 1;
  for (const Expr& extent : buffer.shape) {
    const auto n = as_int(extent);
    if (!n) return -1;
    size *= std::max<std::int64_t>(*n, 0);
  }
  return size;
}

}  // namespace

KernelEmitter::KernelEmitter(Prelude* prelude, std::int64_t num_threads, bool has_collectives)
    : prelude_(prelude), num_threads_(num_threads), has_collectives_(has_collectives) {}

std::string KernelEmitter::add_buffer(const Buffer& buffer) {
  return buffers_[buffer.get()] = names_.unique(buffer->name);
}

void KernelEmitter::add_variable(const Expr& var, const std::string& text, const IntRange& range,
                                 bool is_int32) {
  vars_[var.get()] = {{{text, is_int32 ? CType::kI32 : CType::kI64}}, range};
}

void KernelEmitter::line(const std::string& text) {
  lines_.push_back(std::string(static_cast<std::size_t>(indent_) * 2, ' ') + text);
}

std::string KernelEmitter::text() const {
  std::string out;
  for (const std::string& l : lines_) out += l + "\n";
  return out;
}

void KernelEmitter::open(const std::string& head) {
  line(head);
  ++indent_;
}

void KernelEmitter::close(const std::string& tail) {
  --indent_;
  line(tail);
}

void KernelEmitter::emit(const Stmt& s) {
  if (s) with_stack([&] { emit_statement(*s); });
}

void KernelEmitter::emit_statement(const StmtNode& s) {
  visit_stmt(s,
             Overloaded{
                 [&](const StoreNode& n) { emit_store(n); },
                 [&](const ForNode& n) { emit_for(n); },
                 [&](const WhileNode& n) { emit_while(n); },
                 [&](const BlockNode& n) { TENON_CHECK(false, "block '", n.name, "' in loop IR"); },
                 [&](const IfNode& n) { emit_if(n); },
                 [&](const LetStmtNode& n) { emit_let(n); },
                 [&](const AllocateNode& n) { emit_allocate(n); },
                 [&](const SeqNode& n) {
                   for (const Stmt& child : n.stmts) emit(child);
                 },
                 [&](const EvaluateNode& n) { emit_evaluate(n); },
                 [&](const AssertNode& n) { emit_assert(n); },
             });
}

void KernelEmitter::emit_guarded_lines(const Scalar& condition, const std::function<void()>& body) {
  std::vector<std::string> lines;
  lines_.swap(lines);
  ++indent_;
  memo_.emplace_back();
  body();
  memo_.pop_back();
  --indent_;
  lines_.swap(lines);
  if (lines.size() == 1) {
    const std::size_t begin = lines[0].find_first_not_of(' ');
    line("if (" + condition.text + ") " + lines[0].substr(begin));
    return;
  }
  line("if (" + condition.text + ") {");
  lines_.insert(lines_.end(), lines.begin(), lines.end());
  line("}");
}

void KernelEmitter::emit_guarded(const Expr& condition, const std::function<void()>& body) {
  memo_.emplace_back();
  begin_statement({condition});
  const Scalar test = emit_scalar(condition);
  memo_.pop_back();
  open("if (" + test.text + ") {");
  body();
  close();
}

void KernelEmitter::emit_body(const Stmt& s) {
  ++indent_;
  emit(s);
  --indent_;
}

void KernelEmitter::define(const ExprNode* var, const std::string& wanted, const Value& value) {
  const std::string name = names_.unique(wanted);
  Value named = {{}, value.range};
  for (std::size_t i = 0; i < value.lanes.size(); ++i) {
    const Scalar& lane = value.lanes[i];
    const std::string own = value.lanes.size() == 1 ? name : name + "_" + std::to_string(i);
    line("const " + std::string(to_string(lane.type)) + " " + own + " = " + lane.text + ";");
    named.lanes.push_back({own, lane.type});
  }
  vars_[var] = std::move(named);
}

void KernelEmitter::emit_let(const LetStmtNode& n) {
  memo_.emplace_back();
  begin_statement({n.value});
  const Value value = emit(n.value);
  memo_.pop_back();
  define(n.var.get(), n.var.as<VarNode>()->name, value);
  const bool is_index = n.value->dtype == kInt64;
  if (!uses_var(n.value, [&](const VarNode& v) { return unrolled_.count(&v) == 0; }) &&
      !has_effects_(n.value.get())) {
    unrolled_.insert(n.var.get());
  }
  const Analyzer::Scope scope(&analyzer_);
  if (is_index && !has_effects_(n.value.get())) analyzer_.bind_value(n.var, n.value);
  emit(n.body);
}

void KernelEmitter::emit_for(const ForNode& n) {
  if (n.attrs.kind == ForKind::kThread) {
    emit_thread_loop(n);
    return;
  }
  const auto extent = as_int(n.extent);
  if (extent && *extent <= 0) return;
  const Analyzer::Scope scope(&analyzer_);
  analyzer_.bind_kept(n.var, {n.min, n.extent});
  memo_.emplace_back();
  const Expr end = n.min + n.extent;
  begin_statement({n.min, end, n.extent});
  const Value first = emit(n.min), count = emit(n.extent);
  const bool is_once = extent && *extent == 1;
  IntRange range = {
      first.range.lower,
      saturating_add(first.range.upper, std::max<std::int64_t>(count.range.upper, 1) - 1), true};
  const bool is_short = range.fits_int32() &&
                        range.upper < std::numeric_limits<std::int32_t>::max() &&
                        first.lanes[0].type == CType::kI32;
  const CType type = is_short ? CType::kI32 : CType::kI64;
  const std::string& wanted = n.var.as<VarNode>()->name;
  if (is_once) {
    memo_.pop_back();
    define(n.var.get(), wanted, {{convert(first.lanes[0], type)}, range});
    if (!uses_var(n.min, [&](const VarNode& v) { return unrolled_.count(&v) == 0; })) {
      unrolled_.insert(n.var.get());
    }
    emit(n.body);
    return;
  }
  keep_alive_.push_back(end);
  Scalar last = emit_scalar(end);
  memo_.pop_back();
  if (last.text.find_first_of("([?") != std::string::npos) last = name_it(last, wanted + "_end");
  const std::string name = names_.unique(wanted);
  const bool is_unrolled =
      n.attrs.kind == ForKind::kUnrolled || (extent && to_unroll_.count(n.var.get()) != 0);
  if (is_unrolled && extent) unrolled_.insert(n.var.get());
  line(is_unrolled ? "#pragma unroll" : "#pragma unroll 1");
  vars_[n.var.get()] = {{{name, type}}, range};
  open("for (" + std::string(to_string(type)) + " " + name + " = " + first.lanes[0].text + "; " +
       name + " < " + at(last, kAdditive) + "; ++" + name + ") {");
  emit(n.body);
  close();
}

/// An axis is a coordinate of the thread; the launch gives each its extent.
void KernelEmitter::emit_thread_loop(const ForNode& n) {
  const auto axis = axis_of(n);
  TENON_CHECK(axis, "a thread loop on the unknown axis '", n.attrs.thread_axis, "'");
  const Analyzer::Scope scope(&analyzer_);
  analyzer_.bind_kept(n.var, {n.min, n.extent});
  const auto extent = as_int(n.extent);
  const std::int64_t most = std::min(extent.value_or(max_extent(*axis)), max_extent(*axis));
  const Value coordinate = {{{"(int)" + std::string(to_string(*axis)), CType::kI32, kUnary}},
                            {0, std::max<std::int64_t>(most, 1) - 1, true}};
  const bool is_single = extent && *extent == 1;
  Value value = is_single ? Value{{literal(CType::kI32, 0)}, single_value(0)} : coordinate;
  if (!is_int(n.min, 0)) {
    memo_.emplace_back();
    begin_statement({n.min});
    value = emit_int_binary(BinaryOp::kAdd, kInt64, value, emit(n.min), 0);
    memo_.pop_back();
  }
  define(n.var.get(), n.var.as<VarNode>()->name, value);
  if (uses_var(n.extent, [&](const VarNode& v) { return host_vars_.count(&v) != 0; })) {
    emit_guarded(lt(n.var, n.min + n.extent), [&] { emit(n.body); });
  } else {
    emit(n.body);
  }
}

void KernelEmitter::emit_while(const WhileNode& n) {
  open("while (true) {");
  memo_.emplace_back();
  begin_statement({n.condition});
  const Scalar condition = emit_scalar(n.condition);
  memo_.pop_back();
  line("if (!" + at(condition, kPrimary) + ") break;");
  emit(n.body);
  close();
}

void KernelEmitter::emit_if(const IfNode& n) {
  memo_.emplace_back();
  begin_statement({n.condition});
  const Scalar condition = emit_scalar(n.condition);
  memo_.pop_back();
  line("if (" + condition.text + ") {");
  {
    const Analyzer::Scope scope(&analyzer_);
    if (!has_effects_(n.condition.get())) analyzer_.assume(n.condition);
    emit_body(n.then_case);
  }
  if (n.else_case) {
    line("} else {");
    emit_body(n.else_case);
  }
  line("}");
}

void KernelEmitter::emit_allocate(const AllocateNode& n) {
  const Buffer& buffer = n.buffer;
  const std::int64_t size = constant_size(*buffer);
  TENON_USER_CHECK(size >= 0, ScheduleError, "E1282", "buffer '", buffer->name, "' in scope ",
                   to_string(buffer->scope),
                   " has no constant size\n  hint: give the loops around its uses constant extents "
                   "(split), or use scope \"global\" outside of the kernel");
  if (buffer->scope == Scope::kFragment) {
    allocate_fragment(buffer, size);
    emit(n.body);
    return;
  }
  const std::string type = to_string(memory_type(buffer->dtype));
  const std::string name = add_buffer(buffer);
  const std::string count = "[" + std::to_string(std::max<std::int64_t>(size, 1)) + "]";
  const auto placed = dynamic_.find(buffer.get());
  if (placed != dynamic_.end()) {
    line(type + "* const " + name + " = (" + type + "*)(tenon_shared + " +
         std::to_string(placed->second) + ");");
  } else if (buffer->scope == Scope::kShared) {
    line("__shared__ __align__(" + std::to_string(kSharedAlignment) + ") " + type + " " + name +
         count + ";");
  } else {
    TENON_USER_CHECK(buffer->scope != Scope::kGlobal, ScheduleError, "E1283", "buffer '",
                     buffer->name,
                     "' in scope global is allocated inside of a kernel\n  hint: use scope "
                     "\"shared\" or \"local\"");
    line(type + " " + name + count + ";");
  }
  emit(n.body);
}

void KernelEmitter::emit_evaluate(const EvaluateNode& n) {
  const auto* call = n.value.as<CallNode>();
  switch (thread_call(n.value)) {
    case ThreadCall::kBarrier:
      line("__syncthreads();");
      return;
    case ThreadCall::kAsyncCommit:
      line(prelude_->use("tenon_commit_async") + "();");
      return;
    case ThreadCall::kAsyncWait: {
      const auto pending = as_int(call->args.at(0));
      TENON_CHECK(pending && *pending >= 0, "async_wait needs a constant number of groups");
      line(prelude_->use("tenon_wait_async") + "<" + std::to_string(*pending) + ">();");
      return;
    }
    case ThreadCall::kNone:
    case ThreadCall::kShuffleXor:
    case ThreadCall::kShuffle:
    case ThreadCall::kAsyncCopy:
      break;
  }
  if (const TensorInstruction* t = tensor_instruction_of(n)) {
    emit_tensor_call(*call, *t);
    return;
  }
  memo_.emplace_back();
  begin_statement({n.value});
  for (const Scalar& lane : emit(n.value).lanes) line("(void)" + at(lane, kUnary) + ";");
  memo_.pop_back();
}

void KernelEmitter::emit_assert(const AssertNode& n) {
  const auto site = assert_sites_.find(&n);
  TENON_CHECK(site != assert_sites_.end(), "an assert without a site");
  uses_error_record_ = true;
  memo_.emplace_back();
  begin_statement({n.condition});
  const Scalar condition = emit_scalar(n.condition);
  memo_.pop_back();
  const std::string report =
      prelude_->use("tenon_report") + "(error, 0, 0, " + std::to_string(site->second) + ");";
  // Where threads wait for each other none may leave.
  if (has_collectives_) {
    line("if (!" + at(condition, kPrimary) + ") " + report);
    return;
  }
  open("if (!" + at(condition, kPrimary) + ") {");
  line(report);
  line("return;");
  close();
}

}  // namespace tenon::codegen::cuda
