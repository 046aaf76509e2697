#include "tenon/codegen/kernel_info.h"

#include <cctype>

#include "codegen/storage.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon {
namespace {

class InfoWalker : public Walker {
 public:
  explicit InfoWalker(KernelInfo* info) : info_(info) {}

 private:
  void visit(const CallNode& n) override {
    if (n.name == "checked_index" && n.args.size() == 3) {
      const auto site = as_int(n.args[2]);
      TENON_CHECK(site && *site >= 0, "checked_index needs a constant site");
      info_->num_index_sites = std::max(info_->num_index_sites, static_cast<int>(*site) + 1);
    }
    walk(n);
  }
  void visit(const ForNode& n) override {
    info_->has_parallel_loop |= n.attrs.kind == ForKind::kParallel;
    walk(n);
  }
  void visit(const AssertNode& n) override {
    info_->asserts.push_back({0, n.message, n.span, &n});
    walk(n);
  }
  KernelInfo* info_;
};

}  // namespace

WorkspaceInfo workspace_of(const Function& f) {
  const codegen::StoragePlan plan = codegen::plan_storage(f);
  return {plan.shared_bytes, plan.worker_bytes};
}

KernelInfo kernel_checks(const Function& f) {
  KernelInfo info;
  InfoWalker walker(&info);
  walker(f->body);
  for (std::size_t i = 0; i < info.asserts.size(); ++i) {
    info.asserts[i].site = info.num_index_sites + static_cast<int>(i);
  }
  return info;
}

KernelInfo kernel_info(const Function& f) {
  KernelInfo info = kernel_checks(f);
  info.workspace = workspace_of(f);
  return info;
}

std::string kernel_symbol(const Function& f) {
  constexpr const char* kHex = "0123456789abcdef";
  std::string symbol = "tenon_";
  for (const char c : f->name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 128 && (std::isalnum(byte) != 0 || c == '_')) {
      symbol += c;
    } else {
      symbol += {'_', kHex[byte >> 4], kHex[byte & 15], '_'};
    }
  }
  return symbol;
}

}  // namespace tenon
