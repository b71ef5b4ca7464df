#pragma once

#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "gpu_check/json.hpp"

namespace talaria::gpu_check {

/// Time that may be spent, by the clock on the wall.
class Budget {
public:
  explicit Budget(double seconds) : seconds_(seconds) {}
  double allowed() const { return seconds_; }
  double spent() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }
  /// Seconds until `share` of the whole is spent; negative if it is.
  double left(double share = 1) const { return share * seconds_ - spent(); }

private:
  double seconds_;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

/// What was found, in two files that are complete up to the last line at any moment, however this
/// program ends: a log, flushed line by line, and a JSON that is replaced as a whole.
class Report {
public:
  /// `log` is appended to; an empty path is none. @throws Error{io}
  Report(const std::string& log, std::string json);

  /// A line for people, on standard output and in the log.
  [[gnu::format(printf, 2, 3)]] void print(const char* format, ...);
  /// Says which part is under way, in both files.
  void begin(const std::string& section, const char* title);
  /// Sets a member of the JSON.
  void set(const std::string& name, Json value);
  /// Appends to the list that the JSON has under this name.
  void add(const std::string& list, Json entry);
  /// Says in both files that something was left out, and why.
  void not_run(const std::string& what, const std::string& why);
  /// The same of products that were to be compared.
  void not_compared(const std::string& what, const std::string& why);
  /// Products that were compared with those of the CPU: an entry of the list "equality", a line,
  /// and the counts.
  void compared(const std::string& what, std::size_t products, std::size_t different, Json entry);
  /// Something failed that was to work: a member of "failures".
  void failed(const std::string& what, const std::string& why);

  /// A line for people to be repeated in the summary, and a member of "highlights".
  [[gnu::format(printf, 2, 3)]] void highlight(const char* format, ...);
  const std::vector<std::string>& highlights() const { return highlights_; }

  std::size_t products() const { return products_; }
  std::size_t different() const { return different_; }
  std::size_t left_out() const { return left_out_; } ///< comparisons that were not made
  std::size_t failures() const { return failures_; }

private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  /// Replaces the JSON file. A file system that is full must not end the measurements: says so
  /// once, on standard error.
  void write();

  std::unique_ptr<std::FILE, Close> log_;
  std::string json_path_;
  Json root_ = Json::object();
  std::vector<std::string> highlights_;
  bool complained_ = false;
  std::size_t products_ = 0;
  std::size_t different_ = 0;
  std::size_t left_out_ = 0;
  std::size_t failures_ = 0;
};

/// What printf would print.
[[gnu::format(printf, 1, 2)]] std::string text(const char* format, ...);

} // namespace talaria::gpu_check
