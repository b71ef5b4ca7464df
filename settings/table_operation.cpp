#include "settings/forms.hpp"
#include "settings/table_parts.hpp"

namespace talaria::settings {

namespace {

using namespace std::chrono_literals;
using config::Faults;
using config::Hints;
using config::Launch;
using config::PipelineConfig;

void add_faults(std::vector<Setting>& rows) {
  const auto fault = [](auto Faults::*value) { return member(&PipelineConfig::faults, value); };
  rows.push_back(row("faults.deadline", duration(10ms, 1h), fault(&Faults::deadline),
                     "a product that takes longer goes to another holder of its layer")
                     .reloaded());
  rows.push_back(row("faults.request_deadline", duration(100ms, 24h),
                     fault(&Faults::request_deadline),
                     "a product without any right answer for so long ends its request; at least "
                     "faults.deadline")
                     .reloaded());
  rows.push_back(row("faults.retries", whole<u32>(0, 100), fault(&Faults::retries),
                     "how often one product is sent again after lost links")
                     .reloaded());
  rows.push_back(row("faults.strikes", whole<u32>(1, 1000), fault(&Faults::strikes),
                     "missed deadlines and refusals in a row before a worker is suspended"));
  rows.push_back(row("faults.heartbeat", duration(10ms, 1min), fault(&Faults::heartbeat),
                     "time between heartbeats on a link"));
  rows.push_back(row("faults.silence", duration(20ms, 10min), fault(&Faults::silence),
                     "a link without one byte for so long is lost; at least two heartbeats"));
  rows.push_back(row("faults.reconnect.first", duration(10ms, 1min),
                     fault(&Faults::reconnect_first),
                     "pause before the second attempt to connect; doubles each time"));
  rows.push_back(row("faults.reconnect.most", duration(10ms, 1h), fault(&Faults::reconnect_max),
                     "the longest pause; at least faults.reconnect.first"));
  rows.push_back(row("faults.quarantine", duration(0s, 24h), fault(&Faults::quarantine),
                     "how long a worker that gave a wrong answer is not asked"));
  rows.push_back(row("faults.in_flight", whole<u32>(1, 4096), fault(&Faults::in_flight),
                     "products under way on one link"));
  rows.push_back(row("faults.resolve", duration(1s, 1h), fault(&Faults::resolve),
                     "how often names of workers with addresses: each are looked up"));
}

void add_hints(std::vector<Setting>& rows) {
  rows.push_back(row("hints.cache", cache_folder(), member(&PipelineConfig::hints),
                     "where what workers computed of the public matrix is kept")
                     .by_default("the user's cache folder"));
  rows.push_back(row("hints.max_size",
                     bytes_from(std::size_t{1} << 20, "no cache at all is cache: none"),
                     member(&PipelineConfig::hints, &Hints::max_size), "size of that folder"));
  rows.push_back(row("hints.seal", choice({"auto", "owner", "chip", "none", "plain"}),
                     member(&PipelineConfig::hints, &Hints::seal),
                     "what hints, which determine the weights, are sealed with: a key of the "
                     "weights' owner, or of this processor; none: they are not kept; auto: the "
                     "first of these that can be had")
                     .by_default("plain; with serve.attestation auto"));
}

void add_launch(std::vector<Setting>& rows) {
  constexpr auto launch = &PipelineConfig::launch;
  rows.push_back(row("launch.logs", path(), member(launch, &Launch::logs), "folder of the logs")
                     .by_default("logs beside the file"));
  rows.push_back(row("launch.program", path(), member(launch, &Launch::program),
                     "talaria-worker, for workers on this machine")
                     .by_default("beside the running program"));
  rows.push_back(row("launch.ssh", ssh_command(), member(launch, &Launch::ssh),
                     "starts a worker on another machine: {ssh} becomes its `ssh`, {command} one "
                     "word, quoted for the shell over there"));
  rows.push_back(row("launch.restarts", whole<u32>(0, 1000), member(launch, &Launch::restarts),
                     "how often in a row a worker is started again"));
  rows.push_back(row("launch.backoff.first", duration(10ms, 1min),
                     member(launch, &Launch::backoff_first),
                     "pause before that; doubles each time"));
  rows.push_back(row("launch.backoff.most", duration(10ms, 1h),
                     member(launch, &Launch::backoff_max),
                     "the longest pause; at least launch.backoff.first"));
  rows.push_back(row("launch.ready", duration(100ms, 24h), member(launch, &Launch::ready),
                     "time for a worker to get ready"));
}

} // namespace

std::vector<Setting> operation_settings() {
  std::vector<Setting> rows;
  add_faults(rows);
  add_hints(rows);
  add_launch(rows);
  return rows;
}

} // namespace talaria::settings
