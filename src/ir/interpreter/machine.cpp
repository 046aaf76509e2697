#include "ir/interpreter/machine.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "ir/interpreter/threads.h"
#include "tenon/ir/scalar_ops.h"
#include "tenon/runtime/float_convert.h"

namespace tenon::interpreter {
namespace {

template <typename T>
T read_as(const char* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

template <typename T>
void write_as(char* p, T v) {
  std::memcpy(p, &v, sizeof v);
}

}  // namespace

// --- memory
// ----------------------------------------------------------------------------------------------------------

void Memory::set_shape(std::vector<std::int64_t> new_shape, std::vector<std::int64_t> new_strides) {
  shape = std::move(new_shape);
  strides = std::move(new_strides);
  if (strides.empty()) {
    strides.resize(shape.size());
    std::int64_t stride = 1;
    for (std::size_t d = shape.size(); d-- > 0;) {
      strides[d] = stride;
      stride *= std::max<std::int64_t>(shape[d], 0);
    }
  }
  count = 1;
  for (std::size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] <= 0) {
      count = 0;
      break;
    }
    count += (shape[d] - 1) * strides[d];
  }
}

void Memory::reset(std::vector<std::int64_t> new_shape, std::vector<std::int64_t> new_strides) {
  set_shape(std::move(new_shape), std::move(new_strides));
  shadow.assign(static_cast<std::size_t>(count), Shadow{});
}

void Memory::reset_own(std::vector<std::int64_t> new_shape, std::vector<std::int64_t> new_strides,
                       std::int64_t unit, std::int64_t num_units) {
  set_shape(std::move(new_shape), std::move(new_strides));
  const std::int64_t all = count * num_units;
  if (static_cast<std::int64_t>(shadow.size()) != all) {
    shadow.assign(static_cast<std::size_t>(all), Shadow{});
    own = std::make_unique<char[]>(static_cast<std::size_t>(all) *
                                   static_cast<std::size_t>(dtype.bytes()));
    capacity = all;
    data = own.get();
  }
  std::fill_n(shadow.begin() + unit * count, count, Shadow{});
}

void Memory::allocate() {
  if (capacity < count) {
    own = std::make_unique<char[]>(static_cast<std::size_t>(count) *
                                   static_cast<std::size_t>(dtype.bytes()));
    capacity = count;
  }
  data = own.get();
}

std::int64_t Memory::integer_at(std::int64_t offset) const {
  const char* p = data + offset * dtype.bytes();
  switch (dtype.bits) {
    case 8: {
      const auto v = read_as<std::uint8_t>(p);
      if (dtype.is_bool()) return v != 0;
      return dtype.is_signed_int() ? static_cast<std::int8_t>(v) : static_cast<std::int64_t>(v);
    }
    case 16:
      return dtype.is_signed_int() ? read_as<std::int16_t>(p)
                                   : static_cast<std::int64_t>(read_as<std::uint16_t>(p));
    case 32:
      return dtype.is_signed_int() ? read_as<std::int32_t>(p)
                                   : static_cast<std::int64_t>(read_as<std::uint32_t>(p));
    default:
      return read_as<std::int64_t>(p);
  }
}

void Memory::set_integer(std::int64_t offset, std::int64_t v) {
  char* p = data + offset * dtype.bytes();
  switch (dtype.bits) {
    case 8:
      return write_as(p, static_cast<std::uint8_t>(v));
    case 16:
      return write_as(p, static_cast<std::uint16_t>(v));
    case 32:
      return write_as(p, static_cast<std::uint32_t>(v));
    default:
      return write_as(p, v);
  }
}

double Memory::real_at(std::int64_t offset) const {
  return load_float(dtype, data + offset * dtype.bytes());
}

void Memory::set_real(std::int64_t offset, double v) {
  store_float(dtype, v, data + offset * dtype.bytes());
}

// --- parallel iterations
// ---------------------------------------------------------------------------------------------

std::uint32_t Iterations::enter(std::uint32_t parent, std::uint32_t loop) {
  all_.push_back({parent, loop, all_[parent].depth + 1});
  return static_cast<std::uint32_t>(all_.size() - 1);
}

std::uint32_t Iterations::ancestor(std::uint32_t i, int depth) const {
  while (all_[i].depth > depth) i = all_[i].parent;
  return i;
}

std::uint32_t Iterations::enter_all(std::uint32_t parent, std::int64_t count) {
  const auto first = static_cast<std::uint32_t>(all_.size());
  all_.resize(all_.size() + static_cast<std::size_t>(count),
              Iteration{parent, new_loop(), all_[parent].depth + 1});
  return first;
}

int Iterations::divergence(std::uint32_t a, std::uint32_t b) const {
  if (a <= 1 || b <= 1 || a == b) return kOrdered;
  if (all_[a].parent != all_[b].parent) {
    const int depth = std::min(all_[a].depth, all_[b].depth);
    a = ancestor(a, depth);
    b = ancestor(b, depth);
    if (a == b) return kOrdered;
    while (all_[a].parent != all_[b].parent) {
      a = all_[a].parent;
      b = all_[b].parent;
    }
  }
  return all_[a].loop == all_[b].loop ? all_[a].depth : kOrdered;
}

// --- findings
// --------------------------------------------------------------------------------------------------------

namespace {

std::string describe(const Place& place, const Machine& m) {
  std::string out;
  if (!place.block.empty()) out += "block " + place.block;
  for (const Place::Variable& v : place.variables) {
    if (!out.empty()) out += ", ";
    out += v.name + " = " + std::to_string(m.integers[static_cast<std::size_t>(v.slot)]);
  }
  return out.empty() ? out : " (" + out + ")";
}

std::string element(const Memory& memory, std::int64_t offset) {
  std::string out = memory.buffer->name + "[";
  offset %= std::max<std::int64_t>(memory.count, 1);
  for (std::size_t d = 0; d < memory.shape.size(); ++d) {
    const std::int64_t stride = std::max<std::int64_t>(memory.strides[d], 1);
    out += (d > 0 ? ", " : "") + std::to_string(offset / stride);
    offset %= stride;
  }
  return out + "]";
}

}  // namespace

void Machine::report(Finding::Kind kind, const std::string& what, const Place& place,
                     const Span& span) {
  std::string message = what + describe(place, *this);
  if (span) message += " at " + span.str();
  findings.push_back({kind, std::move(message), span});
  if (static_cast<int>(findings.size()) >= options.max_findings) throw Stop{};
}

void Machine::out_of_bounds(const Access& access, bool write, const std::int64_t* indices,
                            std::size_t dimension, std::int64_t extent) {
  if (access.reported) return;
  access.reported = true;
  std::string where = access.memory->buffer->name + "[";
  const std::size_t rank = std::max<std::size_t>(access.memory->shape.size(), 1);
  for (std::size_t d = 0; d < rank; ++d) where += (d > 0 ? ", " : "") + std::to_string(indices[d]);
  report(Finding::Kind::kOutOfBounds,
         std::string(write ? "write to " : "read of ") + where + "] is out of bounds: index " +
             std::to_string(indices[dimension]) + " of dimension " + std::to_string(dimension) +
             " is not in 0.." + std::to_string(extent),
         *access.place, access.span);
}

void Machine::race(const Memory& memory, std::int64_t offset, const Access& access, bool is_write,
                   const char* what, std::uint32_t other) {
  if (!options.check_races || access.reported) return;
  access.reported = true;
  const bool is_same = is_write && std::string_view(what) == "written";
  std::string where = "in another iteration of a parallel loop";
  if (threads != nullptr) where = threads->describe_other(*this, other);
  report(
      Finding::Kind::kRace,
      detail::concat("race on ", element(memory, offset), ": it is ", is_write ? "written" : "read",
                     " here and ", is_same ? "" : what, is_same ? "" : " ", where),
      *access.place, access.span);
}

void Machine::copying(const Memory& memory, std::int64_t offset, const Access& access,
                      const char* what) {
  if (access.reported) return;
  access.reported = true;
  report(Finding::Kind::kCopying,
         detail::concat(what, element(memory, offset),
                        " while an asynchronous copy to it is under way (wait for its group)"),
         *access.place, access.span);
}

void Machine::check_read(Memory* memory, Shadow* s, std::int64_t offset, const Access& access) {
  const int depth = memory->private_depth;
  const bool foreign =
      depth > 0 && s->write > 1 && s->write != iteration &&
      iterations.ancestor(s->write, depth) != iterations.ancestor(iteration, depth);
  if (s->write == 0 || foreign) {
    if (options.check_initialised && !access.reported) {
      access.reported = true;
      report(Finding::Kind::kUninitialised,
             "read of " + element(*memory, offset) + ", which is uninitialised", *access.place,
             access.span);
    }
  } else if (memory->owner != Owner::kNobody) {
    return;
  } else if (s->write == kCopying) {
    copying(*memory, offset, access, "read of ");
  } else if (iterations.parallel(s->write, iteration)) {
    race(*memory, offset, access, false, "written", s->write);
  }
  if (s->read == iteration) return;
  // A later writer that runs in parallel to any reader so far runs in parallel to one of the two
  // that are furthest apart in the tree.
  const int apart = iterations.divergence(s->read, iteration);
  if (apart != Iterations::kOrdered &&
      (s->other_read == 0 || apart <= iterations.divergence(s->other_read, iteration)))
    s->other_read = s->read;
  s->read = iteration;
}

void Machine::check_write(Memory* memory, Shadow* s, std::int64_t offset, const Access& access) {
  if (memory->owner != Owner::kNobody) {
    s->write = 1;
    return;
  }
  if (s->write == kCopying) {
    copying(*memory, offset, access, "write to ");
    s->write = iteration;
    return;
  }
  const int depth = memory->private_depth;
  const auto shared = [&](std::uint32_t i) {
    return i > 1 && iterations.parallel(i, iteration) &&
           (depth == 0 || iterations.ancestor(i, depth) == iterations.ancestor(iteration, depth));
  };
  if (shared(s->write)) {
    race(*memory, offset, access, true, "written", s->write);
  } else if (shared(s->read)) {
    race(*memory, offset, access, true, "read", s->read);
  } else if (shared(s->other_read)) {
    race(*memory, offset, access, true, "read", s->other_read);
  }
  s->write = iteration;
}

void Machine::note_copy(Memory* memory, std::int64_t offset, const Access& access) {
  Shadow& s = memory->shadow[static_cast<std::size_t>(offset)];
  check_write(memory, &s, offset, access);
  s.write = kCopying;
  threads->start_copy(*this, memory, offset);
}

}  // namespace tenon::interpreter
