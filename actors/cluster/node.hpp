#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "core/integers.hpp"
#include "remo/public/wire_tensors.hpp"
#include "transport/address.hpp"
#include "transport/identity.hpp"
#include "transport/link_gate.hpp"

namespace talaria::cluster {

using Milliseconds = std::chrono::milliseconds;

/// What is done about workers that fail (`faults:` of pipeline.yaml; docs/operations.md, Faults).
struct FaultPolicy {
  Milliseconds deadline{10000};          ///< of one product, on top of its bytes and arithmetic
  Milliseconds request_deadline{120000}; ///< a product may wait this long for a worker to come back
  u32 retries = 3;                       ///< times a product is sent again after the first
  u32 strikes = 3;                       ///< deadlines missed in a row before a worker is suspended
  Milliseconds heartbeat{100};
  Milliseconds silence{2000}; ///< not one byte for this long: the worker is lost
  Milliseconds reconnect_first{100};
  Milliseconds reconnect_max{5000};
  Milliseconds quarantine{300000}; ///< how long a worker that gave a wrong answer is suspended
  std::size_t in_flight = 64;      ///< products under way at one worker
};

/// One worker of the cluster, as the enclave's configuration names it.
struct NodeSettings {
  std::string name;
  transport::Address address;
  std::string tls_name;             ///< the name its certificate must carry
  transport::Identity wanted;       ///< what it must hold
  transport::GiveEvidence evidence; ///< of this enclave, if it demands any; empty: there is none
  transport::TakeOwnerKey take_owner_key; ///< told of the key that its owner gives; may be empty
};

/// How a worker is doing, for `status`, the log and the account of a run.
struct NodeHealth {
  enum class State : u8 { connecting, ready, quarantined };
  std::string name;
  std::string address;
  std::string device;
  State state = State::connecting;
  std::string last_error; ///< the last reason why it was not ready; empty if there was none
  u32 strikes = 0;
  u32 in_flight = 0;
  u64 weight_bytes = 0;
  u64 products = 0; ///< answered
  u64 rows = 0;     ///< in them
  u64 bytes_up = 0; ///< masked tensors sent
  u64 bytes_down = 0;
  u64 reconnects = 0;
  double round_trip_ms = 0;
  /// "until 2026-11-30T12:00:00Z", "refused", or empty: it has not asked for evidence.
  std::string attestation;
};
const char* to_string(NodeHealth::State state) noexcept;

} // namespace talaria::cluster
