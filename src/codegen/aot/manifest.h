#pragma once

/// What a library says of itself, readable without running it: JSON in the note `.note.tenon`.

#include <nlohmann/json.hpp>
#include <string>

#include "tenon/codegen/aot.h"

namespace tenon::codegen {

/// Section of the code of a level, and of what else the manifest has digests for.
std::string code_section(const LibraryLevel& level);
inline constexpr const char* kWeightsSection = ".tenon.weights";
inline constexpr const char* kPlanSection = ".tenon.plan";
inline constexpr const char* kNoteSection = ".note.tenon";

/// The manifest with zeros in place of digests.
nlohmann::ordered_json manifest_of(const LibraryParts& parts);

/// Its text, on one line; what is no UTF-8 in names is replaced.
std::string text_of(const nlohmann::ordered_json& manifest);

/// Writes the digests into a linked library, whose note has room for `room` bytes of JSON. Parts
/// that the linker left out go. ResourceError [E0933].
void seal_manifest(const std::string& library, nlohmann::ordered_json manifest, std::size_t room);

}  // namespace tenon::codegen
