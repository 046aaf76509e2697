#include "rules/gpu/gpu_comparison.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

#include "tenon/codegen/cuda_module.h"
#include "tenon/driver/build.h"
#include "tenon/ir/interpret.h"
#include "tenon/ir/lower.h"
#include "tenon/ir/print.h"
#include "tenon/ir/thread.h"
#include "tenon/ir/visit.h"
#include "tenon/rules/default_schedule.h"

namespace tenon {
namespace {

ArrayView view_of(const Array& a) { return {const_cast<void*>(a.raw()), a.dtype(), {a.size()}}; }

/// The values of the symbols: each is a whole dimension of some input.
std::vector<std::int64_t> symbol_values(const Function& f, const std::vector<Array>& inputs) {
  std::vector<std::int64_t> values;
  for (const Symbol& s : f->symbols) {
    std::int64_t value = -1;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      for (std::size_t d = 0; d < f->inputs[i]->shape.size(); ++d) {
        if (f->inputs[i]->shape[d].same_as(s.var)) value = inputs[i].shape()[d];
      }
    }
    values.push_back(value);
  }
  return values;
}

/// Stores that no loop on a block axis is around.
int unbound_stores(const Stmt& s) {
  int unbound = 0, depth = 0;
  class Find : public Walker {
   public:
    Find(int* unbound, int* depth) : unbound_(*unbound), depth_(*depth) {}

   protected:
    using Walker::visit;
    void visit(const ForNode& n) override {
      const bool is_bound = n.attrs.kind == ForKind::kThread;
      depth_ += is_bound;
      walk(n);
      depth_ -= is_bound;
    }
    void visit(const StoreNode& n) override {
      unbound_ += depth_ == 0;
      walk(n);
    }

   private:
    int &unbound_, &depth_;
  };
  Find(&unbound, &depth)(s);
  return unbound;
}

}  // namespace

Function launch_form(const Function& f) {
  const Schedule s = default_schedule(f, Target::parse("cuda"));
  if (std::getenv("TENON_SHOW_SCHEDULES") != nullptr) std::cerr << print(s.function());
  Function lowered = lower(s.function());
  EXPECT_EQ(unbound_stores(lowered->body), 0) << print(s.function());
  for (const char* target : {"cuda -arch=sm_80", "cuda -arch=sm_90a"})
    EXPECT_NO_THROW(cuda_module(lowered, Target::parse(target))) << print(lowered);
  return lowered;
}

std::vector<Array> call_on_gpu(
    const Function& f, const std::vector<Array>& inputs,
    const std::vector<std::pair<std::vector<std::int64_t>, DType>>& outputs) {
  const Function lowered = launch_form(f);
  std::vector<ArrayView> views;
  std::vector<Array> got;
  for (const Array& a : inputs) views.push_back(view_of(a));
  for (const auto& [shape, dtype] : outputs) {
    got.push_back(Array::zeros(shape, dtype));
    views.push_back(view_of(got.back()));
  }
  InterpretOptions options;
  options.symbols = symbol_values(f, inputs);
  const InterpretReport report = interpret(lowered, views, options);
  EXPECT_TRUE(report.ok()) << report.text() << print(lowered);
  return got;
}

void expect_same_on_gpu(const Function& f, const std::vector<Array>& inputs,
                        const std::vector<Array>& expected, Agreement agreement) {
  std::vector<std::pair<std::vector<std::int64_t>, DType>> outputs;
  for (const Array& a : expected) {
    outputs.emplace_back(std::vector<std::int64_t>(a.shape().begin(), a.shape().end()), a.dtype());
  }
  const std::vector<Array> got = call_on_gpu(f, inputs, outputs);
  for (std::size_t k = 0; k < got.size(); ++k) {
    SCOPED_TRACE(f->name + " on the GPU, output " + std::to_string(k));
    expect_agreement(got[k], expected[k], agreement);
  }
}

}  // namespace tenon
