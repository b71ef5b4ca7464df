#include "attest/collateral/seen_collateral.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <system_error>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "core/file_descriptor.hpp"
#include "core/integers.hpp"

namespace talaria::attest {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostBytes = std::size_t{1} << 20;
constexpr i64 kMostSeconds = i64{253402300799}; // the end of the year 9999

/// Whose newest edition counts; certificates of different chips have dates of their own.
std::string key_of(const CollateralItem& item, std::string_view platform) {
  if (item.what == "TCB info") return fmt::format("TCB info {}", platform);
  if (item.what == "QE identity") return "QE identity";
  if (item.what.ends_with("CRL")) return fmt::format("CRL {}", item.issuer);
  return {};
}

[[noreturn]] void fail(const fs::path& file, const char* what) {
  throw Error(Errc::io, fmt::format("{}: cannot be {}: {}", file.string(), what,
                                    std::generic_category().message(errno)));
}

[[noreturn]] void refuse_file(const fs::path& file) {
  throw Error(Errc::config,
              fmt::format("{}: is no record of seen collateral; name another file, or remove it if "
                          "older collateral may be accepted again",
                          file.string()));
}

} // namespace

SeenCollateral::SeenCollateral(fs::path file) : file_(std::move(file)) {
  std::error_code ignored;
  if (!fs::exists(file_, ignored)) return;
  std::ifstream stream(file_, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  if (!stream.is_open() || stream.bad()) fail(file_, "read");
  const auto json = nlohmann::json::parse(text.substr(0, kMostBytes), nullptr, false);
  if (!json.is_object() || !json.contains("v") || json["v"] != 1 || !json.contains("seen") ||
      !json["seen"].is_object())
    refuse_file(file_);
  for (const auto& [name, date] : json["seen"].items()) {
    if (!date.is_number_integer() || date.get<i64>() < 0 || date.get<i64>() > kMostSeconds)
      refuse_file(file_);
    newest_[name] = TimePoint(Seconds(date.get<i64>()));
  }
}

std::optional<Refusal> SeenCollateral::note(const Ledger& ledger, std::string_view platform) {
  const std::lock_guard lock(mutex_);
  Dates dates = newest_;
  for (const CollateralItem& item : ledger.items()) {
    const std::string key = key_of(item, platform);
    if (key.empty()) continue;
    TimePoint& newest = dates.try_emplace(key, item.this_update).first->second;
    if (item.this_update < newest)
      return Refusal{Stage::collateral, "rollback",
                     fmt::format("{} is of {}; one of {} has been seen already", key,
                                 to_text(item.this_update), to_text(newest))};
    newest = item.this_update;
  }
  if (dates == newest_) return std::nullopt;
  if (!file_.empty()) write(dates);
  newest_ = std::move(dates);
  return std::nullopt;
}

TimePoint SeenCollateral::not_before_seen(TimePoint system) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [name, date] : newest_) system = std::max(system, date);
  return system;
}

void SeenCollateral::write(const Dates& dates) const {
  nlohmann::ordered_json json{{"v", 1}, {"seen", nlohmann::ordered_json::object()}};
  for (const auto& [name, date] : dates) json["seen"][name] = date.time_since_epoch().count();
  const std::string text = json.dump(1) + "\n";
  const fs::path partial = file_.string() + ".new";
  ::unlink(partial.c_str()); // left by one that was killed
  const FileDescriptor out(
      ::open(partial.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!out) fail(file_, "written");
  const ssize_t count = ::write(out.get(), text.data(), text.size()); // of a regular file: all
  const bool whole = count == static_cast<ssize_t>(text.size());
  if (whole && ::fsync(out.get()) == 0 && ::rename(partial.c_str(), file_.c_str()) == 0) return;
  const int error = whole ? errno : ENOSPC;
  ::unlink(partial.c_str());
  errno = error;
  fail(file_, "written");
}

} // namespace talaria::attest
