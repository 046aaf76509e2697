#include "runtime/rt/plan_reader.h"

#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include "runtime/rt/check_launches.h"
#include "runtime/rt/check_regions.h"
#include "runtime/rt/crc32c.h"
#include "runtime/rt/message.h"

namespace tenon::rt {
namespace {

using namespace plan_format;  // NOLINT(google-build-using-namespace): this file is about these
                              // records

constexpr std::uint32_t kMaxSections = 64;
constexpr std::uint32_t kMaxRank = 64;
constexpr std::uint32_t kMaxAlignment = 4096;

__attribute__((format(printf, 1, 2))) tenon_status malformed(const char* format, ...) {
  TextBuffer text;
  va_list args;
  va_start(args, format);
  text.append_list(format, args);
  va_end(args);
  return fail(TENON_ERROR_MODEL, "E0907", "the plan is damaged or not a plan: %s", text.str());
}

/// The bytes of one section inside the plan.
struct SectionBytes {
  const unsigned char* bytes = nullptr;
  std::uint64_t size = 0;
  std::uint32_t count = 0;
};

struct Sections {
  SectionBytes by_kind[kNumSectionKinds];
  bool seen[kNumSectionKinds] = {};
};

bool in_range(std::uint64_t offset, std::uint64_t bytes, std::uint64_t total) {
  return offset <= total && bytes <= total - offset;
}

tenon_status check_header(const void* plan, std::uint64_t plan_bytes, Header& header) {
  if (plan == nullptr || plan_bytes < sizeof(Header))
    return malformed("%llu bytes are less than a header", 0ull + plan_bytes);
  memcpy(&header, plan, sizeof(header));
  if (memcmp(header.magic, kMagic, sizeof(kMagic)) != 0)
    return malformed("the first bytes are not TENONPLN");
  if ((header.version >> 16) != (kVersion >> 16) || header.version > kVersion) {
    return fail(TENON_ERROR_UNSUPPORTED, "E0908",
                "the plan has format version %u.%u, this runtime reads version %u.0 to %u.%u",
                header.version >> 16, header.version & 0xffffu, kVersion >> 16, kVersion >> 16,
                kVersion & 0xffffu);
  }
  if (header.total_bytes != plan_bytes) {
    return malformed("it says %llu bytes but has %llu", 0ull + header.total_bytes,
                     0ull + plan_bytes);
  }
  if (header.num_sections > kMaxSections ||
      !in_range(sizeof(Header), header.num_sections * sizeof(Section), plan_bytes)) {
    return malformed("%u sections do not fit", header.num_sections);
  }
  return TENON_OK;
}

tenon_status find_sections(const void* plan, const Header& header, Sections& sections) {
  const unsigned char* base = static_cast<const unsigned char*>(plan);
  std::uint64_t covered = header.total_bytes;
  for (std::uint32_t i = 0; i < header.num_sections; ++i) {
    Section section;
    memcpy(&section, base + sizeof(Header) + i * sizeof(Section), sizeof(section));
    if (section.offset % 8 != 0 || !in_range(section.offset, section.bytes, header.total_bytes)) {
      return malformed("section %u lies outside the plan or is not 8-byte aligned", i);
    }
    if (section.kind == static_cast<std::uint32_t>(SectionKind::kData)) {
      if (section.offset + section.bytes != header.total_bytes)
        return malformed("the constants are not at the end");
      covered = section.offset;
    }
    if (section.kind == 0 || section.kind >= kNumSectionKinds) continue;
    if (sections.seen[section.kind]) return malformed("two sections of kind %u", section.kind);
    sections.seen[section.kind] = true;
    sections.by_kind[section.kind] = {base + section.offset, section.bytes, section.count};
  }
  const std::uint32_t crc = plan_checksum(plan, covered);
  if (header.crc32c != crc)
    return malformed("the checksum is %08x, expected %08x", crc, header.crc32c);
  return TENON_OK;
}

/// Copies the records of one section.
template <typename T>
tenon_status copy_table(const Sections& sections, SectionKind kind, Block<T>& table) {
  const SectionBytes& s = sections.by_kind[static_cast<std::uint32_t>(kind)];
  if (s.size != static_cast<std::uint64_t>(s.count) * sizeof(T)) {
    return malformed("section %u has %llu bytes for %u records", static_cast<unsigned>(kind),
                     0ull + s.size, s.count);
  }
  if (!table.copy_from(s.bytes, s.count))
    return fail(TENON_ERROR_RESOURCE, "E1001", "out of memory while loading a plan");
  return TENON_OK;
}

tenon_status copy_strings(const Sections& sections, Block<char>& strings) {
  const SectionBytes& s = sections.by_kind[static_cast<std::uint32_t>(SectionKind::kStrings)];
  if (s.size > 0x7fffffffu) return malformed("the strings take %llu bytes", 0ull + s.size);
  if (!strings.copy_from(s.bytes, s.size))
    return fail(TENON_ERROR_RESOURCE, "E1001", "out of memory while loading a plan");
  return TENON_OK;
}

tenon_status copy_tables(const Sections& sections, tenon_model& m) {
  Block<Info> info;
  tenon_status status = copy_strings(sections, m.strings);
  if (status == TENON_OK) status = copy_table(sections, SectionKind::kInfo, info);
  if (status == TENON_OK && info.size() != 1)
    status = malformed("%u info records instead of one", static_cast<unsigned>(info.size()));
  if (status == TENON_OK) m.info = info[0];
  if (status == TENON_OK) status = copy_table(sections, SectionKind::kProgram, m.program);
  if (status == TENON_OK) status = copy_table(sections, SectionKind::kIndices, m.indices);
  if (status == TENON_OK) status = copy_table(sections, SectionKind::kArguments, m.arguments);
  if (status == TENON_OK) status = copy_table(sections, SectionKind::kSymbols, m.symbols);
  if (status == TENON_OK) status = copy_table(sections, SectionKind::kChecks, m.checks);
  if (status == TENON_OK) status = copy_table(sections, SectionKind::kBuffers, m.buffers);
  if (status == TENON_OK) status = copy_table(sections, SectionKind::kConstants, m.constants);
  if (status == TENON_OK) status = copy_table(sections, SectionKind::kKernels, m.kernels);
  if (status == TENON_OK) status = copy_table(sections, SectionKind::kSites, m.sites);
  if (status == TENON_OK) status = copy_table(sections, SectionKind::kSteps, m.steps);
  if (status == TENON_OK) status = copy_table(sections, SectionKind::kRegions, m.regions);
  if (status == TENON_OK) status = copy_table(sections, SectionKind::kMoves, m.moves);
  return status;
}

/// The tables of a plan for a device.
tenon_status copy_device_tables(const Sections& sections, tenon_model& m) {
  Block<DeviceRecord> device;
  tenon_status status = copy_table(sections, SectionKind::kDevice, device);
  if (status == TENON_OK && device.size() > 1) status = malformed("two device records");
  if (status == TENON_OK && device.size() == 1) {
    if (device[0].kind > static_cast<std::uint32_t>(DeviceKind::kCuda)) {
      return fail(TENON_ERROR_UNSUPPORTED, "E0909",
                  "the plan is for device kind %u, which this runtime does not run",
                  device[0].kind);
    }
    m.device_kind = static_cast<DeviceKind>(device[0].kind);
  }
  if (status == TENON_OK) status = copy_table(sections, SectionKind::kCubins, m.cubins);
  if (status == TENON_OK)
    status = copy_table(sections, SectionKind::kDeviceKernels, m.device_kernels);
  if (status == TENON_OK) status = copy_table(sections, SectionKind::kLaunches, m.launches);
  if (status == TENON_OK) status = copy_table(sections, SectionKind::kParams, m.params);
  if (status == TENON_OK) status = copy_table(sections, SectionKind::kRepeats, m.repeats);
  if (status == TENON_OK) status = copy_table(sections, SectionKind::kExterns, m.externs);
  const SectionBytes& code = sections.by_kind[static_cast<std::uint32_t>(SectionKind::kCode)];
  if (status == TENON_OK && !m.code.copy_from(code.bytes, code.size))
    status = fail(TENON_ERROR_RESOURCE, "E1001", "out of memory while loading a plan");
  return status;
}

/// The checks of one loaded model, table by table. Each returns false after setting the message.
class Checker {
 public:
  explicit Checker(const tenon_model& model, std::uint64_t data_bytes)
      : m_(model), data_bytes_(data_bytes) {}

  tenon_status check() {
    const bool ok = check_info() && check_program() && check_arguments() && check_symbols() &&
                    check_checks() && check_constants() && check_buffers() && check_kernels() &&
                    check_externs() && check_steps();
    return ok ? TENON_OK : status_;
  }

 private:
  bool bad(const char* table, std::size_t record, const char* what) {
    status_ = malformed("%s %llu: %s", table, 0ull + record, what);
    return false;
  }
  bool is_string(StringRef s) const { return in_range(s.offset, s.length, m_.strings.size()); }
  bool is_register(std::uint32_t r) const { return r < m_.program.size(); }
  bool is_optional_register(std::uint32_t r) const { return r == kNone || is_register(r); }
  bool is_list(IndexList list) const { return in_range(list.begin, list.count, m_.indices.size()); }
  bool is_register_list(IndexList list) const { return is_list_below(list, m_.program.size()); }
  bool is_list_below(IndexList list, std::size_t limit) const {
    if (!is_list(list)) return false;
    for (std::uint32_t i = 0; i < list.count; ++i) {
      if (m_.indices[list.begin + i] >= limit) return false;
    }
    return true;
  }
  static bool is_alignment(std::uint32_t a) {
    return a != 0 && (a & (a - 1)) == 0 && a <= kMaxAlignment;
  }
  static bool is_dtype(std::uint8_t code, std::uint8_t bits, std::uint16_t lanes) {
    const bool width = bits == 8 || bits == 16 || bits == 32 || bits == 64;
    return width && lanes == 1 &&
           (code == kDLInt || code == kDLUInt || code == kDLFloat || code == kDLBfloat ||
            code == kDLBool);
  }

  bool check_info() {
    const Info& info = m_.info;
    if (!is_string(info.name)) return bad("info", 0, "name out of range");
    if (static_cast<std::uint64_t>(info.num_inputs) + info.num_results != m_.arguments.size()) {
      return bad("info", 0, "inputs and results do not add up to the arguments");
    }
    return is_optional_register(info.arena_bytes) || bad("info", 0, "arena register out of range");
  }

  bool check_program() {
    for (std::size_t i = 0; i < m_.program.size(); ++i) {
      const Instruction& in = m_.program[i];
      if (in.op >= kNumOps) return bad("instruction", i, "unknown operation");
      const Op op = static_cast<Op>(in.op);
      if (op == Op::kConstant) continue;
      if (op == Op::kDim) {
        if (in.a >= m_.info.num_inputs || in.b >= m_.arguments[in.a].dims.count)
          return bad("instruction", i, "no such axis");
        continue;
      }
      if (in.a >= i || in.b >= i || (op == Op::kSelect && in.c >= i))
        return bad("instruction", i, "operand is not an earlier register");
    }
    return true;
  }

  bool check_arguments() {
    for (std::size_t i = 0; i < m_.arguments.size(); ++i) {
      const Argument& a = m_.arguments[i];
      if (!is_string(a.name)) return bad("argument", i, "name out of range");
      if (!is_dtype(a.code, a.bits, a.lanes)) return bad("argument", i, "unknown dtype");
      if (a.alignment != 0 && !is_alignment(a.alignment))
        return bad("argument", i, "alignment is not a power of two up to 4096");
      if (a.dims.count > kMaxRank) return bad("argument", i, "rank above 64");
      if (!is_register_list(a.dims) || !is_register_list(a.strides))
        return bad("argument", i, "dims or strides out of range");
      if (a.strides.count != 0 && a.strides.count != a.dims.count)
        return bad("argument", i, "not one stride for each axis");
      list_entries_ += std::uint64_t{a.dims.count} + a.strides.count;
      const bool result = i >= m_.info.num_inputs;
      if (a.in_place_of != kNone && (!result || a.in_place_of >= m_.info.num_inputs))
        return bad("argument", i, "in place of no input");
    }
    return true;
  }

  bool check_symbols() {
    for (std::size_t i = 0; i < m_.symbols.size(); ++i) {
      const Symbol& s = m_.symbols[i];
      if (!is_string(s.name)) return bad("symbol", i, "name out of range");
      if (!is_register(s.reg)) return bad("symbol", i, "register out of range");
      if (s.argument >= m_.info.num_inputs || s.axis >= m_.arguments[s.argument].dims.count)
        return bad("symbol", i, "no such axis");
      if (s.multiple_of < 1 || s.min > s.max)
        return bad("symbol", i, "impossible range or multiple");
    }
    return true;
  }

  bool check_checks() {
    for (std::size_t i = 0; i < m_.checks.size(); ++i) {
      const Check& c = m_.checks[i];
      if (c.kind > static_cast<std::uint32_t>(CheckKind::kMultipleOf))
        return bad("check", i, "unknown kind");
      if (!is_register(c.a) || !is_register(c.b)) return bad("check", i, "register out of range");
      if (!is_string(c.text)) return bad("check", i, "text out of range");
    }
    return true;
  }

  bool check_constants() {
    std::uint64_t end = 0;
    for (std::size_t i = 0; i < m_.constants.size(); ++i) {
      const Constant& c = m_.constants[i];
      if (!is_string(c.name)) return bad("constant", i, "name out of range");
      if (!is_dtype(c.code, c.bits, c.lanes)) return bad("constant", i, "unknown dtype");
      if (!is_alignment(c.alignment))
        return bad("constant", i, "alignment is not a power of two up to 4096");
      if (c.embedded > 1) return bad("constant", i, "unknown flags");
      if (c.embedded == 0) continue;
      if (!in_range(c.offset, c.bytes, data_bytes_))
        return bad("constant", i, "lies outside the data section");
      if (c.offset < end) return bad("constant", i, "overlaps the one before");
      end = c.offset + c.bytes;
    }
    return true;
  }

  bool check_buffers() {
    for (std::size_t i = 0; i < m_.buffers.size(); ++i) {
      const BufferRecord& b = m_.buffers[i];
      if (b.kind > static_cast<std::uint32_t>(BufferKind::kConstant))
        return bad("buffer", i, "unknown kind");
      const BufferKind kind = static_cast<BufferKind>(b.kind);
      if (kind == BufferKind::kArgument && b.index >= m_.arguments.size())
        return bad("buffer", i, "no such argument");
      if (kind == BufferKind::kConstant && b.index >= m_.constants.size())
        return bad("buffer", i, "no such constant");
      if (!is_optional_register(b.offset_bytes) || !is_optional_register(b.bytes))
        return bad("buffer", i, "register out of range");
      if (kind == BufferKind::kWorkspace && b.bytes == kNone)
        return bad("buffer", i, "a workspace buffer without a size");
    }
    return true;
  }

  bool check_kernels() {
    for (std::size_t i = 0; i < m_.kernels.size(); ++i) {
      const KernelRecord& k = m_.kernels[i];
      if (!is_string(k.name)) return bad("kernel", i, "name out of range");
      if (!in_range(k.sites_begin, k.num_sites, m_.sites.size()))
        return bad("kernel", i, "sites out of range");
    }
    for (std::size_t i = 0; i < m_.sites.size(); ++i) {
      const Site& s = m_.sites[i];
      if (!is_string(s.buffer) || !is_string(s.source))
        return bad("site", i, "string out of range");
      if (s.kind > static_cast<std::uint32_t>(SiteKind::kAssert))
        return bad("site", i, "unknown kind");
    }
    return true;
  }

  bool check_externs() {
    for (std::size_t i = 0; i < m_.externs.size(); ++i) {
      const ExternRecord& e = m_.externs[i];
      if (!is_string(e.name) || e.name.length == 0) return bad("extern", i, "name out of range");
      if (!is_string(e.attributes)) return bad("extern", i, "attributes out of range");
    }
    return true;
  }

  bool check_extern_step(std::size_t i) {
    const Step& s = m_.steps[i];
    if (s.index >= m_.externs.size()) return bad("step", i, "no such extern");
    const std::uint32_t num_operands = m_.externs[s.index].num_operands;
    if (s.buffers.count > kMaxExternBuffers || num_operands >= s.buffers.count)
      return bad("step", i, "an extern has one to eight buffers, the last of them a result");
    for (std::uint32_t k = num_operands; k < s.buffers.count; ++k) {
      if (is_constant(m_.indices[s.buffers.begin + k]))
        return bad("step", i, "an extern writes a constant or input");
    }
    return true;
  }

  bool check_steps() {
    for (std::size_t i = 0; i < m_.steps.size(); ++i) {
      const Step& s = m_.steps[i];
      if (s.op >= kNumStepOps) return bad("step", i, "unknown opcode");
      const StepOp op = static_cast<StepOp>(s.op);
      if (is_extern_on_host(op) || op == StepOp::kFill || op == StepOp::kSubPlan) {
        status_ = fail(TENON_ERROR_UNSUPPORTED, "E0909",
                       "step %llu of the plan has opcode %u, which this runtime does not run",
                       0ull + i, s.op);
        return false;
      }
      if (!is_list_below(s.buffers, m_.buffers.size()))
        return bad("step", i, "buffers out of range");
      if (!is_register_list(s.sizes)) return bad("step", i, "sizes out of range");
      if ((op == StepOp::kKernel || op == StepOp::kLaunch) && s.index >= m_.kernels.size())
        return bad("step", i, "no such kernel");
      if (op == (m_.device_kind == DeviceKind::kHost ? StepOp::kLaunch : StepOp::kKernel))
        return bad("step", i, "it does not run where the plan runs");
      if (op == StepOp::kExtern && !check_extern_step(i)) return false;
      if (op == StepOp::kCopy && s.buffers.count != 2)
        return bad("step", i, "a copy has two buffers");
      if (op == StepOp::kCopy && is_constant(m_.indices[s.buffers.begin]))
        return bad("step", i, "a copy into a constant or input");
      if (!is_optional_register(s.shared_bytes) || !is_optional_register(s.worker_bytes))
        return bad("step", i, "register out of range");
      list_entries_ += std::uint64_t{s.buffers.count} + s.sizes.count;
    }
    // Lists are not shared, so that what a context needs is bounded by the size of the plan.
    return list_entries_ <= m_.indices.size() || bad("step", 0, "lists overlap");
  }

  bool is_extern_on_host(StepOp op) const {
    return op == StepOp::kExtern && m_.device_kind == DeviceKind::kHost;
  }

  /// A constant or an input: no step of the runtime's own may write there.
  bool is_constant(std::uint32_t buffer) const {
    const BufferRecord& to = m_.buffers[buffer];
    const BufferKind kind = static_cast<BufferKind>(to.kind);
    return kind == BufferKind::kConstant ||
           (kind == BufferKind::kArgument && to.index < m_.info.num_inputs);
  }

  const tenon_model& m_;
  std::uint64_t data_bytes_;
  std::uint64_t list_entries_ = 0;
  tenon_status status_ = TENON_ERROR_MODEL;
};

}  // namespace

std::uint32_t plan_checksum(const void* plan, std::uint64_t bytes) {
  constexpr std::uint64_t kField = offsetof(Header, crc32c);
  constexpr unsigned char kZeros[sizeof(Header::crc32c)] = {};
  const unsigned char* base = static_cast<const unsigned char*>(plan);
  if (bytes < sizeof(Header)) return 0;
  const std::uint32_t crc = crc32c(crc32c(0, base, kField), kZeros, sizeof(kZeros));
  const std::uint64_t rest = kField + sizeof(kZeros);
  return crc32c(crc, base + rest, bytes - rest);
}

tenon_status verify_plan(const void* plan, std::uint64_t plan_bytes) {
  Header header;
  Sections sections;
  const tenon_status status = check_header(plan, plan_bytes, header);
  return status == TENON_OK ? find_sections(plan, header, sections) : status;
}

tenon_status read_plan(const void* plan, std::uint64_t plan_bytes, tenon_model& model,
                       PlanData& data) {
  Header header;
  Sections sections;
  tenon_status status = check_header(plan, plan_bytes, header);
  if (status == TENON_OK) status = find_sections(plan, header, sections);
  if (status == TENON_OK) status = copy_tables(sections, model);
  if (status == TENON_OK) status = copy_device_tables(sections, model);
  if (status != TENON_OK) return status;
  const SectionBytes& constants = sections.by_kind[static_cast<std::uint32_t>(SectionKind::kData)];
  if (data.bytes != nullptr && constants.size != 0)
    return malformed("it holds constants, although there is a block of them beside it");
  if (data.bytes == nullptr) data = {constants.bytes, constants.size};
  status = Checker(model, data.size).check();
  if (status == TENON_OK) status = check_launches(model);
  return status == TENON_OK ? check_regions(model) : status;
}

}  // namespace tenon::rt
