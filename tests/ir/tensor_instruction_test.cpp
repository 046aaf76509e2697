// Tensor instructions: their semantics, and what the lanes of a warp hold. The registers that the
// PTX of a load fills, by the documented layout of ldmatrix, are those of the fragment's layout.

#include "tenon/ir/tensor_instruction.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "ir/transform/lower_blocks.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/function.h"
#include "tenon/ir/interpret.h"
#include "tenon/ir/parse.h"
#include "tenon/ir/print.h"
#include "tenon/ir/structural.h"

namespace tenon {
namespace {

/// The value of a C expression over `lane` and `e`: + * / %, all with integers, left to right.
class Formula {
 public:
  static int value(const char* text, int lane, int e) {
    Formula f{text, lane, e};
    return f.sum();
  }

 private:
  Formula(const char* text, int lane, int e) : at_(text), lane_(lane), e_(e) {}
  int sum() {
    int v = product();
    while (accept('+')) v += product();
    return v;
  }
  int product() {
    int v = atom();
    for (;;) {
      if (accept('*')) {
        v *= atom();
      } else if (accept('/')) {
        v /= atom();
      } else if (accept('%')) {
        v %= atom();
      } else {
        return v;
      }
    }
  }
  int atom() {
    skip();
    if (std::string(at_).rfind("lane", 0) == 0) {
      at_ += 4;
      return lane_;
    }
    if (*at_ == 'e') {
      ++at_;
      return e_;
    }
    EXPECT_TRUE(std::isdigit(*at_)) << at_;
    int v = 0;
    while (std::isdigit(*at_)) v = 10 * v + (*at_++ - '0');
    return v;
  }
  bool accept(char c) {
    skip();
    if (*at_ != c) return false;
    ++at_;
    return true;
  }
  void skip() {
    while (*at_ == ' ') ++at_;
  }
  const char* at_;
  int lane_, e_;
};

using Element = std::pair<int, int>;

Element element_of(const FragmentLayout& layout, int lane, int e) {
  return {Formula::value(layout.row, lane, e), Formula::value(layout.column, lane, e)};
}

TEST(TensorInstruction, lanes_hold_each_element_once) {
  for (const FragmentLayout* layout : {&kAccumulatorLayout, &kLeftLayout, &kRightLayout}) {
    std::set<Element> held;
    for (int lane = 0; lane < 32; ++lane) {
      for (int e = 0; e < 8; ++e) held.insert(element_of(*layout, lane, e));
    }
    EXPECT_EQ(held.size(), 256U) << layout->name;
    EXPECT_EQ(*held.begin(), Element(0, 0));
    EXPECT_EQ(*held.rbegin(), Element(15, 15));
  }
}

TEST(TensorInstruction, loads_fill_the_registers_of_the_layout) {
  for (const char* name :
       {"load_a_bf16", "load_a_transposed_f16", "load_b_f16", "load_b_transposed_bf16"}) {
    const TensorInstruction& t = *find_tensor_instruction(name);
    const bool transposed = t.name.find("transposed") != std::string::npos;
    const LaneStep& step = t.cuda.at(0);
    const bool trans = step.text.find(".trans") != std::string::npos;
    const PtxOperand& address = step.operands.at(4);
    for (int lane = 0; lane < 32; ++lane) {
      for (int e = 0; e < 8; ++e) {
        // Element e is half e % 2 of register e / 2, which is matrix e / 2. A lane gets elements
        // 2 * (lane % 4) and the next of row lane / 4 of the matrix, or of its transpose.
        const int matrix = e / 2, along = lane / 4, across = lane % 4 * 2 + e % 2;
        const int row = trans ? across : along, column = trans ? along : across;
        const int giver = 8 * matrix + row;
        Element stored = {Formula::value(address.row, giver, 0),
                          Formula::value(address.column, giver, 0) + column};
        if (transposed) std::swap(stored.first, stored.second);
        EXPECT_EQ(stored, element_of(*t.operands[0].layout, lane, e)) << name << " " << lane;
      }
    }
  }
}

/// D of mma.sync.m16n8k16 by its documented layout: which (lane, register) hold what of A, B, C.
TEST(TensorInstruction, multiply_uses_the_registers_of_mma) {
  const TensorInstruction& t = *find_tensor_instruction("mma_16x16x16_bf16");
  ASSERT_EQ(t.cuda.size(), 2U);
  for (int half = 0; half < 2; ++half) {
    const LaneStep& step = t.cuda[static_cast<std::size_t>(half)];
    for (int lane = 0; lane < 32; ++lane) {
      const int group = lane / 4, pair = lane % 4 * 2;
      for (int c = 0; c < 4; ++c) {
        const PtxOperand& o = step.operands[static_cast<std::size_t>(c)];
        EXPECT_EQ(element_of(kAccumulatorLayout, lane, o.index),
                  Element(group + c / 2 * 8, pair + c % 2 + 8 * half));
      }
      for (int a = 0; a < 8; ++a) {
        const PtxOperand& o = step.operands[static_cast<std::size_t>(4 + a / 2)];
        EXPECT_EQ(element_of(kLeftLayout, lane, 2 * o.index + a % 2),
                  Element(group + a / 2 % 2 * 8, pair + a % 2 + a / 4 * 8));
      }
      for (int b = 0; b < 4; ++b) {
        const PtxOperand& o = step.operands[static_cast<std::size_t>(8 + b / 2)];
        EXPECT_EQ(element_of(kRightLayout, lane, 2 * o.index + b % 2),
                  Element(pair + b % 2 + b / 2 * 8, group + 8 * half));
      }
    }
  }
}

TEST(TensorInstruction, table_is_whole) {
  std::string names;
  for (const TensorInstruction* t : tensor_instructions()) {
    names += t->name + " ";
    EXPECT_EQ(t->tiles.size(), t->operands.size());
    for (const TensorOperand& o : t->operands) {
      const bool fragment = o.scopes[0] == Scope::kFragment;
      EXPECT_EQ(fragment, o.layout != nullptr) << t->name;
    }
    for (const LaneStep& s : t->cuda) {
      for (std::size_t i = 0; i < s.operands.size(); ++i)
        EXPECT_NE(s.text.find("%" + std::to_string(i)), std::string::npos) << t->name;
    }
  }
  EXPECT_EQ(names,
            "fill_zero_f32 load_a_bf16 load_a_f16 load_a_transposed_bf16 load_a_transposed_f16 "
            "load_b_bf16 load_b_f16 load_b_transposed_bf16 load_b_transposed_f16 "
            "mma_16x16x16_bf16 mma_16x16x16_f16 store_bf16 store_f16 store_f32 ");
  EXPECT_EQ(find_tensor_instruction("mma_8x8x8"), nullptr);
}

TEST(TensorInstruction, call_stands_for_the_loops_of_its_semantics) {
  const TensorInstruction& t = *find_tensor_instruction("store_bf16");
  const Buffer d = make_buffer("D", DType::bfloat16(), {imm(1024)}),
               c = make_buffer("C", kFloat32, {imm(512)}, Scope::kFragment);
  const Stmt call = tensor_call(t, {{load(d, {imm(16)}), imm(64)}, {load(c, {imm(0)}), imm(16)}});
  EXPECT_EQ(print(call), "evaluate store_bf16(D[16], C[0], 64, 16)\n");
  EXPECT_EQ(tensor_instruction_of(*call.get()), &t);
  const Stmt loops = expand_tensor_call(*call.as<EvaluateNode>()->value.as<CallNode>());
  EXPECT_EQ(print(loops), R"(for i in 0..16
  for j in 0..16
    D[16 + i * 64 + j] = bfloat16(C[i * 16 + j])
)");
  EXPECT_EQ(tensor_instruction_of(*loops.get()), nullptr);
}

/// A tile of B through shared memory into a fragment and out of it, in one warp.
std::string kernel(const std::string& align, const std::string& copy, const std::string& lanes) {
  return R"(function kernel(B: bfloat16[64, 64]) -> (C: float32[64, 64])
  alloc S: bfloat16[64, 64] shared
  alloc F: bfloat16[64, 64] fragment
  alloc G: float32[64, 64] fragment
  thread for tx in 0..)" +
         lanes + R"( on "threadIdx.x"
    for io in 0..4
      for jo in 0..4
        for i in 0..16
          for j in 0..16
            block S )" +
         align + R"(
              spatial vi in 0..64 = io * 16 + i
              spatial vj in 0..64 = jo * 16 + j
              reads B[vi, vj]
              writes S[vi, vj]
              S[vi, vj] = B[vi, vj]
        block F )" +
         copy + R"(
          spatial vi in 0..4 = io
          spatial vj in 0..4 = jo
          reads S[vi * 16..vi * 16 + 16, vj * 16..vj * 16 + 16]
          writes F[vi * 16..vi * 16 + 16, vj * 16..vj * 16 + 16]
          for i in 0..16
            for j in 0..16
              F[vi * 16 + i, vj * 16 + j] = S[vi * 16 + i, vj * 16 + j]
)";
}

std::string lowered(const std::string& text) {
  const std::string all = print(lower_blocks(parse_function(text)));
  return all.substr(all.find("        evaluate"));
}

std::string error_of(const std::string& text) {
  try {
    lower_blocks(parse_function(text));
  } catch (const ScheduleError& e) {
    const std::string what = e.what();
    return what.substr(0, what.find('\n'));
  }
  return "nothing was raised";
}

const std::string kLoadB = "{tensor_instruction=\"load_b_bf16\"}";

TEST(LowerTensorBlock, becomes_a_call_with_the_strides_of_the_buffers) {
  EXPECT_EQ(lowered(kernel("", kLoadB, "32")),
            "        evaluate load_b_bf16(F[0, 0], S[0, 0], 16, 16)\n");
  EXPECT_EQ(lowered(kernel("{storage_align=\"0:64:8\"}", kLoadB, "32")),
            "        evaluate load_b_bf16(F[0, 0], S[0, 0], 16, 72)\n");
}

TEST(LowerTensorBlock, refuses) {
  EXPECT_EQ(
      error_of(kernel("", kLoadB, "16")),
      "tensor instruction load_b_bf16 is in a kernel with 16 threads on threadIdx.x, should be "
      "in one with 32 [E0280]");
  EXPECT_EQ(error_of(kernel("", "", "32")),
            "fragment 'F' is touched by something else than a tensor instruction [E0281]");
  EXPECT_EQ(error_of(kernel("", "{tensor_instruction=\"store_f32\"}", "32")),
            "block 'F' is no longer the tensor instruction store_f32: operand D is buffer 'F' of "
            "bfloat16, should be float32 [E1275]");
  EXPECT_EQ(error_of(kernel("", "{tensor_instruction=\"unknown\"}", "32")),
            "block 'F' is marked as a tensor instruction that does not exist [E1275]");
  EXPECT_EQ(error_of(kernel("{storage_align=\"0:64:9\"}", kLoadB, "32")),
            "block 'F': operand B_shared of load_b_bf16 is buffer 'S' of 2 dimensions, rows 73 "
            "elements apart: rows should begin at multiples of 8 elements [E1276]");
}

}  // namespace
}  // namespace tenon
