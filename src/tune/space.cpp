#include "tenon/tune/space.h"

#include <utility>

#include "tenon/rules/default_schedule.h"

namespace tenon::tune {
namespace {

using Writer = std::function<Schedule(const DecisionValues&)>;

class WrittenSpace : public Space {
 public:
  WrittenSpace(Function f, Target target, Writer write)
      : function_(std::move(f)), target_(std::move(target)), write_(std::move(write)) {}
  const Function& function() const override { return function_; }
  const Target& target() const override { return target_; }
  Point generate(const DecisionValues& values) const override {
    Schedule schedule = write_(values);
    std::vector<Decision> decisions = schedule.decisions();
    return {std::move(schedule), std::move(decisions)};
  }

 private:
  Function function_;
  Target target_;
  Writer write_;
};

}  // namespace

std::unique_ptr<Space> rule_space(const Function& f, const Target& target) {
  return std::make_unique<WrittenSpace>(f, target, [f, target](const DecisionValues& values) {
    return rule_schedule_with(f, target, values);
  });
}

std::unique_ptr<Space> generator_space(const Function& f, const Target& target,
                                       std::function<void(Schedule&)> generator) {
  const auto write = [f, generator = std::move(generator)](const DecisionValues& values) {
    Schedule s(f);
    s.use_decisions(values);
    generator(s);
    return s;
  };
  return std::make_unique<WrittenSpace>(f, target, write);
}

}  // namespace tenon::tune
