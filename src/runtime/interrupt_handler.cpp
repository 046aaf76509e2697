#include <csignal>
#include <mutex>

#include "tenon/runtime/c_api.h"
#include "tenon/runtime/executable.h"

namespace tenon {
namespace {

/// What was installed before ours; written once, before ours can run.
struct sigaction previous_action;

void on_interrupt(int signal, siginfo_t* info, void* context) {
  tenon_interrupt();
  if ((previous_action.sa_flags & SA_SIGINFO) != 0) {
    previous_action.sa_sigaction(signal, info, context);
  } else if (previous_action.sa_handler == SIG_DFL) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  } else if (previous_action.sa_handler != SIG_IGN) {
    previous_action.sa_handler(signal);
  }
}

}  // namespace

void install_interrupt_handler() {
  static std::once_flag once;
  std::call_once(once, [] {
    sigaction(SIGINT, nullptr, &previous_action);
    struct sigaction action = {};
    action.sa_sigaction = on_interrupt;
    action.sa_flags = SA_SIGINFO | (previous_action.sa_flags & (SA_ONSTACK | SA_RESTART));
    action.sa_mask = previous_action.sa_mask;
    sigaction(SIGINT, &action, nullptr);
  });
}

}  // namespace tenon
