// Calls: checks, and what the threads of a block do together.

#include <algorithm>

#include "codegen/cuda/emitter.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/visit.h"

namespace tenon::codegen::cuda {

Value KernelEmitter::emit_call(const CallNode& n) {
  const ThreadCall which = thread_call(n.name);
  if (which == ThreadCall::kShuffle || which == ThreadCall::kShuffleXor) {
    return emit_warp_shuffle(n, which);
  }
  TENON_CHECK(n.name == "checked_index", "call '", n.name, "' was not expanded, or stands where a ",
              "kernel has no place for it");
  return emit_checked_index(n);
}

Value KernelEmitter::emit_checked_index(const CallNode& n) {
  TENON_CHECK(n.args.size() == 3, "checked_index takes an index, an extent and a site");
  const auto site = as_int(n.args[2]);
  TENON_CHECK(site, "checked_index needs a constant site");
  uses_error_record_ = true;
  const Value index = emit(n.args[0]), extent = emit(n.args[1]);
  Value out;
  // The extent is at least 0.
  out.range = {-1, std::max<std::int64_t>(extent.range.upper, 0) - 1, extent.range.is_index};
  const CType type = n.dtype.element() != kInt64 ? value_type(n.dtype.element())
                     : out.range.fits_int32()    ? CType::kI32
                                                 : CType::kI64;
  for (std::size_t i = 0; i < index.lanes.size(); ++i) {
    const Scalar& size = extent.lanes[extent.lanes.size() == 1 ? 0 : i];
    Scalar checked =
        call(CType::kI64, prelude_->use("tenon_checked_index"),
             "error, " + index.lanes[i].text + ", " + size.text + ", " + std::to_string(*site));
    if (const auto mask = mask_of(i, index.lanes.size())) {
      checked = {at(*mask, kOr) + " ? " + checked.text + " : -1", CType::kI64, kTernary};
    }
    out.lanes.push_back(convert(checked, type));
  }
  return out;
}

Value KernelEmitter::emit_warp_shuffle(const CallNode& n, ThreadCall which) {
  const Value v = emit(n.args.at(0));
  const Scalar lane = emit_scalar(n.args.at(1));
  const CType type = value_type(n.dtype.element());
  const bool is_narrow = n.dtype.element().bits < 32 && !n.dtype.is_float();
  const char* function = which == ThreadCall::kShuffle ? "__shfl_sync" : "__shfl_xor_sync";
  Value out = {{}, range_of(n.dtype.element())};
  for (const Scalar& s : v.lanes) {
    const CType in = is_narrow ? CType::kI32 : type;
    out.lanes.push_back(convert(
        call(in, function, warp_mask() + ", " + convert(s, in).text + ", " + lane.text), type));
  }
  return out;
}

/// The lanes of the warp that exist.
std::string KernelEmitter::warp_mask() {
  if (num_threads_ % kWarpSize == 0) return "0xffffffffu";
  if (num_threads_ < kWarpSize) {
    return std::to_string((std::uint64_t{1} << num_threads_) - 1) + "u";
  }
  return "__activemask()";  // a full warp, or the last one, whose lanes are there from the first on
}

}  // namespace tenon::codegen::cuda
