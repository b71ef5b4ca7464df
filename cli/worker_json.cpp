#include "cli/worker_json.hpp"

#include <nlohmann/json.hpp>

namespace talaria::cli {

nlohmann::json worker_json(const pipeline::WorkerReport& worker) {
  return {{"name", worker.name},
          {"address", worker.address},
          {"state", worker.state},
          {"trouble", worker.last_error},
          {"requests", worker.requests},
          {"rows", worker.rows},
          {"weight_bytes", worker.weight_bytes},
          {"bytes_in", worker.bytes_in},
          {"bytes_out", worker.bytes_out},
          {"reconnects", worker.reconnects},
          {"in_flight", worker.in_flight},
          {"strikes", worker.strikes},
          {"round_trip_ms", worker.round_trip_ms},
          {"attestation", worker.attestation}};
}

} // namespace talaria::cli
