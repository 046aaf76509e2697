#include "tune/samples.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tenon/ir/builder.h"
#include "tenon/schedule/schedule.h"
#include "tenon/te/expr.h"
#include "tenon/te/tensor.h"

namespace tenon::tune {

Function product(std::int64_t rows, const std::string& prefix, std::int64_t inner) {
  const te::Tensor a = te::placeholder({imm(rows), imm(inner)}, kFloat32, prefix + "A");
  const te::Tensor b = te::placeholder({imm(inner), imm(48)}, kFloat32, prefix + "B");
  using Indices = std::vector<Expr>;
  const te::Tensor c = te::compute(
      {imm(rows), imm(48)},
      [&](const Indices& i) {
        const IterVar k = te::reduce_axis(imm(inner), prefix + "k");
        return te::sum(te::read(a, {i[0], k.var}) * te::read(b, {k.var, i[1]}), {k});
      },
      prefix + "C");
  const te::Tensor d = te::compute(
      {imm(rows), imm(48)},
      [&](const Indices& i) { return max(te::read(c, i), float_imm(kFloat32, 0)); }, prefix + "D");
  return te::function({a, b}, {d}, prefix + "product");
}

TuningRecord sample_record(std::int64_t rows, double seconds) {
  const Function f = product(rows);
  Schedule s(f);
  const std::vector<LoopRef> loops = s.loops("C");
  const std::vector<LoopRef> columns = s.split(loops[1], {std::nullopt, 16});
  s.reorder({loops[0], columns[0], loops[2], columns[1]});
  const BlockRef copy = s.cache_write({"C"}, "register");
  s.reverse_compute_at(copy, columns[0]);
  s.vectorize(columns[1]);
  s.decompose_reduction({"C"}, loops[2]);
  s.parallel(loops[0]);
  return make_record(f, Target::host(), s.trace(),
                     {seconds, 1e-3, 20, 0.01, Verification::kBitEqual});
}

std::vector<TuningRecord> small_records(int count, int seed) {
  std::vector<TuningRecord> records(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    TuningRecord& r = records[static_cast<std::size_t>(i)];
    r.key = {"structure " + std::to_string(seed) + "." + std::to_string(i),
             "4 -> 4",
             "cpu",
             compiler_version(),
             numeric_settings(),
             1};
    r.machine = machine_class();
    r.function = "f" + std::to_string(i);
    r.seconds = 1e-6 * (i + 1);
    r.default_seconds = 1e-3;
    r.num_runs = 10;
    r.verified = Verification::kBitEqual;
    r.date = "2026-11-30T12:00:00Z";
  }
  return records;
}

TemporaryFolder::TemporaryFolder() {
  // In memory where that is possible: what is tested is what is written, not how fast a disk is.
  const bool has_memory = ::access("/dev/shm", W_OK) == 0;
  const std::string where =
      has_memory ? "/dev/shm" : std::filesystem::temp_directory_path().string();
  path_ = where + "/tenon_tuning_XXXXXX";
  if (::mkdtemp(path_.data()) == nullptr) std::abort();
}

TemporaryFolder::~TemporaryFolder() { std::filesystem::remove_all(path_); }

std::string read_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

void write_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

std::vector<std::string> texts_of(const std::vector<TuningRecord>& records) {
  std::vector<std::string> texts;
  for (const TuningRecord& r : records) texts.push_back(r.text());
  std::sort(texts.begin(), texts.end());
  return texts;
}

}  // namespace tenon::tune
