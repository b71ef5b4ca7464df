#include "planner/model_costs.hpp"

namespace talaria::planner {

MatrixSums& MatrixSums::operator+=(const MatrixSums& other) {
  inputs += other.inputs;
  outputs += other.outputs;
  weights += other.weights;
  products += other.products;
  return *this;
}

MatrixSums ModelCosts::all() const {
  MatrixSums sum = body;
  sum += ending;
  return sum;
}

ModelCosts model_costs(const arch::ModelPlan& plan, const remo::LatticeParameters& parameters,
                       const std::string& kv_format) {
  ModelCosts costs;
  costs.layers.resize(plan.layers.size());
  for (const arch::Linear& linear : plan.linears) {
    const auto d_in = static_cast<double>(linear.d_in), d_out = static_cast<double>(linear.d_out);
    const bool is_head = linear.kind == arch::LinearKind::lm_head;
    const MatrixSums sums{d_in, d_out, d_in * d_out, 1};
    (is_head ? costs.head : costs.layers.at(linear.layer)) += sums;
    const bool is_last = !is_head && linear.layer + 1 == plan.layers.size();
    const bool stops = is_head || (is_last && linear.kind != arch::LinearKind::qkv);
    (stops ? costs.ending : costs.body) += sums;
  }
  const auto full = static_cast<double>(parameters.full_words().word_bytes());
  // Which matrices are rounded depends on their weights, which are not known here.
  costs.word_bytes =
      parameters.rounds() ? static_cast<double>(parameters.rounded_words().word_bytes()) : full;
  costs.limbs = costs.word_bytes;
  costs.hint_bytes = costs.all().outputs * parameters.dimension() * full;
  costs.embedding_bytes = 2.0 * plan.vocab * plan.hidden; // bf16, as it is published
  costs.hidden = plan.hidden;
  for (const arch::Layer& layer : plan.layers) {
    const arch::Attention& attention = layer.attention;
    costs.attention_ops += 4.0 * attention.q_dim();
    if (&layer != &plan.layers.back()) costs.prompt_attention_ops += 4.0 * attention.q_dim();
    // int8 has a scale (fp32) for each head and position.
    const double per_head = kv_format == "int8"
                                ? attention.head_dim + 4.0
                                : attention.head_dim * (kv_format == "bf16" ? 2.0 : 4.0);
    costs.kv_bytes += 2.0 * attention.kv_heads * per_head;
  }
  return costs;
}

} // namespace talaria::planner
