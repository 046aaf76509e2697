#pragma once

/// Fresh loop nests around a block for a part of its domain.

#include <optional>
#include <vector>

#include "schedule/dependence.h"
#include "schedule/rewrite.h"

namespace tenon {

/// The iter that an index is, plus what is added to it; nothing when it is anything else.
struct IterIndex {
  std::size_t iter;
  Expr offset;
};
std::optional<IterIndex> iter_of_index(const BlockNode& block, const Range& index);

/// A fresh serial loop for each iter over `ranges` (in terms of the loops around), the block
/// inside, with a condition where a range is not proved to stay inside the iter's domain.
Stmt nest_over(const BlockNode& block, const std::vector<Range>& ranges, const Facts& facts);

/// The box that the region covers while the iters of the block run over their domains; whole
/// dimensions where unknown.
std::vector<Range> domain_box(const BlockNode& block, const BufferRegion& region);

/// Whether the block, over its domain, writes every element of the region's box.
bool writes_whole_box(const BlockNode& block, const BufferRegion& region);

/// Of a buffer that is no input, a block must have made all of the region, which `block` reads;
/// raises E0275.
void check_made(Step& step, const BlockNode& block, const BufferRegion& region, int requirement);

/// Nothing in the statement `nest`, where the block `reader` is, writes the buffer; raises E0261.
void check_not_written(Step& step, const Stmt& nest, const std::string& reader,
                       const Buffer& buffer, int requirement);
/// Puts `made`, which fills `buffer`, before the statement at position `top` of the path to
/// `reader`, in which the block reads it, and allocates the buffer.
void make_before(Step& step, const BlockRef& reader, std::size_t top, const Stmt& made,
                 const Buffer& buffer);

/// A loop nest around a block `name` that copies, element by element, the part of `from` that
/// `block` touches in `region` to `to`. Iters run over the part only.
Stmt copy_nest(const std::string& name, const Buffer& from, const Buffer& to,
               const BlockNode& block, const BufferRegion& region);

/// The smallest box that the accesses touch while `fixed` loops stand still; a null extent where
/// unknown.
std::vector<Range> box_of(const std::vector<Access>& accesses, const std::vector<Expr>& fixed,
                          const Facts& facts);

}  // namespace tenon
