#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "audit/attack.hpp"
#include "audit/transcript.hpp"

namespace talaria::audit {

/// What an attack says about a recording, before anybody knows whether it is right.
/// AttackResult: of an attack that made what it attacked, and so could score itself.
using Finding = std::variant<RowGuesses, SetGuesses, TestOutcome, AttackResult>;

/// One attack: it is given what the cloud knows and nothing else. No finding: there is nothing in
/// this recording that it could work on.
struct Attack {
  AttackInfo info;
  std::function<std::vector<Finding>(const CloudView&, const Effort&)> run;
};

/// Every attack on a recording, in the order of the table's columns.
const std::vector<Attack>& all_attacks();

/// The matrix whose input is a function of the token alone.
inline constexpr const char* kFirstMatrix = "layers.0.qkv";

// --- activations -----------------------------------------------------------------------------

/// Each row's nearest token by cosine, as if nothing were masked. The non-adaptive attack that
/// arXiv:2603.00196 reports 1.34 % for.
std::vector<Finding> nearest_neighbour(const CloudView& view, const Effort& effort);

/// Sorted coordinates do not depend on a permutation of the features, so sorted rows are matched
/// with sorted vocabulary rows. Against STIP (arXiv:2312.00025) and its kind, as in
/// arXiv:2505.18332.
std::vector<Finding> sorted_coordinates(const CloudView& view, const Effort& effort);

/// Vocabulary matching (arXiv:2505.18332): tokens one after the other, each by running the public
/// layers on candidates behind what has been recovered so far and comparing with the row seen.
/// Candidates are ordered by what they give without a context. Rows of the hybrid scheme are
/// compared on the complement of its masks.
std::vector<Finding> vocabulary_matching(const CloudView& view, const Effort& effort);

/// Low-rank masks with M_pub known: (x + m M_pub) Q = x Q for Q spanning the complement of M_pub's
/// rows; with a square M_pub its inverse as a metric (docs/protocol.md, Attacks tried (c)). On
/// residues the rows of A take the place of M_pub.
std::vector<Finding> null_space(const CloudView& view, const Effort& effort);

/// The same without knowing M_pub: the covariance of what was recorded, less that of the
/// vocabulary, is the covariance of the masks (arXiv:2602.11088).
std::vector<Finding> learned_subspace(const CloudView& view, const Effort& effort);

/// Left mixing U = A [H; S] leaves the row space as it is: tokens whose vector lies in it are those
/// of the request. Against GELO; docs/protocol.md, Attacks tried (d).
std::vector<Finding> row_space_membership(const CloudView& view, const Effort& effort);

/// Inner products survive every rotation of the features: rows are matched by theirs with the rows
/// of chosen prompts (Gram matching).
std::vector<Finding> gram_alignment(const CloudView& view, const Effort& effort);

/// The rotation itself, from the rows of chosen prompts: orthogonal Procrustes (Schoenemann 1966),
/// then nearest neighbours.
std::vector<Finding> procrustes_alignment(const CloudView& view, const Effort& effort);

/// Least squares from what was sent to what it was, learned on chosen prompts, then nearest
/// neighbours (embedding inversion in its linear form).
std::vector<Finding> linear_inversion(const CloudView& view, const Effort& effort);

/// The same with a ridge chosen on held-out rows of the chosen prompts.
std::vector<Finding> ridge_inversion(const CloudView& view, const Effort& effort);

/// The pages of the embedding table that the enclave's host saw it touch: a row of 2 KiB or more
/// has a page to itself (controlled channel, Xu, Cui and Peinado 2015).
std::vector<Finding> page_visits(const CloudView& view, const Effort& effort);

// --- ciphertexts -----------------------------------------------------------------------------

/// 64 equal bins of [0, q), chi-squared, for every matrix; and the same for the differences of
/// neighbouring rows.
std::vector<Finding> uniformity(const CloudView& view, const Effort& effort);

/// Every 8-bit limb of the residues against its exact distribution, chi-squared, for every matrix.
std::vector<Finding> limb_uniformity(const CloudView& view, const Effort& effort);

/// Correlation of what was sent for chosen prompts with what it was.
std::vector<Finding> plaintext_correlation(const CloudView& view, const Effort& effort);

/// Rows of one matrix that begin alike, in one request or in two.
std::vector<Finding> repeated_rows(const CloudView& view, const Effort& effort);

/// Two rows under one mask: c - c' = Delta (x - x') mod q, matched against differences of the
/// vocabulary (docs/protocol.md, Weaknesses considered).
std::vector<Finding> mask_reuse(const CloudView& view, const Effort& effort);

/// Masks without errors are linear in the block's secret: it is solved for with rows of chosen
/// prompts, and opens the rest of its block (LWE without errors is linear algebra).
std::vector<Finding> noiseless_masks(const CloudView& view, const Effort& effort);

/// Secrets of at most two coefficients +-1, by meet-in-the-middle on one row of a chosen prompt;
/// the secret found opens the rest of its block (Odlyzko's attack on sparse secrets).
std::vector<Finding> short_secret(const CloudView& view, const Effort& effort);

} // namespace talaria::audit
