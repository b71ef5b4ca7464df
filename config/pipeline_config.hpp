#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/address.hpp"
#include "core/digest.hpp"
#include "core/integers.hpp"
#include "core/model_part.hpp"

namespace talaria::config {

/// `masking.padding:` what is done about what a worker can count.
struct Padding {
  std::vector<u32> buckets;          ///< ascending, at most pipeline.max_rows; empty: off
  u32 rounds = 1;                    ///< of an answer are filled up to a multiple of this
  std::chrono::milliseconds pace{0}; ///< between micro-batches; 0: off
};

/// `masking:`
struct Masking {
  std::string scheme = "lattice";      ///< lattice, hybrid or clear
  std::string parameters = "S48";      ///< a name of remo::kAcceptedParameters
  std::string weights = "int8";        ///< int8 or int16
  std::string reply = "full";          ///< full or switched
  std::string integrity = "freivalds"; ///< freivalds or none
  std::size_t rows_ahead = 2048;       ///< pool.rows_ahead
  std::optional<std::size_t> memory;   ///< pool.memory in bytes ("2GiB", "1000000"); nothing: auto
  std::size_t pool_threads = 1;        ///< pool.threads
  double hybrid_rank = 0.5;            ///< hybrid.rank_ratio
  Padding padding;

  /// `memory`, or for auto a quarter of what this machine (or its control group) has; 2 GiB if that
  /// is unknown.
  std::size_t pool_memory() const;
};

/// `enclave:`
struct Enclave {
  std::string oblivious = "off"; ///< off or on: hide from the enclave's host which rows are read
};

/// `pipeline.kv:` memory for keys and values.
struct Kv {
  std::optional<std::size_t> memory; ///< bytes; nothing: what the machine has to spare
  std::string format = "fp32";       ///< fp32, bf16 or int8
  bool prefix_cache = true;          ///< computed prompts stay for later requests of the same key
  std::optional<std::filesystem::path> public_prefix; ///< what prompts of all keys may share
};

/// The most tokens that may be guessed in a round.
inline constexpr u32 kMostDrafts = 16;

/// Tokens guessed in each round.
struct Speculate {
  u32 drafts = 0; ///< 0: none
  /// The folder or GGUF file of the model that guesses; empty: they are taken from the context.
  std::filesystem::path model;
};

/// `pipeline:`
struct Pipeline {
  u32 micro_batches = 2;   ///< in flight at once
  u32 max_rows = 256;      ///< of one micro-batch
  u32 prefill_chunk = 128; ///< prompt tokens of a sequence in one micro-batch
  std::size_t threads = 0; ///< 0: all cores
  std::string cores;       ///< processors to keep to, "0-3,8"; empty: any
  Speculate speculate;
  bool speculate_always = false; ///< in every round, whether they are right or not
  Kv kv;
};

/// One entry of `workers:`.
struct WorkerNode {
  enum class Role { primary, replica };
  /// Who starts it: this program on this machine, this program over ssh, or somebody else.
  enum class Start { local, ssh, never };
  std::string name;
  Address address;
  std::string device = "cpu"; ///< cpu, auto, cuda or cuda:N,N...
  LayerRange layers;
  ColumnShare columns; ///< of each of its matrices
  Role role = Role::primary;
  bool each_address = false;  ///< addresses: each. Every address of its name is such a worker
  std::size_t threads = 0;    ///< 0: the worker chooses
  std::string cores;          ///< processors of its machine to keep to; empty: any
  std::string tls_name;       ///< what its certificate must say; the host unless given
  Start start = Start::never; ///< local for loopback hosts, ssh if `ssh` is given, else never
  std::string ssh;            ///< [USER@]HOST of its machine
  std::filesystem::path require_attestation; ///< a policy that it demands of enclaves; empty: none
  std::filesystem::path seen_collateral;  ///< a file, with that; empty: nothing outlives the worker
  std::filesystem::path fetch_collateral; ///< a folder, with that; empty: it asks nobody
  std::filesystem::path seal_secret;      ///< a file, with that; empty: enclaves get no key
  // On its own machine; relative to the file's folder for local nodes, kept as written for others.
  // Empty: see node_files().
  std::filesystem::path program, model, cert, key, ca;
  int line = 0; ///< where the entry stands, for later errors
  int layers_line = 0, layers_column = 0;
};

struct Tls {
  std::filesystem::path ca, cert, key;
  std::string enclave_name = "talaria-enclave"; ///< what workers expect in `cert`
  /// identity: ephemeral. No cert and key: made at each start, for workers that demand evidence.
  bool is_ephemeral = false;
};

/// `serve.tls:` what clients of the API see.
struct ServeTls {
  std::filesystem::path cert; ///< PEM, with its chain
  std::filesystem::path key;  ///< PEM, without a passphrase
};

/// `serve.limits:` what clients can make the gateway hold, and for how long.
struct ServeLimits {
  using Duration = std::chrono::milliseconds;
  u32 connections = 4096;                        ///< at once
  u32 per_address = 1024;                        ///< of one client
  std::size_t head = std::size_t{64} << 10;      ///< bytes of a request's head
  std::size_t body = std::size_t{4} << 20;       ///< bytes of a body
  std::size_t buffered = std::size_t{256} << 20; ///< bytes of all bodies held, at least body
  std::size_t parsing = std::size_t{256} << 20;  ///< bytes of all JSON being read
  Duration head_within{20'000};                  ///< a head has arrived
  Duration body_within{60'000};                  ///< a body has arrived
  Duration idle{120'000};                        ///< between two requests
};

/// `serve.per_client:` what one key may have that says nothing itself; without keys, one address.
/// 0: as much as there is.
struct ServePerClient {
  u32 requests = 0;          ///< under way at once
  u32 tokens_per_minute = 0; ///< of prompts and answers
};

/// `serve.stream:` what somebody can see who counts bytes of an answer.
struct ServeStream {
  bool obfuscation = true;           ///< events and bodies are filled up, unless a request says no
  std::chrono::milliseconds pace{0}; ///< between events; 0: as tokens come
};

/// An entry of `serve.lora_modules:` an adapter that requests may name as their model.
struct LoraModule {
  std::string name;
  std::filesystem::path path;    ///< a PEFT folder
  std::vector<std::string> keys; ///< whose holders may use it (serve.keys); empty: everybody
};

/// `serve.attestation:` what vouches for this program before its clients.
struct ServeAttestation {
  std::string platform; ///< auto, sev-snp, tdx, azure, or simulated: a folder that `talaria attest
                        ///< simulate init` made
  std::filesystem::path folder; ///< of a simulated one
  std::filesystem::path bundle; ///< collateral of a real one (talaria attest bundle); empty: none
  std::string evidence = "snp"; ///< snp or tdx
  std::string measurement;      ///< 96 hexadecimal digits; empty: SHA-384 of the program
  std::string service;          ///< its name in the statement; empty: the first of `hosts`, or
                                ///< the host of `listen`
  bool required = false;        ///< connections that have not asked for evidence get 428
};

/// Where `talaria serve` listens if nothing says where.
inline constexpr const char* kDefaultListen = "127.0.0.1:8000";

/// `serve:`
struct Serve {
  /// HOST:PORT or unix:/PATH; nothing: no `serve` in the file, see kDefaultListen
  std::optional<std::string> listen;
  std::optional<ServeTls> tls;
  std::optional<ServeAttestation> attestation;
  bool receipts = false;            ///< answers come with signed receipts; needs `attestation`
  bool insecure = false;            ///< plain HTTP is wanted where other machines reach it
  std::vector<std::string> hosts;   ///< further names of this server, as clients write them
  std::vector<std::string> origins; ///< of web pages that may use the API
  std::optional<std::filesystem::path> keys; ///< a file of keys; needed where others reach it
  std::optional<std::string> model_name;     ///< what clients call the model; nothing: its folder
  std::vector<LoraModule> lora_modules;      ///< what else they may name
  ServePerClient per_client;
  ServeStream stream;
  bool allow_special = false; ///< messages may hold special tokens, as in Hugging Face
  ServeLimits limits;
};

struct Otlp {
  std::optional<std::string> endpoint;          ///< a URL; /v1/traces and /v1/metrics lie below it
  std::optional<std::filesystem::path> headers; ///< a file with a line NAME: VALUE for each
  std::filesystem::path ca;                     ///< PEM; empty: the system's authorities
  std::chrono::milliseconds interval{10'000};   ///< between two exports
};
struct Telemetry {
  std::optional<std::string> metrics;         ///< HOST:PORT
  std::optional<std::filesystem::path> trace; ///< a folder
  Otlp otlp;                                  ///< telemetry.otlp
};

/// `faults:` what is done about workers that fail.
struct Faults {
  using Duration = std::chrono::milliseconds;
  Duration deadline{10'000};          ///< of one product; then a replica is asked
  Duration request_deadline{120'000}; ///< of one product, whoever answers it; at least deadline
  u32 retries = 3;                    ///< of one product on other workers or links
  u32 strikes = 3;                    ///< missed deadlines in a row, then suspended
  Duration heartbeat{100};
  Duration silence{2'000}; ///< so long without a byte, at least two heartbeats: the link is lost
  Duration reconnect_first{100}; ///< reconnect.first; doubles each time
  Duration reconnect_max{5'000}; ///< reconnect.most, at least first
  Duration quarantine{300'000};  ///< after a wrong answer
  u32 in_flight = 64;            ///< products under way on one link
  Duration resolve{5'000};       ///< between two looks at the names of workers with addresses: each
};

/// `hints:` the disk cache of what the enclave fetches from workers.
struct Hints {
  bool use_cache = true;                        ///< false: cache: none
  std::optional<std::filesystem::path> cache;   ///< a folder; nothing: the user's cache folder
  std::size_t max_size = std::size_t{50} << 30; ///< in bytes
  /// plain, none, owner, chip or auto; empty: plain, or auto with serve.attestation
  std::string seal;
};

/// `launch:` how nodes are started and kept.
struct Launch {
  using Duration = std::chrono::milliseconds;
  std::filesystem::path logs;    ///< a folder; logs/ beside the file unless given
  std::filesystem::path program; ///< talaria-worker; empty: the one beside the running program
  /// Words of a command line, quotes as in a shell. {ssh} becomes the node's `ssh`, {command} one
  /// word: the node's command line, quoted for the shell at the other end.
  std::string ssh = "ssh -o BatchMode=yes {ssh} {command}";
  u32 restarts = 5;             ///< in a row
  Duration backoff_first{200};  ///< backoff.first; doubles each time
  Duration backoff_max{30'000}; ///< backoff.most, at least first
  Duration ready{600'000};      ///< from start to ready
  /// Where local nodes write their traces, as NAME.json; empty: nowhere. Not in the file: for
  /// `--trace` of the commands.
  std::filesystem::path node_traces;
};

/// What holds for one command line and cannot stand in a file.
struct Session {
  std::filesystem::path trace; ///< where the command writes its trace; empty: nowhere
  std::string isa;             ///< the SIMD target: avx512, avx2 or reference; empty: the best
};

/// A pipeline.yaml (examples/, docs/configuration.md) with environment and flags applied, as
/// settings/resolve.hpp reads it. Ranges and meanings of all settings are in settings/table.hpp;
/// their defaults are here. Relative paths are resolved against the folder of the file.
struct PipelineConfig {
  std::filesystem::path file;
  std::filesystem::path model;
  /// What the model must be: `talaria inspect` and `prepare` print it. Whatever names another model
  /// (TALARIA_MODEL, --model) does not lift it. Nothing: any.
  std::optional<Sha256Digest> model_sha256;
  std::string task =
      "auto"; ///< what it is served for: generate, embed, score, or as it says itself
  Masking masking;
  Enclave enclave;
  Pipeline pipeline;
  std::vector<WorkerNode> workers; ///< empty: one embedded worker
  std::optional<Tls> tls;
  Serve serve;
  std::string chat_date = "today"; ///< chat.date: what templates are told, or YYYY-MM-DD
  Telemetry telemetry;
  Faults faults;
  Hints hints;
  Launch launch;
  Session session;
};

/// Compares the layers of the workers with the model's. Nothing to say without workers.
/// @throws Error{config} "file:line:column: workers[i].layers: ..." for layers the model does not
/// have and for layers that no primary worker holds.
void check_layer_count(const PipelineConfig& config, u32 layers);

/// The files `node` works with, on its own machine.
struct NodeFiles {
  std::filesystem::path program, model, cert, key, ca;
};
/// What the entry says or else: the pipeline's model; HOST.pem and HOST.key beside tls.ca, and
/// tls.ca (local) or ca.pem beside its certificate (ssh). A program is left empty if neither the
/// entry nor `launch.program` (local only) names one.
NodeFiles node_files(const PipelineConfig& config, const WorkerNode& node);

/// "100ms", "2s", "5min" or "1h" to milliseconds; whole numbers only; nothing if malformed or more
/// than ten years.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

/// The same backwards, in the largest unit that divides it.
std::string to_text(std::chrono::milliseconds duration);

/// A command line to its words: blanks separate, '...' and "..." and \ keep together as in a shell;
/// nothing is expanded. Nothing if a quote is left open.
std::optional<std::vector<std::string>> split_words(std::string_view text);

/// "2GiB", "512MiB", "64KiB", "1000000" to bytes; nothing if malformed or too large.
std::optional<std::size_t> parse_bytes(std::string_view text);

/// The same backwards, in the largest unit that divides it.
std::string bytes_text(std::size_t bytes);

} // namespace talaria::config
