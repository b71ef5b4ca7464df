#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "core/console.hpp"
#include "core/error.hpp"
#include "model/weights/prepared_writer.hpp"

namespace talaria::cli {

namespace {

struct PrepareFlags {
  std::string model;
  std::string out;
  std::string weights = "int8";
  bool force = false;
  bool json = false;
};

nlohmann::json to_json(const PrepareFlags& flags, const model::Prepared& prepared, double seconds) {
  return {{"model", flags.model},
          {"out", flags.out},
          {"weights", model::to_string(prepared.worker.weights)},
          {"layers", prepared.worker.layers},
          {"matrices", prepared.worker.matrices.size()},
          {"enclave_bytes", prepared.enclave_bytes},
          {"worker_bytes", prepared.worker_bytes},
          {"enclave_sha256", to_hex(prepared.enclave_root)},
          {"worker_sha256", to_hex(prepared.worker_root)},
          {"seconds", seconds}};
}

void print(const PrepareFlags& flags, const model::Prepared& prepared, double seconds) {
  const auto mib = [](u64 bytes) { return static_cast<double>(bytes) / (1 << 20); };
  print_out("{0}/enclave  {1:.1f} MiB in {2} files: keep it where prompts may be seen\n"
            "{0}/worker   {3:.1f} MiB in {4} files: {5} matrices of {6} layers in {7}\n"
            "model_sha256 of {0} and {0}/enclave: {9}\n"
            "model_sha256 of {0}/worker: {10}\n"
            "{8:.1f} s\n",
            flags.out, mib(prepared.enclave_bytes), prepared.enclave.files.size(),
            mib(prepared.worker_bytes), prepared.worker.files.size(),
            prepared.worker.matrices.size(), prepared.worker.layers,
            model::to_string(prepared.worker.weights), seconds, to_hex(prepared.enclave_root),
            to_hex(prepared.worker_root));
}

int prepare(const PrepareFlags& flags, InterruptWatch& interrupts) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  model::PrepareOptions options;
  options.weights = model::parse_weight_format(flags.weights);
  options.force = flags.force;
  options.cancelled = [&interrupts] { return interrupts.interrupted(); };
  interrupts.on_interrupt([] {}); // noticed between matrices
  TerminalProgress progress;
  const model::Prepared prepared = model::prepare_model(flags.model, flags.out, options, progress);
  interrupts.on_interrupt(nullptr);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  if (flags.json)
    print_out("{}\n", to_json(flags, prepared, seconds).dump());
  else
    print(flags, prepared, seconds);
  return 0;
}

} // namespace

void add_prepare_command(CLI::App& app, Action& chosen) {
  auto flags = std::make_shared<PrepareFlags>();
  CLI::App* command = app.add_subcommand(
      "prepare", "Split a model folder into the enclave's half and the workers' half");
  command->add_option("MODEL_DIR", flags->model, "model folder as published, or GGUF file")
      ->required();
  command->add_option("OUT", flags->out, "new folder that gets enclave/ and worker/")->required();
  command->add_option("--weights", flags->weights, "int8 (default) or int16");
  command->add_flag("--force", flags->force, "replace an OUT that an earlier prepare made");
  command->add_flag("--json", flags->json, "print one JSON object at the end");
  command->callback([flags, &chosen] {
    chosen = [flags](InterruptWatch& interrupts) { return prepare(*flags, interrupts); };
  });
}

} // namespace talaria::cli
