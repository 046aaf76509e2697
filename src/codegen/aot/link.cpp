#include "codegen/aot/link.h"

#include <link.h>
#include <lld/Common/Driver.h>
#include <llvm/Support/CrashRecoveryContext.h>
#include <llvm/Support/raw_ostream.h>

#include <mutex>
#include <string_view>

#include "tenon/support/error.h"

#ifdef TENON_STATIC_LLVM
#include <llvm/Passes/PassPlugin.h>
#endif

LLD_HAS_DRIVER(elf)

#ifdef TENON_STATIC_LLVM
// lld makes all targets of LLVM ready, of which only this machine's is linked.
#include "other_targets.inc"

// Debian's LLVM names Polly as an extension of its link-time optimiser. lld brings that along for
// bitcode, which is never linked here.
llvm::PassPluginLibraryInfo getPollyPluginInfo();
llvm::PassPluginLibraryInfo getPollyPluginInfo() {
  return {LLVM_PLUGIN_API_VERSION, "no Polly", "", [](llvm::PassBuilder&) {}};
}
#endif

namespace tenon::codegen {
namespace {

/// The C library that this process runs with (and its parts that older versions keep apart): any
/// machine that runs Tenon has it, without packages for development.
std::vector<std::string> c_libraries() {
  std::vector<std::string> found;
  const auto visit = [](dl_phdr_info* info, std::size_t, void* list) {
    const std::string path = info->dlpi_name;
    const std::string_view name = std::string_view(path).substr(path.rfind('/') + 1);
    for (const char* wanted : {"libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2"}) {
      if (name == wanted) static_cast<std::vector<std::string>*>(list)->push_back(path);
    }
    return 0;
  };
  dl_iterate_phdr(visit, &found);
  return found;
}

}  // namespace

void link_shared(const std::vector<std::string>& objects, const std::string& output) {
  // -z nodelete: worker threads run the library's code. -Bsymbolic-functions: a library calls its
  // own functions, not those of another model; data stays open, for the word that pools share.
  std::vector<std::string> words = {"ld.lld",
                                    "-shared",
                                    "-m",
                                    "elf_x86_64",
                                    "-o",
                                    output,
                                    "-z",
                                    "relro",
                                    "-z",
                                    "now",
                                    "-z",
                                    "nodelete",
                                    "-z",
                                    "defs",
                                    "-z",
                                    "noexecstack",
                                    "--hash-style=gnu",
                                    "-Bsymbolic-functions",
                                    "--build-id=none",
                                    "--threads=1",
                                    "--color-diagnostics=never"};
  words.insert(words.end(), objects.begin(), objects.end());
  words.emplace_back("--as-needed");
  for (std::string& library : c_libraries()) words.push_back(std::move(library));
  std::vector<const char*> arguments;
  for (const std::string& word : words) arguments.push_back(word.c_str());

  static std::mutex mutex;  // lld keeps its state in globals
  static bool is_usable = true;
  const std::lock_guard lock(mutex);
  TENON_USER_CHECK(is_usable, ResourceError, "E0934",
                   "the linker failed before and cannot run again in this process\n  hint: start "
                   "a new process");
  std::string text;
  llvm::raw_string_ostream messages(text);
  llvm::CrashRecoveryContext::Enable();  // else a fatal error of lld ends the process
  const lld::Result result =
      lld::lldMain(arguments, messages, messages, {{lld::Gnu, &lld::elf::link}});
  llvm::CrashRecoveryContext::Disable();
  is_usable = result.canRunAgain;
  if (result.retCode != 0)
    detail::raise<ResourceError>("E0934", "linking '" + output + "' failed: " + messages.str());
}

}  // namespace tenon::codegen
