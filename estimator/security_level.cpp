#include "estimator/security_level.hpp"

#include <cmath>

#include "core/error.hpp"

namespace talaria::estimator {

Lwe mask_instance(const remo::LatticeParameters& parameters) {
  Lwe lwe;
  lwe.dimension = parameters.dimension();
  lwe.log2_q = std::log2(static_cast<double>(parameters.q));
  return lwe;
}

SecurityLevel security_level(const remo::LatticeParameters& parameters) {
  const Lwe lwe = mask_instance(parameters);
  const auto primal = primal_attack(lwe, CostModel::core);
  if (!primal)
    throw Error(Errc::internal, "no block size opens parameter set " +
                                    std::string(parameters.name) + "; is its modulus right?");
  const auto bits = [&lwe](CostModel model) { return cheapest_attack(lwe, model).bits; };
  SecurityLevel level;
  level.block = primal->block;
  level.dimension = static_cast<u32>(primal->dimension);
  level.core = bits(CostModel::core);
  level.bdgl = bits(CostModel::bdgl);
  level.gates = bits(CostModel::gates);
  level.quantum = bits(CostModel::quantum);
  level.quantum_lower = bits(CostModel::quantum_lower);
  level.lmp = bits(CostModel::lmp);
  return level;
}

} // namespace talaria::estimator
