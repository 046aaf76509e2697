#include "schedule/random_step.h"

#include <algorithm>

#include "schedule/dependence.h"
#include "schedule/loop_tree.h"
#include "tenon/ir/builder.h"

namespace tenon::testing {
namespace {

class Draw {
 public:
  Draw(const Schedule& s, std::mt19937* random)
      : root_(s.function()->body), function_(s.function()), random_(*random) {}

  std::optional<NamedArguments> arguments_of(const std::string& name) {
    blocks_ = blocks_under(root_);
    loops_ = loops_under(root_);
    if (name == "split") return split();
    if (name == "fuse" || name == "tile") return pair_of_loops(name);
    if (name == "reorder") return reorder();
    if (name == "blockize") return blockize();
    if (name == "vectorize" || name == "unroll" || name == "parallel") return kind();
    if (name == "annotate")
      return NamedArguments{{"target", LoopRef{pick(loops_)->var}},
                            {"key", std::string("note")},
                            {"value", std::int64_t{1}}};
    if (name == "add_unit_loop") return NamedArguments{{"target", BlockRef{pick(blocks_)->name}}};
    if (name == "compute_at" || name == "reverse_compute_at") return move(name == "compute_at");
    if (name == "compute_inline" || name == "reverse_compute_inline")
      return inline_block(name == "compute_inline");
    if (name == "cache_read" || name == "reindex") return cache_read();
    if (name == "cache_write")
      return NamedArguments{{"block", BlockRef{pick(blocks_)->name}}, {"scope", scope()}};
    if (name == "set_scope") return set_scope();
    if (name == "transform_layout") return transform_layout();
    if (name == "decompose_reduction") return reduction(true);
    if (name == "rfactor") return reduction(false);
    if (name == "split_terms") return split_terms();
    if (name.rfind("sample_", 0) == 0) return sample(name);
    return std::nullopt;
  }

 private:
  int number(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  template <typename T>
  const T& pick(const std::vector<T>& from) {
    return from[static_cast<std::size_t>(number(0, static_cast<int>(from.size()) - 1))];
  }
  std::string scope() { return number(0, 1) == 0 ? "local" : "global"; }

  std::vector<const ForNode*> serial_loops() const {
    std::vector<const ForNode*> out;
    for (const ForNode* f : loops_) {
      if (f->attrs.kind == ForKind::kSerial) out.push_back(f);
    }
    return out;
  }

  std::optional<NamedArguments> split() {
    const auto serial = serial_loops();
    if (serial.empty()) return std::nullopt;
    static const std::vector<std::string> tails = {"mask", "partition", "balance"};
    Factors factors = {std::nullopt, number(number(0, 9) == 0 ? 0 : 1, 6)};
    if (number(0, 9) == 0) std::swap(factors[0], factors[1]);
    return NamedArguments{
        {"loop", LoopRef{pick(serial)->var}}, {"factors", factors}, {"tail", pick(tails)}};
  }

  std::optional<NamedArguments> pair_of_loops(const std::string& name) {
    std::vector<std::pair<const ForNode*, const ForNode*>> pairs;
    for (const ForNode* f : loops_) {
      const auto* inner = f->body.as<ForNode>();
      if (inner != nullptr && f->attrs.kind == ForKind::kSerial &&
          inner->attrs.kind == ForKind::kSerial)
        pairs.emplace_back(f, inner);
    }
    if (pairs.empty()) return std::nullopt;
    const auto [outer, inner] = pick(pairs);
    if (name == "fuse")
      return NamedArguments{{"loops", std::vector<LoopRef>{{outer->var}, {inner->var}}}};
    return NamedArguments{{"i", LoopRef{outer->var}},
                          {"j", LoopRef{inner->var}},
                          {"i_factor", std::int64_t{number(1, 5)}},
                          {"j_factor", std::int64_t{number(1, 5)}}};
  }

  std::optional<NamedArguments> reorder() {
    std::vector<LoopRef> path;
    for (const ForNode* f : loops_on(path_to_block(root_, pick(blocks_)->name)))
      path.push_back({f->var});
    if (path.size() < 2) return std::nullopt;
    std::shuffle(path.begin(), path.end(), random_);
    path.resize(static_cast<std::size_t>(
        number(2, static_cast<int>(std::min<std::size_t>(path.size(), 3)))));
    return NamedArguments{{"loops", path}};
  }

  std::optional<NamedArguments> kind() {
    const auto serial = serial_loops();
    if (serial.empty()) return std::nullopt;
    return NamedArguments{{"loop", LoopRef{pick(serial)->var}}};
  }

  /// Mostly innermost loops around a block without init.
  std::optional<NamedArguments> blockize() {
    std::vector<const ForNode*> places;
    for (const ForNode* f : serial_loops()) {
      const auto* block = f->body.as<BlockNode>();
      if (block != nullptr && !block->init) places.push_back(f);
    }
    if (number(0, 4) == 0) return kind();
    if (places.empty()) return std::nullopt;
    return NamedArguments{{"loop", LoopRef{pick(places)->var}}};
  }

  bool is_parameter(const Buffer& b) const {
    const auto params = function_->params();
    return std::any_of(params.begin(), params.end(), [&](const Buffer& p) { return p.same_as(b); });
  }

  /// A buffer that one block makes and another reads.
  struct Link {
    const BlockNode* maker;
    const BlockNode* reader;
  };
  std::vector<Link> links() const {
    std::vector<Link> out;
    for (const BlockNode* maker : blocks_) {
      for (const BlockNode* reader : blocks_) {
        const bool linked =
            maker != reader &&
            std::any_of(reader->reads.begin(), reader->reads.end(), [&](const BufferRegion& r) {
              return r.buffer.same_as(maker->writes[0].buffer);
            });
        if (linked) out.push_back({maker, reader});
      }
    }
    return out;
  }

  std::optional<NamedArguments> move(bool forward) {
    const auto all = links();
    if (all.empty()) return std::nullopt;
    const Link link = pick(all);
    const auto loops = loops_on(path_to_block(root_, (forward ? link.reader : link.maker)->name));
    if (loops.empty()) return std::nullopt;
    return NamedArguments{{"block", BlockRef{(forward ? link.maker : link.reader)->name}},
                          {"loop", LoopRef{pick(loops)->var}}};
  }

  std::optional<NamedArguments> inline_block(bool maker) {
    auto all = links();
    // Mostly pairs that may be merged; now and then one that may not.
    if (!maker && number(0, 9) != 0) {
      std::erase_if(all, [](const Link& l) {
        return has_kind(*l.maker, IterKind::kReduction) ||
               has_kind(*l.reader, IterKind::kReduction);
      });
    }
    if (all.empty()) return std::nullopt;
    const Link link = pick(all);
    return NamedArguments{{"block", BlockRef{(maker ? link.maker : link.reader)->name}}};
  }

  std::optional<NamedArguments> cache_read() {
    const BlockNode* block = pick(blocks_);
    if (block->reads.empty()) return std::nullopt;
    return NamedArguments{{"block", BlockRef{block->name}},
                          {"buffer", pick(block->reads).buffer->name},
                          {"scope", scope()}};
  }

  std::vector<const BlockNode*> makers_of_intermediates() const {
    std::vector<const BlockNode*> out;
    for (const BlockNode* b : blocks_) {
      if (!is_parameter(b->writes[0].buffer)) out.push_back(b);
    }
    return out;
  }

  std::optional<NamedArguments> set_scope() {
    const auto makers = makers_of_intermediates();
    if (makers.empty()) return std::nullopt;
    return NamedArguments{{"block", BlockRef{pick(makers)->name}}, {"scope", scope()}};
  }

  std::optional<NamedArguments> transform_layout() {
    const auto makers = makers_of_intermediates();
    if (makers.empty()) return std::nullopt;
    const BlockNode* block = pick(makers);
    const Buffer& buffer = block->writes[0].buffer;
    IndexMap map;
    for (std::size_t d = 0; d < buffer->shape.size(); ++d)
      map.vars.push_back(var("d" + std::to_string(d)));
    const int divided = number(0, static_cast<int>(map.vars.size()) - 1), factor = number(2, 4);
    for (std::size_t d = 0; d < map.vars.size(); ++d) {
      const bool here = static_cast<int>(d) == divided;
      map.results.push_back(here ? floordiv(map.vars[d], imm(factor)) : map.vars[d]);
    }
    map.results.push_back(floormod(map.vars[static_cast<std::size_t>(divided)], imm(factor)));
    return NamedArguments{
        {"block", BlockRef{block->name}}, {"buffer", buffer->name}, {"index_map", map}};
  }

  std::optional<NamedArguments> reduction(bool decompose) {
    std::vector<std::pair<const BlockNode*, const ForNode*>> places;
    for (const BlockNode* b : blocks_) {
      if (!b->init) continue;
      for (const ForNode* f : loops_on(path_to_block(root_, b->name))) {
        if (touches(*b, f->var, IterKind::kReduction) || (decompose && number(0, 3) == 0))
          places.emplace_back(b, f);
      }
    }
    if (places.empty()) return std::nullopt;
    const auto [block, loop] = pick(places);
    if (decompose)
      return NamedArguments{{"block", BlockRef{block->name}}, {"loop", LoopRef{loop->var}}};
    return NamedArguments{{"loop", LoopRef{loop->var}}, {"axis", std::int64_t{number(-1, 1)}}};
  }

  std::optional<NamedArguments> split_terms() {
    std::vector<const ForNode*> places;
    for (const BlockNode* b : blocks_) {
      for (const ForNode* f : loops_on(path_to_block(root_, b->name))) {
        if (touches(*b, f->var, IterKind::kReduction)) places.push_back(f);
      }
    }
    if (places.empty()) return std::nullopt;
    return NamedArguments{{"loop", LoopRef{pick(places)->var}},
                          {"terms", std::int64_t{number(1, 20)}}};
  }

  /// Names are sometimes those of samples before.
  std::optional<NamedArguments> sample(const std::string& primitive) {
    NamedArguments out{{"name", primitive + std::to_string(number(0, 30))}};
    if (primitive == "sample_categorical") {
      out.emplace_back("options", Factors{1, 2, number(3, 9)});
      out.emplace_back("preferred", std::int64_t{number(1, 3)});
    } else if (primitive == "sample_tile") {
      out.emplace_back("loop", LoopRef{pick(loops_)->var});
      out.emplace_back("n", std::int64_t{number(2, 3)});
    } else {
      out.emplace_back("block", BlockRef{pick(blocks_)->name});
    }
    return out;
  }

  Stmt root_;
  Function function_;
  std::mt19937& random_;
  std::vector<const BlockNode*> blocks_;
  std::vector<const ForNode*> loops_;
};

}  // namespace

bool is_for_gpu(const std::string& primitive) {
  return primitive == "bind" || primitive == "tensorize" || primitive == "async_copy" ||
         primitive == "software_pipeline" || primitive == "storage_align";
}

std::optional<DrawnStep> draw_step(const Schedule& s, const DrawCounts& counts,
                                   std::mt19937* random) {
  std::vector<double> weights;
  for (const Primitive* p : primitives()) {
    const auto found = counts.find(p->name);
    const double weight = 1.0 / (1 + (found == counts.end() ? 0 : found->second.legal));
    // Few steps apply to the blocks that blockize makes; samples change nothing.
    const std::string name = p->name;
    const double share = name == "blockize" || name.rfind("sample_", 0) == 0 ? 0.3 : 1;
    weights.push_back(is_for_gpu(p->name) ? 0 : share * weight);
  }
  const int which = std::discrete_distribution<int>(weights.begin(), weights.end())(*random);
  const std::string name = primitives()[static_cast<std::size_t>(which)]->name;
  auto arguments = Draw(s, random).arguments_of(name);
  if (!arguments) return std::nullopt;
  return DrawnStep{name, std::move(*arguments)};
}

}  // namespace tenon::testing
