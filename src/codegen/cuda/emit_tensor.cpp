// Tensor instructions: what each lane of a warp does, from the table of
// tenon/ir/tensor_instruction.h.

#include <cctype>

#include "codegen/cuda/emitter.h"
#include "tenon/ir/builder.h"
#include "tenon/ir/print.h"
#include "tenon/ir/visit.h"

namespace tenon::codegen::cuda {
namespace {

constexpr std::int64_t kTile = 16;

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

/// `text` with the identifier `word` replaced.
std::string replace_word(const std::string& text, const std::string& word,
                         const std::string& with) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    if (!is_word(text[i])) {
      out += text[i++];
      continue;
    }
    std::size_t end = i;
    while (end < text.size() && is_word(text[end])) ++end;
    const std::string found = text.substr(i, end - i);
    out += found == word ? with : found;
    i = end;
  }
  return out;
}

/// "tenon_ldmatrix_sync_aligned_m8n8_x4_shared_b16".
std::string function_name(const std::string& ptx) {
  std::string name = "tenon_";
  for (const char c : ptx.substr(0, ptx.find(' '))) name += is_word(c) ? c : '_';
  return name;
}

/// Registers of a lane that one register of the fragment's dtype takes: 1 for float32; two elements
/// of 2 bytes share one.
std::int64_t elements_per_register(DType t) { return 4 / t.bytes(); }

std::string ptx_function(const LaneStep& step, const TensorInstruction& t,
                         const std::string& name) {
  std::string params, outputs, inputs;
  bool has_address = false, has_input = false;
  int number = 0;
  for (const PtxOperand& p : step.operands) {
    const std::string r = "r" + std::to_string(number++);
    const auto operand = static_cast<std::size_t>(p.operand);
    params += params.empty() ? "" : ", ";
    if (p.kind == PtxOperand::Kind::kAddress) {
      params += "const void* " + r;
      inputs += std::string(inputs.empty() ? "" : ", ") +
                "\"r\"((unsigned)__cvta_generic_to_shared(" + r + "))";
      has_address = has_input = true;
      continue;
    }
    const bool is_float = t.operands[operand].dtype == kFloat32;
    const std::string letter = is_float ? "f" : "r", type = is_float ? "float" : "unsigned";
    if (p.is_written) {
      TENON_CHECK(!has_input, "results of '", name, "' come after its operands");
      params += type + "& " + r;
      outputs += (outputs.empty() ? "\"" : ", \"") + std::string(p.is_read ? "+" : "=") + letter +
                 "\"(" + r + ")";
    } else {
      params += type + " " + r;
      inputs += (inputs.empty() ? "\"" : ", \"") + letter + "\"(" + r + ")";
      has_input = true;
    }
  }
  return "__device__ inline void " + name + "(" + params + ") {\n  asm volatile(\"" + step.text +
         "\" : " + outputs + " : " + inputs + (has_address ? " : \"memory\"" : "") + ");\n}\n";
}

}  // namespace

void KernelEmitter::define_lane(const std::array<std::int64_t, 3>& block) {
  lane_ = names_.unique("lane");
  std::string thread = "(int)threadIdx.x";
  if (block[1] > 1) thread += " + (int)threadIdx.y * " + std::to_string(block[0]);
  if (block[2] > 1) thread += " + (int)threadIdx.z * " + std::to_string(block[0] * block[1]);
  line("const int " + lane_ + " = (" + thread + ") % " + std::to_string(kWarpSize) + ";");
}

void KernelEmitter::allocate_fragment(const Buffer& buffer, std::int64_t size) {
  const std::int64_t per_lane = size / kWarpSize / elements_per_register(buffer->dtype);
  TENON_CHECK(size % (kTile * kTile) == 0, "fragment '", buffer->name, "' of ", size, " elements");
  const std::string type = buffer->dtype == kFloat32 ? "float" : "unsigned";
  line(type + " " + add_buffer(buffer) + "[" + std::to_string(per_lane) + "];");
}

std::string KernelEmitter::fragment_register(const TensorOperand& operand, const TensorPlace& place,
                                             const std::string& index) {
  const auto* load = place.first.as<LoadNode>();
  const Expr& offset = load->indices[0];
  // Tiles are numbered row by row (tensor_instruction.h).
  const Expr tile = analyzer_.simplify(floordiv(offset, place.stride * kTile) *
                                           floordiv(place.stride, imm(kTile)) +
                                       floordiv(floormod(offset, place.stride), imm(kTile)));
  TENON_USER_CHECK(!uses_var(tile, [&](const VarNode& v) { return unrolled_.count(&v) == 0; }) &&
                       !has_effects_(tile.get()),
                   ScheduleError, "E1289", "buffer '", load->buffer->name,
                   "' in scope fragment is accessed at ", print(offset),
                   ", which is no constant after unrolling\n  hint: unroll the loops around it");
  keep_alive_.push_back(tile);
  const std::int64_t registers = 8 / elements_per_register(operand.dtype);
  const Expr first = analyzer_.simplify(tile * registers);
  keep_alive_.push_back(first);
  const Scalar base = emit_scalar(first);
  const std::string text = is_int(first, 0) ? index : at(base, kAdditive) + " + " + index;
  return buffers_.at(load->buffer.get()) + "[" + text + "]";
}

std::string KernelEmitter::tile_element(const TensorPlace& place, const std::string& row,
                                        const std::string& column) {
  const auto* load = place.first.as<LoadNode>();
  const Scalar first = emit_scalar(load->indices[0]), stride = emit_scalar(place.stride);
  const Scalar index = {at(first, kAdditive) + " + (" + replace_word(row, "lane", lane_) + ") * " +
                            at(stride, kUnary) + " + " + replace_word(column, "lane", lane_),
                        CType::kI32, kAdditive};
  return element(load->buffer, index);
}

void KernelEmitter::emit_ptx(const LaneStep& step, const TensorInstruction& t,
                             const std::vector<TensorPlace>& places) {
  const std::string name = function_name(step.text);
  std::string arguments;
  for (const PtxOperand& p : step.operands) {
    const auto operand = static_cast<std::size_t>(p.operand);
    arguments += arguments.empty() ? "" : ", ";
    arguments +=
        p.kind == PtxOperand::Kind::kAddress
            ? "&" + tile_element(places[operand], p.row, p.column)
            : fragment_register(t.operands[operand], places[operand], std::to_string(p.index));
  }
  line(prelude_->define_ptx(name, ptx_function(step, t, name)) + "(" + arguments + ");");
}

void KernelEmitter::emit_store_step(const TensorInstruction& t,
                                    const std::vector<TensorPlace>& places) {
  const FragmentLayout& layout = *t.operands[1].layout;
  const std::string e = names_.unique("e");
  const std::string value = fragment_register(t.operands[1], places[1], e);
  const std::string target = tile_element(places[0], replace_word(layout.row, "e", e),
                                          replace_word(layout.column, "e", e));
  line("#pragma unroll");
  open("for (int " + e + " = 0; " + e + " < 8; ++" + e + ") {");
  line(target + " = " + to_memory(prelude_, t.operands[0].dtype, {value, CType::kF32}).text + ";");
  close();
}

void KernelEmitter::emit_tensor_call(const CallNode& n, const TensorInstruction& t) {
  const std::vector<TensorPlace> places = tensor_places(t, n);
  memo_.emplace_back();
  std::vector<Expr> roots;
  for (const TensorPlace& p : places) {
    roots.push_back(p.first.as<LoadNode>()->indices[0]);
    roots.push_back(p.stride);
  }
  begin_statement(roots);
  for (const LaneStep& step : t.cuda) {
    if (step.kind == LaneStep::Kind::kPtx) {
      emit_ptx(step, t, places);
    } else if (step.kind == LaneStep::Kind::kStore) {
      emit_store_step(t, places);
    } else {
      const std::string e = names_.unique("e");
      const std::string element = fragment_register(t.operands[0], places[0], e);
      line("#pragma unroll");
      line("for (int " + e + " = 0; " + e + " < 8; ++" + e + ") " + element + " = 0.0f;");
    }
  }
  memo_.pop_back();
}

}  // namespace tenon::codegen::cuda
