// A small loader over JITLink: one allocation per object, freed with its handle. ORC's dylibs would
// keep bookkeeping for every kernel that ever lived.

#include <llvm/ExecutionEngine/JITLink/JITLink.h>
#include <llvm/ExecutionEngine/JITLink/JITLinkMemoryManager.h>
#include <llvm/Support/Process.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <future>
#include <map>
#include <mutex>

#include "tenon/codegen/jit.h"
#include "tenon/support/error.h"

namespace tenon {

namespace jl = llvm::jitlink;

namespace {

jl::InProcessMemoryManager& memory_manager() {
  static auto* manager = new jl::InProcessMemoryManager(llvm::sys::Process::getPageSizeEstimate());
  return *manager;
}

std::string text_of(llvm::Error error) { return llvm::toString(std::move(error)); }

[[noreturn]] void raise_load_error(const std::string& why) {
  detail::raise<ResourceError>("E1010", "compiled code cannot be loaded: " + why);
}

/// What compiled code may refer to outside itself.
void* external_symbol(llvm::StringRef name) {
  static const std::map<std::string, void*, std::less<>> table = {
      {"memcpy", reinterpret_cast<void*>(&std::memcpy)},
      {"memmove", reinterpret_cast<void*>(&std::memmove)},
      {"memset", reinterpret_cast<void*>(&std::memset)},
  };
  const auto it = table.find(std::string_view(name.data(), name.size()));
  return it == table.end() ? nullptr : it->second;
}

struct SymbolRange {
  void* address;
  std::uint64_t bytes;
};

void write_perf_map(const std::map<std::string, SymbolRange>& symbols) {
  const char* wanted = std::getenv("TENON_PERF_MAP");
  if (wanted == nullptr || std::strcmp(wanted, "1") != 0) return;
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  const std::string path = "/tmp/perf-" + std::to_string(::getpid()) + ".map";
  std::FILE* file = std::fopen(path.c_str(), "a");
  if (file == nullptr) return;
  for (const auto& [name, range] : symbols) {
    std::fprintf(file, "%llx %llx %s\n",
                 static_cast<unsigned long long>(reinterpret_cast<std::uintptr_t>(range.address)),
                 static_cast<unsigned long long>(range.bytes), name.c_str());
  }
  std::fclose(file);
}

/// The outcome of a link: filled by the callbacks, which run on the calling thread.
struct LinkResult {
  std::map<std::string, SymbolRange> symbols;
  std::uint64_t bytes = 0;
  jl::JITLinkMemoryManager::FinalizedAlloc allocation;
  std::string error;
};

class LinkContext : public jl::JITLinkContext {
 public:
  explicit LinkContext(LinkResult* result) : JITLinkContext(nullptr), result_(result) {}

  jl::JITLinkMemoryManager& getMemoryManager() override { return memory_manager(); }

  void notifyFailed(llvm::Error error) override { result_->error = text_of(std::move(error)); }

  void lookup(const LookupMap& wanted,
              std::unique_ptr<jl::JITLinkAsyncLookupContinuation> done) override {
    jl::AsyncLookupResult found;
    for (const auto& [name, flags] : wanted) {
      void* address = external_symbol(name);
      if (address == nullptr) {
        done->run(llvm::createStringError("unknown symbol " + name.str()));
        return;
      }
      found[name] = {llvm::orc::ExecutorAddr::fromPtr(address), llvm::JITSymbolFlags::Exported};
    }
    done->run(std::move(found));
  }

  llvm::Error notifyResolved(jl::LinkGraph& graph) override {
    for (jl::Symbol* symbol : graph.defined_symbols()) {
      if (!symbol->hasName()) continue;
      result_->symbols[symbol->getName().str()] = {symbol->getAddress().toPtr<void*>(),
                                                   symbol->getSize()};
    }
    for (const jl::Block* block : graph.blocks()) result_->bytes += block->getSize();
    return llvm::Error::success();
  }

  void notifyFinalized(jl::JITLinkMemoryManager::FinalizedAlloc allocation) override {
    result_->allocation = std::move(allocation);
  }

  jl::LinkGraphPassFunction getMarkLivePass(const llvm::Triple&) const override {
    return jl::markAllSymbolsLive;
  }

 private:
  LinkResult* result_;
};

}  // namespace

struct LoadedCode::State {
  LinkResult linked;
};

LoadedCode::LoadedCode(std::unique_ptr<State> state) : state_(std::move(state)) {}

LoadedCode::~LoadedCode() {
  llvm::Error error = memory_manager().deallocate(std::move(state_->linked.allocation));
  llvm::consumeError(std::move(error));
}

void* LoadedCode::address(const std::string& symbol) const {
  const auto it = state_->linked.symbols.find(symbol);
  TENON_CHECK(it != state_->linked.symbols.end(), "no symbol '", symbol, "' in the object");
  return it->second.address;
}

std::uint64_t LoadedCode::size_bytes() const { return state_->linked.bytes; }

std::shared_ptr<const LoadedCode> load_object(std::span<const std::uint8_t> object) {
  const llvm::StringRef bytes(reinterpret_cast<const char*>(object.data()), object.size());
  auto graph = jl::createLinkGraphFromObject(llvm::MemoryBufferRef(bytes, "kernel"));
  if (!graph) raise_load_error(text_of(graph.takeError()));
  auto state = std::make_unique<LoadedCode::State>();
  jl::link(std::move(*graph), std::make_unique<LinkContext>(&state->linked));
  if (!state->linked.error.empty()) raise_load_error(state->linked.error);
  if (!state->linked.allocation) raise_load_error("the link did not finish");
  write_perf_map(state->linked.symbols);
  return std::shared_ptr<const LoadedCode>(new LoadedCode(std::move(state)));
}

}  // namespace tenon
