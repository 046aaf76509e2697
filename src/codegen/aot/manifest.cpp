#include "codegen/aot/manifest.h"

#include <elf.h>
#include <llvm/ADT/StringExtras.h>
#include <llvm/Support/SHA256.h>

#include <cstring>
#include <map>

#include "codegen/aot/output_file.h"
#include "tenon/codegen/llvm.h"
#include "tenon/runtime/c_api.h"
#include "tenon/support/error.h"

namespace tenon::codegen {
namespace {

using Json = nlohmann::ordered_json;

const std::string kNoDigest(64, '0');

std::string digest_of(const std::uint8_t* bytes, std::size_t size) {
  const std::array<std::uint8_t, 32> hash = llvm::SHA256::hash({bytes, size});
  return llvm::toHex(hash, /*LowerCase=*/true);
}

std::string version_text(std::uint32_t version) {
  return std::to_string(version >> 16) + "." + std::to_string(version & 0xffff);
}

Json arguments_of(const Plan& plan, const std::vector<PlanArgument>& arguments) {
  Json list = Json::array();
  for (const PlanArgument& a : arguments) {
    Json shape = Json::array();
    for (const PlanRegister reg : a.dims) shape.push_back(register_text(plan, reg));
    Json item = {{"name", a.name}, {"dtype", to_string(a.dtype)}, {"shape", shape}};
    if (a.in_place_of != kPlanNone) item["in_place_of"] = plan.inputs.at(a.in_place_of).name;
    list.push_back(item);
  }
  return list;
}

Json symbols_of(const Plan& plan) {
  Json list = Json::array();
  for (const PlanSymbol& s : plan.symbols) {
    const bool has_max = s.max != std::numeric_limits<std::int64_t>::max();
    list.push_back({{"name", s.name},
                    {"min", s.min},
                    {"max", has_max ? Json(s.max) : Json()},
                    {"multiple_of", s.multiple_of}});
  }
  return list;
}

Json levels_of(const LibraryParts& parts) {
  Json list = Json::array();
  for (const LibraryLevel& level : parts.levels) {
    Json needs = Json::array();
    const std::uint64_t features = required_features(level.target);
    std::uint64_t bit = 1;
#define CPU_FEATURE(name, leaf, subleaf, reg, position, state) \
  if ((features & bit) != 0) needs.push_back(name);            \
  bit <<= 1;
#include "tenon/runtime/cpu_features.def"
#undef CPU_FEATURE
    list.push_back({{"name", level.name},
                    {"target", level.target.str()},
                    {"needs", needs},
                    {"kernels", level.objects.size()},
                    {"code", code_section(level)}});
  }
  return list;
}

Json weights_of(const LibraryParts& parts) {
  Json list = Json::array();
  for (const PlanConstant& c : parts.plan.constants) {
    list.push_back({{"name", c.name},
                    {"dtype", to_string(c.dtype)},
                    {"offset", c.offset},
                    {"bytes", c.bytes}});
  }
  return list;
}

/// Where a section's bytes lie in the file.
using SectionTable = std::map<std::string, Elf64_Shdr>;

SectionTable sections_of(const MappedFile& file) {
  Elf64_Ehdr header;
  TENON_CHECK(file.size() >= sizeof(header), "the linker wrote ", file.size(), " bytes");
  std::memcpy(&header, file.data(), sizeof(header));
  const auto section = [&](std::size_t i) {
    Elf64_Shdr s;
    const std::uint64_t at = header.e_shoff + i * sizeof(s);
    TENON_CHECK(at + sizeof(s) <= file.size(), "the linker wrote a section outside its file");
    std::memcpy(&s, file.data() + at, sizeof(s));
    return s;
  };
  const char* names =
      reinterpret_cast<const char*>(file.data()) + section(header.e_shstrndx).sh_offset;
  SectionTable table;
  for (std::size_t i = 1; i < header.e_shnum; ++i) table[names + section(i).sh_name] = section(i);
  return table;
}

}  // namespace

std::string code_section(const LibraryLevel& level) { return ".tenon.code." + level.name; }

Json manifest_of(const LibraryParts& parts) {
  Json digests = Json::object();
  std::vector<std::string> sections = {kWeightsSection, kPlanSection, ".text", ".rodata"};
  for (const LibraryLevel& level : parts.levels) sections.push_back(code_section(level));
  for (const std::string& name : sections) digests[name] = kNoDigest;
  return {{"manifest_version", 1},
          {"model", parts.name},
          {"title", parts.title},
          {"producer", parts.producer},
          {"codegen", codegen_version()},
          {"c_api", version_text((TENON_C_API_VERSION_MAJOR << 16) | TENON_C_API_VERSION_MINOR)},
          {"plan_format", version_text(plan_format::kHostVersion)},
          {"kernel_abi", TENON_KERNEL_ABI_VERSION},
          {"inputs", arguments_of(parts.plan, parts.plan.inputs)},
          {"results", arguments_of(parts.plan, parts.plan.results)},
          {"symbols", symbols_of(parts.plan)},
          {"levels", levels_of(parts)},
          {"weights_bytes", parts.weights_bytes},
          {"weights", weights_of(parts)},
          {"rounding", {{"folded_batch_norms", parts.num_folded_batch_norms}}},
          {"sha256", digests},
          {"file_sha256", kNoDigest}};
}

std::string text_of(const Json& manifest) {
  return manifest.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void seal_manifest(const std::string& library, Json manifest, std::size_t room) {
  const MappedFile file(library);
  const SectionTable table = sections_of(file);
  Json digests = Json::object();
  for (const auto& [name, zeros] : manifest["sha256"].items()) {
    const auto it = table.find(name);
    if (it == table.end()) continue;
    digests[name] = digest_of(file.data() + it->second.sh_offset, it->second.sh_size);
  }
  manifest["sha256"] = digests;
  const Elf64_Shdr& note = table.at(kNoteSection);
  TENON_CHECK(note.sh_size >= room, "the manifest's note has ", note.sh_size, " bytes");
  // The note ends with the JSON's room, which is a multiple of four.
  const std::uint64_t begin = note.sh_offset + note.sh_size - room;
  const auto put = [&] {
    std::string text = text_of(manifest);
    TENON_CHECK(text.size() <= room, "a manifest of ", text.size(), " bytes for ", room);
    text.resize(room, ' ');
    std::memcpy(file.data() + begin, text.data(), room);
  };
  put();
  manifest["file_sha256"] = digest_of(file.data(), file.size());
  put();
}

}  // namespace tenon::codegen
