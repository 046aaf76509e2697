#include <algorithm>
#include <string>

#include "tenon/schedule/primitive.h"
#include "tenon/support/error.h"

namespace tenon {

extern const Primitive kAddUnitLoop, kAnnotate, kAsyncCopy, kBind, kBlockize, kCacheRead,
    kCacheWrite, kComputeAt, kComputeInline, kDecomposeReduction, kFuse, kParallel, kReindex,
    kReorder, kReverseComputeAt, kReverseComputeInline, kRfactor, kSampleCategorical,
    kSampleComputeLocation, kSampleTile, kSetScope, kSoftwarePipeline, kSplit, kSplitTerms,
    kStorageAlign, kTensorize, kTile, kTransformLayout, kUnroll, kVectorize;

const std::vector<const Primitive*>& primitives() {
  static const std::vector<const Primitive*> all = {&kAddUnitLoop,
                                                    &kAnnotate,
                                                    &kAsyncCopy,
                                                    &kBind,
                                                    &kBlockize,
                                                    &kCacheRead,
                                                    &kCacheWrite,
                                                    &kComputeAt,
                                                    &kComputeInline,
                                                    &kDecomposeReduction,
                                                    &kFuse,
                                                    &kParallel,
                                                    &kReindex,
                                                    &kReorder,
                                                    &kReverseComputeAt,
                                                    &kReverseComputeInline,
                                                    &kRfactor,
                                                    &kSampleCategorical,
                                                    &kSampleComputeLocation,
                                                    &kSampleTile,
                                                    &kSetScope,
                                                    &kSoftwarePipeline,
                                                    &kSplit,
                                                    &kSplitTerms,
                                                    &kStorageAlign,
                                                    &kTensorize,
                                                    &kTile,
                                                    &kTransformLayout,
                                                    &kUnroll,
                                                    &kVectorize};
  return all;
}

const Primitive& find_primitive(std::string_view name) {
  std::string names;
  for (const Primitive* p : primitives()) {
    if (p->name == name) return *p;
    names += (names.empty() ? "" : ", ") + std::string(p->name);
  }
  detail::raise<ScheduleError>(
      "E0243", detail::concat("unknown primitive '", name, "'\n  hint: one of ", names));
}

}  // namespace tenon
