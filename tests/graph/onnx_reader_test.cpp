// Models that are damaged or hostile. That sound ones are read right is shown by
// tests/python/test_onnx_reader.py.

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "graph/onnx/model.h"
#include "graph/onnx/tensor_data.h"
#include "tenon/support/error.h"

namespace tenon::onnx {
namespace {

std::string varint(std::uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7U) out += static_cast<char>((value & 0x7fU) | 0x80U);
  return out + static_cast<char>(value);
}
std::string number(int field, std::uint64_t value) {
  return varint(static_cast<std::uint64_t>(field) << 3U) + varint(value);
}
std::string bytes(int field, const std::string& content) {
  return varint((static_cast<std::uint64_t>(field) << 3U) | 2U) + varint(content.size()) + content;
}

/// A model of two nodes, an initializer, a function, and something of every kind.
std::string small_model() {
  const std::string shape = bytes(1, number(1, 3)) + bytes(1, bytes(2, "n"));
  const std::string type = bytes(1, number(1, 1) + bytes(2, shape));
  const std::string value = bytes(1, "x") + bytes(2, type);
  const std::string tensor =
      bytes(1, varint(2)) + number(2, 1) + bytes(8, "w") + bytes(9, "12345678");
  const std::string axes = bytes(1, "axes") + bytes(8, varint(1) + varint(2)) + number(20, 7);
  const std::string node = bytes(1, "x") + bytes(2, "y") + bytes(4, "Relu") + bytes(5, axes);
  const std::string branch = bytes(1, "then") + bytes(6, bytes(1, node)) + number(20, 5);
  const std::string choice = bytes(1, "y") + bytes(2, "z") + bytes(4, "If") + bytes(5, branch);
  const std::string graph = bytes(1, node) + bytes(1, choice) + bytes(2, "g") + bytes(5, tensor) +
                            bytes(11, value) + bytes(12, value);
  const std::string function = bytes(1, "f") + bytes(4, "a") + bytes(5, "b") + bytes(7, node);
  return number(1, 10) + bytes(7, graph) + bytes(8, number(2, 21)) + bytes(25, function);
}

std::string refusal(const std::string& model) {
  try {
    read_model(model, "m.onnx");
  } catch (const ModelError& e) {
    return e.what();
  }
  return "it was read";
}

TEST(OnnxReader, texts_are_utf8_and_bytes_are_not_looked_at) {
  const auto named = [](const std::string& name) {
    return number(1, 10) + bytes(7, bytes(2, name)) + bytes(8, number(2, 21));
  };
  for (const char* fine : {"g", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80"})
    EXPECT_EQ(read_model(named(fine), "m.onnx").graph.name, fine);
  for (const char* wrong : {"\x80", "\xc0\x80", "\xc3", "\xe2\x82", "\xed\xa0\x80",
                            "\xf5\x80\x80\x80", "\xf4\x90\x80\x80", "\xe0\x80\x80", "a\xff"})
    EXPECT_EQ(refusal(named(wrong)), "m.onnx, byte 4: the text in field 2 is no UTF-8 [E0870]");
  const std::string attribute = bytes(5, bytes(1, "mode") + bytes(4, "\xff\x80") + number(20, 3));
  const std::string node = bytes(1, bytes(4, "Resize") + attribute);
  EXPECT_EQ(refusal(number(1, 10) + bytes(7, node) + bytes(8, number(2, 21))), "it was read");
}

TEST(OnnxReader, sees_every_kind_of_field) {
  const std::string text = small_model();
  const Model model = read_model(text, "m.onnx");
  EXPECT_EQ(model.ir_version, 10);
  EXPECT_EQ(model.opsets.at(""), 21);
  ASSERT_EQ(model.graph.nodes.size(), 2u);
  const auto& branch = model.graph.nodes[1].attributes.at(0).value;
  EXPECT_EQ(std::get<std::shared_ptr<const Graph>>(branch)->nodes.at(0).op_type, "Relu");
  EXPECT_EQ(*model.graph.initializers.at(0).raw, "12345678");
  EXPECT_EQ(std::get<std::string>(model.graph.inputs.at(0).type.shape->at(1)), "n");
  EXPECT_EQ(model.functions.at(0).name, "f");
}

TEST(OnnxReader, names_what_is_damaged_and_where) {
  EXPECT_EQ(refusal("\xff"),
            "m.onnx, byte 0: an integer is cut off by the end of its message [E0870]");
  EXPECT_EQ(refusal(std::string(12, '\xff')),
            "m.onnx, byte 0: an integer has more than 10 bytes [E0870]");
  EXPECT_EQ(refusal(number(1, 10) + "\x3b"),
            "m.onnx, byte 2: field 7 has the wire type 3, expected 0, 1, 2 or 5 [E0870]");
  EXPECT_EQ(refusal(varint(2)), "m.onnx, byte 0: field number 0 does not exist [E0870]");
  EXPECT_EQ(refusal(bytes(7, "abcd").substr(0, 4)),
            "m.onnx, byte 0: field 7 has 4 bytes, but its message ends after 2 [E0870]");
  EXPECT_EQ(refusal(bytes(1, "ten")),
            "m.onnx, byte 0: field 1 has the wire type 2, expected 0 [E0870]");
  EXPECT_EQ(refusal(bytes(7, bytes(5, bytes(4, "123")))),
            "m.onnx, byte 4: field 4 has 3 bytes, which is no multiple of 4 [E0870]");
}

TEST(OnnxReader, names_what_is_no_model) {
  EXPECT_EQ(refusal(""), "m.onnx, byte 0: there is no graph in it, so it is no ONNX model [E0871]");
  EXPECT_EQ(refusal(bytes(7, "") + bytes(7, "")), "m.onnx, byte 2: a second graph [E0871]");
  const std::string negative = bytes(8, "w") + number(1, static_cast<std::uint64_t>(-3));
  EXPECT_EQ(refusal(bytes(7, bytes(5, negative))),
            "m.onnx, byte 18: tensor 'w' has a dimension of -3 [E0871]");
  EXPECT_EQ(refusal(bytes(7, bytes(5, number(14, 1)))),
            "m.onnx, byte 6: tensor '' is external, but says not where [E0871]");
  const std::string offset = bytes(13, bytes(1, "offset") + bytes(2, "-1"));
  EXPECT_EQ(
      refusal(bytes(7, bytes(5, offset))),
      "m.onnx, byte 4: external data has the offset '-1', expected a number of bytes [E0871]");
  EXPECT_EQ(refusal(bytes(7, bytes(1, bytes(5, number(20, 99))))),
            "m.onnx, byte 9: attribute '' has the type 99, which Tenon does not know [E0871]");
  EXPECT_EQ(refusal(bytes(7, bytes(1, bytes(5, number(20, 5))))),
            "m.onnx, byte 9: attribute '' has no graph [E0871]");
}

TEST(OnnxReader, bounds_depth_and_memory) {
  std::string graph, type;
  for (int i = 0; i < 65; ++i) graph = bytes(1, bytes(5, bytes(6, graph)));
  EXPECT_NE(refusal(bytes(7, graph)).find("graphs or types are nested deeper than 64 [E0873]"),
            std::string::npos);
  for (int i = 0; i < 65; ++i) type = bytes(4, bytes(1, type));
  EXPECT_NE(refusal(bytes(7, bytes(11, bytes(2, type)))).find("[E0873]"), std::string::npos);
  std::string nodes;
  for (int i = 0; i < 1 << 20; ++i) nodes += bytes(1, "");
  EXPECT_NE(refusal(bytes(7, nodes)).find("which no sound model does [E0872]"), std::string::npos);
}

/// A folder that goes with the test.
class Folder {
 public:
  Folder() : path_(std::filesystem::temp_directory_path() / ("onnx_" + std::to_string(getpid()))) {
    std::filesystem::create_directories(path_ / "data");
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }
  void write(const std::string& name, const std::string& content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
  }
  /// The array of float32[2] at `location`, or the error.
  std::string read(const std::string& location, std::int64_t offset = 0,
                   std::optional<std::int64_t> length = std::nullopt) const {
    Tensor tensor;
    tensor.name = "w";
    tensor.dims = {2};
    tensor.type = DataType::kFloat;
    tensor.external = ExternalData{location, offset, length};
    const auto open = [&](const std::string& l) { return open_beneath(path_.string(), l); };
    try {
      const Array array = to_array(tensor, {"m.onnx", nullptr, open});
      return std::to_string(array.data<float>()[0]) + " " + std::to_string(array.data<float>()[1]);
    } catch (const ModelError& e) {
      const std::string text = e.what();
      const std::size_t at = text.find(path_.string());
      return at == std::string::npos
                 ? text
                 : text.substr(0, at) + "F" + text.substr(at + path_.string().size());
    }
  }

 private:
  std::filesystem::path path_;
};

TEST(OnnxExternalData, is_read_beneath_the_folder_only) {
  const Folder folder;
  const float values[] = {0, 1.5F, -2};
  folder.write("data/w", std::string(reinterpret_cast<const char*>(values), sizeof values));
  EXPECT_EQ(folder.read("data/w", 4), "1.500000 -2.000000");
  EXPECT_EQ(folder.read("./data//w", 4, 8), "1.500000 -2.000000");
  EXPECT_EQ(
      folder.read("/etc/passwd"),
      "external data at '/etc/passwd': the path should be relative to the model's folder [E0875]");
  EXPECT_EQ(folder.read("data/../../w"),
            "external data at 'data/../../w': the path leads out of the model's folder [E0875]");
  EXPECT_EQ(folder.read("./"), "external data at './': the path names no file [E0875]");
  EXPECT_EQ(folder.read(std::string("w\0", 2)),
            "external data at 'w': the path holds a null byte [E0875]");
  EXPECT_EQ(folder.read("data/v"),
            "external data at 'F/data/v' cannot be opened: No such file or directory [E0876]");
  EXPECT_EQ(folder.read("data"), "'F/data' should be a regular file [E0876]");
}

TEST(OnnxExternalData, is_no_link_and_no_pipe) {
  const Folder folder;
  folder.write("w", "12345678");
  std::filesystem::create_symlink("w", folder.path() / "link");
  std::filesystem::create_directory_symlink("data", folder.path() / "linked");
  folder.write("data/w", "12345678");
  std::filesystem::create_hard_link(folder.path() / "w", folder.path() / "hard");
  ASSERT_EQ(mkfifo((folder.path() / "pipe").c_str(), 0600), 0);
  const std::string no_link =
      " cannot be opened: a part of the path is a link or no folder [E0876]";
  EXPECT_EQ(folder.read("link"), "external data at 'F/link'" + no_link);
  EXPECT_EQ(folder.read("linked/w"), "external data at 'F/linked/w'" + no_link);
  EXPECT_EQ(folder.read("hard"),
            "external data at 'F/hard' should be a file with one name, got one with 2 hard links "
            "[E0876]");
  EXPECT_EQ(folder.read("pipe"), "'F/pipe' should be a regular file [E0876]");
}

TEST(OnnxExternalData, has_the_length_of_its_tensor) {
  const Folder folder;
  folder.write("w", "12345678");
  EXPECT_EQ(folder.read("w", 4),
            "m.onnx: tensor 'w': its data are bytes 4 to 12 of 'w', which has 8 [E0877]");
  EXPECT_EQ(folder.read("w", 0, 4),
            "m.onnx: tensor 'w': 4 bytes of data, expected 8 for 2 elements of float32 [E0877]");
  folder.write("empty", "");
  EXPECT_EQ(folder.read("empty"),
            "m.onnx: tensor 'w': its data are bytes 0 to 8 of 'empty', which has 0 [E0877]");
  Tensor huge;
  huge.dims = {std::int64_t{1} << 40, std::int64_t{1} << 40};
  huge.type = DataType::kDouble;
  EXPECT_THROW(to_array(huge, {}), ModelError);
  huge.dims = {3};
  huge.doubles = {1, 2};
  EXPECT_THROW(to_array(huge, {}), ModelError);
}

TEST(OnnxReader, survives_every_changed_byte_and_every_truncation) {
  const std::string model = small_model();
  int refused = 0;
  for (std::size_t i = 0; i < model.size(); ++i) {
    refused += refusal(model.substr(0, i)) == "it was read" ? 0 : 1;
    for (int change = 1; change < 256; ++change) {
      std::string changed = model;
      changed[i] = static_cast<char>(changed[i] ^ change);
      refused += refusal(changed) == "it was read" ? 0 : 1;
    }
  }
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace tenon::onnx
