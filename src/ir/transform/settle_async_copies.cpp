#include "ir/transform/settle_async_copies.h"

#include <algorithm>
#include <string>
#include <vector>

#include "tenon/ir/analyzer.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/thread.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

/// One condition for all lanes, or none.
bool is_one_condition(const Expr& predicate) {
  return !predicate || predicate->dtype.is_scalar() || predicate.as<BroadcastNode>() != nullptr;
}

class SettleAsyncCopies : public Mutator {
 public:
  explicit SettleAsyncCopies(const Function& f) {
    analyzer_.bind_symbols(f);
    memoise_ = false;
  }
  std::vector<std::string> plain;

 protected:
  using Mutator::rewrite;
  Stmt rewrite(const ForNode& n) override {
    Analyzer::Scope scope(&analyzer_);
    analyzer_.bind(n.var, {n.min, n.extent});
    Stmt body = (*this)(n.body);
    return body.same_as(n.body) ? Stmt(&n) : with_body(n, body);
  }
  Stmt rewrite(const StoreNode& n) override {
    if (!is_async_copy(n)) return Stmt(&n);
    const Expr& value = n.value.as<CallNode>()->args[0];
    const std::string reason = obstacle(n, value);
    if (reason.empty()) return Stmt(&n);
    const std::string entry = n.buffer->name + ": " + reason;
    if (std::find(plain.begin(), plain.end(), entry) == plain.end()) plain.push_back(entry);
    const SpanScope span(n.span);
    return store(n.buffer, n.indices, value, n.predicate);
  }

 private:
  /// Why the hardware cannot make this copy; empty when it can.
  std::string obstacle(const StoreNode& n, const Expr& value) {
    const auto* from = value.as<LoadNode>();
    if (from == nullptr) return "the value is not loaded as it is";
    if (from->buffer->scope != Scope::kGlobal || n.buffer->scope != Scope::kShared)
      return "it is not from global to shared memory";
    const int lanes = value->dtype.lanes;
    const int bytes = value->dtype.element().bytes() * lanes;
    if (bytes != 4 && bytes != 8 && bytes != 16)
      return std::to_string(bytes) + " bytes at a time, should be 4, 8 or 16";
    if (!is_one_condition(n.predicate) || !is_one_condition(from->predicate))
      return "a condition divides the lanes of a vector";
    if (!is_aligned(n.indices[0], lanes)) return "places in it are not proved to be aligned";
    if (!is_aligned(from->indices[0], lanes))
      return "places in '" + from->buffer->name + "' are not proved to be aligned";
    return "";
  }

  /// A contiguous vector whose first element's index is a multiple of the lanes.
  bool is_aligned(const Expr& index, int lanes) {
    if (lanes == 1) return true;
    const auto* r = index.as<RampNode>();
    if (r == nullptr || !is_int(r->stride, 1)) return false;
    const Modular m = analyzer_.modular(r->base);
    return m.modulus % lanes == 0 && m.remainder % lanes == 0;
  }

  Analyzer analyzer_;
};

}  // namespace

Function settle_async_copies(const Function& f) {
  SettleAsyncCopies settle(f);
  Stmt body = settle(f->body);
  if (settle.plain.empty()) return f;
  std::string reasons;
  for (const std::string& s : settle.plain) reasons += (reasons.empty() ? "" : "; ") + s;
  Attrs attrs = f->attrs;
  attrs[kPlainCopies] = reasons;
  return make_function(f->name, f->inputs, f->outputs, f->symbols, body, f->level,
                       std::move(attrs));
}

}  // namespace tenon
