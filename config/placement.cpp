#include "config/placement.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "config/scalars.hpp"
#include "config/worker_entry.hpp"

namespace talaria::config {
namespace {

constexpr std::size_t kMaxWorkers = 1024;

using Entries = std::vector<const WorkerEntry*>;

/// The entries that hold the same layers in equally many shares: together one worker, if they are
/// complete. In the order of the file.
struct ShareSet {
  Entries members;
  const WorkerEntry& front() const { return *members.front(); }
  const LayerRange& layers() const { return *front().layers; }
  u32 shares() const { return front().node.shares; }
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
    if (worker.node.port != 0) {
      const std::string address = address_of(worker.node);
      const auto [first, is_new] = addresses.emplace(address, worker.address_at.line);
      if (!is_new) refuse(worker.address_at, "address", address, first->second);
    }
  }
}

std::string range_text(const LayerRange& layers) {
  if (layers.all) return "all";
  return layers.first == layers.last ? fmt::format("{}", layers.first)
                                     : fmt::format("{}-{}", layers.first, layers.last);
}

/// Workers without shares are sets of their own, so that two of them overlap.
std::vector<ShareSet> share_sets(const Entries& workers) {
  std::vector<ShareSet> sets;
  for (const WorkerEntry* worker : workers) {
    const auto same = std::find_if(sets.begin(), sets.end(), [&](const ShareSet& set) {
      return worker->node.shares > 1 && set.shares() == worker->node.shares &&
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
  for (u32 share = 1; share <= set.shares(); ++share)
    if (std::none_of(set.members.begin(), set.members.end(),
                     [&](const WorkerEntry* member) { return member->node.share == share; }))
      missing.push_back(fmt::format("{}/{}", share, set.shares()));
  return missing.empty() ? std::string() : fmt::format("{}", fmt::join(missing, ", "));
}

void check_shares(const ShareSet& set, bool may_have_gaps, Problems& problems) {
  std::map<u32, const WorkerEntry*> holders;
  for (const WorkerEntry* member : set.members) {
    const auto [first, is_new] = holders.emplace(member->node.share, member);
    if (!is_new && set.shares() > 1)
      problems.add(member->columns_at, member->key + ".columns",
                   fmt::format("{}/{} is the share of '{}' in line {} already; expected each share "
                               "on one primary worker",
                               member->node.share, set.shares(), first->second->node.name,
                               first->second->columns_at.line));
  }
  const std::string missing = missing_shares(set);
  if (!missing.empty() && !may_have_gaps)
    problems.add(set.front().columns_at, set.front().key + ".columns",
                 fmt::format("is {}/{}; expected a primary worker of the same layers for {} too",
                             set.front().node.share, set.shares(), missing));
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
                  range_text(*other->layers), range_text(*one->layers), one->node.name,
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
                               range_text({next, worker->layers->first - 1, false})));
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
               fmt::format("is {}/{}, but the primary workers of its layers are cut otherwise; "
                           "expected their shares, or replicas for {} too",
                           worker.node.share, worker.node.shares, missing_shares(replicas)));
}

void check_placement(const std::vector<WorkerEntry>& workers, const Value& list) {
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

} // namespace

std::vector<WorkerNode> read_workers(const Value& value, const std::filesystem::path& folder) {
  std::vector<WorkerNode> nodes;
  const std::vector<Value> items = list_items(value);
  if (items.size() > kMaxWorkers) {
    value.refuse(fmt::format("has {} entries; expected at most {}", items.size(), kMaxWorkers));
    return nodes;
  }
  std::vector<WorkerEntry> workers;
  for (const Value& item : items) workers.push_back(read_worker_entry(item, folder));
  check_unique(workers, value.problems);
  check_placement(workers, value);
  for (WorkerEntry& worker : workers) nodes.push_back(std::move(worker.node));
  return nodes;
}

void check_layer_count(const PipelineConfig& config, u32 layers) {
  Problems problems(config.file);
  u32 held = 0; // by primaries, which have no gaps and no overlaps
  for (std::size_t i = 0; i < config.workers.size(); ++i) {
    const WorkerNode& node = config.workers[i];
    if (!node.all_layers && node.last_layer >= layers)
      problems.add({node.layers_line, node.layers_column}, fmt::format("workers[{}].layers", i),
                   fmt::format("is {}; expected layers of the model, which has {}", layers_of(node),
                               range_text({0, layers - 1, false})));
    if (node.role == WorkerNode::Role::primary)
      held = std::max(held, node.all_layers ? layers : node.last_layer + 1);
  }
  if (!config.workers.empty() && held < layers) {
    const WorkerNode& first = config.workers.front();
    problems.add({first.line, 1}, "workers",
                 fmt::format("no primary worker holds layers {}; expected one for each of {}",
                             range_text({held, layers - 1, false}),
                             range_text({0, layers - 1, false})));
  }
  problems.throw_if_any();
}

} // namespace talaria::config
