#include "cli/worker/worker_main.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <string>

#include "actors/worker/product_engine.hpp"
#include "core/error.hpp"
#include "core/random.hpp"
#include "kernels/kernel_set.hpp"
#include "model/weights/quantized.hpp"
#include "remo/public/public_matrix.hpp"

namespace talaria::cli {

namespace {

struct WorkerFlags {
  std::string model;
  std::string layers = "all";
  std::string weights = "int8";
  std::string parameters = "S48";
  std::string isa;
  std::size_t threads = 1;
};

struct LayerRange {
  u32 first = 0;
  u32 last = 0;
};

/// "A-B", "A" or "all" within a model of `count` layers.
LayerRange parse_layers(const std::string& text, u32 count) {
  if (text == "all") return {0, count - 1};
  LayerRange range;
  const char* end = text.data() + text.size();
  auto [at, error] = std::from_chars(text.data(), end, range.first);
  range.last = range.first;
  if (error == std::errc() && at != end && *at == '-')
    std::tie(at, error) = std::make_tuple(std::from_chars(at + 1, end, range.last).ptr, error);
  if (error != std::errc() || at != end || range.first > range.last || range.last >= count)
    throw Error(Errc::usage,
                fmt::format("--layers {}: the model has layers 0-{}; write A-B, A or all", text,
                            count - 1));
  return range;
}

/// Multiplies one random row of residues by the matrix and compares with the reference kernels.
bool product_is_exact(worker::ProductEngine& engine, const model::QuantizedLinear& linear,
                      const kernels::Modulus& q, Rng& rng) {
  AlignedBuffer<u8> row(linear.d_in * static_cast<std::size_t>(q.word_bytes));
  for (std::size_t i = 0; i < linear.d_in; ++i)
    kernels::store_word(row.data() + i * static_cast<std::size_t>(q.word_bytes), rng.below(q.q),
                        q.word_bytes);
  remo::MaskedTensor tensor{linear.id.value, remo::ProductKind::residues, 1,
                            static_cast<u32>(linear.d_in), nullptr};
  AlignedBuffer<u8> expected(linear.columns.d_out() * static_cast<std::size_t>(q.word_bytes));
  kernels::kernel_sets().back().residue_product(row.data(), 1, linear.columns, q, expected.data(),
                                                0, linear.columns.panels());
  tensor.bytes = std::make_shared<const AlignedBuffer<u8>>(std::move(row));
  const auto product = engine.multiply(tensor);
  return product.bytes->size() == expected.size() &&
         std::memcmp(product.bytes->data(), expected.data(), expected.size()) == 0;
}

int check(const WorkerFlags& flags) {
  if (flags.threads < 1 || flags.threads > 1024)
    throw Error(Errc::usage, "--threads must be between 1 and 1024");
  if (!flags.isa.empty()) kernels::set_active_kernels(kernels::select_kernels(flags.isa));
  const auto& parameters = remo::lattice_parameters(flags.parameters);
  const auto format = model::parse_weight_format(flags.weights);
  const auto config = model::load_model_config(flags.model);
  const model::TensorStore store(flags.model);
  const LayerRange range = parse_layers(flags.layers, config.layers);
  worker::ProductEngine engine(parameters, remo::release_seed(), flags.threads);
  auto rng = ChaChaRng::from_system();
  bool exact = true;
  for (u32 i = 0; i < model::linear_count(config); ++i) {
    const bool head = model::linear_kind(config, {i}) == model::LinearKind::lm_head;
    const u32 layer = head ? config.layers - 1 : model::linear_layer(config, {i});
    if (layer < range.first || layer > range.last) continue;
    engine.add(model::load_linear(store, config, {i}, format));
    const auto& linear = engine.linear(i);
    const bool ok = product_is_exact(engine, linear, parameters.modulus(), rng);
    exact = exact && ok;
    fmt::print("{:<22} {:>6} x {:<7} sha256 {}  product {}\n", model::linear_name(config, {i}),
               linear.d_in, linear.columns.d_out(), to_hex(model::digest(linear)).substr(0, 16),
               ok ? "exact" : "WRONG");
  }
  fmt::print("{} matrices, {} bytes of weights, kernels {}\n", engine.matrices(),
             engine.weight_bytes(), kernels::active_kernels().name);
  if (!exact)
    throw Error(Errc::verification,
                "a product differs from the reference kernels; do not use this machine");
  return 0;
}

} // namespace

int worker_main(int argc, char** argv) {
  CLI::App app(
      "Talaria's untrusted side: holds linear weights and multiplies masked rows.\n"
      "Loads its share of a model, prints the digest of each matrix, and checks its products "
      "against the reference kernels.");
  app.set_version_flag("--version", "talaria-worker " TALARIA_VERSION);
  WorkerFlags flags;
  app.add_option("--model", flags.model, "model folder")->required();
  app.add_option("--layers", flags.layers,
                 "A-B, A or all (default); the last layer brings the head");
  app.add_option("--weights", flags.weights, "int8 (default) or int16");
  app.add_option("--parameters", flags.parameters,
                 "lattice parameters: S48 (default), S46, S40, S54");
  app.add_option("--threads", flags.threads, "threads of a product");
  app.add_option("--isa", flags.isa, "force a kernel row: avx512, avx2 or reference");
  try {
    app.parse(argc, argv);
    return check(flags);
  } catch (const CLI::Success& success) {
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    fmt::print(stderr, "talaria-worker: {} (see --help)\n", error.what());
    return exit_status(Errc::usage);
  } catch (const Error& error) {
    fmt::print(stderr, "talaria-worker: {}\n", error.what());
    return exit_status(error.code());
  } catch (const std::exception& error) {
    fmt::print(stderr, "talaria-worker: {}\n", error.what());
    return exit_status(Errc::internal);
  }
}

} // namespace talaria::cli
