#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/digest.hpp"
#include "pipeline/hint_cache_file.hpp"
#include "pipeline/hint_seal.hpp"
#include "remo/masking_scheme.hpp"

namespace talaria::pipeline {

/// Where hints are kept: `setting` itself, nothing for "none", and for "" the default,
/// $XDG_CACHE_HOME/talaria/hints or ~/.cache/talaria/hints (nothing if neither is known).
std::filesystem::path hint_folder(const std::string& setting);

struct HintCacheOptions {
  std::filesystem::path folder;                ///< empty: nothing is kept
  u64 max_bytes = 0;                           ///< of all hints in the folder; 0: no limit
  std::function<void(const std::string&)> log; ///< one line each; may be empty
  HintSealing sealing = HintSealing::plain;
  /// The key that this processor derives for this program; empty: it derives none.
  std::function<std::optional<SealKey>()> chip_key{};
  std::shared_ptr<const HintSeal> seal{}; ///< what came of these two; null: rows lie as they are
};

/// The same with `sealing` settled: kept_hints(). Says what came of it in the log.
/// @param owner  the key that a worker gave, if one did
/// @throws Error{config} if the seal that was asked for cannot be had.
HintCacheOptions settled(HintCacheOptions options, const std::optional<SealKey>& owner,
                         const Sha256Digest& model_root);

/// Hints from disk, and from `source` where the disk has none. A hint is named by what it depends
/// on (weights, parameters, public matrix), so files never go stale; they are verified when opened.
/// They determine the weights; whether that is a secret its owner knows (HintSealing). Rows are
/// kept as they arrive: after a cut, fetching goes on behind the last whole block.
///
/// A cache that cannot be read or written costs a log line and a fetch, never the load. One caller
/// at a time; processes may share a folder.
class HintCache final : public remo::HintSource {
public:
  /// Borrows `source` and `parameters`. Makes the folder, readable by its owner only.
  HintCache(remo::HintSource& source, const remo::LatticeParameters& parameters,
            HintCacheOptions options);

  /// Announces a matrix; only announced ones are cached. Best all of them first: hints of announced
  /// matrices are not evicted to make room for each other.
  /// @param weights  model::digest() of the whole matrix.
  /// @param columns  as the workers hold it: 2 d_out for int16.
  void expect(u32 matrix, const Sha256Digest& weights, u64 columns);

  /// Chunks of any size; what is asked for in ascending order is kept.
  remo::WorkerProduct hint_rows(u32 matrix, u32 first, u32 count) override;
  remo::WorkerProduct product(const remo::MaskedTensor& public_rows) override;

  /// Deletes what is kept of a matrix, because its hint failed the protocol's own check. The next
  /// rows come from the source.
  /// @return whether rows handed out since the last discard() came from disk: then it is worth
  /// fetching the hint once more before blaming the worker.
  bool discard(u32 matrix);

  /// Bytes of hint rows handed out from disk so far.
  u64 bytes_from_disk() const noexcept { return bytes_from_disk_; }

private:
  struct Entry {
    HintLayout layout;
    std::optional<HintFile> file;
    bool uncached = false; ///< the cache failed or is busy: for this run, ask the source
    bool from_disk = false;
    std::vector<u8> pending; ///< rows behind file->rows(), less than a block
  };

  Entry* entry_of(u32 matrix, u64 first, u64 count);
  void open(Entry& entry);
  void open_partial(Entry& entry);
  bool make_room(const HintLayout& layout);
  u64 read_held(Entry& entry, u64 first, u64 count, u8* out);
  void keep(Entry& entry, u64 first, std::span<const u8> rows);
  void give_up(Entry& entry, const Error& error);
  void log(const std::string& line) const;

  remo::HintSource& source_;
  const remo::LatticeParameters& parameters_;
  HintCacheOptions options_;
  std::map<u32, Entry> entries_;
  u64 bytes_from_disk_ = 0;
};

} // namespace talaria::pipeline
