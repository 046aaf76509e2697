#include "gpu/device_case.h"

#include <fstream>
#include <sstream>

#include "tenon/support/error.h"

namespace tenon {
namespace {

void write_bytes(const std::filesystem::path& path, const void* data, std::size_t bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(static_cast<const char*>(data), static_cast<std::streamsize>(bytes));
  file.close();
  TENON_CHECK(!file.fail(), "cannot write ", path.string());
}

std::string dims_text(const Array& array) {
  std::string text;
  for (const std::int64_t dim : array.shape()) text += " " + std::to_string(dim);
  return text;
}

}  // namespace

void write_device_case(const std::filesystem::path& folder, const DeviceCase& c) {
  const std::filesystem::path here = folder / c.name;
  std::filesystem::create_directories(here);
  const std::vector<std::uint8_t> plan = serialize(c.plan);
  write_bytes(here / "plan.bin", plan.data(), plan.size());
  std::ostringstream text;
  for (std::size_t i = 0; i < c.inputs.size(); ++i) {
    const Array array = c.inputs[i].contiguous();
    const std::string name = "input" + std::to_string(i);
    text << "input " << name << " " << to_string(array.dtype()) << dims_text(array) << "\n";
    write_bytes(here / (name + ".bin"), array.raw(), static_cast<std::size_t>(array.nbytes()));
  }
  for (std::size_t i = 0; i < c.expected.size(); ++i) {
    const Array array = c.expected[i].contiguous();
    const std::string name = "result" + std::to_string(i);
    text << "result " << name << " " << to_string(array.dtype()) << " " << c.rtol << " " << c.atol
         << dims_text(array) << "\n";
    write_bytes(here / (name + ".bin"), array.raw(), static_cast<std::size_t>(array.nbytes()));
  }
  if (!c.error.empty()) text << "error " << c.error << "\n";
  write_bytes(here / "case.txt", text.str().data(), text.str().size());
}

}  // namespace tenon
