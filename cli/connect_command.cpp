#include <csignal>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unistd.h>

#include <fmt/format.h>

#include "attest/fetch/collateral_fetcher.hpp"
#include "cli/commands.hpp"
#include "config/scalars.hpp"
#include "connect/proxy.hpp"
#include "connect/tokens/prompt_tokens.hpp"
#include "core/console.hpp"
#include "core/error.hpp"

namespace talaria::cli {

namespace {

constexpr std::size_t kMostPadding = std::size_t{1} << 20;

struct ConnectFlags {
  std::string server;
  std::string via; ///< an HTTP proxy on the way there; empty: none
  std::filesystem::path policy;
  std::filesystem::path bundle;
  std::string listen = "127.0.0.1:8000";
  bool allow_simulated = false;
  std::size_t pad_requests = 0;
  std::filesystem::path tokenize; ///< a model; empty: text is sent
  std::filesystem::path receipts; ///< a folder; empty: they are not kept
  bool receipt_bodies = false;
  std::filesystem::path seen_collateral; ///< a file; empty: nothing outlives the program
  std::filesystem::path fetch_folder;    ///< empty: nobody is asked for collateral
};

/// SIGHUP, looked at by a thread that reads the policy again.
class PolicyWatch {
public:
  explicit PolicyWatch(std::function<void()> reload) : reload_(std::move(reload)) {
    struct sigaction action {};
    action.sa_handler = [](int) { asked_ = true; };
    action.sa_flags = SA_RESTART;
    sigaction(SIGHUP, &action, &before_);
    thread_ = std::thread([this] { watch(); });
  }
  ~PolicyWatch() {
    stop_ = true;
    thread_.join();
    sigaction(SIGHUP, &before_, nullptr);
  }
  PolicyWatch(const PolicyWatch&) = delete;
  PolicyWatch& operator=(const PolicyWatch&) = delete;

private:
  void watch() {
    constexpr std::chrono::milliseconds kBetweenLooks{200};
    for (; !stop_; std::this_thread::sleep_for(kBetweenLooks))
      if (asked_.exchange(false)) reload_();
  }

  static inline std::atomic<bool> asked_{false};
  const std::function<void()> reload_;
  std::atomic<bool> stop_{false};
  struct sigaction before_ {};
  std::thread thread_;
};

connect::ProxyOptions proxy_options(const ConnectFlags& flags) {
  connect::ProxyOptions options;
  options.pool.server = connect::parse_server(flags.server);
  if (!flags.via.empty()) options.pool.server.via = transport::parse_address(flags.via);
  if (const auto path = config::parse_unix_path(flags.listen))
    options.socket = *path;
  else
    options.listen = transport::parse_address(flags.listen);
  options.pad_requests = flags.pad_requests;
  if (!flags.tokenize.empty())
    options.rewrite = [tokens = std::make_shared<const connect::PromptTokens>(flags.tokenize)](
                          std::string_view path, const std::string& body) {
      return tokens->rewritten(path, body);
    };
  return options;
}

void log_line(const std::string& line) {
  print_log("{}", line);
}

std::shared_ptr<attest::SeenCollateral> seen_of(const ConnectFlags& flags) {
  if (flags.seen_collateral.empty()) return std::make_shared<attest::SeenCollateral>();
  return std::make_shared<attest::SeenCollateral>(flags.seen_collateral);
}

/// What outlives a policy. Another one does not make older collateral acceptable.
struct Memory {
  std::shared_ptr<attest::SeenCollateral> seen;
  std::function<void(attest::EvidenceSet&)> complete;
};

/// Asks the vendors for what evidence lacks, one connection at a time and without waiting: the next
/// attempt comes by itself.
std::function<void(attest::EvidenceSet&)> fetching_into(const std::filesystem::path& folder) {
  if (folder.empty()) return nullptr;
  struct Services {
    std::mutex mutex;
    std::unique_ptr<attest::HttpsClient> client = attest::tls_https_client();
  };
  attest::FetchOptions options;
  options.attempts = 1;
  options.now = [] {
    return std::chrono::floor<attest::Seconds>(std::chrono::system_clock::now());
  };
  options.pause = [](std::chrono::seconds) {};
  return [folder, options, services = std::make_shared<Services>()](attest::EvidenceSet& set) {
    const std::lock_guard lock(services->mutex);
    attest::CollateralFetcher fetcher(*services->client, attest::CollateralFolder(folder), options);
    for (const auto& each : fetcher.complete(set))
      if (!each.problem.empty())
        log_line(fmt::format("collateral: {}: {}", each.item, each.problem));
  };
}

std::shared_ptr<const connect::Trust> trust_of(const ConnectFlags& flags, const Memory& memory) {
  connect::TrustOptions options;
  options.allow_simulated = flags.allow_simulated;
  options.seen = memory.seen;
  options.complete = memory.complete;
  return connect::Trust::read(flags.policy, flags.bundle, std::move(options));
}

void reload_policy(const ConnectFlags& flags, const Memory& memory, connect::Proxy& proxy) {
  try {
    proxy.set_trust(trust_of(flags, memory));
  } catch (const Error& error) {
    print_log("talaria: {}", error.what());
    proxy.set_trust(nullptr); // what the old policy allows may be what was taken out
  }
}

int connect_to_server(const ConnectFlags& flags, InterruptWatch& interrupts) {
  const Memory memory{seen_of(flags), fetching_into(flags.fetch_folder)};
  const auto trust = trust_of(flags, memory);
  if (trust->policy().simulated) print_log("{}", attest::kSimulationWarning);
  connect::ProxyOptions options = proxy_options(flags);
  if (!flags.receipts.empty())
    options.receipts = std::make_shared<connect::ReceiptStore>(
        connect::ReceiptOptions{flags.receipts, flags.receipt_bodies}, log_line);
  const auto socket = options.socket;
  connect::Proxy proxy(std::move(options), trust, log_line);
  const attest::Verdict first = proxy.first_attempt();
  if (!first.accepted) {
    write_log(to_text(first));
    return first.status;
  }
  const OnInterrupt stop(interrupts, [&proxy] { proxy.stop(); });
  if (interrupts.interrupted()) proxy.stop();
  {
    const PolicyWatch watch([&] { reload_policy(flags, memory, proxy); });
    const std::string where =
        socket ? "unix:" + socket->string()
               : "http://" + to_string(transport::Address{
                                 transport::parse_address(flags.listen).host, proxy.port()});
    if (!write_fully(STDOUT_FILENO, "listening on " + where + "\n")) log_line("listening");
    proxy.run();
  }
  return 0;
}

} // namespace

void add_connect_command(CLI::App& app, Action& chosen) {
  auto flags = std::make_shared<ConnectFlags>();
  CLI::App* command = app.add_subcommand(
      "connect", "Stand between OpenAI clients on this machine and a server, and send it nothing "
                 "unless its evidence is accepted; exit status as attest verify if it is not");
  command->add_option("SERVER", flags->server, "https://HOST or https://HOST:PORT")->required();
  command->add_option("--policy", flags->policy, "policy file; SIGHUP reads it again")->required();
  command->add_option("--listen", flags->listen,
                      "HOST:PORT on loopback, or unix:/PATH (default 127.0.0.1:8000)");
  command->add_option("--via", flags->via, "HOST:PORT of an HTTP proxy on the way there (CONNECT)");
  command->add_option("--bundle", flags->bundle, "collateral for what the evidence lacks (tar)");
  command->add_option("--fetch-collateral", flags->fetch_folder,
                      "ask AMD and Intel for collateral that evidence lacks, and keep it in this "
                      "folder; they learn of the machine");
  command->add_option("--seen-collateral", flags->seen_collateral,
                      "a file that keeps the dates of the newest revocation lists and TCB infos: "
                      "older ones are refused from then on");
  command
      ->add_option("--pad-requests", flags->pad_requests,
                   "fill bodies up to a multiple of so many bytes")
      ->check(CLI::Range(std::size_t{0}, kMostPadding));
  command->add_option("--tokenize", flags->tokenize,
                      "send token ids in the place of prompts, by the tokenizer of this model");
  CLI::Option* receipts = command->add_option(
      "--receipts", flags->receipts, "check the receipts of answers and keep them in this folder");
  command
      ->add_flag("--receipt-bodies", flags->receipt_bodies,
                 "keep requests and answers with them, for talaria receipt replay")
      ->needs(receipts);
  command->add_flag("--allow-simulated", flags->allow_simulated,
                    "accept a simulated platform, if the policy does as well");
  command->callback([flags, &chosen] {
    chosen = [flags](InterruptWatch& interrupts) { return connect_to_server(*flags, interrupts); };
  });
}

} // namespace talaria::cli
