#include "graph/protobuf_tree.h"

#include <algorithm>

namespace tenon::onnx {
namespace {

constexpr int kMaxDepth = 12;
constexpr std::size_t kMaxInput = 1 << 20;

bool read_varint(std::string_view* bytes, std::uint64_t* value) {
  *value = 0;
  for (int shift = 0; shift < 64 && !bytes->empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes->front());
    bytes->remove_prefix(1);
    *value |= std::uint64_t{byte & 127U} << shift;
    if (byte < 128) return true;
  }
  return false;
}

void put_varint(std::string* out, std::uint64_t value) {
  for (; value >= 128; value >>= 7) out->push_back(static_cast<char>((value & 127) | 128));
  out->push_back(static_cast<char>(value));
}

std::uint64_t below(std::mt19937_64& random, std::uint64_t end) {
  return end == 0 ? 0 : random() % end;
}

/// Every list of fields, the outermost first.
void collect(std::vector<ProtobufField>* fields, std::vector<std::vector<ProtobufField>*>* lists) {
  lists->push_back(fields);
  for (ProtobufField& f : *fields) {
    if (!f.children.empty()) collect(&f.children, lists);
  }
}

/// Another text of the same kind is likelier to mean something than random bytes.
std::string other_text(const std::vector<std::vector<ProtobufField>*>& lists,
                       std::mt19937_64& random) {
  for (int i = 0; i < 20; ++i) {
    const auto& list = *lists[below(random, lists.size())];
    if (list.empty()) continue;
    const ProtobufField& f = list[below(random, list.size())];
    if (f.wire_type == 2 && f.children.empty()) return f.bytes;
  }
  return "";
}

std::uint64_t odd_number(std::uint64_t now, std::mt19937_64& random) {
  static constexpr std::uint64_t kOdd[] = {0,
                                           1,
                                           2,
                                           3,
                                           7,
                                           16,
                                           127,
                                           255,
                                           4096,
                                           1U << 20,
                                           0x7fffffff,
                                           0x80000000,
                                           0xffffffff,
                                           1ULL << 40,
                                           1ULL << 62,
                                           0x7fffffffffffffff,
                                           0x8000000000000000,
                                           ~0ULL,
                                           ~0ULL - 1,
                                           ~0ULL - 6};
  if (below(random, 3) == 0) return now + below(random, 5) - 2;
  return kOdd[below(random, std::size(kOdd))];
}

}  // namespace

std::optional<std::vector<ProtobufField>> parse_protobuf(std::string_view bytes, int depth) {
  std::vector<ProtobufField> fields;
  while (!bytes.empty()) {
    std::uint64_t tag = 0;
    if (!read_varint(&bytes, &tag) || tag >> 3 == 0 || tag >> 32 != 0) return std::nullopt;
    ProtobufField f;
    f.number = static_cast<std::uint32_t>(tag >> 3);
    f.wire_type = static_cast<int>(tag & 7);
    std::uint64_t size = f.wire_type == 1 ? 8 : 4;
    switch (f.wire_type) {
      case 0:
        if (!read_varint(&bytes, &f.varint)) return std::nullopt;
        break;
      case 2:
        if (!read_varint(&bytes, &size)) return std::nullopt;
        [[fallthrough]];
      case 1:
      case 5:
        if (size > bytes.size()) return std::nullopt;
        f.bytes = bytes.substr(0, size);
        bytes.remove_prefix(size);
        break;
      default:
        return std::nullopt;
    }
    if (f.wire_type == 2 && f.bytes.size() > 1 && depth < kMaxDepth) {
      if (auto children = parse_protobuf(f.bytes, depth + 1)) f.children = std::move(*children);
    }
    fields.push_back(std::move(f));
  }
  return fields;
}

std::string write_protobuf(const std::vector<ProtobufField>& fields) {
  std::string out;
  for (const ProtobufField& f : fields) {
    put_varint(&out, std::uint64_t{f.number} << 3 | static_cast<std::uint64_t>(f.wire_type));
    if (f.wire_type == 0) {
      put_varint(&out, f.varint);
      continue;
    }
    const std::string inner = f.children.empty() ? f.bytes : write_protobuf(f.children);
    if (f.wire_type == 2) put_varint(&out, inner.size());
    out += inner;
  }
  return out;
}

std::string mutate_fields(std::string_view message, std::string_view other,
                          std::mt19937_64& random) {
  auto tree = parse_protobuf(message);
  auto source = parse_protobuf(other);
  if (!tree || !source) return mutate_bytes(message, other, random);
  const auto count = 1 + below(random, 4);
  for (std::uint64_t change = 0; change < count; ++change) {
    std::vector<std::vector<ProtobufField>*> lists, others;
    collect(&*tree, &lists);
    collect(&*source, &others);
    std::vector<ProtobufField>& list = *lists[below(random, lists.size())];
    if (list.empty()) continue;
    const std::size_t i = below(random, list.size());
    const auto at = list.begin() + static_cast<std::ptrdiff_t>(i);
    switch (below(random, 8)) {
      case 0:
        list.erase(at);
        break;
      case 1:
        list.insert(at, ProtobufField(*at));
        break;
      case 2:
        std::swap(list[i], list[below(random, list.size())]);
        break;
      case 3: {
        const auto& from = *others[below(random, others.size())];
        if (!from.empty()) list[i] = from[below(random, from.size())];
        break;
      }
      case 4: {  // a field of the same number, from anywhere
        for (int k = 0; k < 50; ++k) {
          const auto& from = *others[below(random, others.size())];
          if (from.empty()) continue;
          const ProtobufField& f = from[below(random, from.size())];
          if (f.number != list[i].number || f.wire_type != list[i].wire_type) continue;
          list[i] = f;
          break;
        }
        break;
      }
      default:
        if (list[i].wire_type == 0) {
          list[i].varint = odd_number(list[i].varint, random);
        } else if (list[i].wire_type == 2 && list[i].children.empty()) {
          list[i].bytes = below(random, 3) == 0 ? mutate_bytes(list[i].bytes, other, random)
                                                : other_text(lists, random);
        } else {
          list[i].number = 1 + static_cast<std::uint32_t>(below(random, 30));
        }
    }
  }
  std::string out = write_protobuf(*tree);
  if (out.size() > kMaxInput) out.resize(kMaxInput);
  return out;
}

std::string mutate_bytes(std::string_view bytes, std::string_view other, std::mt19937_64& random) {
  std::string out(bytes);
  const std::size_t at = below(random, out.size() + 1);
  const std::size_t size = 1 + below(random, std::min<std::size_t>(64, out.size() + 1));
  switch (below(random, 6)) {
    case 0:
      out.resize(at);
      break;
    case 1:
      out.erase(at, size);
      break;
    case 2:
      out.insert(at, std::string(out.substr(at, size)));
      break;
    case 3:
      if (!other.empty()) out.insert(at, other.substr(below(random, other.size()), size));
      break;
    case 4:
      if (at < out.size())
        out[at] = static_cast<char>("\x00\x01\x7f\x80\xff\xfe"[below(random, 6)]);
      break;
    default:
      for (std::uint64_t n = 1 + below(random, 8); n > 0 && !out.empty(); --n)
        out[below(random, out.size())] ^= static_cast<char>(1U << below(random, 8));
  }
  return out;
}

}  // namespace tenon::onnx
