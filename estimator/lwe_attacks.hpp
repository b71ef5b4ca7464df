#pragma once

#include <optional>

#include "estimator/cost_model.hpp"

namespace talaria::estimator {

/// Learning with errors: samples (a, a.s + e mod q) with secret and error of these standard
/// deviations. A module of rank k over a ring of dimension N counts as dimension k N: no attack is
/// known that uses the ring at these sizes.
struct Lwe {
  double dimension = 0;
  double log2_q = 0;
  double secret_sigma = 3.2;
  double error_sigma = 3.2;
  std::optional<double> samples{};        ///< nothing: as many as the attacker likes
  std::optional<double> secret_entropy{}; ///< bits per coordinate; nothing: that of a Gaussian
};

enum class AttackKind : u8 { primal, dual };

/// The cheapest way an attack can be carried out.
struct Estimate {
  AttackKind kind = AttackKind::primal;
  double bits = 0;      ///< log2 cost in the model asked for
  u32 block = 0;        ///< block size of the reduction
  double dimension = 0; ///< of the lattice that is reduced
};

/// Primal attack: the secret as the unique shortest vector of Kannan's embedding, geometric series
/// assumption, success condition of 2016: error_sigma sqrt(b) <= delta^(2b-d-1) vol^(1/d). The
/// block size does not depend on the model. Nothing: no block size below 40000 succeeds. Source:
/// Alkim et al., ePrint 2015/1092.
std::optional<Estimate> primal_attack(const Lwe& lwe, CostModel model);

/// Dual attack: short vectors of the kernel lattice from one sieve, some secret coordinates
/// guessed, more of them by a Fourier transform modulo a small p. Trusts the independence
/// heuristic, which is disputed since 2023, so it errs in the attacker's favour. Source: MATZOV
/// 2022; Ducas and Pulles 2023 for the dispute.
Estimate dual_attack(const Lwe& lwe, CostModel model);

/// The cheaper of the two.
Estimate cheapest_attack(const Lwe& lwe, CostModel model);

} // namespace talaria::estimator
