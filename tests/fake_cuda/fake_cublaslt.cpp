// A libcublasLt.so.13 without a GPU. fake_cublaslt.h says how it is controlled.

#include "fake_cublaslt.h"

#include <cstring>
#include <deque>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "fake_cuda.h"
#include "tenon/runtime/float_convert.h"

namespace fake_cublaslt {
namespace {

constexpr int kOk = 0, kInvalidValue = 7, kNotSupported = 15;
constexpr int kFloat32 = 0, kFloat16 = 2, kBFloat16 = 14;
constexpr std::uint64_t kAlgorithm = 0x7e57a190;

struct Desc {
  int compute_type, scale_type;
  int transpose[2] = {0, 0};
};
struct Layout {
  int type;
  std::int64_t rows, columns, leading;
  std::int32_t count = 1;
  std::int64_t step = 0;
};
struct Preference {
  std::uint64_t workspace = 0;
  std::uint32_t reductions = 7;
  std::uint32_t alignment[4] = {256, 256, 256, 256};
};
struct Algorithm {
  std::uint64_t data[8];
};
struct Choice {
  Algorithm algorithm;
  std::size_t workspace;
  int state;
  float waves;
  int reserved[4];
};

/// A product as it was enqueued.
struct Product {
  Desc desc;
  Layout a, b, d;
  const char *a_data, *b_data;
  char* d_data;
  char* workspace;
  std::size_t workspace_bytes;
  float alpha;
};

struct State {
  std::mutex mutex;
  Controls controls;
  Counters counters;
  std::set<void*> objects;
  std::deque<Product> products;  ///< for ever, as graphs may run them again
};
State& state() {
  static State* s = new State();
  return *s;
}

bool fails(const char* call) { return std::strcmp(state().controls.fail_call, call) == 0; }

std::int64_t element_bytes(int type) { return type == kFloat32 ? 4 : 2; }

float load(const char* data, int type, std::int64_t i) {
  if (type == kFloat32) return reinterpret_cast<const float*>(data)[i];
  const std::uint16_t bits = reinterpret_cast<const std::uint16_t*>(data)[i];
  return type == kFloat16 ? tenon::float16_to_float(bits) : tenon::bfloat16_to_float(bits);
}
void store(char* data, int type, std::int64_t i, float value) {
  if (type == kFloat32) {
    reinterpret_cast<float*>(data)[i] = value;
  } else {
    reinterpret_cast<std::uint16_t*>(data)[i] =
        type == kFloat16 ? tenon::float_to_float16(value) : tenon::float_to_bfloat16(value);
  }
}

/// Whether all of a batch lies in one block of the device.
bool is_inside(const void* data, const Layout& l) {
  const std::int64_t last = (l.count - 1) * l.step + (l.columns - 1) * l.leading + l.rows;
  return fake_cuda::fake_cuda_is_valid(data,
                                       static_cast<std::size_t>(last * element_bytes(l.type))) != 0;
}

/// The element of op(X) in column-major order.
float at(const char* data, const Layout& l, bool is_turned, std::int64_t batch, std::int64_t row,
         std::int64_t column) {
  const std::int64_t i = is_turned ? column + row * l.leading : row + column * l.leading;
  return load(data, l.type, batch * l.step + i);
}

int run(void* data) {
  const Product& p = *static_cast<const Product*>(data);
  ++state().counters.products;
  if (!is_inside(p.a_data, p.a) || !is_inside(p.b_data, p.b) || !is_inside(p.d_data, p.d))
    return 700;
  if (p.workspace_bytes != 0) {
    if (fake_cuda::fake_cuda_is_valid(p.workspace, p.workspace_bytes) == 0) return 700;
    std::memset(p.workspace, 0x3e, p.workspace_bytes);
  }
  const std::int64_t terms = p.desc.transpose[0] != 0 ? p.a.rows : p.a.columns;
  for (std::int64_t batch = 0; batch < p.d.count; ++batch) {
    for (std::int64_t j = 0; j < p.d.columns; ++j) {
      for (std::int64_t i = 0; i < p.d.rows; ++i) {
        float sum = 0;
        for (std::int64_t t = 0; t < terms; ++t) {
          sum += at(p.a_data, p.a, p.desc.transpose[0] != 0, batch, i, t) *
                 at(p.b_data, p.b, p.desc.transpose[1] != 0, batch, t, j);
        }
        store(p.d_data, p.d.type, batch * p.d.step + i + j * p.d.leading, p.alpha * sum);
      }
    }
  }
  return 0;
}

/// What the library checks of three layouts.
bool fit(const Desc& desc, const Layout& a, const Layout& b, const Layout& d) {
  const bool is_a_turned = desc.transpose[0] != 0, is_b_turned = desc.transpose[1] != 0;
  return a.type == d.type && b.type == d.type && a.count == d.count && b.count == d.count &&
         (is_a_turned ? a.columns : a.rows) == d.rows &&
         (is_b_turned ? b.rows : b.columns) == d.columns &&
         (is_a_turned ? a.rows : a.columns) == (is_b_turned ? b.columns : b.rows);
}

template <typename T, typename... Fields>
int create(void** out, const char* call, Fields... fields) {
  const std::lock_guard lock(state().mutex);
  if (fails(call)) return state().controls.fail_status;
  *out = new T{fields...};
  state().objects.insert(*out);
  ++state().counters.live_objects;
  return kOk;
}

template <typename T>
int destroy(void* object) {
  const std::lock_guard lock(state().mutex);
  if (state().objects.erase(object) == 0) return kInvalidValue;
  delete static_cast<T*>(object);
  --state().counters.live_objects;
  return kOk;
}

template <typename T>
int take(const void* value, std::size_t bytes, T* out) {
  if (bytes != sizeof(T)) return kInvalidValue;
  std::memcpy(out, value, bytes);
  return kOk;
}

}  // namespace
}  // namespace fake_cublaslt

using namespace fake_cublaslt;

#define API extern "C" __attribute__((visibility("default"))) int
#define CONTROL __attribute__((visibility("default")))

extern "C" {
CONTROL void fake_cublaslt_reset() {
  const int live = state().counters.live_objects;
  state().controls = Controls();
  state().counters = Counters();
  state().counters.live_objects = live;
}
CONTROL Controls* fake_cublaslt_controls() { return &state().controls; }
CONTROL const Counters* fake_cublaslt_counters() { return &state().counters; }
}

API cublasLtCreate(void** handle) {
  if (fails("cublasLtCreate")) return state().controls.fail_status;
  *handle = &state();
  return kOk;
}

API cublasLtMatmulDescCreate(void** desc, int compute_type, int scale_type) {
  if ((compute_type != 68 && compute_type != 77) || scale_type != kFloat32) return kInvalidValue;
  return create<Desc>(desc, "cublasLtMatmulDescCreate", compute_type, scale_type);
}
API cublasLtMatmulDescSetAttribute(void* desc, int attribute, const void* value,
                                   std::size_t bytes) {
  if (attribute != 3 && attribute != 4) return kInvalidValue;
  int& transpose = static_cast<Desc*>(desc)->transpose[attribute - 3];
  const int status = take(value, bytes, &transpose);
  return status == kOk && transpose >= 0 && transpose <= 1 ? kOk : kInvalidValue;
}
API cublasLtMatmulDescDestroy(void* desc) { return destroy<Desc>(desc); }

API cublasLtMatrixLayoutCreate(void** layout, int type, std::uint64_t rows, std::uint64_t columns,
                               std::int64_t leading) {
  const auto r = static_cast<std::int64_t>(rows), c = static_cast<std::int64_t>(columns);
  if (r < 1 || c < 1 || leading < r) return kInvalidValue;
  if (type != kFloat32 && type != kFloat16 && type != kBFloat16) return kInvalidValue;
  return create<Layout>(layout, "cublasLtMatrixLayoutCreate", type, r, c, leading);
}
API cublasLtMatrixLayoutSetAttribute(void* layout, int attribute, const void* value,
                                     std::size_t bytes) {
  auto& l = *static_cast<Layout*>(layout);
  if (attribute == 5) return take(value, bytes, &l.count);
  return attribute == 6 ? take(value, bytes, &l.step) : kInvalidValue;
}
API cublasLtMatrixLayoutDestroy(void* layout) { return destroy<Layout>(layout); }

API cublasLtMatmulPreferenceCreate(void** preference) {
  return create<Preference>(preference, "cublasLtMatmulPreferenceCreate");
}
API cublasLtMatmulPreferenceSetAttribute(void* preference, int attribute, const void* value,
                                         std::size_t bytes) {
  auto& p = *static_cast<Preference*>(preference);
  if (attribute == 1) return take(value, bytes, &p.workspace);
  if (attribute == 3) return take(value, bytes, &p.reductions);
  if (attribute < 5 || attribute > 8) return kInvalidValue;
  return take(value, bytes, &p.alignment[attribute - 5]);
}
API cublasLtMatmulPreferenceDestroy(void* preference) { return destroy<Preference>(preference); }

API cublasLtMatmulAlgoGetHeuristic(void* handle, void* desc, void* a, void* b, void* c, void* d,
                                   void* preference, int count, Choice* results, int* found) {
  State& s = state();
  if (handle != &s || c != d || count < 1) return kInvalidValue;
  if (fails("cublasLtMatmulAlgoGetHeuristic")) return s.controls.fail_status;
  const Desc& m = *static_cast<const Desc*>(desc);
  const auto& p = *static_cast<const Preference*>(preference);
  if (!fit(m, *static_cast<Layout*>(a), *static_cast<Layout*>(b), *static_cast<Layout*>(d)))
    return kInvalidValue;
  ++s.counters.heuristics;
  s.counters.compute_type = m.compute_type;
  s.counters.max_workspace = p.workspace;
  s.counters.reductions = p.reductions;
  *found = 0;
  if (s.controls.has_no_algorithm) return kNotSupported;
  if (s.controls.workspace_bytes > p.workspace) return kNotSupported;
  *found = 1;
  results[0] = {{{kAlgorithm}}, s.controls.workspace_bytes, 0, 1, {}};
  return kOk;
}

#ifdef FAKE_CUBLASLT_OLD
#define cublasLtMatmul under_another_name
#endif
API cublasLtMatmul(void* handle, void* desc, const void* alpha, const void* a, void* a_layout,
                   const void* b, void* b_layout, const void* beta, const void* c, void* c_layout,
                   void* d, void* d_layout, const Algorithm* algorithm, void* workspace,
                   std::size_t workspace_bytes, void* stream) {
  State& s = state();
  if (fails("cublasLtMatmul")) return s.controls.fail_status;
  Product p = {*static_cast<const Desc*>(desc),
               *static_cast<const Layout*>(a_layout),
               *static_cast<const Layout*>(b_layout),
               *static_cast<const Layout*>(d_layout),
               static_cast<const char*>(a),
               static_cast<const char*>(b),
               static_cast<char*>(d),
               static_cast<char*>(workspace),
               workspace_bytes,
               *static_cast<const float*>(alpha)};
  const bool is_known = algorithm != nullptr && algorithm->data[0] == kAlgorithm;
  if (handle != &s || c != d || c_layout != d_layout || *static_cast<const float*>(beta) != 0 ||
      !is_known || workspace_bytes < s.controls.workspace_bytes || !fit(p.desc, p.a, p.b, p.d))
    return kInvalidValue;
  for (const void* address : {a, b, const_cast<const void*>(d)}) {
    if (reinterpret_cast<std::uintptr_t>(address) % 16 != 0) return kInvalidValue;
  }
  const std::lock_guard lock(s.mutex);
  s.products.push_back(p);
  return fake_cuda::fake_cuda_enqueue(stream, run, &s.products.back()) == 0 ? kOk : 13;
}
