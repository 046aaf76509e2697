#pragma once

/// The state of a running program: variables, buffers with their shadow memory, parallel
/// iterations, findings.

#include <memory>
#include <unordered_map>

#include "tenon/ir/interpret.h"

namespace tenon::interpreter {

/// Who touched an element: numbers of parallel iterations (see Iterations). 0 is nobody.
struct Shadow {
  std::uint32_t write = 0;  ///< or kCopying
  std::uint32_t read = 0;
  std::uint32_t other_read = 0;  ///< a reader that runs in parallel to `read`
};
/// In place of a writer: an asynchronous copy to the element is under way.
inline constexpr std::uint32_t kCopying = 0xFFFFFFFF;

/// Who has a copy of a buffer to himself.
enum class Owner : std::uint8_t {
  kNobody,  ///< there is one for all
  kThread,
  kWarp,
};

/// A buffer in memory.
struct Memory {
  const BufferNode* buffer = nullptr;
  DType dtype;
  char* data = nullptr;
  std::unique_ptr<char[]> own;
  std::vector<std::int64_t> shape, strides;
  std::int64_t count = 0;      ///< elements from the first to the last addressable one
  std::int64_t capacity = 0;   ///< elements of `own`
  std::vector<Shadow> shadow;  ///< of each element, all owners'
  /// In block IR allocations stand at the root, but a buffer used within one iteration of this many
  /// parallel loops belongs to it.
  int private_depth = 0;
  /// The buffer of owner number u begins at element u * count.
  Owner owner = Owner::kNobody;

  /// Sizes it, computes row-major strides where none are given, and forgets what was written.
  void reset(std::vector<std::int64_t> new_shape, std::vector<std::int64_t> new_strides);
  void allocate();
  /// Likewise for owner number `unit` of `num_units`; all have one shape.
  void reset_own(std::vector<std::int64_t> new_shape, std::vector<std::int64_t> new_strides,
                 std::int64_t unit, std::int64_t num_units);
  void set_shape(std::vector<std::int64_t> new_shape, std::vector<std::int64_t> new_strides);
  std::int64_t integer_at(std::int64_t offset) const;
  double real_at(std::int64_t offset) const;
  void set_integer(std::int64_t offset, std::int64_t v);
  void set_real(std::int64_t offset, double v);
};

/// The tree of parallel iterations. Number 1 is the program outside of all parallel loops.
///
/// The threads of a GPU block are iterations of a loop of their own in each interval between two
/// barriers: what is before a barrier does not run at the same time as what is after it.
class Iterations {
 public:
  Iterations() { all_.resize(2); }
  std::uint32_t enter(std::uint32_t parent, std::uint32_t loop);
  /// The first of `count` iterations, numbered one after the other, of a new execution of a loop.
  std::uint32_t enter_all(std::uint32_t parent, std::int64_t count);
  std::uint32_t parent(std::uint32_t i) const { return all_[i].parent; }
  std::uint32_t new_loop() { return ++loops_; }
  /// Whether two iterations may run at the same time: they are, or lie in, different iterations of
  /// one execution of a loop.
  bool parallel(std::uint32_t a, std::uint32_t b) const { return divergence(a, b) != kOrdered; }
  /// The depth in the tree below which the two run in parallel; kOrdered when they do not.
  static constexpr int kOrdered = 0x7FFFFFFF;
  int divergence(std::uint32_t a, std::uint32_t b) const;
  std::uint32_t ancestor(std::uint32_t i, int depth) const;

 private:
  struct Iteration {
    std::uint32_t parent = 0, loop = 0;
    int depth = 0;
  };
  std::vector<Iteration> all_;
  std::uint32_t loops_ = 0;
};

/// Where in the program an access stands, for messages.
struct Place {
  std::string block;  ///< "" outside of blocks
  struct Variable {
    std::string name;
    int slot;
  };
  std::vector<Variable> variables;  ///< of loops and iters, outermost first
};

/// Thrown to end a run early.
struct Stop {};

class Threads;

class Machine {
 public:
  explicit Machine(const InterpretOptions& o) : options(o) {}

  const InterpretOptions& options;
  /// Variables, vectors take several: of the thread that runs, or of the host.
  std::int64_t* integers = nullptr;
  double* reals = nullptr;
  std::size_t num_integers = 0, num_reals = 0;  ///< slots of one thread
  /// The owner that runs, by kind (see Owner).
  std::int64_t units[3] = {0, 0, 0};
  Threads* threads = nullptr;  ///< of the GPU block that runs; null outside of kernels
  std::uint64_t epoch = 1;     ///< counts statements: shared values are computed once in each
  std::uint32_t iteration = 1;
  std::int64_t stores = 0;
  Iterations iterations;
  std::vector<Finding> findings;

  /// A read or write of an element that exists.
  void note_read(Memory* memory, std::int64_t offset, const struct Access& access) {
    Shadow& s = memory->shadow[static_cast<std::size_t>(offset)];
    if (s.write == iteration && s.read == iteration) return;
    check_read(memory, &s, offset, access);
  }
  void note_write(Memory* memory, std::int64_t offset, const struct Access& access) {
    Shadow& s = memory->shadow[static_cast<std::size_t>(offset)];
    if (s.write == iteration && (s.read == 0 || s.read == iteration) && s.other_read == 0) return;
    check_write(memory, &s, offset, access);
  }
  /// The start of an asynchronous copy to an element that exists.
  void note_copy(Memory* memory, std::int64_t offset, const struct Access& access);
  void report(Finding::Kind kind, const std::string& what, const Place& place, const Span& span);
  void out_of_bounds(const struct Access& access, bool write, const std::int64_t* indices,
                     std::size_t dimension, std::int64_t extent);

 private:
  void check_read(Memory* memory, Shadow* s, std::int64_t offset, const struct Access& access);
  void check_write(Memory* memory, Shadow* s, std::int64_t offset, const struct Access& access);
  /// `what` says what happened before, "written" or "read", in iteration `other`.
  void race(const Memory& memory, std::int64_t offset, const struct Access& access, bool is_write,
            const char* what, std::uint32_t other);
  void copying(const Memory& memory, std::int64_t offset, const struct Access& access,
               const char* what);
};

/// One load or store in the program.
struct Access {
  Memory* memory = nullptr;
  std::shared_ptr<const Place> place;
  Span span;
  mutable bool reported = false;  ///< one finding for each access is enough
};

/// Memory for the lanes of one vector value, while it lives.
template <typename V>
class Lanes {
 public:
  explicit Lanes(int lanes) {
    if (lanes <= kSmall) {
      at_ = small_;
    } else {
      large_ = std::make_unique<V[]>(static_cast<std::size_t>(lanes));
      at_ = large_.get();
    }
  }
  V* get() { return at_; }
  V& operator[](int l) { return at_[l]; }

 private:
  static constexpr int kSmall = 32;
  V small_[kSmall];
  std::unique_ptr<V[]> large_;
  V* at_;
};

}  // namespace tenon::interpreter
