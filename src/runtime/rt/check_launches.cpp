#include "runtime/rt/check_launches.h"

#include "runtime/rt/message.h"

namespace tenon::rt {
namespace {

using namespace plan_format;  // NOLINT(google-build-using-namespace): this file is about these
                              // records

class LaunchChecker {
 public:
  explicit LaunchChecker(const tenon_model& model) : m_(model) {}

  tenon_status check() { return check_code() && check_all() ? TENON_OK : status_; }

 private:
  bool bad(const char* table, std::size_t record, const char* what) {
    status_ = fail(TENON_ERROR_MODEL, "E0907", "the plan is damaged or not a plan: %s %llu: %s",
                   table, 0ull + record, what);
    return false;
  }
  static bool in_range(std::uint64_t offset, std::uint64_t bytes, std::uint64_t total) {
    return offset <= total && bytes <= total - offset;
  }
  bool is_string(StringRef s) const { return in_range(s.offset, s.length, m_.strings.size()); }
  bool is_register(std::uint32_t r) const { return r < m_.program.size(); }

  bool check_code() {
    for (std::size_t i = 0; i < m_.cubins.size(); ++i) {
      const CubinRecord& c = m_.cubins[i];
      if (!is_string(c.arch)) return bad("cubin", i, "architecture out of range");
      if (!in_range(c.offset, c.bytes, m_.code.size())) return bad("cubin", i, "lies outside");
    }
    for (std::size_t i = 0; i < m_.device_kernels.size(); ++i) {
      const DeviceKernelRecord& k = m_.device_kernels[i];
      if (!is_string(k.name)) return bad("device kernel", i, "name out of range");
      if (k.cubin >= m_.cubins.size()) return bad("device kernel", i, "no such cubin");
    }
    return true;
  }

  bool check_all() {
    std::uint64_t params = 0;
    std::uint64_t repeats = 0;
    for (std::size_t i = 0; i < m_.launches.size(); ++i) {
      const LaunchRecord& l = m_.launches[i];
      if (l.step >= m_.steps.size() || static_cast<StepOp>(m_.steps[l.step].op) != StepOp::kLaunch)
        return bad("launch", i, "no such launch step");
      if (i > 0 && l.step < m_.launches[i - 1].step) return bad("launch", i, "not ascending");
      if (l.kernel >= m_.device_kernels.size()) return bad("launch", i, "no such kernel");
      if (l.num_repeats > kMaxRepeats) return bad("launch", i, "too many loops around it");
      if (!in_range(params, l.num_params, m_.params.size()) ||
          !in_range(repeats, l.num_repeats, m_.repeats.size()))
        return bad("launch", i, "lists out of range");
      if (!check_launch(i, l, params, repeats)) return false;
      params += l.num_params;
      repeats += l.num_repeats;
    }
    return true;
  }

  bool check_launch(std::size_t i, const LaunchRecord& l, std::uint64_t params,
                    std::uint64_t repeats) {
    for (int axis = 0; axis < 3; ++axis) {
      if (!is_register(l.grid[axis])) return bad("launch", i, "register of its grid out of range");
      if (l.block[axis] == 0) return bad("launch", i, "a block without threads");
    }
    for (const StringRef& loops : l.loops) {
      if (!is_string(loops)) return bad("launch", i, "name of a loop out of range");
    }
    for (std::uint32_t k = 0; k < l.num_repeats; ++k) {
      if (!is_register(m_.repeats[repeats + k].count))
        return bad("launch", i, "register of a loop out of range");
    }
    for (std::uint32_t k = 0; k < l.num_params; ++k) {
      if (!is_param(m_.params[params + k], l)) return bad("launch", i, "a parameter out of range");
    }
    return true;
  }

  bool is_param(const ParamRecord& p, const LaunchRecord& l) const {
    if (p.kind >= kNumParamKinds) return false;
    switch (static_cast<ParamKind>(p.kind)) {
      case ParamKind::kBuffer:
        return p.index < m_.steps[l.step].buffers.count;
      case ParamKind::kScratch:
      case ParamKind::kSize:
        return is_register(p.index);
      case ParamKind::kLoop:
        return p.index < l.num_repeats;
      case ParamKind::kError:
        return true;
    }
    return false;
  }

  const tenon_model& m_;
  tenon_status status_ = TENON_ERROR_MODEL;
};

}  // namespace

tenon_status check_launches(const tenon_model& model) { return LaunchChecker(model).check(); }

}  // namespace tenon::rt
