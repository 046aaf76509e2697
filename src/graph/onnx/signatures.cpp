// What inputs the operators of ONNX take, in any version: the fewest and the most (-1: any number),
// which have one dtype: those with the same letter ('.': any), and what each may be: the sum of 1
// (floats), 2 (signed integers), 4 (unsigned ones) and 8 (bool) in base 16. The last letter and
// digit go on. From the schemas of the package onnx 1.22; tests/python/test_onnx_signatures.py
// compares.

#include <algorithm>
#include <iterator>
#include <string_view>

#include "graph/onnx/importer.h"

namespace tenon::onnx {
namespace {

struct Signature {
  std::string_view op;
  int fewest, most;
  std::string_view dtypes, kinds;
};

// clang-format off
constexpr Signature kSignatures[] = {
    {"Abs", 1, 1, "", "7"}, {"Acos", 1, 1, "", "1"}, {"Acosh", 1, 1, "", "1"}, {"Add", 2, 2, "aa", "77"},
    {"AffineGrid", 2, 2, "", "12"}, {"And", 2, 2, "aa", "88"}, {"ArgMax", 1, 1, "", "7"}, {"ArgMin", 1, 1, "", "7"},
    {"Asin", 1, 1, "", "1"}, {"Asinh", 1, 1, "", "1"}, {"Atan", 1, 1, "", "1"}, {"Atanh", 1, 1, "", "1"},
    {"Attention", 3, 7, "aac.ac", "111f112"}, {"AveragePool", 1, 1, "", "1"},
    {"BatchNormalization", 5, 5, ".bbdd", "11111"}, {"Bernoulli", 1, 1, "", "1"}, {"BitCast", 1, 1, "", "f"},
    {"BitShift", 2, 2, "aa", "44"}, {"BitwiseAnd", 2, 2, "aa", "66"}, {"BitwiseNot", 1, 1, "", "6"},
    {"BitwiseOr", 2, 2, "aa", "66"}, {"BitwiseXor", 2, 2, "aa", "66"}, {"BlackmanWindow", 1, 1, "", "2"},
    {"Cast", 1, 1, "", "f"}, {"CastLike", 2, 2, "", "ff"}, {"CausalConvWithState", 2, 4, "aaaa", "1111"},
    {"Ceil", 1, 1, "", "1"}, {"Celu", 1, 1, "", "1"}, {"CenterCropPad", 2, 2, "", "f2"}, {"Clip", 1, 3, "aaa", "777"},
    {"Col2Im", 3, 3, ".bb", "f22"}, {"Compress", 2, 2, "", "f8"}, {"Concat", 1, -1, "a", "f"},
    {"ConcatFromSequence", 1, 1, "", "f"}, {"Constant", 0, 0, "", ""}, {"ConstantOfShape", 1, 1, "", "2"},
    {"Conv", 2, 3, "aaa", "111"}, {"ConvInteger", 2, 4, "abab", "6666"}, {"ConvTranspose", 2, 3, "aaa", "111"},
    {"Cos", 1, 1, "", "1"}, {"Cosh", 1, 1, "", "1"}, {"CumProd", 2, 2, "", "72"}, {"CumSum", 2, 2, "", "72"},
    {"DFT", 1, 3, "", "122"}, {"DeformConv", 3, 5, "aaaaa", "11111"}, {"DepthToSpace", 1, 1, "", "f"},
    {"DequantizeLinear", 2, 3, "a.a", "616"}, {"Det", 1, 1, "", "1"}, {"Div", 2, 2, "aa", "77"},
    {"Dropout", 1, 3, "", "118"}, {"DynamicQuantizeLinear", 1, 1, "", "1"}, {"Einsum", 1, -1, "a", "7"},
    {"Elu", 1, 1, "", "1"}, {"Equal", 2, 2, "aa", "ff"}, {"Erf", 1, 1, "", "7"}, {"Exp", 1, 1, "", "1"},
    {"Expand", 2, 2, "", "f2"}, {"EyeLike", 1, 1, "", "f"}, {"Flatten", 1, 1, "", "f"}, {"Floor", 1, 1, "", "1"},
    {"GRU", 3, 6, "aaaa.a", "111121"}, {"Gather", 2, 2, "", "f2"}, {"GatherElements", 2, 2, "", "f2"},
    {"GatherND", 2, 2, "", "f2"}, {"Gelu", 1, 1, "", "1"}, {"Gemm", 2, 3, "aaa", "777"},
    {"GlobalAveragePool", 1, 1, "", "1"}, {"GlobalLpPool", 1, 1, "", "1"}, {"GlobalMaxPool", 1, 1, "", "1"},
    {"Greater", 2, 2, "aa", "77"}, {"GreaterOrEqual", 2, 2, "aa", "77"}, {"GridSample", 2, 2, "", "f1"},
    {"GroupNormalization", 3, 3, "aaa", "111"}, {"HammingWindow", 1, 1, "", "2"}, {"HannWindow", 1, 1, "", "2"},
    {"HardSigmoid", 1, 1, "", "1"}, {"HardSwish", 1, 1, "", "1"}, {"Hardmax", 1, 1, "", "1"},
    {"Identity", 1, 1, "", "f"}, {"If", 1, 1, "", "8"}, {"ImageDecoder", 1, 1, "", "4"},
    {"InstanceNormalization", 3, 3, "aaa", "111"}, {"IsInf", 1, 1, "", "1"}, {"IsNaN", 1, 1, "", "1"},
    {"LRN", 1, 1, "", "1"}, {"LSTM", 3, 8, "aaaa.aaa", "11112111"}, {"LayerNormalization", 2, 3, "aaa", "111"},
    {"LeakyRelu", 1, 1, "", "1"}, {"Less", 2, 2, "aa", "77"}, {"LessOrEqual", 2, 2, "aa", "77"},
    {"LinearAttention", 3, 6, "aaa.aa", "111111"}, {"Log", 1, 1, "", "1"}, {"LogSoftmax", 1, 1, "", "1"},
    {"Loop", 2, -1, "", "28f"}, {"LpNormalization", 1, 1, "", "1"}, {"LpPool", 1, 1, "", "1"},
    {"MatMul", 2, 2, "aa", "77"}, {"MatMulInteger", 2, 4, "abab", "6666"}, {"Max", 1, -1, "a", "7"},
    {"MaxPool", 1, 1, "", "7"}, {"MaxRoiPool", 2, 2, "aa", "11"}, {"MaxUnpool", 2, 3, ".bb", "122"},
    {"Mean", 1, -1, "a", "1"}, {"MeanVarianceNormalization", 1, 1, "", "1"},
    {"MelWeightMatrix", 5, 5, "aaadd", "22211"}, {"Min", 1, -1, "a", "7"}, {"Mish", 1, 1, "", "1"},
    {"Mod", 2, 2, "aa", "77"}, {"Mul", 2, 2, "aa", "77"}, {"Multinomial", 1, 1, "", "1"}, {"Neg", 1, 1, "", "3"},
    {"NegativeLogLikelihoodLoss", 2, 3, "a.a", "121"}, {"NonMaxSuppression", 2, 5, "aa.aa", "11211"},
    {"NonZero", 1, 1, "", "f"}, {"Not", 1, 1, "", "8"}, {"OneHot", 3, 3, "", "77f"}, {"Optional", 0, 1, "", "f"},
    {"OptionalGetElement", 1, 1, "", "f"}, {"OptionalHasElement", 0, 1, "", "f"}, {"Or", 2, 2, "aa", "88"},
    {"PRelu", 2, 2, "aa", "77"}, {"Pad", 1, 4, "a.a", "f2f2"}, {"Pow", 2, 2, "", "37"},
    {"QLinearConv", 8, 9, "abadbdb", "616616162"}, {"QLinearMatMul", 8, 8, "abadbdb", "61661616"},
    {"QuantizeLinear", 2, 3, "", "336"}, {"RMSNormalization", 2, 2, "", "11"}, {"RNN", 3, 6, "aaaa.a", "111121"},
    {"RandomNormal", 0, 0, "", ""}, {"RandomNormalLike", 1, 1, "", "f"}, {"RandomUniform", 0, 0, "", ""},
    {"RandomUniformLike", 1, 1, "", "f"}, {"Range", 3, 3, "aaa", "333"}, {"Reciprocal", 1, 1, "", "1"},
    {"ReduceL1", 1, 2, "", "72"}, {"ReduceL2", 1, 2, "", "72"}, {"ReduceLogSum", 1, 2, "", "72"},
    {"ReduceLogSumExp", 1, 2, "", "72"}, {"ReduceMax", 1, 2, "", "f2"}, {"ReduceMean", 1, 2, "", "72"},
    {"ReduceMin", 1, 2, "", "f2"}, {"ReduceProd", 1, 2, "", "72"}, {"ReduceSum", 1, 2, "", "72"},
    {"ReduceSumSquare", 1, 2, "", "72"}, {"RegexFullMatch", 1, 1, "", "0"}, {"Relu", 1, 1, "", "3"},
    {"Reshape", 1, 2, "", "f2"}, {"Resize", 1, 4, "", "f112"}, {"ReverseSequence", 2, 2, "", "f2"},
    {"RoiAlign", 3, 3, "aa", "112"}, {"RotaryEmbedding", 3, 4, "aaa", "1112"}, {"Round", 1, 1, "", "1"},
    {"STFT", 2, 4, "abab", "1212"}, {"Scan", 1, -1, "", "ff"}, {"Scatter", 3, 3, "a.a", "f2f"},
    {"ScatterElements", 3, 3, "a.a", "f2f"}, {"ScatterND", 3, 3, "a.a", "f2f"}, {"Selu", 1, 1, "", "1"},
    {"SequenceAt", 2, 2, "", "f2"}, {"SequenceConstruct", 1, -1, "a", "f"}, {"SequenceEmpty", 0, 0, "", ""},
    {"SequenceErase", 1, 2, "", "f2"}, {"SequenceInsert", 2, 3, "", "ff2"}, {"SequenceLength", 1, 1, "", "f"},
    {"SequenceMap", 1, -1, "", "ff"}, {"Shape", 1, 1, "", "f"}, {"Shrink", 1, 1, "", "7"}, {"Sigmoid", 1, 1, "", "1"},
    {"Sign", 1, 1, "", "7"}, {"Sin", 1, 1, "", "1"}, {"Sinh", 1, 1, "", "1"}, {"Size", 1, 1, "", "f"},
    {"Slice", 1, 5, ".bbbb", "f2222"}, {"Softmax", 1, 1, "", "1"}, {"SoftmaxCrossEntropyLoss", 2, 3, "a.a", "121"},
    {"Softplus", 1, 1, "", "1"}, {"Softsign", 1, 1, "", "1"}, {"SpaceToDepth", 1, 1, "", "f"},
    {"Split", 1, 2, "", "f3"}, {"SplitToSequence", 1, 2, "", "f2"}, {"Sqrt", 1, 1, "", "1"},
    {"Squeeze", 1, 2, "", "f2"}, {"StringConcat", 2, 2, "aa", "00"}, {"StringNormalizer", 1, 1, "", "0"},
    {"StringSplit", 1, 1, "", "0"}, {"Sub", 2, 2, "aa", "77"}, {"Sum", 1, -1, "a", "1"}, {"Swish", 1, 1, "", "1"},
    {"Tan", 1, 1, "", "1"}, {"Tanh", 1, 1, "", "1"}, {"TensorScatter", 2, 3, "aa", "ff2"},
    {"TfIdfVectorizer", 1, 1, "", "2"}, {"ThresholdedRelu", 1, 1, "", "1"}, {"Tile", 2, 3, "aba", "f31"},
    {"TopK", 1, 2, "", "72"}, {"Transpose", 1, 1, "", "f"}, {"Trilu", 1, 2, "", "f2"}, {"Unique", 1, 1, "", "f"},
    {"Unsqueeze", 1, 2, "", "f2"}, {"Upsample", 1, 2, "", "f1"}, {"Where", 3, 3, ".bb", "8ff"},
    {"Xor", 2, 2, "aa", "88"},
};
// clang-format on

int kind_of(DType t) { return t.is_float() ? 1 : t.is_signed_int() ? 2 : t.is_bool() ? 8 : 4; }

const Signature* signature_of(const Node& node) {
  const auto* row =
      std::lower_bound(std::begin(kSignatures), std::end(kSignatures), node.op_type,
                       [](const Signature& s, const std::string& op) { return s.op < op; });
  return row == std::end(kSignatures) || row->op != node.op_type ? nullptr : row;
}

std::string inputs_text(const Signature& s) {
  const std::string end = s.fewest == 1 && s.most == 1 ? " input" : " inputs";
  if (s.most < 0) return detail::concat("at least ", s.fewest, end);
  if (s.most == s.fewest) return detail::concat(s.fewest, end);
  return detail::concat(s.fewest, " to ", s.most, end);
}

}  // namespace

void check_num_inputs(const NodeView& n) {
  const Signature* row = signature_of(n.node());
  if (row == nullptr) return;
  const auto count = static_cast<std::int64_t>(n.num_inputs());
  if (count < row->fewest || (row->most >= 0 && count > row->most))
    n.invalid(detail::concat("expected ", inputs_text(*row), ", got ", count));
}

void check_dtypes(const NodeView& n) {
  const Signature* row = signature_of(n.node());
  if (row == nullptr) return;
  std::map<char, std::size_t> first;
  const auto at = [](std::string_view row_of, std::size_t i) {
    return row_of.empty() ? '.' : row_of[std::min(i, row_of.size() - 1)];
  };
  for (std::size_t i = 0; i < n.num_inputs(); ++i) {
    if (!n.has(i) || !n.entry(i).value) continue;
    const DType dtype = n.in(i)->dtype;
    const char digit = at(row->kinds, i);
    const int allowed = digit >= 'a' ? digit - 'a' + 10 : digit - '0';
    if (digit != '.' && (allowed & kind_of(dtype)) == 0)
      n.invalid(detail::concat("input ", i, " is of ", to_string(dtype),
                               ", which the operator does not take"));
    const char letter = i < row->dtypes.size() || row->most < 0 ? at(row->dtypes, i) : '.';
    if (letter == '.') continue;
    const std::size_t other = first.emplace(letter, i).first->second;
    if (dtype != n.in(other)->dtype)
      n.invalid(detail::concat("inputs ", other, " and ", i, " have different dtypes, ",
                               to_string(n.in(other)->dtype), " and ", to_string(dtype)));
  }
}

}  // namespace tenon::onnx
