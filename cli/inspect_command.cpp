#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/commands.hpp"
#include "cli/context_figures.hpp"
#include "cli/engine_flags.hpp"
#include "cli/expert_figures.hpp"
#include "cli/placement_table.hpp"
#include "core/console.hpp"
#include "estimator/security_level.hpp"
#include "model/weights/model_folder.hpp"
#include "model/weights/plan_file.hpp"
#include "model/weights/synthetic.hpp"
#include "pipeline/draft_memory.hpp"
#include "pipeline/model_loader.hpp"
#include "remo/bounds.hpp"
#include "settings/engine/engine_options.hpp"

namespace talaria::cli {

using nlohmann::json;

namespace {

struct Row {
  pipeline::LinearFigures figures;
  remo::LinearBounds bounds;
  std::size_t hint_bytes = 0;
  std::size_t mask_row_bytes = 0;
};

struct Inspection {
  config::PipelineConfig settings;
  const remo::LatticeParameters* parameters = nullptr;
  estimator::SecurityLevel security;
  arch::ModelPlan model;
  Sha256Digest root{};
  std::vector<model::FileEntry> files;
  bool has_weights = true; ///< else `rows` is empty
  std::vector<Row> rows;
  std::optional<pipeline::DraftMemory> drafts; ///< of pipeline.speculate: model:DIR:N
  std::size_t word_bytes(const Row& row) const {
    return remo::words_of(*parameters, row.bounds).word_bytes();
  }
  std::size_t bytes_up() const {
    return total([this](const Row& r) { return r.figures.d_in * word_bytes(r); });
  }
  std::size_t bytes_down() const {
    return total([this](const Row& r) { return r.figures.columns * word_bytes(r); });
  }

  /// Of a model with mixtures whose weights are there.
  std::optional<ExpertFigures> experts() const {
    if (!has_weights || rows.empty()) return std::nullopt;
    WireWidths widths;
    widths.columns_per_output = rows.front().figures.columns / rows.front().figures.d_out;
    for (const Row& row : rows) widths.word_bytes.push_back(word_bytes(row));
    return expert_figures(model, widths);
  }

  template <class Figure>
  std::size_t total(Figure figure) const {
    std::size_t sum = 0;
    for (const Row& row : rows) sum += figure(row);
    return sum;
  }
};

struct InspectFlags {
  EngineFlags engine;
  std::string target;
  bool json = false;
  bool plan = false;
};

Inspection inspect(const InspectFlags& flags) {
  Inspection out;
  out.settings = flags.engine.resolve_for(flags.target);
  const auto scheme = remo::parse_scheme(out.settings.masking.scheme);
  out.parameters = &remo::lattice_parameters(out.settings.masking.parameters);
  out.security = estimator::security_level(*out.parameters);
  TerminalProgress progress;
  const pipeline::ModelLoader loader(out.settings.model,
                                     model::parse_weight_format(out.settings.masking.weights),
                                     out.settings.model_sha256, settings::task_of(out.settings));
  out.model = loader.plan();
  out.root = loader.files()->root();
  out.files = loader.files()->entries();
  out.has_weights = loader.has_weights();
  const auto options = settings::engine_options(out.settings, [](const std::string&) {});
  if (options.draft_model.is_set()) out.drafts = pipeline::draft_memory(options);
  if (!out.has_weights) return out;
  loader.for_each_linear(progress, [&](const model::QuantizedLinear& linear) {
    Row row;
    row.figures = pipeline::figures_of(out.model, linear);
    row.bounds = remo::linear_bounds(*out.parameters, row.figures.name, row.figures.d_in,
                                     row.figures.max_column_norm);
    if (scheme == remo::SchemeKind::lattice) {
      row.hint_bytes = out.parameters->dimension() * row.figures.columns *
                       out.parameters->full_words().word_bytes();
      row.mask_row_bytes = (row.figures.d_in + row.figures.columns) * out.word_bytes(row);
    }
    out.rows.push_back(row);
  });
  return out;
}

/// Of a model folder, prepared or not, or of random weights.
arch::ModelPlan plan_of(const std::filesystem::path& model) {
  if (const auto random = model::random_model(model)) return *random;
  return model::load_model_plan(model::enclave_folder(model));
}

json files_json(const std::vector<model::FileEntry>& files) {
  json out = json::array();
  for (const model::FileEntry& entry : files)
    out.push_back({{"name", entry.name}, {"bytes", entry.bytes}, {"sha256", to_hex(entry.digest)}});
  return out;
}

json to_json(const Inspection& x) {
  json linears = json::array();
  for (const Row& row : x.rows)
    linears.push_back({{"name", row.figures.name},
                       {"d_in", row.figures.d_in},
                       {"d_out", row.figures.d_out},
                       {"columns", row.figures.columns},
                       {"weight_bytes", row.figures.weight_bytes},
                       {"hint_bytes", row.hint_bytes},
                       {"mask_row_bytes", row.mask_row_bytes},
                       {"max_column_norm", row.figures.max_column_norm},
                       {"rounded", row.bounds.rounded},
                       {"word_bytes", x.word_bytes(row)},
                       {"delta_bits", row.bounds.delta_bits},
                       {"activation_norm", row.bounds.activation_norm},
                       {"precision_bits", row.bounds.precision_bits}});
  json out = {
      {"model",
       {{"path", x.settings.model.string()},
        {"sha256", to_hex(x.root)},
        {"files", files_json(x.files)},
        {"type", x.model.model_type},
        {"layers", x.model.layer_count()},
        {"hidden", x.model.hidden},
        {"vocab", x.model.vocab},
        {"context", x.model.max_position}}},
      {"masking", {{"scheme", x.settings.masking.scheme}, {"weights", x.settings.masking.weights}}},
      {"enclave", {{"oblivious", x.settings.enclave.oblivious}}},
      {"security",
       {{"parameters", std::string(x.parameters->name)},
        {"q", x.parameters->q},
        {"p", x.parameters->p},
        {"ring_dimension", x.parameters->n},
        {"rank", x.parameters->k},
        {"lwe_dimension", x.parameters->dimension()},
        {"block_size", x.security.block},
        {"core_svp_bits", x.security.core},
        {"quantum_core_svp_bits", x.security.quantum},
        {"quantum_walk_bits", x.security.quantum_lower},
        {"fhe_standard_bits", x.security.bdgl},
        {"fhe_standard_quantum_bits", x.security.lmp},
        {"gates_bits", x.security.gates}}},
      {"linears", linears},
      {"totals",
       {{"weight_bytes", x.total([](const Row& r) { return r.figures.weight_bytes; })},
        {"hint_bytes", x.total([](const Row& r) { return r.hint_bytes; })},
        {"mask_row_bytes", x.total([](const Row& r) { return r.mask_row_bytes; })},
        {"bytes_up_per_token", x.bytes_up()},
        {"bytes_down_per_token", x.bytes_down()},
        {"round_trips_per_token", x.rows.size()}}},
      {"context", context_json(x.model, x.settings)},
      {"placement", to_json(placement_table(x.settings, x.model)).at("nodes")}};
  if (x.drafts)
    out["draft_model"] = {{"path", x.settings.pipeline.speculate.model.string()},
                          {"drafts", x.settings.pipeline.speculate.drafts},
                          {"weight_bytes", x.drafts->weight_bytes},
                          {"kv_bytes_per_token", x.drafts->bytes_per_position},
                          {"context", x.drafts->max_position}};
  if (const auto experts = x.experts()) out["experts"] = to_json(*experts);
  if (!x.has_weights) {
    out.erase("linears");
    out.erase("totals");
  }
  return out;
}

void print_security(const Inspection& x) {
  const auto& p = *x.parameters;
  const auto& s = x.security;
  const bool in_use = x.settings.masking.scheme == "lattice";
  print_out("{}{}: q = {}, ring {}, rank {}\n", p.name, in_use ? "" : " (not in use)", p.q, p.n,
            p.k);
  if (p.rounds())
    print_out("  masks are rounded to words modulo p = {} where activations keep {} bits\n", p.p,
              remo::kRoundedPrecisionBits);
  print_out("  opening a mask takes lattice reduction with block size {} in dimension {}\n",
            s.block, s.dimension);
  print_out("  log2 of its cost: classical core-SVP {:.1f}, quantum {:.1f} ({:.1f} with quantum "
            "walks), gates {:.1f}, FHE standard (bdgl) {:.1f}, its quantum model {:.1f}\n\n",
            s.core, s.quantum, s.quantum_lower, s.gates, s.bdgl, s.lmp);
}

void print(const Inspection& x) {
  print_out("{}: {}, {} layers, hidden {}, vocabulary {}, context {}\n", x.settings.model.string(),
            x.model.model_type, x.model.layer_count(), x.model.hidden, x.model.vocab,
            x.model.max_position);
  print_out("model_sha256: {}\n", to_hex(x.root));
  print_out("scheme {}, weights {}\n", x.settings.masking.scheme, x.settings.masking.weights);
  print_security(x);
  if (!x.has_weights) {
    print_out("\n{}\n", to_text(placement_table(x.settings, x.model)));
    print_out("{}", context_text(x.model, x.settings));
    print_out("The folder holds no weights, which the figures of each matrix come from: give the "
              "folder that has both halves for them\n");
    return;
  }
  print_out("{:<22}{:>7}{:>8}{:>12}{:>13}{:>6}{:>12}{:>10}{:>7}{:>10}{:>7}\n", "matrix", "d_in",
            "columns", "weights", "hint", "word", "mask B/row", "norm", "Delta", "|x| max", "bits");
  for (const Row& row : x.rows)
    print_out("{:<22}{:>7}{:>8}{:>12}{:>13}{:>6}{:>12}{:>10.0f}{:>7}{:>10.3g}{:>7.1f}\n",
              row.figures.name, row.figures.d_in, row.figures.columns,
              mib(row.figures.weight_bytes), mib(row.hint_bytes), x.word_bytes(row),
              row.mask_row_bytes, row.figures.max_column_norm,
              fmt::format("2^{}", row.bounds.delta_bits), row.bounds.activation_norm,
              row.bounds.precision_bits);
  const auto mask_bytes = x.total([](const Row& r) { return r.mask_row_bytes; });
  const std::size_t stock =
      std::min(x.settings.masking.pool_memory(), x.settings.masking.rows_ahead * mask_bytes);
  print_out("\n{}\n", to_text(placement_table(x.settings, x.model)));
  print_out("enclave   hints {}, masks {} ahead at most ({} bytes per token)\n",
            mib(x.total([](const Row& r) { return r.hint_bytes; })), mib(stock), mask_bytes);
  print_out("{}", context_text(x.model, x.settings));
  if (x.drafts)
    print_out(
        "drafts    {} a round, of {}: weights {}, {} bytes of keys and values per token; up to "
        "{} tokens\n",
        x.settings.pipeline.speculate.drafts, x.settings.pipeline.speculate.model.string(),
        mib(x.drafts->weight_bytes), x.drafts->bytes_per_position, x.drafts->max_position);
  print_out("oblivious {}: {}\n", x.settings.enclave.oblivious,
            x.settings.enclave.oblivious == "on"
                ? "look-ups and sampling hide tokens from the enclave's host"
                : "the enclave's host can see which pages of the embedding table are read");
  print_out("per token {} bytes up, {} bytes down, {} round trips\n", x.bytes_up(), x.bytes_down(),
            x.rows.size());
  if (const auto experts = x.experts()) print_out("{}", to_text(*experts));
}

} // namespace

void add_inspect_command(CLI::App& app, Action& chosen) {
  auto flags = std::make_shared<InspectFlags>();
  CLI::App* command =
      app.add_subcommand("inspect", "Layers, bytes, hints, masks, placement, security level");
  flags->engine.add_to(*command);
  command->add_option("TARGET", flags->target, "model folder, GGUF file or pipeline.yaml");
  command->add_flag("--json", flags->json, "print one JSON object");
  command->add_flag("--plan", flags->plan, "print what the model computes, step by step, and stop");
  command->callback([flags, &chosen] {
    chosen = [flags](InterruptWatch&) {
      if (flags->plan) {
        const std::filesystem::path model = flags->engine.resolve_for(flags->target).model;
        print_out("{}", arch::plan_text(plan_of(model)));
        return 0;
      }
      const Inspection result = inspect(*flags);
      if (flags->json)
        print_out("{}\n", to_json(result).dump());
      else
        print(result);
      return 0;
    };
  });
}

} // namespace talaria::cli
