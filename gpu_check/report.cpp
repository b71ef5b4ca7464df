#include "gpu_check/report.hpp"

#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <utility>

#include "core/concat.hpp"
#include "core/error.hpp"

namespace talaria::gpu_check {

namespace {

std::string formatted(const char* format, std::va_list values) {
  std::va_list again;
  va_copy(again, values);
  const int length = std::vsnprintf(nullptr, 0, format, again);
  va_end(again);
  if (length < 0) return format;
  std::string out(static_cast<std::size_t>(length) + 1, '\0');
  std::vsnprintf(out.data(), out.size(), format, values);
  out.pop_back();
  return out;
}

bool write_file(const std::string& path, const std::string& content) {
  std::FILE* const file = std::fopen(path.c_str(), "w");
  if (file == nullptr) return false;
  const bool written = std::fwrite(content.data(), 1, content.size(), file) == content.size();
  return (std::fclose(file) == 0) && written;
}

} // namespace

std::string text(const char* format, ...) {
  std::va_list values;
  va_start(values, format);
  std::string out = formatted(format, values);
  va_end(values);
  return out;
}

Report::Report(const std::string& log, std::string json) : json_path_(std::move(json)) {
  if (!log.empty()) {
    log_.reset(std::fopen(log.c_str(), "a"));
    if (log_ == nullptr) throw Error(Errc::io, concat("--log ", log, ": ", std::strerror(errno)));
  }
  set("format", "talaria-gpu-check-1");
  if (complained_)
    throw Error(Errc::io, concat("--json ", json_path_, ": cannot be written: name another file"));
  set("state", "running");
}

void Report::print(const char* format, ...) {
  std::va_list values;
  va_start(values, format);
  const std::string line = formatted(format, values) + '\n';
  va_end(values);
  for (std::FILE* file : {stdout, log_.get()}) {
    if (file == nullptr) continue;
    std::fwrite(line.data(), 1, line.size(), file);
    std::fflush(file);
  }
}

void Report::highlight(const char* format, ...) {
  std::va_list values;
  va_start(values, format);
  highlights_.push_back(formatted(format, values));
  va_end(values);
  add("highlights", highlights_.back());
}

void Report::begin(const std::string& section, const char* title) {
  print("\n%s", title);
  set("section", section);
}

void Report::set(const std::string& name, Json value) {
  root_.set(name, std::move(value));
  write();
}

void Report::add(const std::string& list, Json entry) {
  root_.at(list).push(std::move(entry));
  write();
}

void Report::not_run(const std::string& what, const std::string& why) {
  print("  not run: %s: %s", what.c_str(), why.c_str());
  add("not_run", Json::object().set("what", what).set("why", why));
}

void Report::not_compared(const std::string& what, const std::string& why) {
  ++left_out_;
  not_run(what, why);
}

void Report::compared(const std::string& what, std::size_t products, std::size_t different,
                      Json entry) {
  products_ += products;
  different_ += different;
  if (different == 0)
    print("  equal      %-42s %5zu compared", what.c_str(), products);
  else
    print("  DIFFERENT  %-42s %5zu of %zu compared", what.c_str(), different, products);
  entry.set("products", products).set("different", different);
  add("equality", std::move(entry));
}

void Report::failed(const std::string& what, const std::string& why) {
  ++failures_;
  print("  FAILED     %s: %s", what.c_str(), why.c_str());
  add("failures", Json::object().set("what", what).set("why", why));
}

void Report::write() {
  if (json_path_.empty()) return;
  const std::string next = json_path_ + ".next";
  if (write_file(next, root_.text()) && std::rename(next.c_str(), json_path_.c_str()) == 0) return;
  if (!std::exchange(complained_, true))
    std::fprintf(stderr, "gpu_check: %s cannot be written: %s\n", json_path_.c_str(),
                 std::strerror(errno));
}

} // namespace talaria::gpu_check
