#include <pybind11/stl.h>

#include <string>
#include <tuple>
#include <vector>

#include "bindings.h"
#include "tenon/rules/default_schedule.h"
#include "tenon/rules/record.h"
#include "tenon/rules/schedule_source.h"
#include "tenon/tune/database.h"

namespace tenon::python {
namespace {

/// Records cross the border as their text, one JSON object each.
std::vector<std::string> texts_of(const std::vector<TuningRecord>& records) {
  std::vector<std::string> texts;
  for (const TuningRecord& r : records) texts.push_back(r.text());
  return texts;
}

std::vector<TuningRecord> records_of(const std::vector<std::string>& texts) {
  std::vector<TuningRecord> records;
  for (const std::string& text : texts) records.push_back(TuningRecord::parse(text));
  return records;
}

std::vector<std::string> lines_of(const std::vector<RecordDamage>& damage) {
  std::vector<std::string> lines;
  for (const RecordDamage& d : damage) lines.push_back(d.str());
  return lines;
}

/// (records, damage, whether the end is missing).
py::tuple contents_of(const tune::FileContents& contents) {
  return py::make_tuple(texts_of(contents.records), lines_of(contents.damage), contents.is_cut_off);
}

/// Stores records, each once; returns how many were new.
std::size_t add(tune::Database& database, const std::vector<std::string>& texts) {
  const py::gil_scoped_release released;
  return database.add(records_of(texts));
}

/// (number of new ones, number of known ones, damage, whether the end of the file is missing).
py::tuple merge(tune::Database& database, const std::string& path) {
  tune::MergeReport report;
  {
    const py::gil_scoped_release released;  // it may wait for other writers
    report = database.merge(path);
  }
  return py::make_tuple(report.num_added, report.num_known, lines_of(report.damage),
                        report.is_cut_off);
}

Verification verification_of(const std::string& text) {
  for (const Verification v :
       {Verification::kNone, Verification::kBitEqual, Verification::kWithinBound}) {
    if (text == to_string(v)) return v;
  }
  throw py::value_error("verified should be 'no', 'bit-equal' or 'within bound'");
}

std::string make_record(const Function& f, const Target& target, const Trace& trace, double seconds,
                        double default_seconds, int num_runs, double noise,
                        const std::string& verified) {
  const tune::Measurement measured{seconds, default_seconds, num_runs, noise,
                                   verification_of(verified)};
  return tune::make_record(f, target, trace, measured).text();
}

py::tuple by_rules(const Function& f, const Target& target) {
  ChosenSchedule chosen = rule_schedule(f, target);
  return py::make_tuple(std::move(chosen.schedule), chosen.source);
}

}  // namespace

void bind_tuning(py::module_& module) {
  py::class_<tune::Database>(module, "TuningDatabase")
      .def(py::init<const std::string&>(), py::arg("folder"),
           py::call_guard<py::gil_scoped_release>())
      .def_property_readonly("folder", &tune::Database::folder)
      .def("add", &add, py::arg("records"))
      .def("merge", &merge, py::arg("path"));
  module.def("tuning_folder", [] { return ScheduleSource::shared().folder(); });
  module.def("use_tuning_folder", &ScheduleSource::use_folder, py::arg("folder"));
  module.def(
      "read_tuning_file",
      [](const std::string& path) { return contents_of(tune::read_file(path)); }, py::arg("path"));
  module.def(
      "read_tuning_database",
      [](const std::string& folder) { return contents_of(tune::read_database(folder)); },
      py::arg("folder"));
  module.def(
      "best_tuning_records",
      [](const std::vector<std::string>& texts) {
        return texts_of(tune::best_records(records_of(texts)));
      },
      py::arg("records"));
  module.def(
      "write_tuning_file",
      [](const std::vector<std::string>& texts, const std::string& path) {
        tune::write_file(records_of(texts), path);
      },
      py::arg("records"), py::arg("path"));
  module.def("tuning_record", &make_record, py::arg("function"), py::arg("target"),
             py::arg("trace"), py::arg("seconds"), py::arg("default_seconds"), py::arg("num_runs"),
             py::arg("noise"), py::arg("verified"));
  module.def("rule_schedule", &by_rules, py::arg("function"), py::arg("target"));
  module.def("rule_schedule_with", &rule_schedule_with, py::arg("function"), py::arg("target"),
             py::arg("decisions"));
  module.def("machine_class", &machine_class);
}

}  // namespace tenon::python
