#include "settings/forms.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <limits>
#include <system_error>

#include "config/scalars.hpp"
#include "core/chunk_digests.hpp"

namespace talaria::settings {

namespace {

namespace fs = std::filesystem;
using config::Value;

constexpr std::size_t kMaxListed = 256;
constexpr std::size_t kMaxBuckets = 64;
constexpr u64 kMaxBucket = 65536;

template <class T>
std::string optional_shown(const std::optional<T>& value) {
  if (!value) return {};
  if constexpr (std::is_same_v<T, fs::path>)
    return value->string();
  else
    return *value;
}

template <class T>
std::string list_shown(const std::vector<T>& values) {
  return values.empty() ? std::string() : fmt::format("[{}]", fmt::join(values, ", "));
}

void read_bytes(const Value& value, std::size_t low, std::size_t high, const std::string& expected,
                std::size_t& out) {
  std::size_t read = low;
  config::bytes_in(read)(value);
  if (read < low || read > high)
    value.expected(expected);
  else
    out = read;
}

bool is_readable_file(const fs::path& file) {
  std::error_code ignored;
  return fs::is_regular_file(file, ignored) && std::ifstream(file).is_open();
}

} // namespace

Form<std::string> choice(std::vector<std::string_view> words) {
  std::vector<std::pair<std::string_view, std::string>> pairs;
  for (const std::string_view word : words) pairs.emplace_back(word, word);
  return choice_of(std::move(pairs));
}

Form<double> ratio() {
  return {"number", "above 0 and up to 1",
          [](const Value& value, const fs::path&, double& out) { config::ratio_in(out)(value); },
          [](double value) { return fmt::format("{}", value); }};
}

Form<bool> yes_or_no() {
  return {"true or false", "",
          [](const Value& value, const fs::path&, bool& out) {
            const auto given = config::scalar_text(value, "true or false");
            if (!given) return;
            if (value.node.is_quoted || (*given != "true" && *given != "false"))
              value.expected("true or false");
            else
              out = *given == "true";
          },
          [](bool value) { return std::string(value ? "true" : "false"); }};
}

Form<std::size_t> bytes(std::size_t low, std::size_t high) {
  return {"bytes", fmt::format("{} to {}", config::bytes_text(low), config::bytes_text(high)),
          [low, high](const Value& value, const fs::path&, std::size_t& out) {
            read_bytes(value, low, high, fmt::format("{} to {} bytes", low, high), out);
          },
          config::bytes_text};
}

Form<std::size_t> bytes_from(std::size_t low, std::string advice) {
  const std::string range = fmt::format("at least {}", config::bytes_text(low));
  return {"bytes", range,
          [low, expected = fmt::format("{} ({})", range, advice)](
              const Value& value, const fs::path&, std::size_t& out) {
            read_bytes(value, low, std::numeric_limits<std::size_t>::max(), expected, out);
          },
          config::bytes_text};
}

Form<std::optional<std::size_t>> bytes_or_auto() {
  return {"bytes, or auto", "",
          [](const Value& value, const fs::path&, std::optional<std::size_t>& out) {
            config::bytes_or_auto_in(out)(value);
          },
          [](const std::optional<std::size_t>& value) {
            return value ? config::bytes_text(*value) : std::string("auto");
          }};
}

Form<Milliseconds> duration(Milliseconds low, Milliseconds high) {
  return {"duration", fmt::format("{} to {}", config::to_text(low), config::to_text(high)),
          [low, high](const Value& value, const fs::path&, Milliseconds& out) {
            config::duration_in(out, low, high)(value);
          },
          [](const Milliseconds& value) { return config::to_text(value); }};
}

Form<Milliseconds> duration_or_none(Milliseconds low, Milliseconds high) {
  Form<Milliseconds> form = duration(low, high);
  form.range += ", or 0s";
  form.read = [low, high](const Value& value, const fs::path&, Milliseconds& out) {
    const std::string expected = fmt::format("0s, or a duration from {} to {}, like 100ms or 2s",
                                             config::to_text(low), config::to_text(high));
    const auto given = config::scalar_text(value, expected);
    if (!given) return;
    const auto read = config::parse_duration(*given);
    if (read && (*read == Milliseconds(0) || (*read >= low && *read <= high)))
      out = *read;
    else
      value.expected(expected);
  };
  return form;
}

Form<std::string> text(bool (*accepts)(std::string_view), std::string expected) {
  return {"text", expected,
          [accepts, expected](const Value& value, const fs::path&, std::string& out) {
            config::text_in(out, accepts, expected)(value);
          },
          [](const std::string& value) { return value; }};
}

Form<std::optional<std::string>> optional_text(bool (*accepts)(std::string_view),
                                               std::string expected) {
  return {
      "text", expected,
      [accepts, expected](const Value& value, const fs::path&, std::optional<std::string>& out) {
        std::string given;
        config::text_in(given, accepts, expected)(value);
        if (!given.empty()) out = std::move(given);
      },
      optional_shown<std::string>};
}

Form<std::vector<std::string>> texts(bool (*accepts)(std::string_view), std::string expected) {
  return {"list", "each " + expected,
          [accepts, expected](const Value& value, const fs::path&, std::vector<std::string>& out) {
            const auto items = config::list_items(value);
            if (items.size() > kMaxListed)
              return value.refuse(
                  fmt::format("holds {} entries; expected at most {}", items.size(), kMaxListed));
            std::vector<std::string> read;
            for (const Value& item : items)
              config::text_in(read.emplace_back(), accepts, expected)(item);
            out = std::move(read);
          },
          list_shown<std::string>, true};
}

Form<std::optional<Sha256Digest>> digest() {
  constexpr const char* kExpected = "64 hexadecimal digits (talaria inspect prints them)";
  return {"SHA-256", "64 hexadecimal digits",
          [](const Value& value, const fs::path&, std::optional<Sha256Digest>& out) {
            const auto given = config::scalar_text(value, kExpected);
            if (!given) return;
            const auto read = parse_sha256(std::string(*given));
            if (!read) return value.expected(kExpected);
            out = read;
          },
          [](const std::optional<Sha256Digest>& value) {
            return value ? to_hex(*value) : std::string();
          }};
}

Form<std::vector<u32>> buckets() {
  return {"list",
          fmt::format("1 to {} whole numbers from 1 to {}, ascending, like 8, 64, 256", kMaxBuckets,
                      kMaxBucket),
          [](const Value& value, const fs::path&, std::vector<u32>& out) {
            const auto items = config::list_items(value);
            if (value.node.kind != config::YamlNode::Kind::sequence) return;
            if (items.empty() || items.size() > kMaxBuckets)
              return value.refuse(fmt::format("holds {} buckets; expected 1 to {}, like [8, 64, "
                                              "256]",
                                              items.size(), kMaxBuckets));
            std::vector<u32> read;
            for (const Value& item : items) {
              u32 bucket = 0;
              config::whole_in(bucket, 1, kMaxBucket)(item);
              if (bucket == 0) return; // has been complained about
              if (!read.empty() && bucket <= read.back())
                return item.expected(
                    fmt::format("more than {}, the bucket before it", read.back()));
              read.push_back(bucket);
            }
            out = std::move(read);
          },
          list_shown<u32>, true};
}

namespace {

/// What stands behind the last colon; nothing if that is no number of drafts.
std::optional<u32> number_of_drafts(std::string_view text) {
  const std::string_view digits = text.substr(text.rfind(':') + 1);
  u32 drafts = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), drafts);
  if (error != std::errc() || end != digits.data() + digits.size() || drafts == 0 ||
      drafts > config::kMostDrafts)
    return std::nullopt;
  return drafts;
}

/// "ngram:4" or "model:DIR:4", whose folder may have colons.
std::optional<config::Speculate> speculate_of(std::string_view text, const fs::path& folder) {
  constexpr std::string_view kContext = "ngram:";
  constexpr std::string_view kModel = "model:";
  if (text == "off") return config::Speculate{};
  const auto drafts = number_of_drafts(text);
  if (!drafts) return std::nullopt;
  if (text.starts_with(kContext) && text.rfind(':') == kContext.size() - 1)
    return config::Speculate{*drafts, {}};
  if (!text.starts_with(kModel) || text.rfind(':') <= kModel.size()) return std::nullopt;
  const std::string_view model = text.substr(kModel.size(), text.rfind(':') - kModel.size());
  return config::Speculate{*drafts, (folder / model).lexically_normal()};
}

} // namespace

Form<config::Speculate> drafts() {
  const std::string range = fmt::format("off, ngram:N, or model:DIR:N with N from 1 to {} and the "
                                        "folder or GGUF file of a small model",
                                        config::kMostDrafts);
  return {"text", range,
          [range](const Value& value, const fs::path& folder, config::Speculate& out) {
            const auto given = config::scalar_text(value, range);
            if (!given) return;
            auto read = speculate_of(*given, folder);
            if (!read) return value.expected(range);
            out = *std::move(read);
          },
          [](const config::Speculate& value) {
            if (value.drafts == 0) return std::string("off");
            return value.model.empty()
                       ? fmt::format("ngram:{}", value.drafts)
                       : fmt::format("model:{}:{}", value.model.string(), value.drafts);
          }};
}

Form<fs::path> path() {
  return {"path", "",
          [](const Value& value, const fs::path& folder, fs::path& out) {
            config::path_in(out, folder)(value);
          },
          [](const fs::path& value) { return value.string(); }};
}

Form<std::optional<fs::path>> optional_path() {
  return {"path", "",
          [](const Value& value, const fs::path& folder, std::optional<fs::path>& out) {
            fs::path read;
            config::path_in(read, folder)(value);
            if (!read.empty()) out = std::move(read);
          },
          optional_shown<fs::path>};
}

Form<std::optional<fs::path>> folder_path() {
  Form<std::optional<fs::path>> form = optional_path();
  form.type = "folder";
  form.read = [read = std::move(form.read)](const Value& value, const fs::path& folder,
                                            std::optional<fs::path>& out) {
    std::optional<fs::path> given;
    read(value, folder, given);
    if (!given) return;
    std::error_code ignored;
    if (fs::exists(*given, ignored) && !fs::is_directory(*given, ignored))
      value.refuse(
          fmt::format("{} is a file; expected a folder", config::in_quotes(given->string())));
    out = std::move(given);
  };
  return form;
}

Form<fs::path> pem_file(std::string advice) {
  const std::string expected =
      advice.empty() ? std::string("a PEM file") : fmt::format("a PEM file ({})", advice);
  return {"PEM file", "",
          [expected](const Value& value, const fs::path& folder, fs::path& out) {
            config::path_in(out, folder)(value);
            if (value.problems.files_are_elsewhere()) return;
            if (!out.empty() && !is_readable_file(out))
              value.refuse(fmt::format("{} cannot be read; expected {}",
                                       config::in_quotes(out.string()), expected));
          },
          [](const fs::path& value) { return value.string(); }};
}

Form<config::Hints> cache_folder() {
  return {"folder", "or none: no cache",
          [](const Value& value, const fs::path& folder, config::Hints& out) {
            fs::path read;
            config::path_in(read, folder)(value);
            if (read.empty()) return;
            out.use_cache = value.node.text != "none";
            out.cache.reset();
            if (out.use_cache) out.cache = std::move(read);
          },
          [](const config::Hints& value) {
            return value.use_cache ? optional_shown<fs::path>(value.cache) : std::string("none");
          }};
}

Form<std::string> ssh_command() {
  return {"command line", "with {command} as a word of its own",
          [](const Value& value, const fs::path&, std::string& out) {
            const std::string expected = "a command line with {command} as a word of its own";
            const auto given = config::scalar_text(value, expected);
            if (!given) return;
            const auto words = config::split_words(*given);
            // The first word is the program; a template that starts with the command would run it
            // here.
            if (words && words->size() > 1 &&
                std::find(words->begin() + 1, words->end(), "{command}") != words->end())
              out = std::string(*given);
            else
              value.expected(expected);
          },
          [](const std::string& value) { return value; }};
}

} // namespace talaria::settings
