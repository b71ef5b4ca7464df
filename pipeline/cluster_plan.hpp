#pragma once

#include <functional>
#include <string>
#include <vector>

#include "actors/cluster/node.hpp"
#include "actors/cluster/placement.hpp"
#include "arch/model_plan.hpp"
#include "core/model_part.hpp"
#include "model/weights/quantized.hpp"
#include "remo/public/parameters.hpp"
#include "transport/tls.hpp"

namespace talaria::pipeline {

/// One remote worker as the configuration has it.
struct ClusterNode {
  std::string name;
  transport::Address address;
  std::string tls_name; ///< the name in its certificate
  LayerRange layers;
  ColumnShare share;    ///< of the columns of each of its matrices
  bool replica = false; ///< asked only when no primary can be
  /// Every address of its name is a worker of its own, and all of them hold the same: see
  /// with_addresses().
  bool each_address = false;
  u32 equals = 0; ///< Holder::equals
};

/// Everything an enclave needs to know to use workers on other machines.
struct ClusterOptions {
  std::vector<ClusterNode> nodes;
  transport::TlsFiles tls; ///< without certificate and key: made at the start, never on a disk
  std::string enclave_name = "talaria-enclave"; ///< in a certificate that is made
  /// What gives evidence of this enclave to workers that demand it, for a model with this root;
  /// empty: nothing does.
  std::function<transport::GiveEvidence(const Sha256Digest& model_root)> evidence;
  cluster::FaultPolicy policy;
  cluster::Milliseconds ready{30000}; ///< how long to wait for the workers at the start
  /// The addresses of a name; null: asks the system. @throws Error if there are none now.
  std::function<std::vector<std::string>(const std::string& host)> resolve;
  cluster::Milliseconds resolve_every{5000};   ///< while there are nodes with each_address
  std::function<void(const std::string&)> log; ///< lines about workers; called on any thread
};

/// The resolved plan: where each matrix is computed, and what each node must hold.
struct ClusterPlan {
  cluster::PlacementPlan placement; ///< by LinearId
  std::vector<cluster::NodeSettings> nodes;
};

/// @throws Error{config} naming the matrix if some of its columns have no worker, or the node if
/// its layers or share do not exist in this model.
ClusterPlan plan_cluster(const ClusterOptions& options, const arch::ModelPlan& model,
                         model::WeightFormat format, const remo::LatticeParameters& parameters);

} // namespace talaria::pipeline
