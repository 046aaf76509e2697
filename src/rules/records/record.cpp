#include "tenon/rules/record.h"

#include <cmath>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include "tenon/support/digest.h"

namespace tenon {
namespace {

using Json = nlohmann::ordered_json;

constexpr Verification kVerifications[] = {Verification::kNone, Verification::kBitEqual,
                                           Verification::kWithinBound};

constexpr char kHexDigits[] = "0123456789abcdef";

std::string to_hex(const std::string& bytes) {
  std::string text;
  text.reserve(2 * bytes.size());
  for (const char c : bytes) {
    text += kHexDigits[(static_cast<unsigned char>(c) >> 4) & 15];
    text += kHexDigits[static_cast<unsigned char>(c) & 15];
  }
  return text;
}

[[noreturn]] void refuse(const std::string& why) {
  detail::raise<CacheError>("E1200", "no record of a measured schedule: " + why);
}

std::string from_hex(const std::string& text) {
  std::string bytes;
  int high = -1;
  for (const char c : text) {
    const char* at = std::char_traits<char>::find(kHexDigits, 16, c);
    if (at == nullptr) refuse("the structure is not hexadecimal");
    const int digit = static_cast<int>(at - kHexDigits);
    if (high >= 0) bytes += static_cast<char>(high << 4 | digit);
    high = high >= 0 ? -1 : digit;
  }
  if (high >= 0) refuse("the structure has half a byte");
  return bytes;
}

Verification verification_of(const std::string& text) {
  for (const Verification v : kVerifications) {
    if (text == to_string(v)) return v;
  }
  refuse("'verified' is '" + text + "'");
}

TuningRecord record_of(const Json& j) {
  TuningRecord r;
  const Json& key = j.at("key");
  r.key.structure = from_hex(key.at("structure").get<std::string>());
  r.key.shapes = key.at("shapes").get<std::string>();
  r.key.target = key.at("target").get<std::string>();
  r.key.compiler = key.at("compiler").get<std::string>();
  r.key.numeric = key.at("numeric").get<std::string>();
  r.key.num_threads = key.at("threads").get<int>();
  r.machine = j.at("machine").get<std::string>();
  r.function = j.at("function").get<std::string>();
  r.trace = Trace::from_json(j.at("trace").dump());
  r.seconds = j.at("seconds").get<double>();
  r.default_seconds = j.at("default_seconds").get<double>();
  r.num_runs = j.at("runs").get<int>();
  r.noise = j.at("noise").get<double>();
  r.verified = verification_of(j.at("verified").get<std::string>());
  r.date = j.at("date").get<std::string>();
  return r;
}

bool is_time(double seconds) { return std::isfinite(seconds) && seconds > 0; }

void check(const TuningRecord& r) {
  if (r.key.structure.empty()) refuse("the structure is empty");
  if (r.key.num_threads < 1) refuse(detail::concat("it is for ", r.key.num_threads, " threads"));
  if (!is_time(r.seconds) || !is_time(r.default_seconds))
    refuse(detail::concat("times should be positive, and are ", r.seconds, " and ",
                          r.default_seconds, " s"));
  if (r.num_runs < 1) refuse(detail::concat("it has ", r.num_runs, " runs"));
  if (!std::isfinite(r.noise) || r.noise < 0) refuse(detail::concat("its noise is ", r.noise));
}

}  // namespace

const char* to_string(Verification v) {
  switch (v) {
    case Verification::kNone:
      return "no";
    case Verification::kBitEqual:
      return "bit-equal";
    case Verification::kWithinBound:
      return "within bound";
  }
  return "?";
}

std::string TuningRecord::text() const {
  check(*this);
  Json j;
  j["key"] = {
      {"structure", to_hex(key.structure)}, {"shapes", key.shapes},   {"target", key.target},
      {"compiler", key.compiler},           {"numeric", key.numeric}, {"threads", key.num_threads}};
  j["machine"] = machine;
  j["function"] = function;
  j["trace"] = Json::parse(trace.to_json());
  j["seconds"] = seconds;
  j["default_seconds"] = default_seconds;
  j["runs"] = num_runs;
  j["noise"] = noise;
  j["verified"] = to_string(verified);
  j["date"] = date;
  // A name may hold bytes that are no UTF-8.
  return j.dump(-1, ' ', false, Json::error_handler_t::replace);
}

TuningRecord TuningRecord::parse(const std::string& text) {
  try {
    TuningRecord r = record_of(Json::parse(text));
    check(r);
    return r;
  } catch (const Json::exception& e) {
    refuse(e.what());
  } catch (const ScheduleError& e) {
    refuse(e.what());
  }
}

std::string TuningRecord::label() const {
  char text[64];
  std::snprintf(text, sizeof text, ", %.2fx", default_seconds / seconds);
  return "tuned " + date.substr(0, 10) + text;
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm utc = {};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

std::string record_id(const std::string& text) {
  Digest digest;
  digest.add(text.data(), text.size());
  return digest.hex();
}

}  // namespace tenon
