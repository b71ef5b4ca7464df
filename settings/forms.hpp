#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/problems.hpp"
#include "core/digest.hpp"
#include "core/integers.hpp"
#include "settings/setting.hpp"

namespace talaria::settings {

// The kinds of values that settings have.

using Milliseconds = std::chrono::milliseconds;

Form<std::string> choice(std::vector<std::string_view> words);
/// Words that stand for values of a type.
template <class T>
Form<T> choice_of(std::vector<std::pair<std::string_view, T>> words);

template <std::unsigned_integral T>
Form<T> whole(u64 low, u64 high);
/// Above 0 and up to 1.
Form<double> ratio();
Form<bool> yes_or_no(); ///< true or false
/// "2GiB", "64KiB", "1000000" from `low` to `high` bytes.
Form<std::size_t> bytes(std::size_t low, std::size_t high);
/// At least `low` bytes; `advice` stands behind that in brackets.
Form<std::size_t> bytes_from(std::size_t low, std::string advice);
Form<std::optional<std::size_t>> bytes_or_auto(); ///< auto: nothing
Form<Milliseconds> duration(Milliseconds low, Milliseconds high);
/// The same, or 0s for not at all.
Form<Milliseconds> duration_or_none(Milliseconds low, Milliseconds high);
/// Any text that `accepts` takes; `expected` describes it.
Form<std::string> text(bool (*accepts)(std::string_view), std::string expected);
Form<std::optional<std::string>> optional_text(bool (*accepts)(std::string_view),
                                               std::string expected);
/// At most 256 of them.
Form<std::vector<std::string>> texts(bool (*accepts)(std::string_view), std::string expected);
Form<std::optional<Sha256Digest>> digest();
/// 1 to 64 ascending numbers of rows.
Form<std::vector<u32>> buckets();
/// "ngram:N", so many tokens that are guessed from the context, or "model:DIR:N", by a model; off:
/// 0.
Form<config::Speculate> drafts();

Form<std::filesystem::path> path();
Form<std::optional<std::filesystem::path>> optional_path();
Form<std::optional<std::filesystem::path>> folder_path(); ///< not that of a file
/// Of a PEM file that can be read; `advice` stands behind that in brackets, if there is any.
Form<std::filesystem::path> pem_file(std::string advice = {});
/// A folder, or none: no cache.
Form<config::Hints> cache_folder();
Form<std::string> ssh_command();

template <class T>
Form<T> choice_of(std::vector<std::pair<std::string_view, T>> words) {
  std::vector<std::string_view> names;
  for (const auto& [name, value] : words) names.push_back(name);
  Form<T> form;
  form.type = "word";
  form.range = config::listed(names);
  form.read = [words, names](const config::Value& value, const std::filesystem::path&, T& out) {
    std::string given;
    config::one_of(given, names)(value);
    for (const auto& [name, meant] : words)
      if (name == given) out = meant;
  };
  form.show = [words](const T& value) {
    for (const auto& [name, meant] : words)
      if (meant == value) return std::string(name);
    return std::string();
  };
  return form;
}

template <std::unsigned_integral T>
Form<T> whole(u64 low, u64 high) {
  Form<T> form;
  form.type = "whole number";
  form.range = std::to_string(low) + " to " + std::to_string(high);
  form.read = [low, high](const config::Value& value, const std::filesystem::path&, T& out) {
    config::whole_in(out, low, high)(value);
  };
  form.show = [](const T& value) { return std::to_string(value); };
  form.bounds = Bounds{low, high};
  return form;
}

} // namespace talaria::settings
