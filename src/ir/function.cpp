#include "tenon/ir/function.h"

#include <array>

#include "tenon/ir/builder.h"

namespace tenon {

const char* to_string(Scope scope) {
  constexpr std::array kText = {"global", "local", "register", "shared", "fragment"};
  return kText[static_cast<std::size_t>(scope)];
}

Scope parse_scope(const std::string& name) {
  for (const Scope s :
       {Scope::kGlobal, Scope::kLocal, Scope::kRegister, Scope::kShared, Scope::kFragment}) {
    if (name == to_string(s)) return s;
  }
  detail::raise<ScheduleError>(
      "E0250", detail::concat("unknown scope '", name,
                              "'\n  hint: one of global, local, register, shared, fragment"));
}

Buffer make_buffer(std::string name, DType dtype, std::vector<Expr> shape, Scope scope) {
  auto* node = new BufferNode;
  Buffer buffer(node);
  node->name = std::move(name);
  node->dtype = dtype;
  node->shape = std::move(shape);
  node->scope = scope;
  node->span = SpanScope::current();
  return buffer;
}

Buffer copy_buffer(const BufferNode& buffer) {
  auto* node = new BufferNode;
  Buffer copy(node);
  node->name = buffer.name;
  node->dtype = buffer.dtype;
  node->shape = buffer.shape;
  node->strides = buffer.strides;
  node->scope = buffer.scope;
  node->alignment = buffer.alignment;
  node->span = buffer.span;
  return copy;
}

std::vector<Expr> strides_of(const BufferNode& buffer) {
  if (!buffer.strides.empty()) return buffer.strides;
  std::vector<Expr> strides(buffer.shape.size());
  Expr stride = imm(1);
  for (std::size_t d = buffer.shape.size(); d-- > 0;) {
    strides[d] = stride;
    stride = stride * buffer.shape[d];
  }
  return strides;
}

const char* to_string(Level level) {
  constexpr std::array kText = {"block", "loop", "device"};
  return kText[static_cast<std::size_t>(level)];
}

std::vector<Buffer> FunctionNode::params() const {
  std::vector<Buffer> all = inputs;
  all.insert(all.end(), outputs.begin(), outputs.end());
  return all;
}

Function make_function(std::string name, std::vector<Buffer> inputs, std::vector<Buffer> outputs,
                       std::vector<Symbol> symbols, Stmt body, Level level, Attrs attrs) {
  auto* node = new FunctionNode;
  Function f(node);
  node->name = std::move(name);
  node->inputs = std::move(inputs);
  node->outputs = std::move(outputs);
  node->symbols = std::move(symbols);
  node->body = std::move(body);
  node->level = level;
  node->attrs = std::move(attrs);
  return f;
}

Function with_body(const Function& f, Stmt body) { return with_body(f, std::move(body), f->level); }

Function with_body(const Function& f, Stmt body, Level level) {
  return make_function(f->name, f->inputs, f->outputs, f->symbols, std::move(body), level,
                       f->attrs);
}

}  // namespace tenon
