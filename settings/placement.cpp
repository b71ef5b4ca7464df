#include "settings/placement.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace talaria::settings {

namespace {

using config::Position;
using config::Problems;
using config::Value;
using config::WorkerNode;

/// A worker and where its keys stand.
struct WorkerEntry {
  const WorkerNode& node;
  std::string key;                  ///< workers[i]
  std::optional<LayerRange> layers; ///< nothing if they, its columns or its role cannot be read
  Position name_at, address_at, layers_at, columns_at;
};

using Entries = std::vector<const WorkerEntry*>;

/// The entries that hold the same layers in equally many shares: together one worker, if they are
/// complete. In the order of the file.
struct ShareSet {
  Entries members;
  const WorkerEntry& front() const { return *members.front(); }
  const LayerRange& layers() const { return *front().layers; }
  u32 shares() const { return front().node.columns.count; }
};

void check_unique(const std::vector<WorkerEntry>& workers, Problems& problems) {
  std::map<std::string, int> names;
  std::map<std::string, int> addresses;
  for (const WorkerEntry& worker : workers) {
    const auto refuse = [&](Position at, const char* key, const std::string& text, int line) {
      problems.add(at, fmt::format("{}.{}", worker.key, key),
                   fmt::format("'{}' is the {} of the worker in line {} already; expected {} of "
                               "its own",
                               text, key, line, *key == 'a' ? "an address" : "a name"));
    };
    if (!worker.node.name.empty()) {
      const auto [first, is_new] = names.emplace(worker.node.name, worker.name_at.line);
      if (!is_new) refuse(worker.name_at, "name", worker.node.name, first->second);
    }
    if (worker.node.address.port != 0) {
      const std::string address = to_string(worker.node.address);
      const auto [first, is_new] = addresses.emplace(address, worker.address_at.line);
      if (!is_new) refuse(worker.address_at, "address", address, first->second);
    }
  }
}

/// Workers without shares are sets of their own, so that two of them overlap.
std::vector<ShareSet> share_sets(const Entries& workers) {
  std::vector<ShareSet> sets;
  for (const WorkerEntry* worker : workers) {
    const auto same = std::find_if(sets.begin(), sets.end(), [&](const ShareSet& set) {
      return worker->node.columns.count > 1 && set.shares() == worker->node.columns.count &&
             set.layers().first == worker->layers->first &&
             set.layers().last == worker->layers->last;
    });
    if (same == sets.end())
      sets.push_back({{worker}});
    else
      same->members.push_back(worker);
  }
  return sets;
}

/// The shares nobody in the set holds, like "2/4 and 3/4"; empty if it is complete.
std::string missing_shares(const ShareSet& set) {
  std::vector<std::string> missing;
  for (u32 index = 0; index < set.shares(); ++index)
    if (std::none_of(set.members.begin(), set.members.end(), [&](const WorkerEntry* member) {
          return member->node.columns.index == index;
        }))
      missing.push_back(to_string(ColumnShare{index, set.shares()}));
  return missing.empty() ? std::string() : fmt::format("{}", fmt::join(missing, ", "));
}

void check_shares(const ShareSet& set, bool may_have_gaps, Problems& problems) {
  std::map<u32, const WorkerEntry*> holders;
  for (const WorkerEntry* member : set.members) {
    const auto [first, is_new] = holders.emplace(member->node.columns.index, member);
    if (!is_new && set.shares() > 1)
      problems.add(member->columns_at, member->key + ".columns",
                   fmt::format("{} is the share of '{}' in line {} already; expected each share on "
                               "one primary worker",
                               to_string(member->node.columns), first->second->node.name,
                               first->second->columns_at.line));
  }
  const std::string missing = missing_shares(set);
  if (!missing.empty() && !may_have_gaps)
    problems.add(set.front().columns_at, set.front().key + ".columns",
                 fmt::format("is {}; expected a primary worker of the same layers for {} too",
                             to_string(set.front().node.columns), missing));
}

void refuse_overlap(const WorkerEntry* one, const WorkerEntry* other, Problems& problems) {
  const auto place = [](const WorkerEntry* worker) {
    return std::pair(worker->layers_at.line, worker->layers_at.column);
  };
  if (place(one) > place(other)) std::swap(one, other);
  problems.add(
      other->layers_at, other->key + ".layers",
      fmt::format("{} overlaps the layers {} of '{}' in line {}; expected each layer on one "
                  "primary worker",
                  to_string(other->node.layers), to_string(one->node.layers), one->node.name,
                  one->layers_at.line));
}

/// Walks the sets of primaries from layer 0 up. Gaps are only judged when every entry could be
/// read.
void check_layers(const std::vector<ShareSet>& sets, bool may_have_gaps, Problems& problems) {
  const WorkerEntry* reaches_furthest = nullptr;
  for (const ShareSet& set : sets) {
    const WorkerEntry* worker = &set.front();
    const u32 next = reaches_furthest == nullptr ? 0 : reaches_furthest->layers->last + 1;
    if (worker->layers->first < next)
      refuse_overlap(worker, reaches_furthest, problems);
    else if (worker->layers->first > next && !may_have_gaps)
      problems.add(worker->layers_at, worker->key + ".layers",
                   fmt::format("starts at layer {}; expected a primary worker for {} too",
                               worker->layers->first,
                               to_string(LayerRange{next, worker->layers->first - 1})));
    if (reaches_furthest == nullptr || worker->layers->last > reaches_furthest->layers->last)
      reaches_furthest = worker;
  }
}

/// A share of a replica is of use where the primaries are cut the same way, or where replicas
/// complete each other.
void check_replica(const ShareSet& replicas, const std::vector<ShareSet>& primaries,
                   Problems& problems) {
  const bool cut_alike = std::all_of(primaries.begin(), primaries.end(), [&](const ShareSet& set) {
    return set.layers().last < replicas.layers().first ||
           set.layers().first > replicas.layers().last || set.shares() == replicas.shares();
  });
  if (replicas.shares() == 1 || cut_alike || missing_shares(replicas).empty()) return;
  const WorkerEntry& worker = replicas.front();
  problems.add(worker.columns_at, worker.key + ".columns",
               fmt::format("is {}, but the primary workers of its layers are cut otherwise; "
                           "expected their shares, or replicas for {} too",
                           to_string(worker.node.columns), missing_shares(replicas)));
}

void check_layers_and_shares(const std::vector<WorkerEntry>& workers, const Value& list) {
  Entries primaries;
  Entries replicas;
  bool all_read = true;
  for (const WorkerEntry& worker : workers) {
    all_read = all_read && worker.layers.has_value();
    if (!worker.layers) continue;
    (worker.node.role == WorkerNode::Role::primary ? primaries : replicas).push_back(&worker);
  }
  if (primaries.empty() && all_read && !workers.empty())
    list.refuse("only replicas; expected a primary worker for every layer");
  std::stable_sort(primaries.begin(), primaries.end(),
                   [](const WorkerEntry* a, const WorkerEntry* b) {
                     return a->layers->first < b->layers->first;
                   });
  const std::vector<ShareSet> sets = share_sets(primaries);
  for (const ShareSet& set : sets) check_shares(set, !all_read, list.problems);
  check_layers(sets, !all_read, list.problems);
  if (!all_read) return;
  for (const ShareSet& set : share_sets(replicas)) check_replica(set, sets, list.problems);
}

/// Absent keys have their default and can be "read".
bool is_read(const Origins& origins, const std::string& key) {
  const Origin* origin = origins.find(key);
  return origin == nullptr || origin->readable;
}

WorkerEntry entry_of(const WorkerNode& node, const std::string& key, const Origins& origins) {
  WorkerEntry entry{node, key, std::nullopt, {}, {}, {}, {}};
  const bool is_placed = origins.has(key + ".layers") && is_read(origins, key + ".layers") &&
                         is_read(origins, key + ".columns") && is_read(origins, key + ".role");
  if (is_placed) entry.layers = node.layers.within(kMaxLayer + 1);
  entry.name_at = origins.place_of(key + ".name");
  entry.address_at = origins.place_of(key + ".address");
  entry.layers_at = origins.place_of(key + ".layers");
  entry.columns_at = origins.place_of(key + ".columns");
  return entry;
}

} // namespace

void check_workers(const std::vector<WorkerNode>& workers, const Value& list,
                   const Origins& origins) {
  std::vector<WorkerEntry> entries;
  for (std::size_t i = 0; i < workers.size(); ++i)
    entries.push_back(entry_of(workers[i], fmt::format("workers[{}]", i), origins));
  check_unique(entries, list.problems);
  check_layers_and_shares(entries, list);
}

} // namespace talaria::settings
