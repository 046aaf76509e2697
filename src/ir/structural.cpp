#include "tenon/ir/structural.h"

#include <bit>
#include <unordered_set>

#include "tenon/ir/visit.h"

namespace tenon {
namespace {

/// One thing still to compare: a pair of nodes, buffers or definitions, in reading order.
struct Task {
  enum class Sort : std::uint8_t { kExpr, kStmt, kDefineVar, kUseBuffer, kDefineBuffer } sort;
  const void* a;
  const void* b;
};

class Comparer {
 public:
  bool run(std::vector<Task> tasks) {
    stack_.assign(tasks.rbegin(), tasks.rend());
    while (!stack_.empty()) {
      const Task task = stack_.back();
      stack_.pop_back();
      if (!step(task)) return false;
    }
    return true;
  }

 private:
  bool step(const Task& t) {
    switch (t.sort) {
      case Task::Sort::kExpr:
        return exprs(static_cast<const ExprNode*>(t.a), static_cast<const ExprNode*>(t.b));
      case Task::Sort::kStmt:
        return stmts(static_cast<const StmtNode*>(t.a), static_cast<const StmtNode*>(t.b));
      case Task::Sort::kDefineVar:
        return define(static_cast<const ExprNode*>(t.a), static_cast<const ExprNode*>(t.b));
      case Task::Sort::kUseBuffer:
        return buffers(static_cast<const BufferNode*>(t.a), static_cast<const BufferNode*>(t.b));
      case Task::Sort::kDefineBuffer:
        return define(static_cast<const BufferNode*>(t.a), static_cast<const BufferNode*>(t.b));
    }
    return false;
  }

  bool exprs(const ExprNode* a, const ExprNode* b) {
    if (a == nullptr || b == nullptr) return a == b;
    if (a->kind != b->kind || a->dtype != b->dtype) return false;
    if (a->kind == NodeKind::kVar) return vars(a, b);
    if (const auto seen = equal_.find(a); seen != equal_.end() && seen->second == b) return true;
    equal_[a] = b;  // if it turns out wrong, the whole comparison fails
    return visit_expr(*a, [&](const auto& n) {
      return push_fields(n, static_cast<const std::decay_t<decltype(n)>&>(*b));
    });
  }

  bool stmts(const StmtNode* a, const StmtNode* b) {
    if (a == nullptr || b == nullptr) return a == b;
    if (a->kind != b->kind) return false;
    return visit_stmt(*a, [&](const auto& n) {
      return push_fields(n, static_cast<const std::decay_t<decltype(n)>&>(*b));
    });
  }

  bool vars(const ExprNode* a, const ExprNode* b) const {
    const auto forward = map_.find(a);
    const auto backward = inverse_.find(b);
    if (forward == map_.end() && backward == inverse_.end()) return a == b;
    return forward != map_.end() && backward != inverse_.end() && forward->second == b &&
           backward->second == a;
  }

  bool buffers(const BufferNode* a, const BufferNode* b) const {
    const auto forward = map_.find(a);
    const auto backward = inverse_.find(b);
    if (forward == map_.end() && backward == inverse_.end()) return a == b;
    return forward != map_.end() && backward != inverse_.end() && forward->second == b &&
           backward->second == a;
  }

  void pair(const void* a, const void* b) {
    if (map_.count(a) != 0 || inverse_.count(b) != 0)
      equal_.clear();  // a second definition: earlier results may not hold
    map_[a] = b;
    inverse_[b] = a;
  }

  bool define(const ExprNode* a, const ExprNode* b) {
    if (a->dtype != b->dtype) return false;
    pair(a, b);
    return true;
  }

  bool define(const BufferNode* a, const BufferNode* b) {
    if (a->dtype != b->dtype || a->scope != b->scope || a->alignment != b->alignment ||
        a->shape.size() != b->shape.size() || a->strides.size() != b->strides.size()) {
      return false;
    }
    pair(a, b);
    std::vector<Task> tasks;
    for (std::size_t d = 0; d < a->shape.size(); ++d)
      tasks.push_back({Task::Sort::kExpr, a->shape[d].get(), b->shape[d].get()});
    for (std::size_t d = 0; d < a->strides.size(); ++d) {
      tasks.push_back({Task::Sort::kExpr, a->strides[d].get(), b->strides[d].get()});
    }
    stack_.insert(stack_.end(), tasks.rbegin(), tasks.rend());
    return true;
  }

  template <typename N>
  bool push_fields(const N& a, const N& b) {
    std::vector<Task> tasks;
    bool same = true;
    for_each_field(a, [&](const auto& f, const auto& value) {
      if (same) same = push(&tasks, f.role, value, b.*(f.member));
    });
    stack_.insert(stack_.end(), tasks.rbegin(), tasks.rend());
    return same;
  }

  template <typename T>
  static bool push(std::vector<Task>* out, FieldRole role, const T& a, const T& b) {
    if constexpr (std::is_same_v<T, Expr>) {
      out->push_back(
          {role == FieldRole::kDef ? Task::Sort::kDefineVar : Task::Sort::kExpr, a.get(), b.get()});
    } else if constexpr (std::is_same_v<T, Stmt>) {
      out->push_back({Task::Sort::kStmt, a.get(), b.get()});
    } else if constexpr (std::is_same_v<T, Buffer>) {
      out->push_back({role == FieldRole::kDef ? Task::Sort::kDefineBuffer : Task::Sort::kUseBuffer,
                      a.get(), b.get()});
    } else if constexpr (std::is_same_v<T, Range>) {
      push(out, FieldRole::kUse, a.min, b.min);
      push(out, FieldRole::kUse, a.extent, b.extent);
    } else if constexpr (std::is_same_v<T, IterVar>) {
      push(out, FieldRole::kUse, a.domain, b.domain);
      push(out, FieldRole::kDef, a.var, b.var);
      return a.kind == b.kind;
    } else if constexpr (std::is_same_v<T, BufferRegion>) {
      push(out, role, a.buffer, b.buffer);
      return push(out, role, a.ranges, b.ranges);
    } else if constexpr (std::is_same_v<T, std::vector<Expr>> ||
                         std::is_same_v<T, std::vector<Stmt>> ||
                         std::is_same_v<T, std::vector<Range>> ||
                         std::is_same_v<T, std::vector<IterVar>> ||
                         std::is_same_v<T, std::vector<BufferRegion>>) {
      if (a.size() != b.size()) return false;
      for (std::size_t i = 0; i < a.size(); ++i) {
        if (!push(out, role, a[i], b[i])) return false;
      }
    } else if constexpr (std::is_same_v<T, double>) {
      return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
    } else if constexpr (std::is_same_v<T, ForAttrs>) {
      return a.kind == b.kind && a.thread_axis == b.thread_axis && a.annotations == b.annotations;
    } else {
      return a == b;
    }
    return true;
  }

  std::vector<Task> stack_;
  std::unordered_map<const void*, const void*> map_, inverse_;
  std::unordered_map<const ExprNode*, const ExprNode*> equal_;
};

std::uint64_t combine(std::uint64_t seed, std::uint64_t v) {
  seed ^= v + 0x9e3779b97f4a7c15ULL + (seed << 6) + (seed >> 2);
  seed *= 0xff51afd7ed558ccdULL;
  return seed ^ (seed >> 32);
}

std::uint64_t dtype_key(DType t) {
  return static_cast<std::uint64_t>(t.code) << 32 | static_cast<std::uint64_t>(t.bits) << 16 |
         t.lanes;
}

/// Statements are hashed in reading order, definitions numbered as they come. An expression's hash
/// is a function of its children's, memoised, so that sharing does not show; variables that an
/// expression defines (let, reduce) all hash alike.
class Hasher {
 public:
  std::uint64_t run(std::vector<Task> tasks) {
    stack_.assign(tasks.rbegin(), tasks.rend());
    while (!stack_.empty()) {
      const Task task = stack_.back();
      stack_.pop_back();
      step(task);
    }
    return hash_;
  }
  void mix(std::uint64_t v) { hash_ = combine(hash_, v); }
  void mix(const std::string& s) { mix(std::hash<std::string>{}(s)); }

 private:
  void step(const Task& t) {
    if (t.a == nullptr) return mix(std::uint64_t{17});
    switch (t.sort) {
      case Task::Sort::kDefineVar:
        number_[t.a] = ++count_;
        return mix(dtype_key(static_cast<const ExprNode*>(t.a)->dtype));
      case Task::Sort::kDefineBuffer:
        return define(static_cast<const BufferNode*>(t.a));
      case Task::Sort::kUseBuffer:
        return mix(number(t.a));
      case Task::Sort::kExpr:
        return mix(expr(static_cast<const ExprNode*>(t.a)));
      case Task::Sort::kStmt: {
        const auto* s = static_cast<const StmtNode*>(t.a);
        mix(static_cast<std::uint64_t>(s->kind) * 977);
        std::vector<Task> tasks;
        visit_stmt(*s, [&](const auto& n) {
          for_each_field(
              n, [&](const auto& f, const auto& value) { push(&tasks, f.role, value, &hash_); });
        });
        stack_.insert(stack_.end(), tasks.rbegin(), tasks.rend());
      }
    }
  }

  /// The memoised hash of an expression; children are finished first, on a stack of our own.
  std::uint64_t expr(const ExprNode* root) {
    std::vector<const ExprNode*> pending{root};
    while (!pending.empty()) {
      const ExprNode* e = pending.back();
      if (done_.count(e) != 0) {
        pending.pop_back();
        continue;
      }
      std::uint64_t h = combine(static_cast<std::uint64_t>(e->kind) * 131, dtype_key(e->dtype));
      std::vector<Task> children;
      if (e->kind == NodeKind::kVar) {
        h = combine(h, number(e));
      } else {
        visit_expr(*e, [&](const auto& n) {
          for_each_field(
              n, [&](const auto& f, const auto& value) { push(&children, f.role, value, &h); });
        });
      }
      const std::size_t before = pending.size();
      for (const Task& c : children) {
        if (c.sort != Task::Sort::kExpr || c.a == nullptr) {
          h = combine(h, c.a != nullptr && c.sort == Task::Sort::kUseBuffer ? number(c.a) : 5);
        } else if (const auto found = done_.find(c.a); found != done_.end()) {
          h = combine(h, found->second);
        } else {
          pending.push_back(static_cast<const ExprNode*>(c.a));
        }
      }
      if (pending.size() != before) continue;
      done_[e] = h;
      pending.pop_back();
    }
    return done_[root];
  }

  std::uint64_t number(const void* p) const {
    const auto found = number_.find(p);
    return found == number_.end() ? 0 : found->second;
  }

  void define(const BufferNode* b) {
    number_[b] = ++count_;
    mix(dtype_key(b->dtype));
    mix(static_cast<std::uint64_t>(b->scope) + 31 * b->shape.size());
    for (std::size_t d = b->shape.size(); d-- > 0;)
      stack_.push_back({Task::Sort::kExpr, b->shape[d].get(), nullptr});
  }

  template <typename T>
  static void push(std::vector<Task>* out, FieldRole role, const T& v, std::uint64_t* h) {
    if constexpr (std::is_same_v<T, Expr>) {
      out->push_back(
          {role == FieldRole::kDef ? Task::Sort::kDefineVar : Task::Sort::kExpr, v.get(), nullptr});
    } else if constexpr (std::is_same_v<T, Stmt>) {
      out->push_back({Task::Sort::kStmt, v.get(), nullptr});
    } else if constexpr (std::is_same_v<T, Buffer>) {
      out->push_back({role == FieldRole::kDef ? Task::Sort::kDefineBuffer : Task::Sort::kUseBuffer,
                      v.get(), nullptr});
    } else if constexpr (std::is_same_v<T, Range>) {
      push(out, FieldRole::kUse, v.min, h);
      push(out, FieldRole::kUse, v.extent, h);
    } else if constexpr (std::is_same_v<T, IterVar>) {
      push(out, FieldRole::kUse, v.domain, h);
      push(out, FieldRole::kDef, v.var, h);
      *h = combine(*h, static_cast<std::uint64_t>(v.kind));
    } else if constexpr (std::is_same_v<T, BufferRegion>) {
      push(out, role, v.buffer, h);
      push(out, role, v.ranges, h);
    } else if constexpr (std::is_same_v<T, std::vector<Expr>> ||
                         std::is_same_v<T, std::vector<Stmt>> ||
                         std::is_same_v<T, std::vector<Range>> ||
                         std::is_same_v<T, std::vector<IterVar>> ||
                         std::is_same_v<T, std::vector<BufferRegion>>) {
      *h = combine(*h, v.size());
      for (const auto& item : v) push(out, role, item, h);
    } else if constexpr (std::is_same_v<T, double>) {
      *h = combine(*h, std::bit_cast<std::uint64_t>(v));
    } else if constexpr (std::is_same_v<T, std::string>) {
      *h = combine(*h, std::hash<std::string>{}(v));
    } else if constexpr (std::is_same_v<T, ForAttrs>) {
      *h = combine(*h, static_cast<std::uint64_t>(v.kind) + 64 * v.annotations.size());
    } else if constexpr (std::is_same_v<T, Attrs> || std::is_same_v<T, std::vector<std::int64_t>>) {
      *h = combine(*h, v.size());
    } else {
      *h = combine(*h, static_cast<std::uint64_t>(v));
    }
  }

  std::vector<Task> stack_;
  std::unordered_map<const void*, std::uint64_t> number_;
  std::unordered_map<const void*, std::uint64_t> done_;
  std::uint64_t count_ = 0;
  std::uint64_t hash_ = 0x51ed270b0929f3a1ULL;
};

std::vector<Task> function_tasks(const FunctionNode& a, const FunctionNode& b) {
  std::vector<Task> tasks;
  for (std::size_t i = 0; i < a.symbols.size(); ++i) {
    tasks.push_back({Task::Sort::kDefineVar, a.symbols[i].var.get(), b.symbols[i].var.get()});
  }
  const auto add = [&](const std::vector<Buffer>& x, const std::vector<Buffer>& y) {
    for (std::size_t i = 0; i < x.size(); ++i)
      tasks.push_back({Task::Sort::kDefineBuffer, x[i].get(), y[i].get()});
  };
  add(a.inputs, b.inputs);
  add(a.outputs, b.outputs);
  tasks.push_back({Task::Sort::kStmt, a.body.get(), b.body.get()});
  return tasks;
}

bool same_symbol(const Symbol& a, const Symbol& b) {
  return a.min == b.min && a.max == b.max && a.multiple_of == b.multiple_of;
}

}  // namespace

bool structural_equal(const Expr& a, const Expr& b) {
  return a.same_as(b) || Comparer{}.run({{Task::Sort::kExpr, a.get(), b.get()}});
}

bool structural_equal(const Stmt& a, const Stmt& b) {
  return a.same_as(b) || Comparer{}.run({{Task::Sort::kStmt, a.get(), b.get()}});
}

bool structural_equal(const Function& a, const Function& b) {
  if (a.same_as(b)) return true;
  if (a->name != b->name || a->level != b->level || a->symbols.size() != b->symbols.size() ||
      a->inputs.size() != b->inputs.size() || a->outputs.size() != b->outputs.size() ||
      a->attrs != b->attrs) {
    return false;
  }
  for (std::size_t i = 0; i < a->symbols.size(); ++i) {
    if (!same_symbol(a->symbols[i], b->symbols[i])) return false;
  }
  return Comparer{}.run(function_tasks(*a, *b));
}

std::uint64_t structural_hash(const Expr& e) {
  return Hasher{}.run({{Task::Sort::kExpr, e.get(), nullptr}});
}
std::uint64_t structural_hash(const Stmt& s) {
  return Hasher{}.run({{Task::Sort::kStmt, s.get(), nullptr}});
}

std::uint64_t structural_hash(const Function& f) {
  Hasher h;
  h.mix(f->name);
  h.mix(static_cast<std::uint64_t>(f->level));
  return h.run(function_tasks(*f, *f));
}

}  // namespace tenon
