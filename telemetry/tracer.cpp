#include "telemetry/tracer.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>

#include "core/error.hpp"

namespace talaria::telemetry {

Tracer::Tracer(const std::filesystem::path& path) : path_(path), file_(path, std::ios::trunc) {
  if (!file_)
    throw Error(Errc::io, fmt::format("{}: cannot write the trace file; choose a writable path "
                                      "for --trace",
                                      path.string()));
}

Tracer::~Tracer() {
  try {
    write();
  } catch (const std::exception& error) {
    fmt::print(stderr, "talaria: {}\n", error.what());
  }
}

u32 Tracer::intern(std::string_view text) {
  if (const auto it = ids_.find(text); it != ids_.end()) return it->second;
  const auto id = static_cast<u32>(names_.size());
  names_.emplace_back(text);
  ids_.emplace(std::string(text), id);
  return id;
}

void Tracer::record(std::string_view stage, std::string_view what, Clock::time_point begin,
                    Clock::time_point end, u64 micro_batch, u64 rows) {
  std::lock_guard lock(mutex_);
  events_.push_back({intern(stage), intern(what), begin, end, micro_batch, rows});
}

void Tracer::write() {
  std::lock_guard lock(mutex_);
  if (written_) return;
  written_ = true;
  using nlohmann::json;
  const auto micros = [this](Clock::time_point t) {
    return std::chrono::duration<double, std::micro>(t - origin_).count();
  };
  json list = json::array();
  list.push_back(
      {{"ph", "M"}, {"name", "process_name"}, {"pid", 1}, {"args", {{"name", "enclave"}}}});
  std::set<u32> stages;
  for (const Event& e : events_) stages.insert(e.stage);
  for (const u32 stage : stages)
    list.push_back({{"ph", "M"},
                    {"name", "thread_name"},
                    {"pid", 1},
                    {"tid", stage},
                    {"args", {{"name", names_[stage]}}}});
  for (const Event& e : events_)
    list.push_back({{"ph", "X"},
                    {"pid", 1},
                    {"tid", e.stage},
                    {"name", names_[e.what]},
                    {"ts", micros(e.begin)},
                    {"dur", micros(e.end) - micros(e.begin)},
                    {"args", {{"micro_batch", e.micro_batch}, {"rows", e.rows}}}});
  file_ << json{{"displayTimeUnit", "ms"}, {"traceEvents", std::move(list)}}.dump() << '\n';
  file_.flush();
  if (!file_) throw Error(Errc::io, path_.string() + ": the trace could not be written completely");
}

} // namespace talaria::telemetry
