#pragma once

#include "estimator/lwe_attacks.hpp"
#include "remo/public/parameters.hpp"

namespace talaria::estimator {

/// How hard the masks of one parameter set are to open: the cheaper of the primal and the dual
/// attack in each cost model, bits.
struct SecurityLevel {
  u32 block = 0;            ///< block size that the primal attack needs
  u32 dimension = 0;        ///< of the lattice it reduces
  double core = 0;          ///< classical core-SVP
  double bdgl = 0;          ///< cost model of the FHE standard
  double gates = 0;         ///< classical gates
  double quantum = 0;       ///< quantum core-SVP, exponent 0.265
  double quantum_lower = 0; ///< the same with exponent 0.257
  double lmp = 0;           ///< quantum cost model of the FHE guidelines
};

/// The instance that opening a mask row means: dimension k N, as many samples as the attacker
/// likes. Costed with sigma 3.2, as the published tables are; the masks use 3.24, which is no
/// easier.
Lwe mask_instance(const remo::LatticeParameters& parameters);

/// Takes some hundredths of a second.
SecurityLevel security_level(const remo::LatticeParameters& parameters);

} // namespace talaria::estimator
