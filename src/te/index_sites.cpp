#include "te/index_sites.h"

#include <unordered_map>

#include "tenon/ir/builder.h"
#include "tenon/ir/structural.h"
#include "tenon/ir/visit.h"

namespace tenon::te {
namespace {

class NumberSites : public Mutator {
 public:
  explicit NumberSites(Attrs* attrs) : attrs_(attrs) {}

 protected:
  using Mutator::rewrite;
  Expr rewrite(const LoadNode& n) override {
    number(n, "read");
    return rebuild(n);
  }
  Stmt rewrite(const StoreNode& n) override {
    number(n, "write");
    return rebuild(n);
  }
  Expr rewrite(const CallNode& n) override {
    const auto found = numbers_.find(&n);
    if (found == numbers_.end()) return rebuild(n);
    return call(n.dtype, n.name, {(*this)(n.args[0]), (*this)(n.args[1]), imm(found->second)});
  }

 private:
  /// Numbers the checks among the indices of an access; those of the loads in an index come first.
  template <typename Access>
  void number(const Access& n, const char* what) {
    for (std::size_t d = 0; d < n.indices.size(); ++d) {
      const auto* check = n.indices[d].template as<CallNode>();
      if (check == nullptr || check->name != "checked_index" || numbers_.count(check) != 0)
        continue;
      (*this)(check->args[0]);
      const auto site = static_cast<std::int64_t>(numbers_.size());
      numbers_[check] = site;
      (*attrs_)["index_site_" + std::to_string(site)] =
          detail::concat(n.buffer->name, "\n", d, "\n", n.span.str(), "\n", what);
    }
    if (n.predicate) number_predicate(n);
  }

  /// The checks of the predicate are those of the indices, or, where one of both was rewritten,
  /// equal to them.
  template <typename Access>
  void number_predicate(const Access& n) {
    post_order_visit(n.predicate, [&](const Node& node) {
      if (node.kind != NodeKind::kCall) return;
      const auto& check = static_cast<const CallNode&>(node);
      if (check.name != "checked_index" || numbers_.count(&check) != 0) return;
      for (const Expr& index : n.indices) {
        const auto known = numbers_.find(index.template as<CallNode>());
        if (known == numbers_.end() || !structural_equal(index, Expr(&check))) continue;
        numbers_[&check] = known->second;
        return;
      }
    });
  }

  Attrs* attrs_;
  std::unordered_map<const CallNode*, std::int64_t> numbers_;
};

}  // namespace

Stmt number_index_sites(const Stmt& body, Attrs* attrs) { return NumberSites(attrs)(body); }

}  // namespace tenon::te
