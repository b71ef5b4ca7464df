#include "config/placement.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "config/scalars.hpp"

namespace talaria::config {
namespace {

constexpr std::size_t kMaxWorkers = 1024;

/// One entry, and where to point; no layers if they, or its role, could not be read.
struct Placed {
  WorkerNode node;
  std::string key;
  Position name_at;
  Position layers_at;
  std::optional<LayerRange> layers;
};

ReadValue worker_address(WorkerNode& node) {
  return [&node](const Value& value) {
    const std::string expected = "HOST:PORT with a port from 1 to 65535";
    const auto text = scalar_text(value, expected);
    if (!text) return;
    const auto address = parse_address(*text);
    if (!address || address->port == 0) {
      value.expected(expected);
      return;
    }
    node.host = address->host;
    node.port = address->port;
  };
}

ReadValue layers_in(Placed& worker) {
  return [&worker](const Value& value) {
    const std::string expected =
        fmt::format("A-B with A <= B <= {}, one number, or all", kMaxLayer);
    worker.layers_at = value.at;
    const auto text = scalar_text(value, expected);
    if (!text) return;
    worker.layers = parse_layers(*text);
    if (!worker.layers) {
      value.expected(expected);
      return;
    }
    worker.node.all_layers = worker.layers->all;
    worker.node.first_layer = worker.layers->all ? 0 : worker.layers->first;
    worker.node.last_layer = worker.layers->all ? 0 : worker.layers->last;
  };
}

ReadValue name_in(Placed& worker) {
  return [&worker](const Value& value) {
    worker.name_at = value.at;
    text_in(worker.node.name, is_node_name, "1 to 64 letters, digits, '-', '_' and '.'")(value);
  };
}

Placed read_worker(const Value& value) {
  Placed worker;
  worker.key = value.key;
  worker.node.line = value.at.line;
  std::string role = "primary";
  const auto read_role = one_of(role, {"primary", "replica"});
  bool role_is_known = true;
  read_mapping(value, {{"name", name_in(worker), Presence::required},
                       {"address", worker_address(worker.node), Presence::required},
                       {"device", text_in(worker.node.device, is_device, "cpu or cuda:N")},
                       {"layers", layers_in(worker), Presence::required},
                       {"role", [&](const Value& item) {
                          const std::size_t before = item.problems.count();
                          read_role(item);
                          role_is_known = item.problems.count() == before;
                        }}});
  worker.node.role = role == "replica" ? WorkerNode::Role::replica : WorkerNode::Role::primary;
  if (!role_is_known) worker.layers.reset();
  return worker;
}

void check_names(const std::vector<Placed>& workers, Problems& problems) {
  std::map<std::string, int> lines;
  for (const Placed& worker : workers) {
    if (worker.node.name.empty()) continue;
    const auto [first, is_new] = lines.emplace(worker.node.name, worker.name_at.line);
    if (!is_new)
      problems.add(worker.name_at, worker.key + ".name",
                   fmt::format("'{}' is the name of the worker in line {} already; expected a name "
                               "of its own",
                               worker.node.name, first->second));
  }
}

std::string range_text(const LayerRange& layers) {
  if (layers.all) return "all";
  return layers.first == layers.last ? fmt::format("{}", layers.first)
                                     : fmt::format("{}-{}", layers.first, layers.last);
}

void refuse_overlap(const Placed* one, const Placed* other, Problems& problems) {
  const auto place = [](const Placed* worker) {
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

/// Walks the primaries from layer 0 up. Gaps are only judged when every entry could be read.
void check_layers(const std::vector<const Placed*>& primaries, bool may_have_gaps,
                  Problems& problems) {
  const Placed* reaches_furthest = nullptr;
  for (const Placed* worker : primaries) {
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

void check_placement(const std::vector<Placed>& workers, const Value& list) {
  std::vector<const Placed*> primaries;
  bool all_read = true;
  for (const Placed& worker : workers) {
    all_read = all_read && worker.layers.has_value();
    if (worker.layers && worker.node.role == WorkerNode::Role::primary)
      primaries.push_back(&worker);
  }
  if (primaries.empty() && all_read && !workers.empty())
    list.refuse("only replicas; expected a primary worker for every layer");
  std::stable_sort(primaries.begin(), primaries.end(), [](const Placed* a, const Placed* b) {
    return a->layers->first < b->layers->first;
  });
  check_layers(primaries, !all_read, list.problems);
}

} // namespace

std::vector<WorkerNode> read_workers(const Value& value) {
  std::vector<WorkerNode> nodes;
  const std::vector<Value> items = list_items(value);
  if (items.size() > kMaxWorkers) {
    value.refuse(fmt::format("has {} entries; expected at most {}", items.size(), kMaxWorkers));
    return nodes;
  }
  std::vector<Placed> workers;
  for (const Value& item : items) workers.push_back(read_worker(item));
  check_names(workers, value.problems);
  check_placement(workers, value);
  for (Placed& worker : workers) nodes.push_back(std::move(worker.node));
  return nodes;
}

} // namespace talaria::config
