#include "audit/attacks.hpp"
#include "audit/toy_lattice.hpp"

namespace talaria::audit {
namespace {

std::vector<Finding> toy_masks(const CloudView& view, const Effort& effort) {
  std::vector<Finding> out;
  for (AttackResult& result : toy_lattice(view, effort)) out.emplace_back(std::move(result));
  return out;
}

std::vector<Attack> make_attacks() {
  return {
      {{"nearest", "Nearest neighbour", "arXiv:2603.00196",
        "Each row is compared by cosine with the row that every token of the vocabulary would give "
        "unmasked. It is the attack that low-rank masks were measured with, and it ignores what is "
        "known about the masks."},
       nearest_neighbour},
      {{"sorted", "Sorted coordinates", "against arXiv:2312.00025; arXiv:2505.18332",
        "The coordinates of a row are sorted and matched with the sorted rows of the vocabulary. A "
        "permutation of the features changes nothing about them."},
       sorted_coordinates},
      {{"vocabulary", "Vocabulary matching", "arXiv:2505.18332",
        "The public layers are run on candidates for the next token behind those recovered so far, "
        "and what they give is compared with the row of a deeper layer. Only candidates that look "
        "likely without a context are run."},
       vocabulary_matching},
      {{"null-space", "Null space, M_pub known", "docs/protocol.md, Attacks tried (c)",
        "Every row is projected on the complement of the rows of the public mask matrix, where the "
        "masks cannot reach, and matched there. On residues the rows of A stand in for that "
        "matrix, and there is no complement."},
       null_space},
      {{"learned", "Learned subspace", "arXiv:2602.11088",
        "The covariance of everything recorded, less that of the vocabulary, tells where the masks "
        "are strong. Rows are matched with the directions weighted by how little mask they carry."},
       learned_subspace},
      {{"membership", "Row-space membership",
        "against arXiv:2603.05035; docs/protocol.md, Attacks tried (d)",
        "Mixing the rows of a request leaves the space that they span as it is. The tokens whose "
        "rows lie nearest to that space are taken to be those of the request."},
       row_space_membership},
      {{"gram", "Gram matching", "docs/protocol.md, Attacks tried",
        "Inner products with the rows of prompts that the attacker chose survive every rotation of "
        "the features. They are compared with what each token's would be."},
       gram_alignment},
      {{"procrustes", "Procrustes alignment", "Schoenemann 1966",
        "The rotation that takes chosen prompts to what was sent for them is computed and undone. "
        "Then every row has its nearest neighbour."},
       procrustes_alignment},
      {{"linear", "Linear inversion", "embedding inversion, linear form",
        "Least squares learn on chosen prompts how to get from what was sent to what it was. The "
        "map is applied to the victim's rows, and each gets its nearest neighbour."},
       linear_inversion},
      {{"ridge", "Ridge inversion", "embedding inversion, linear form",
        "The same with a penalty on large coefficients, chosen on held-out rows of the chosen "
        "prompts. It learns less from noise when there are few rows."},
       ridge_inversion},
      {{"pages", "Pages of the embedding table", "controlled channel, Xu et al. 2015",
        "A hypervisor sees which pages of a guest are touched. Those of the embedding table name "
        "the tokens, unless look-ups read all of it; only tests can play the hypervisor."},
       page_visits},
      {{"uniformity", "Uniform residues", "Pearson's chi-squared",
        "Residues of every matrix, and differences of neighbouring rows, are counted in 64 bins of "
        "[0, q). Masks that are not uniform show as a count that chance does not give."},
       uniformity},
      {{"limbs", "Uniform limbs", "Pearson's chi-squared",
        "Each of the 8-bit limbs that the GPU multiplies is compared with its exact distribution. "
        "It finds what coarse bins miss: low bits that are not hidden."},
       limb_uniformity},
      {{"correlation", "Correlation with plaintext", "known plaintext",
        "What was sent for chosen prompts is correlated with what it was. A mask that is "
        "independent of the row leaves no correlation."},
       plaintext_correlation},
      {{"repeats", "Repeated rows", "docs/protocol.md, Weaknesses considered",
        "Rows of a matrix that begin alike are counted, within requests and across them. With "
        "fresh masks equal activations never look alike."},
       repeated_rows},
      {{"reuse", "Masks used twice", "docs/protocol.md, Weaknesses considered",
        "Two rows under one mask differ by a multiple of Delta in every column, which no other "
        "pair does. Their difference is matched with the differences of the vocabulary."},
       mask_reuse},
      {{"noiseless", "Masks without errors", "linear algebra modulo q",
        "Rows of chosen prompts give equations in their block's secret, which are solved as if "
        "there were no errors. The solution opens every other row of the block."},
       noiseless_masks},
      {{"short-secret", "Short secrets", "Odlyzko's meet-in-the-middle",
        "All secrets with at most two coefficients +-1 are tried against the mask of one row of a "
        "chosen prompt. One that fits opens every other row of its block."},
       short_secret},
      {toy_lattice_info(), toy_masks},
  };
}

} // namespace

const std::vector<Attack>& all_attacks() {
  static const std::vector<Attack> attacks = make_attacks();
  return attacks;
}

} // namespace talaria::audit
