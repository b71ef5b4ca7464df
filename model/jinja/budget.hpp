#pragma once

#include <cstddef>
#include <string>

#include <fmt/format.h>

#include "core/error.hpp"
#include "core/integers.hpp"
#include "model/one_line.hpp"

namespace talaria::model::jinja {

constexpr std::size_t max_output = std::size_t{16} << 20; ///< bytes of a text
constexpr u64 max_steps = 10'000'000;
constexpr int max_nesting = 100;      ///< of a template's constructs, and of lists in lists
constexpr int max_call_nesting = 500; ///< of evaluations in progress, e.g. macros that recurse

/// Bounds what a template may do: time, memory and depth.
class Budget {
public:
  /// False once `steps` more are too many.
  bool spend(u64 steps) noexcept {
    used_ += steps;
    return used_ <= max_steps;
  }

private:
  u64 used_ = 0;
};

/// A place in a template, which complaints name and work there is charged to.
class Site {
public:
  Site(const std::string& file, u32 line, Budget& budget)
      : file_(&file), line_(line), budget_(&budget) {}

  template <class... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) const {
    const std::string what = fmt::format(format, std::forward<Args>(args)...);
    throw Error(Errc::model, fmt::format("{}:{}: {}", *file_, line_, one_line(what)));
  }
  void charge(u64 steps) const {
    if (!budget_->spend(steps)) fail("the template does not end within {} steps", max_steps);
  }
  /// For a text of `bytes` that is about to be made.
  void charge_text(std::size_t bytes) const {
    if (bytes > max_output) fail("the template makes a text of more than {} bytes", max_output);
    charge(4 + bytes / 16);
  }

private:
  const std::string* file_;
  u32 line_;
  Budget* budget_;
};

} // namespace talaria::model::jinja
