// Blocks of elements at other places: Tile, DepthToSpace, ReverseSequence and the like.

#include <algorithm>

#include "graph/onnx/tools.h"
#include "tenon/ir/builder.h"
#include "tenon/te/expr.h"
#include "tenon/te/tensor.h"

namespace tenon::onnx {
namespace {

constexpr Support kNative = Support::kNative;
constexpr Support kDecomposed = Support::kDecomposed;

std::vector<Value> convert_tile(const NodeView& n) {
  const Value& x = n.in(0);
  const std::vector<Expr> repeats = n.sizes(1);
  if (repeats.size() != x->shape.size())
    n.invalid(detail::concat(repeats.size(), " repeats for ", x->shape.size(), " dimensions"));
  std::vector<Expr> shape;
  for (std::size_t d = 0; d < repeats.size(); ++d) {
    if (const auto known = as_int(repeats[d]); known && (*known < 0 || *known > (1LL << 40)))
      n.invalid(detail::concat("dimension ", d, " is repeated ", *known, " times"));
    shape.push_back(simplify_size(x->shape[d] * repeats[d]));
  }
  if (graph::same_shape(shape, x->shape)) return {x};
  return {computed("tile", {x}, shape,
                   [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                     graph::Indices place;
                     for (std::size_t d = 0; d < at.size(); ++d)
                       place.push_back(is_int(x->shape[d], 1)  ? imm(0)
                                       : is_int(repeats[d], 1) ? at[d]
                                                               : floormod(at[d], x->shape[d]));
                     return read(0, place);
                   })};
}

/// [N, C, H, W] and the size of a block, checked.
std::int64_t block_size(const NodeView& n) {
  if (n.rank(0) != 4) n.invalid("the input should have four dimensions");
  const std::int64_t size = n.int_attr("blocksize");
  if (size < 1 || size > (1 << 20)) n.invalid(detail::concat("'blocksize' is ", size));
  return size;
}

/// A size divided by a divisor of it.
Expr quotient(const NodeView& n, const Expr& size, std::int64_t divisor) {
  if (const auto known = as_int(size); known && *known % divisor != 0)
    n.invalid(detail::concat("size ", *known, " cannot be divided by ", divisor));
  const Expr part = simplify_size(floordiv(size, imm(divisor)));
  if (!n.require_multiple(size, divisor))
    n.unsupported(
        detail::concat("a size that is not fixed is divided by ", divisor, "; give sizes="));
  return part;
}

std::vector<Value> convert_depth_to_space(const NodeView& n) {
  const std::int64_t size = block_size(n);
  const std::vector<Expr>& x = n.in(0)->shape;
  const Expr block = imm(size), channels = quotient(n, x[1], size * size);
  const std::string mode = n.string_attr("mode", "DCR");
  if (mode != "DCR" && mode != "CRD") n.invalid("'mode' is '" + mode + "'");
  const Value parts = mode == "DCR"
                          ? transpose(reshape(n.in(0), {x[0], block, block, channels, x[2], x[3]}),
                                      {0, 3, 4, 1, 5, 2})
                          : transpose(reshape(n.in(0), {x[0], channels, block, block, x[2], x[3]}),
                                      {0, 1, 4, 2, 5, 3});
  return {reshape(parts, {x[0], channels, simplify_size(x[2] * size), simplify_size(x[3] * size)})};
}

std::vector<Value> convert_space_to_depth(const NodeView& n) {
  const std::int64_t size = block_size(n);
  const std::vector<Expr>& x = n.in(0)->shape;
  const Expr block = imm(size), h = quotient(n, x[2], size), w = quotient(n, x[3], size);
  const Value parts =
      transpose(reshape(n.in(0), {x[0], x[1], h, block, w, block}), {0, 3, 5, 1, 2, 4});
  return {reshape(parts, {x[0], simplify_size(x[1] * (size * size)), h, w})};
}

std::vector<Value> convert_reverse_sequence(const NodeView& n) {
  const Value &x = n.in(0), &lengths = n.in(1);
  const std::int64_t batch = n.int_attr("batch_axis", 1), time = n.int_attr("time_axis", 0);
  if (x->shape.size() < 2 || std::min(batch, time) != 0 || std::max(batch, time) != 1)
    n.invalid("'batch_axis' and 'time_axis' should be 0 and 1");
  const auto b = static_cast<std::size_t>(batch), t = static_cast<std::size_t>(time);
  if (lengths->shape.size() != 1 || !graph::same_extent(lengths->shape[0], x->shape[b]))
    n.invalid("there should be a length for each sequence");
  return {computed("reverse_sequence", {x, lengths}, x->shape,
                   [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
                     // A length above the size names an element out of range: IndexError.
                     const Expr length = te::cast(kInt64, read(1, {at[b]}));
                     graph::Indices place = at;
                     place[t] = te::select(lt(at[t], length), length - imm(1) - at[t], at[t]);
                     return read(0, place);
                   })};
}

/// One number for each dimension, `otherwise` where there is no such attribute.
std::vector<std::int64_t> numbers(const NodeView& n, const std::string& name, std::size_t count,
                                  std::int64_t otherwise, std::int64_t least) {
  std::vector<std::int64_t> given = n.ints_attr(name);
  if (given.empty()) given.assign(count, otherwise);
  if (given.size() != count)
    n.invalid(detail::concat("'", name, "' has ", given.size(), " numbers, expected ", count));
  for (const std::int64_t v : given) {
    if (v < least || v > (1 << 24)) n.invalid(detail::concat("'", name, "' has ", v));
  }
  return given;
}

/// Blocks are added up where they lie in the image.
std::vector<Value> convert_col2im(const NodeView& n) {
  const Value& x = n.in(0);
  const std::vector<Expr> image = n.sizes(1);
  const std::vector<std::int64_t> block = n.ints(2);
  const std::size_t space = block.size();
  if (space == 0 || image.size() != space || x->shape.size() != 3)
    n.invalid(detail::concat("an image of ", image.size(), " and blocks of ", space,
                             " dimensions from ", graph::type_str(*x)));
  if (x->dtype.is_bool()) n.invalid("bools cannot be added up");
  const auto dilations = numbers(n, "dilations", space, 1, 1);
  const auto strides = numbers(n, "strides", space, 1, 1);
  const auto pads = numbers(n, "pads", 2 * space, 0, 0);
  std::int64_t block_size = 1;
  for (const std::int64_t size : block) {
    if (size < 1 || size > (1 << 20) || block_size > (1 << 24))
      n.invalid(detail::concat("a block of size ", size));
    block_size *= size;
  }
  // How many blocks there are in each dimension.
  std::vector<Expr> counts, shape{x->shape[0], quotient(n, x->shape[1], block_size)};
  for (std::size_t d = 0; d < space; ++d) {
    if (as_int(image[d]).value_or(0) < 0 || as_int(image[d]).value_or(0) > (1LL << 40))
      n.invalid(detail::concat("an image of size ", *as_int(image[d])));
    shape.push_back(simplify_size(image[d]));
    const Expr room = image[d] + (pads[d] + pads[space + d] - dilations[d] * (block[d] - 1) - 1);
    counts.push_back(simplify_size(floordiv(room, imm(strides[d])) + 1));
  }
  if (!graph::same_extent(product(counts, 0, space), x->shape[2]))
    n.invalid("the number of blocks is not the one that fits into the image");
  return {computed(
      "col2im", {x}, shape, [&](const std::vector<Expr>& at, const graph::ElementReader& read) {
        std::vector<IterVar> k;
        Expr row = at[1], column = imm(0), counts_here = bool_imm(true);
        for (std::size_t d = 0; d < space; ++d) {
          k.push_back(te::reduce_axis(imm(block[d]), "k" + std::to_string(d)));
          row = row * block[d] + k[d].var;
          const Expr place = at[2 + d] + pads[d] - k[d].var * dilations[d];
          const Expr which = floordiv(place, imm(strides[d]));
          if (strides[d] != 1)
            counts_here = and_predicate(counts_here, eq(floormod(place, imm(strides[d])), imm(0)));
          counts_here =
              and_predicate(counts_here, logical_and(ge(which, imm(0)), lt(which, counts[d])));
          column = column * counts[d] + which;
        }
        return te::sum(read(0, {at[0], row, column}), k, counts_here, x->dtype);
      })};
}

}  // namespace

std::vector<Conversion> rearrange_conversions() {
  return {
      {"Col2Im", 18, kNative, convert_col2im},
      {"DepthToSpace", 1, kDecomposed, convert_depth_to_space},
      {"ReverseSequence", 10, kNative, convert_reverse_sequence},
      {"SpaceToDepth", 1, kDecomposed, convert_space_to_depth},
      {"Tile", 6, kNative, convert_tile},
  };
}

}  // namespace tenon::onnx
