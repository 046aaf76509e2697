#include <algorithm>
#include <limits>

#include "codegen/aot/c_header_text.h"
#include "codegen/aot/exported_functions.h"
#include "codegen/aot/identifiers.h"
#include "tenon/codegen/aot.h"
#include "tenon/runtime/array.h"
#include "tenon/support/error.h"

namespace tenon {
namespace codegen {
namespace {

/// A header without what ties it to its folder.
std::string standalone(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size() - 1);
    const std::string_view line = text.substr(0, end + 1);
    text.remove_prefix(end + 1);
    if (!line.starts_with("#pragma once") && !line.starts_with("#include \"tenon/")) out += line;
  }
  return out;
}

std::string replaced(std::string_view text, char what, const std::string& by) {
  std::string out;
  for (const char c : text) out += c == what ? by : std::string(1, c);
  return out;
}

/// The C type of elements. 16-bit floats have none that every compiler knows.
std::string element_type(DType t) {
  const std::string bits = std::to_string(t.bits);
  if (t.code == DTypeCode::kBool) return "uint8_t";
  if (t.code == DTypeCode::kInt) return "int" + bits + "_t";
  if (t == kFloat32) return "float";
  if (t == kFloat64) return "double";
  return "uint" + bits + "_t";
}

/// Sizes of the plan in terms of its symbols.
class Sizes {
 public:
  Sizes(const Plan& plan, std::vector<std::string> symbol_names)
      : plan_(plan), names_(std::move(symbol_names)) {}

  /// False when a size is no expression of symbols, or too large a one to be written out.
  bool is_known(PlanRegister reg, int depth = 0) const {
    if (symbol(reg) != nullptr) return true;
    if (depth == kMaxDepth) return false;
    const plan_format::Instruction& x = plan_.program.instructions().at(reg);
    const auto op = static_cast<PlanOp>(x.op);
    if (op == PlanOp::kConstant) return true;
    if (op == PlanOp::kDim) return false;
    return is_known(x.a, depth + 1) && is_known(x.b, depth + 1) &&
           (op != PlanOp::kSelect || is_known(x.c, depth + 1));
  }

  std::string text(PlanRegister reg) const {
    if (const std::string* name = symbol(reg)) return *name;
    const plan_format::Instruction& x = plan_.program.instructions().at(reg);
    const auto two = [&](const char* op) { return "(" + text(x.a) + op + text(x.b) + ")"; };
    const auto call = [&](const char* function) {
      return std::string(function) + "(" + text(x.a) + ", " + text(x.b) + ")";
    };
    switch (static_cast<PlanOp>(x.op)) {
      case PlanOp::kConstant:
        return std::to_string(x.imm);
      case PlanOp::kAdd:
        return two(" + ");
      case PlanOp::kSub:
        return two(" - ");
      case PlanOp::kMul:
        return two(" * ");
      case PlanOp::kFloorDiv:
        return call("tenon_floor_div");
      case PlanOp::kFloorMod:
        return "(" + text(x.a) + " - " + call("tenon_floor_div") + " * " + text(x.b) + ")";
      case PlanOp::kMin:
        return "(" + text(x.a) + " < " + text(x.b) + " ? " + text(x.a) + " : " + text(x.b) + ")";
      case PlanOp::kMax:
        return "(" + text(x.a) + " > " + text(x.b) + " ? " + text(x.a) + " : " + text(x.b) + ")";
      case PlanOp::kLess:
        return two(" < ");
      case PlanOp::kLessEqual:
        return two(" <= ");
      case PlanOp::kEqual:
        return two(" == ");
      case PlanOp::kNotEqual:
        return two(" != ");
      case PlanOp::kSelect:
        return "(" + text(x.a) + " ? " + text(x.b) + " : " + text(x.c) + ")";
      case PlanOp::kDim:
        break;
    }
    TENON_CHECK(false, "a size that is no expression of symbols");
    return "";
  }

 private:
  static constexpr int kMaxDepth = 6;
  const std::string* symbol(PlanRegister reg) const {
    for (std::size_t i = 0; i < plan_.symbols.size(); ++i) {
      if (plan_.symbols[i].reg == reg) return &names_[i];
    }
    return nullptr;
  }
  const Plan& plan_;
  std::vector<std::string> names_;
};

constexpr std::string_view kHelpers = R"(#ifndef TENON_MODEL_HELPERS
#define TENON_MODEL_HELPERS

/// A row-major array in host memory.
static inline DLTensor tenon_host_tensor(const void* data, DLDataTypeCode code, uint8_t bits,
                                         int32_t rank, int64_t* shape) {
  DLTensor tensor;
  tensor.data = (void*)data;
  tensor.device.device_type = kDLCPU;
  tensor.device.device_id = 0;
  tensor.ndim = rank;
  tensor.dtype.code = (uint8_t)code;
  tensor.dtype.bits = bits;
  tensor.dtype.lanes = 1;
  tensor.shape = shape;
  tensor.strides = 0;
  tensor.byte_offset = 0;
  return tensor;
}

/// a / b rounded down; 0 when b is 0.
static inline int64_t tenon_floor_div(int64_t a, int64_t b) {
  const int64_t q = b == 0 ? 0 : a / b;
  return b != 0 && a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

#endif
)";

class HeaderWriter {
 public:
  explicit HeaderWriter(const LibraryParts& parts) : parts_(parts), plan_(parts.plan) {}

  std::string write() {
    for (const PlanSymbol& s : plan_.symbols) symbols_.push_back(names_.make(s.name));
    for (const auto* list : {&plan_.inputs, &plan_.results}) {
      for (const PlanArgument& a : *list) arguments_.push_back({&a, names_.make(a.name)});
    }
    const std::string guard = "TENON_MODEL_HEADER_" + parts_.name;
    return top() + "#ifndef " + guard + "\n#define " + guard + "\n" + standalone(kDlpackText) +
           standalone(kKernelAbiText) + standalone(kCTypesText) + "\n" + std::string(kHelpers) +
           "\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n" + functions() + typed_run() +
           "\n#ifdef __cplusplus\n}\n#endif\n\n#endif  // " + guard + "\n";
  }

 private:
  struct NamedArgument {
    const PlanArgument* argument;
    std::string name;
  };

  std::string shape_of(const PlanArgument& a) const {
    std::string out = "[";
    for (std::size_t d = 0; d < a.dims.size(); ++d)
      out += (d == 0 ? "" : ", ") + register_text(plan_, a.dims[d]);
    return out + "]";
  }

  std::string top() const {
    const std::string& m = parts_.name;
    std::string out = "/* Model '" + m + "', made by " + parts_.producer +
                      ". C99 and C++; needs no other file.\n *\n *   tenon_model* model;\n"
                      " *   tenon_context* context;\n *   if (" +
                      m + "_load(&model) != TENON_OK) puts(" + m + "_last_error());\n *   " + m +
                      "_context_create(model, &context);\n *   " + m +
                      "_run(context, ...);\n *\n * Build: cc main.c <this library>. Arguments, "
                      "row-major in host memory:\n";
    for (std::size_t i = 0; i < arguments_.size(); ++i) {
      const PlanArgument& a = *arguments_[i].argument;
      out += std::string(" *   ") + (i < plan_.inputs.size() ? "input " : "result ") +
             std::to_string(i < plan_.inputs.size() ? i : i - plan_.inputs.size()) + "  " +
             comment_text(a.name) + ": " + to_string(a.dtype) + comment_text(shape_of(a));
      if (a.in_place_of != kPlanNone)
        out += ", may be the memory of " + comment_text(plan_.inputs.at(a.in_place_of).name);
      out += "\n";
    }
    for (const PlanSymbol& s : plan_.symbols) {
      out += " *   size " + comment_text(s.name) + ": at least " + std::to_string(s.min);
      if (s.max != std::numeric_limits<std::int64_t>::max())
        out += ", at most " + std::to_string(s.max);
      if (s.multiple_of != 1) out += ", a multiple of " + std::to_string(s.multiple_of);
      out += "\n";
    }
    return out +
           " *\n * Failures give a status and a text; nothing is thrown and nothing aborts. */\n\n";
  }

  /// Nothing that ends a comment.
  static std::string comment_text(const std::string& text) { return replaced(text, '/', "|"); }

  std::string functions() const {
    std::string out;
    for (const ExportedFunction& f : kExportedFunctions) {
      if (!f.comment.empty()) out += "\n/// " + replaced(f.comment, '\n', "\n/// ");
      out += "\n" + replaced(f.declaration, '%', parts_.name + "_" + std::string(f.suffix)) + ";";
    }
    return out + "\n";
  }

  /// A function of pointers and sizes over `<model>_context_run`; none where a size of an argument
  /// is no expression of symbols.
  std::string typed_run() const {
    const Sizes sizes(plan_, symbols_);
    for (const NamedArgument& a : arguments_) {
      if (!a.argument->strides.empty()) return "";
      for (const PlanRegister reg : a.argument->dims) {
        if (!sizes.is_known(reg)) return "";
      }
    }
    std::string out =
        "\n/// Runs the model on arrays of these sizes: inputs, then results, as the top of "
        "this file lists them.\n/// bool is one byte, 0 or 1; 16-bit floats are given by their "
        "bits.\nstatic inline tenon_status " +
        parts_.name + "_run(tenon_context* context";
    for (const std::string& s : symbols_) out += ", int64_t " + s;
    for (std::size_t i = 0; i < arguments_.size(); ++i) {
      out += std::string(", ") + (i < plan_.inputs.size() ? "const " : "") +
             element_type(arguments_[i].argument->dtype) + "* " + arguments_[i].name;
    }
    out += ") {\n";
    for (const NamedArgument& a : arguments_) {
      out += "  int64_t shape_of_" + a.name + "[] = {";
      for (const PlanRegister reg : a.argument->dims) out += sizes.text(reg) + ", ";
      out += "1};\n";
    }
    out += tensors("inputs", 0, plan_.inputs.size()) +
           tensors("results", plan_.inputs.size(), arguments_.size()) + "  return " + parts_.name +
           "_context_run(context, inputs, " + std::to_string(plan_.inputs.size()) + ", results, " +
           std::to_string(plan_.results.size()) + ");\n}\n";
    return out;
  }

  std::string tensors(const std::string& name, std::size_t begin, std::size_t end) const {
    std::string out =
        "  DLTensor " + name + "[" + std::to_string(std::max<std::size_t>(end - begin, 1)) + "];\n";
    for (std::size_t i = begin; i < end; ++i) {
      const NamedArgument& a = arguments_[i];
      const DLDataType t = to_dl_dtype(a.argument->dtype);
      out += "  " + name + "[" + std::to_string(i - begin) + "] = tenon_host_tensor(" + a.name +
             ", (DLDataTypeCode)" + std::to_string(t.code) + ", " + std::to_string(t.bits) + ", " +
             std::to_string(a.argument->dims.size()) + ", shape_of_" + a.name + ");\n";
    }
    return out;
  }

  const LibraryParts& parts_;
  const Plan& plan_;
  IdentifierMaker names_{{"context", "inputs", "results"}};
  std::vector<std::string> symbols_;
  std::vector<NamedArgument> arguments_;
};

}  // namespace
}  // namespace codegen

std::string c_header(const LibraryParts& parts) { return codegen::HeaderWriter(parts).write(); }

}  // namespace tenon
