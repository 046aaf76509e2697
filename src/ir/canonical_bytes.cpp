#include "tenon/ir/canonical_bytes.h"

#include <bit>
#include <cstring>
#include <unordered_map>

#include "tenon/ir/visit.h"
#include "tenon/support/stack.h"

namespace tenon {
namespace {

enum class Form : std::uint8_t {
  kCode,       ///< what code generation sees; nodes are equal when they are the same
  kStructure,  ///< what schedules see; nodes are equal when what is written of them is
};

class Writer {
 public:
  explicit Writer(Form form) : is_structure_(form == Form::kStructure) {}

  std::string run(const Function& f) {
    if (!is_structure_) put(f->name);
    put(static_cast<std::uint64_t>(f->level));
    for (const auto* params : {&f->inputs, &f->outputs}) {
      put(params->size());
      for (const Buffer& buffer : *params) put_buffer(buffer);
    }
    put(f->symbols.size());
    for (const Symbol& symbol : f->symbols) {
      put_expr(symbol.var);
      if (!is_structure_) continue;
      put(symbol.min);
      put(symbol.max.value_or(-1));
      put(symbol.multiple_of);
    }
    put_stmt(f->body);
    return table_ + out_;
  }

  std::vector<std::string> names() { return std::move(names_); }

 private:
  // Plain data. Numbers take ten bytes at most: seven bits each, the highest bit says "more".
  void put(std::uint64_t v) {
    for (; v >= 128; v >>= 7) out_ += static_cast<char>(v | 128);
    out_ += static_cast<char>(v);
  }
  void put(std::int64_t v) {
    put((static_cast<std::uint64_t>(v) << 1) ^ static_cast<std::uint64_t>(v >> 63));
  }
  void put(int v) { put(std::int64_t{v}); }
  void put(double v) { put(std::bit_cast<std::uint64_t>(v)); }
  void put(const std::string& s) {
    put(std::uint64_t{s.size()});
    out_ += s;
  }
  void put(DType t) {
    put(static_cast<std::uint64_t>(t.code));
    put(std::uint64_t{t.bits});
    put(std::uint64_t{t.lanes});
  }
  void put(const Attrs& attrs) {
    put(std::uint64_t{attrs.size()});
    for (const auto& [name, value] : attrs) {
      put(name);
      put(std::uint64_t{value.index()});
      std::visit([&](const auto& v) { put(v); }, value);
    }
  }
  void put(const ForAttrs& attrs) {
    put(static_cast<std::uint64_t>(attrs.kind));
    put(attrs.thread_axis);
    put(attrs.annotations);
  }
  template <typename Enum>
    requires std::is_enum_v<Enum>
  void put(Enum v) {
    put(static_cast<std::uint64_t>(v));
  }

  // Children: an expression is a number, given when it was first met.
  void put(const Expr& e) { put_expr(e); }
  void put(const Stmt& s) { put_stmt(s); }
  void put(const Buffer& b) { put_buffer(b); }
  void put(const Range& r) {
    put_expr(r.min);
    put_expr(r.extent);
  }
  void put(const IterVar& v) {
    put_expr(v.var);
    put(v.domain);
    put(v.kind);
  }
  void put(const BufferRegion& r) {
    put_buffer(r.buffer);
    put(r.ranges);
  }
  template <typename T>
  void put(const std::vector<T>& items) {
    put(std::uint64_t{items.size()});
    for (const T& item : items) put(item);
  }

  template <typename N>
  void put_fields(const N& n) {
    put(static_cast<std::uint64_t>(n.kind));
    if constexpr (std::is_base_of_v<ExprNode, N>) put(n.dtype);
    if constexpr (std::is_same_v<N, VarNode>) return;  // a name is for people
    for_each_field(n, [&](const auto& field, const auto& value) {
      if constexpr (std::is_same_v<N, BlockNode> &&
                    std::is_same_v<std::decay_t<decltype(value)>, std::string>) {
        put_name(value);
      } else {
        static_cast<void>(field);
        put(value);
      }
    });
  }

  void put_name(const std::string& name) {
    if (!is_structure_) return put(name);
    const auto [it, is_new] = places_.try_emplace(name, names_.size());
    if (is_new) names_.push_back(name);
    put(std::uint64_t{it->second});
  }

  void put_expr(const Expr& e) {
    if (!e) {
      put(std::uint64_t{0});
      return;
    }
    if (is_structure_) return put(std::uint64_t{number_of(e)});
    const auto [it, is_new] = exprs_.try_emplace(e.get(), exprs_.size() + 1);
    put(std::uint64_t{it->second});
    if (!is_new) return;
    keep_alive_.push_back(e);
    with_stack([&] { visit_expr(*e, [&](const auto& n) { put_fields(n); }); });
  }

  /// The number of all expressions that read like this one; writes the first of them to the table.
  std::size_t number_of(const Expr& e) {
    if (const auto it = exprs_.find(e.get()); it != exprs_.end()) return it->second;
    std::string before;
    before.swap(out_);
    with_stack([&] { visit_expr(*e, [&](const auto& n) { put_fields(n); }); });
    before.swap(out_);  // now the text of `e`
    if (e->kind == NodeKind::kVar) before += '#' + std::to_string(num_vars_++);
    const auto [it, is_new] = numbers_.try_emplace(before, numbers_.size() + 1);
    if (is_new) add_to_table(before);
    exprs_[e.get()] = it->second;
    keep_alive_.push_back(e);
    return it->second;
  }

  void put_stmt(const Stmt& s) {
    put(std::uint64_t{s ? 1u : 0u});
    if (s) with_stack([&] { visit_stmt(*s, [&](const auto& n) { put_fields(n); }); });
  }

  void put_buffer(const Buffer& b) {
    const auto [it, is_new] = buffers_.try_emplace(b.get(), buffers_.size() + 1);
    const std::size_t number = it->second;
    if (is_new && is_structure_) {
      // Apart: the first expression that mentions it is to read like the others.
      std::string before;
      before.swap(out_);
      put_name(b->name);
      put_definition(*b);
      before.swap(out_);
      add_to_table(before);
    }
    put(std::uint64_t{number});
    if (is_new && !is_structure_) put_definition(*b);
  }

  void put_definition(const BufferNode& b) {
    put(b.dtype);
    put(b.shape);
    put(b.strides);
    put(b.scope);
    put(b.alignment);
  }

  void add_to_table(const std::string& text) {
    out_.swap(table_);
    put(text);
    out_.swap(table_);
  }

  const bool is_structure_;
  std::string out_;
  std::string table_;  ///< of expressions and buffers, as they are met
  std::unordered_map<std::string, std::size_t> numbers_;  ///< of what is in the table
  std::size_t num_vars_ = 0;
  std::vector<std::string> names_;
  std::unordered_map<std::string, std::size_t> places_;  ///< in `names_`
  std::unordered_map<const ExprNode*, std::size_t> exprs_;
  std::unordered_map<const BufferNode*, std::size_t> buffers_;
  std::vector<Expr> keep_alive_;
};

}  // namespace

std::string canonical_bytes(const Function& f) { return Writer(Form::kCode).run(f); }

CanonicalForm canonical_form(const Function& f) {
  Writer writer(Form::kStructure);
  std::string bytes = writer.run(f);
  return {std::move(bytes), writer.names()};
}

}  // namespace tenon
