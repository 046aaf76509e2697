#include "tenon/runtime/plan.h"

#include <algorithm>
#include <cstring>

#include "runtime/rt/crc32c.h"
#include "runtime/rt/plan_reader.h"
#include "tenon/runtime/array.h"
#include "tenon/support/error.h"

namespace tenon {
namespace {

namespace format = plan_format;

constexpr std::size_t kDataAlignment = 64;

void pad_to(std::vector<std::uint8_t>& bytes, std::size_t alignment) {
  bytes.resize((bytes.size() + alignment - 1) / alignment * alignment, 0);
}

/// Collects the records of all sections.
class Writer {
 public:
  explicit Writer(const Plan& plan) : plan_(plan) {}

  std::vector<std::uint8_t> write() {
    add_info();
    for (const PlanArgument& a : plan_.inputs) add_argument(a);
    for (const PlanArgument& a : plan_.results) add_argument(a);
    for (const PlanSymbol& s : plan_.symbols) {
      symbols_.push_back({string(s.name), s.reg, s.input, s.axis, 0, s.min, s.max, s.multiple_of});
    }
    for (const PlanCheck& c : plan_.checks)
      checks_.push_back({static_cast<std::uint32_t>(c.kind), c.a, c.b, 0, string(c.text)});
    for (const PlanBuffer& b : plan_.buffers) {
      buffers_.push_back({static_cast<std::uint32_t>(b.kind), b.index, b.offset_bytes, b.bytes});
    }
    for (const PlanConstant& c : plan_.constants) add_constant(c);
    for (const PlanKernel& k : plan_.kernels) add_kernel(k);
    for (const PlanStep& s : plan_.steps) add_step(s);
    for (const PlanRegion& r : plan_.regions) {
      regions_.push_back(
          {r.num_steps, r.num_first, r.condition, r.count, r.count_buffer, r.iteration});
    }
    for (const PlanMove& m : plan_.moves)
      moves_.push_back({m.loop, m.buffer, m.stride, static_cast<std::uint32_t>(m.kind)});
    std::stable_sort(moves_.begin(), moves_.end(),
                     [](const format::Move& a, const format::Move& b) { return a.loop < b.loop; });
    if (plan_.device != PlanDeviceKind::kHost) add_device();
    for (const PlanExtern& e : plan_.externs) add_extern(e);
    return assemble();
  }

 private:
  format::StringRef string(const std::string& text) {
    const std::size_t at = strings_.size();
    strings_.insert(strings_.end(), text.begin(), text.end());
    return {static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(text.size())};
  }

  format::IndexList list(const std::vector<std::uint32_t>& values) {
    const std::size_t at = indices_.size();
    indices_.insert(indices_.end(), values.begin(), values.end());
    return {static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(values.size())};
  }

  void add_info() {
    info_.push_back({string(plan_.name), static_cast<std::uint32_t>(plan_.inputs.size()),
                     static_cast<std::uint32_t>(plan_.results.size()), plan_.arena_bytes, 0});
  }

  void add_argument(const PlanArgument& a) {
    const DLDataType t = to_dl_dtype(a.dtype);
    arguments_.push_back({string(a.name), t.code, t.bits, t.lanes, a.alignment, list(a.dims),
                          list(a.strides), a.in_place_of, 0});
  }

  void add_constant(const PlanConstant& c) {
    const DLDataType t = to_dl_dtype(c.dtype);
    if (c.is_beside) {
      constants_.push_back(
          {string(c.name), t.code, t.bits, t.lanes, c.alignment, 1u, c.crc32c, c.offset, c.bytes});
      return;
    }
    const bool embedded = !c.data.empty() || c.bytes == 0;
    TENON_CHECK(!embedded || c.data.size() == c.bytes, "constant '", c.name, "' has ",
                c.data.size(), " bytes of data, not ", c.bytes);
    if (embedded) pad_to(data_, std::max<std::size_t>(c.alignment, kDataAlignment));
    const std::uint32_t crc = embedded ? rt::crc32c(0, c.data.data(), c.data.size()) : 0;
    constants_.push_back({string(c.name), t.code, t.bits, t.lanes, c.alignment, embedded ? 1u : 0u,
                          crc, embedded ? data_.size() : 0, c.bytes});
    data_.insert(data_.end(), c.data.begin(), c.data.end());
  }

  void add_kernel(const PlanKernel& k) {
    kernels_.push_back({string(k.name), static_cast<std::uint32_t>(sites_.size()),
                        static_cast<std::uint32_t>(k.sites.size())});
    for (const PlanSite& s : k.sites) {
      sites_.push_back(
          {string(s.buffer), string(s.source), s.axis, static_cast<std::uint32_t>(s.kind)});
    }
  }

  void add_step(const PlanStep& s) {
    steps_.push_back({static_cast<std::uint32_t>(s.op), s.kernel, list(s.buffers), list(s.sizes),
                      s.shared_bytes, s.worker_bytes});
  }

  void add_device() {
    device_.push_back({static_cast<std::uint32_t>(plan_.device), 0});
    for (const DeviceCubin& c : plan_.device_program.cubins) {
      pad_to(code_, kDataAlignment);
      cubins_.push_back({string(c.arch), code_.size(), c.image.size()});
      code_.insert(code_.end(), c.image.begin(), c.image.end());
    }
    for (const DeviceKernel& k : plan_.device_program.kernels)
      device_kernels_.push_back({string(k.name), k.cubin, 0});
    for (std::size_t i = 0; i < plan_.steps.size(); ++i) {
      for (const DeviceLaunch& l : plan_.steps[i].launches)
        add_launch(static_cast<std::uint32_t>(i), l);
    }
  }

  void add_extern(const PlanExtern& e) {
    externs_.push_back({string(e.name), string(e.attributes), e.num_operands, 0});
  }

  void add_launch(std::uint32_t step, const DeviceLaunch& l) {
    format::LaunchRecord record = {};
    record.step = step;
    record.kernel = l.kernel;
    for (std::size_t axis = 0; axis < 3; ++axis) {
      record.grid[axis] = l.grid[axis];
      record.block[axis] = l.block[axis];
      record.loops[axis] = string(l.grid_loops[axis]);
      record.loops[3 + axis] = string(l.block_loops[axis]);
    }
    record.static_shared_bytes = l.static_shared_bytes;
    record.dynamic_shared_bytes = l.dynamic_shared_bytes;
    record.num_params = static_cast<std::uint32_t>(l.params.size());
    record.num_repeats = static_cast<std::uint32_t>(l.repeats.size());
    launches_.push_back(record);
    for (const DeviceParam& p : l.params)
      params_.push_back({static_cast<std::uint32_t>(p.kind), p.index});
    for (const DeviceRepeat& r : l.repeats) repeats_.push_back({r.id, r.count});
  }

  template <typename T>
  void put_section(format::SectionKind kind, const std::vector<T>& records,
                   std::size_t alignment = 8) {
    pad_to(out_, alignment);
    const std::size_t offset = out_.size();
    const std::size_t bytes = records.size() * sizeof(T);
    const std::uint8_t* from = reinterpret_cast<const std::uint8_t*>(records.data());
    out_.insert(out_.end(), from, from + bytes);
    table_.push_back({static_cast<std::uint32_t>(kind), static_cast<std::uint32_t>(records.size()),
                      offset, bytes});
  }

  std::vector<std::uint8_t> assemble() {
    const bool has_device = plan_.device != PlanDeviceKind::kHost;
    const bool has_externs = !externs_.empty();
    const std::uint32_t num_sections = (has_device ? 22 : 15) + (has_externs ? 1 : 0);
    out_.resize(sizeof(format::Header) + num_sections * sizeof(format::Section));
    put_section(format::SectionKind::kStrings, strings_);
    put_section(format::SectionKind::kInfo, info_);
    put_section(format::SectionKind::kProgram, plan_.program.instructions());
    put_section(format::SectionKind::kIndices, indices_);
    put_section(format::SectionKind::kArguments, arguments_);
    put_section(format::SectionKind::kSymbols, symbols_);
    put_section(format::SectionKind::kChecks, checks_);
    put_section(format::SectionKind::kBuffers, buffers_);
    put_section(format::SectionKind::kConstants, constants_);
    put_section(format::SectionKind::kKernels, kernels_);
    put_section(format::SectionKind::kSites, sites_);
    put_section(format::SectionKind::kSteps, steps_);
    put_section(format::SectionKind::kRegions, regions_);
    put_section(format::SectionKind::kMoves, moves_);
    if (has_device) {
      put_section(format::SectionKind::kDevice, device_);
      put_section(format::SectionKind::kCubins, cubins_);
      put_section(format::SectionKind::kDeviceKernels, device_kernels_);
      put_section(format::SectionKind::kLaunches, launches_);
      put_section(format::SectionKind::kParams, params_);
      put_section(format::SectionKind::kRepeats, repeats_);
      put_section(format::SectionKind::kCode, code_, kDataAlignment);
    }
    if (has_externs) put_section(format::SectionKind::kExterns, externs_);
    put_section(format::SectionKind::kData, data_, 4096);
    format::Header header = {};
    std::memcpy(header.magic, format::kMagic, sizeof(header.magic));
    header.version = has_externs  ? format::kVersion
                     : has_device ? format::kDeviceVersion
                                  : format::kHostVersion;
    header.num_sections = num_sections;
    header.total_bytes = out_.size();
    TENON_CHECK(table_.size() == num_sections, "sections of a plan: ", table_.size());
    std::memcpy(out_.data(), &header, sizeof(header));
    std::memcpy(out_.data() + sizeof(header), table_.data(),
                table_.size() * sizeof(format::Section));
    header.crc32c = rt::plan_checksum(out_.data(), table_.back().offset);
    std::memcpy(out_.data(), &header, sizeof(header));
    return std::move(out_);
  }

  const Plan& plan_;
  std::vector<std::uint8_t> out_;
  std::vector<format::Section> table_;
  std::vector<char> strings_;
  std::vector<format::Info> info_;
  std::vector<std::uint32_t> indices_;
  std::vector<format::Argument> arguments_;
  std::vector<format::Symbol> symbols_;
  std::vector<format::Check> checks_;
  std::vector<format::BufferRecord> buffers_;
  std::vector<format::Constant> constants_;
  std::vector<format::KernelRecord> kernels_;
  std::vector<format::Site> sites_;
  std::vector<format::Step> steps_;
  std::vector<format::Region> regions_;
  std::vector<format::Move> moves_;
  std::vector<format::DeviceRecord> device_;
  std::vector<format::CubinRecord> cubins_;
  std::vector<format::DeviceKernelRecord> device_kernels_;
  std::vector<format::ExternRecord> externs_;
  std::vector<format::LaunchRecord> launches_;
  std::vector<format::ParamRecord> params_;
  std::vector<format::RepeatRecord> repeats_;
  std::vector<std::uint8_t> code_;
  std::vector<std::uint8_t> data_;
};

}  // namespace

std::vector<std::uint8_t> serialize(const Plan& plan) { return Writer(plan).write(); }

PlanBufferId Plan::add_argument_buffer(std::uint32_t index) {
  buffers.push_back({PlanBufferKind::kArgument, index, kPlanNone, kPlanNone});
  return static_cast<PlanBufferId>(buffers.size() - 1);
}

PlanBufferId Plan::add_constant_buffer(std::uint32_t index) {
  buffers.push_back({PlanBufferKind::kConstant, index, kPlanNone, kPlanNone});
  return static_cast<PlanBufferId>(buffers.size() - 1);
}

PlanBufferId Plan::add_workspace_buffer(PlanRegister offset_bytes, PlanRegister bytes) {
  buffers.push_back({PlanBufferKind::kWorkspace, 0, offset_bytes, bytes});
  return static_cast<PlanBufferId>(buffers.size() - 1);
}

}  // namespace tenon
