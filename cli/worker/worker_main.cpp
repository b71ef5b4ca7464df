#include "cli/worker/worker_main.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "actors/worker/service.hpp"
#include "cli/worker/end_watch.hpp"
#include "cli/worker/metrics_file.hpp"
#include "cli/worker/owner_gate.hpp"
#include "cli/worker/worker_flags.hpp"
#include "cli/worker/worker_share.hpp"
#include "core/console.hpp"
#include "core/error.hpp"
#include "core/process_hardening.hpp"
#include "core/random.hpp"
#include "kernels/product_kernels.hpp"
#include "model/weights/quantized.hpp"

namespace talaria::cli {

namespace {

/// One JSON object per line on standard output, for whoever started this worker.
void emit(const nlohmann::json& event) {
  // A reader that is gone has closed standard input as well, which ends this worker in order.
  write_fully(STDOUT_FILENO,
              event.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

class JsonProgress final : public Progress {
public:
  void begin(const std::string& what, std::size_t total) override {
    what_ = what;
    total_ = total;
    done_ = 0;
    report();
  }
  void advance(std::size_t bytes) override {
    done_ += bytes;
    report();
  }
  void end() override {}

private:
  void report() const {
    emit({{"event", "progress"}, {"what", what_}, {"done", done_}, {"total", total_}});
  }
  std::string what_;
  std::size_t total_ = 0;
  std::size_t done_ = 0;
};

std::unique_ptr<Progress> progress_for(const std::string& kind) {
  if (kind == "json") return std::make_unique<JsonProgress>();
  if (kind == "none") return std::make_unique<SilentProgress>();
  if (kind == "auto") return std::make_unique<TerminalProgress>();
  throw Error(Errc::usage, fmt::format("--progress {}: use auto, none or json", kind));
}

void log_line(const std::string& line) {
  const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  print_log("{:%Y-%m-%dT%H:%M:%S}Z {}", fmt::gmtime(now), line);
}

/// Multiplies one random row of residues by the matrix and compares with the reference kernels.
bool product_is_exact(worker::ProductEngine& engine, const model::QuantizedLinear& linear,
                      remo::ProductKind kind, const kernels::Modulus& q, Rng& rng) {
  AlignedBuffer<u8> row(linear.d_in * static_cast<std::size_t>(q.word_bytes));
  for (std::size_t i = 0; i < linear.d_in; ++i)
    kernels::store_word(row.data() + i * static_cast<std::size_t>(q.word_bytes), rng.below(q.q),
                        q.word_bytes);
  remo::MaskedTensor tensor{linear.id.value, kind, 1, static_cast<u32>(linear.d_in), nullptr};
  AlignedBuffer<u8> expected(linear.columns.d_out() * static_cast<std::size_t>(q.word_bytes));
  kernels::product_kernel_sets().back().residue_product(
      row.data(), 1, linear.columns, q, expected.data(), 0, linear.columns.panels());
  tensor.bytes = std::make_shared<const AlignedBuffer<u8>>(std::move(row));
  const auto product = engine.multiply(tensor);
  return product.bytes->size() == expected.size() &&
         std::memcmp(product.bytes->data(), expected.data(), expected.size()) == 0;
}

/// Without --listen: the digests of what was loaded, and a proof that this machine multiplies
/// right.
int check(const WorkerShare& share, const remo::LatticeParameters& parameters) {
  auto rng = ChaChaRng::from_system();
  bool exact = true;
  for (const auto& held : share.identity.matrices) {
    const auto& linear = share.engine->linear(held.matrix);
    bool ok = product_is_exact(*share.engine, linear, remo::ProductKind::residues,
                               parameters.modulus(), rng);
    if (parameters.rounds())
      ok = product_is_exact(*share.engine, linear, remo::ProductKind::rounded,
                            parameters.rounded_words().modulus, rng) &&
           ok;
    exact = exact && ok;
    print_out("{:<22} {:>6} x {:<7} sha256 {}  product {}\n",
              share.plan.linears[{held.matrix}].name, linear.d_in, linear.columns.d_out(),
              to_hex(*held.digest).substr(0, 16), ok ? "exact" : "WRONG");
  }
  print_out("{} matrices, {} bytes of weights, kernels {}\n", share.engine->matrices(),
            share.engine->weight_bytes(), kernels::active_product_kernels().name);
  if (!exact)
    throw Error(Errc::verification,
                "a product differs from the reference kernels; do not use this machine");
  return 0;
}

std::string host_name() {
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  return name;
}

int serve(const WorkerFlags& flags, WorkerShare share, const transport::TlsContext& tls,
          const std::shared_ptr<OwnerGate>& gate, EndWatch& end) {
  std::unique_ptr<telemetry::Tracer> tracer; // the worker's thread may use it to its end
  if (!flags.trace.empty()) tracer = std::make_unique<telemetry::Tracer>(flags.trace);
  caf::actor_system_config config;
  config.set("scheduler.policy", caf::atom("sharing"));
  config.set("scheduler.max-threads", std::size_t{1}); // the products run on threads of their own
  caf::actor_system system(config);
  worker::ServiceOptions options;
  options.listen = transport::parse_address(flags.listen);
  options.server.enclave_name = flags.enclave_name;
  options.server.gate = gate;
  options.server.max_jobs_of_one = flags.enclave_jobs;
  options.server.max_bytes_of_one = flags.enclave_bytes;
  options.matrix_name = [linears = share.plan.linears](u32 id) {
    return id < linears.size() ? linears[{id}].name : "unknown";
  };
  options.log = log_line;
  // Whoever started this worker starts it again; until then other workers answer.
  options.device_lost = [&end](const Error& why) { end.fail(why); };
  options.trace = worker::worker_trace(tracer.get(), flags.name);
  if (!flags.record.empty())
    options.recorder = std::make_shared<worker::Recorder>(flags.record, log_line);
  const std::size_t matrices = share.engine->matrices();
  const std::size_t bytes = share.engine->weight_bytes();
  options.identity = std::move(share.identity);
  const std::string device = options.identity.device;
  auto address = options.listen;
  const auto ledger = std::make_shared<worker::WorkerLedger>();
  worker::WorkerService service(system, share.engine, ledger, tls, std::move(options));
  std::unique_ptr<MetricsFile> metrics;
  if (!flags.metrics.empty())
    metrics = std::make_unique<MetricsFile>(
        flags.metrics, [&] { return worker_metrics(flags.name, *ledger, service.enclaves()); },
        log_line);
  address.port = service.port();
  if (flags.progress == "json")
    emit({{"event", "ready"},
          {"address", transport::to_string(address)},
          {"matrices", matrices},
          {"bytes", bytes}});
  log_line(fmt::format("{} listens on {}: {} matrices, {} bytes of weights, {}", flags.name,
                       transport::to_string(address), matrices, bytes, device));
  if (gate)
    log_line(fmt::format("{} demands evidence of enclaves, under the policy \"{}\"", flags.name,
                         gate->policy().name));
  end.now_serving();
  end.wait();
  log_line(flags.name + " ends");
  return 0;
}

/// Asks on a thread of its own; a verdict waits for some seconds at most.
std::unique_ptr<attest::BackgroundFetcher> fetcher_of(const WorkerFlags& flags,
                                                      const attest::Policy& policy) {
  if (policy.simulated)
    throw Error(Errc::usage, "--fetch-collateral: the policy is of a simulated platform, which "
                             "brings its own collateral; AMD and Intel have none of it");
  attest::CollateralFolder folder(flags.fetch_collateral);
  folder.check_writable(); // now, and not when an enclave waits
  attest::HttpsOptions https;
  https.whole = std::chrono::seconds(10);
  return std::make_unique<attest::BackgroundFetcher>(attest::tls_https_client(std::move(https)),
                                                     std::move(folder), log_line);
}

/// Null without --require-attestation.
std::shared_ptr<OwnerGate> gate_of(const WorkerFlags& flags) {
  if (flags.attestation_policy.empty()) {
    if (!flags.fetch_collateral.empty())
      throw Error(Errc::usage, "--fetch-collateral is for --require-attestation");
    return nullptr;
  }
  auto gate =
      OwnerGate::read(flags.attestation_policy, flags.allow_simulated, flags.seen_collateral);
  if (gate->policy().simulated) print_log("{}", attest::kSimulationWarning);
  if (!flags.fetch_collateral.empty()) gate->fetch_by(fetcher_of(flags, gate->policy()));
  if (!flags.seal_secret.empty()) gate->give_keys_of(read_seal_secret(flags.seal_secret));
  return gate;
}

/// An enclave whose key is made at its start has no certificate that an authority could have
/// signed: its evidence covers the key. An authority, here or in the policy, is demanded besides.
transport::TlsContext tls_of(const WorkerFlags& flags, const OwnerGate* gate) {
  const std::filesystem::path ca =
      flags.ca.empty() && gate != nullptr ? gate->policy().service.ca.string() : flags.ca;
  if (flags.cert.empty() || flags.key.empty() || (ca.empty() && gate == nullptr))
    throw Error(Errc::usage, "--listen needs --cert, --key and --ca: there is no plain TCP here; "
                             "`talaria certs init DIR --hosts NAME` makes them");
  return {{ca, flags.cert, flags.key},
          ca.empty() ? transport::Strangers::need_evidence : transport::Strangers::refused};
}

int run(WorkerFlags& flags) {
  EndWatch end(flags.exit_with_stdin);
  if (flags.name.empty()) flags.name = host_name();
  const auto progress = progress_for(flags.progress);
  if (flags.listen.empty()) {
    if (!flags.attestation_policy.empty())
      throw Error(Errc::usage, "--require-attestation is about enclaves; it needs --listen");
    const auto& parameters = remo::lattice_parameters(flags.parameters);
    return check(load_share(flags, *progress), parameters);
  }
  const auto gate = gate_of(flags);
  const transport::TlsContext tls = tls_of(flags, gate.get());
  return serve(flags, load_share(flags, *progress), tls, gate, end);
}

int fail(const WorkerFlags& flags, Errc code, const std::string& message) {
  if (flags.progress == "json") emit({{"event", "error"}, {"message", message}});
  print_log("talaria-worker: {}", message);
  return exit_status(code);
}

} // namespace

int worker_main(int argc, char** argv) {
  guard_standard_descriptors();
  harden_process();
  CLI::App app(
      "Talaria's untrusted side: holds linear weights and multiplies masked rows.\n"
      "With --listen it serves enclaves over mutual TLS 1.3. Without, it prints the digest "
      "of each matrix and checks its products against the reference kernels.");
  app.set_version_flag("--version", "talaria-worker " TALARIA_VERSION);
  WorkerFlags flags;
  flags.add_to(app);
  try {
    app.parse(argc, argv);
    return run(flags);
  } catch (const CLI::Success& success) {
    std::ostringstream text;
    const int status = app.exit(success, text, text);
    write_fully(STDOUT_FILENO, text.str());
    return status;
  } catch (const CLI::ParseError& error) {
    print_log("talaria-worker: {} (see --help)", error.what());
    return exit_status(Errc::usage);
  } catch (const Error& error) {
    return fail(flags, error.code(), error.what());
  } catch (const std::exception& error) {
    return fail(flags, Errc::internal, error.what());
  }
}

} // namespace talaria::cli
