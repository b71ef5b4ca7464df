#include "pipeline/hint_cache.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <system_error>
#include <utility>

#include "core/error.hpp"
#include "remo/public/public_matrix.hpp"

namespace talaria::pipeline {

namespace fs = std::filesystem;
using remo::LatticeParameters;
using remo::WorkerProduct;

namespace {

constexpr u64 kBlockBytes = u64{1} << 20; // what a cut may cost at most

HintLayout layout_of(const LatticeParameters& parameters, const Sha256Digest& weights,
                     u64 columns) {
  HintLayout layout;
  layout.rows = parameters.dimension();
  layout.columns = columns;
  layout.word_bytes = static_cast<u64>(parameters.modulus().word_bytes);
  layout.block_rows =
      std::clamp<u64>(kBlockBytes / std::max<u64>(layout.row_bytes(), 1), 1, layout.rows);
  std::string text = fmt::format("talaria-hint|{}|{}|{}|{}|{}|{}|{}", to_hex(weights),
                                 parameters.name, parameters.q, parameters.n, parameters.k,
                                 to_hex(sha256(remo::public_matrix_seed())), columns);
  // Another p would be another public matrix; the sets that do not round keep their names.
  if (parameters.rounds()) text += fmt::format("|{}", parameters.p);
  layout.key = sha256({reinterpret_cast<const u8*>(text.data()), text.size()});
  return layout;
}

bool is_rows_of(const HintLayout& layout, const WorkerProduct& product, u64 count) {
  return product.kind == remo::ProductKind::residues && product.rows == count &&
         product.cols == layout.columns && product.bytes != nullptr &&
         product.bytes->size() == count * layout.row_bytes();
}

} // namespace

fs::path hint_folder(const std::string& setting) {
  if (setting == "none") return {};
  if (!setting.empty()) return setting;
  const fs::path place = fs::path("talaria") / "hints";
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && fs::path(cache).is_absolute()) return cache / place;
  const char* home = std::getenv("HOME");
  if (home != nullptr && fs::path(home).is_absolute()) return fs::path(home) / ".cache" / place;
  return {};
}

HintCacheOptions settled(HintCacheOptions options, const std::optional<SealKey>& owner,
                         const Sha256Digest& model_root) {
  if (options.folder.empty()) return options;
  KeptHints kept = kept_hints(options.sealing, owner, options.chip_key, model_root);
  if (!kept.keep) options.folder.clear();
  options.seal = std::move(kept.seal);
  if (!kept.line.empty() && options.log) options.log(kept.line);
  return options;
}

HintCache::HintCache(remo::HintSource& source, const LatticeParameters& parameters,
                     HintCacheOptions options)
    : source_(source), parameters_(parameters), options_(std::move(options)) {
  if (options_.folder.empty()) return;
  std::error_code failure;
  fs::create_directories(options_.folder.parent_path(), failure);
  if (fs::create_directory(options_.folder, failure) && !failure)
    fs::permissions(options_.folder, fs::perms::owner_all, failure);
  if (!failure) return;
  log(fmt::format("hints are not cached: {}: {}", options_.folder.string(), failure.message()));
  options_.folder.clear();
}

void HintCache::expect(u32 matrix, const Sha256Digest& weights, u64 columns) {
  if (options_.folder.empty() || columns == 0) return;
  Entry entry;
  entry.layout = layout_of(parameters_, weights, columns);
  entry.layout.seal = options_.seal;
  entries_.insert_or_assign(matrix, std::move(entry));
}

WorkerProduct HintCache::product(const remo::MaskedTensor& public_rows) {
  return source_.product(public_rows);
}

WorkerProduct HintCache::hint_rows(u32 matrix, u32 first, u32 count) {
  Entry* entry = entry_of(matrix, first, count);
  if (entry == nullptr) return source_.hint_rows(matrix, first, count);
  const u64 row_bytes = entry->layout.row_bytes();
  AlignedBuffer<u8> rows(count * row_bytes);
  const u64 held = read_held(*entry, first, count, rows.data());
  if (held < count) {
    const auto missing = static_cast<u32>(count - held);
    const auto behind = static_cast<u32>(first + held);
    WorkerProduct fetched = source_.hint_rows(matrix, behind, missing);
    // The scheme has the words for an answer of the wrong shape.
    if (!is_rows_of(entry->layout, fetched, missing)) return fetched;
    keep(*entry, behind, fetched.bytes->span());
    if (first + u64{count} == entry->layout.rows) entry->file.reset(); // nothing is left to do
    if (held == 0) return fetched;
    std::memcpy(rows.data() + held * row_bytes, fetched.bytes->data(), missing * row_bytes);
  }
  if (first + u64{count} == entry->layout.rows) entry->file.reset();
  return {matrix,
          remo::ProductKind::residues,
          count,
          static_cast<u32>(entry->layout.columns),
          std::make_shared<const AlignedBuffer<u8>>(std::move(rows)),
          {}};
}

/// The entry if these rows can come from, or go to, the disk; its file is open then.
HintCache::Entry* HintCache::entry_of(u32 matrix, u64 first, u64 count) {
  const auto at = entries_.find(matrix);
  if (at == entries_.end()) return nullptr;
  Entry& entry = at->second;
  if (entry.uncached || first > entry.layout.rows || count > entry.layout.rows - first)
    return nullptr;
  if (!entry.file) open(entry);
  return entry.file ? &entry : nullptr;
}

void HintCache::open(Entry& entry) {
  try {
    try {
      entry.file = HintFile::open_complete(options_.folder, entry.layout);
    } catch (const Error& error) {
      if (error.code() != Errc::verification) throw;
      log(fmt::format("{}; the hint is fetched again", error.what()));
      std::error_code ignored;
      fs::remove(options_.folder / entry.layout.complete_name(), ignored);
    }
    if (!entry.file) open_partial(entry);
  } catch (const Error& error) {
    give_up(entry, error);
  }
}

void HintCache::open_partial(Entry& entry) {
  entry.pending.clear();
  if (!make_room(entry.layout)) {
    entry.uncached = true;
    return;
  }
  entry.file = HintFile::open_partial(options_.folder, entry.layout);
  if (!entry.file) {
    log(fmt::format("{}: another process is fetching this hint; not cached by this one",
                    (options_.folder / entry.layout.partial_name()).string()));
    entry.uncached = true;
  }
}

/// Evicts for the hints of this run as a whole, so that they do not push each other out.
bool HintCache::make_room(const HintLayout& layout) {
  if (options_.max_bytes == 0) return true;
  std::vector<std::string> keep;
  u64 wanted = layout.file_bytes();
  for (const auto& [matrix, entry] : entries_) {
    keep.push_back(entry.layout.complete_name());
    keep.push_back(entry.layout.partial_name());
    if (entry.layout.key == layout.key) continue;
    std::error_code absent;
    const u64 held = fs::file_size(options_.folder / entry.layout.complete_name(), absent);
    if (!absent) wanted += held;
  }
  const bool fits = wanted <= options_.max_bytes &&
                    evict_hints(options_.folder, options_.max_bytes - wanted, keep);
  if (!fits)
    log(fmt::format("{}: a hint of {} bytes does not fit into the limit of {} bytes; not cached",
                    options_.folder.string(), layout.file_bytes(), options_.max_bytes));
  return fits;
}

/// Copies those of the rows that are on disk; returns how many, from `first` on.
u64 HintCache::read_held(Entry& entry, u64 first, u64 count, u8* out) {
  const u64 end = std::min(first + count, entry.file->rows());
  if (first >= end) return 0;
  try {
    entry.file->read(first, end - first, out);
  } catch (const Error& error) {
    give_up(entry, error);
    return 0;
  }
  entry.from_disk = true;
  bytes_from_disk_ += (end - first) * entry.layout.row_bytes();
  return end - first;
}

/// Keeps rows that begin where the file and what is pending end, or in between: after a source that
/// failed, they are asked for again.
void HintCache::keep(Entry& entry, u64 first, std::span<const u8> rows) {
  if (!entry.file) return;
  const HintLayout& layout = entry.layout;
  const u64 held = entry.file->rows();
  const u64 behind = held + entry.pending.size() / layout.row_bytes();
  if (first < held || first > behind) return;
  entry.pending.resize((first - held) * layout.row_bytes());
  entry.pending.insert(entry.pending.end(), rows.begin(), rows.end());
  try {
    std::span<const u8> left = entry.pending;
    while (!entry.file->complete()) {
      const u64 block = entry.file->rows() / layout.block_rows;
      const u64 bytes = layout.rows_of(block) * layout.row_bytes();
      if (left.size() < bytes) break;
      entry.file->append(left.first(bytes));
      left = left.subspan(bytes);
    }
    entry.pending.erase(entry.pending.begin(),
                        entry.pending.end() - static_cast<std::ptrdiff_t>(left.size()));
    if (entry.file->complete()) entry.file->publish();
  } catch (const Error& error) {
    give_up(entry, error);
  }
}

/// The disk failed: without it, then, and without leaving half a file that fills it.
void HintCache::give_up(Entry& entry, const Error& error) {
  log(fmt::format("{}; this hint is not cached", error.what()));
  if (entry.file) entry.file->remove();
  entry.file.reset();
  entry.pending.clear();
  entry.uncached = true;
}

bool HintCache::discard(u32 matrix) {
  const auto at = entries_.find(matrix);
  if (at == entries_.end()) return false;
  Entry& entry = at->second;
  if (entry.file) entry.file->remove();
  entry.file.reset();
  entry.pending.clear();
  std::error_code ignored;
  fs::remove(options_.folder / entry.layout.complete_name(), ignored);
  return std::exchange(entry.from_disk, false);
}

void HintCache::log(const std::string& line) const {
  if (options_.log) options_.log(line);
}

} // namespace talaria::pipeline
