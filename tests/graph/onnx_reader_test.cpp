// Models that are damaged or hostile. That sound ones are read right is shown by
// tests/python/test_onnx_reader.py.

#include <gtest/gtest.h>

#include "graph/onnx/model.h"
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
