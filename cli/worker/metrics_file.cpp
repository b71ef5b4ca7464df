#include "cli/worker/metrics_file.hpp"

#include <fmt/format.h>

#include <exception>
#include <utility>

#include "core/error.hpp"
#include "core/private_file.hpp"

namespace talaria::cli {

namespace {

constexpr std::chrono::seconds kBetween{5};

/// One metric with a sample per enclave.
class Metric {
public:
  Metric(std::string& text, const std::string& worker, const char* name, const char* type,
         const char* help)
      : text_(text), worker_(worker), name_(fmt::format("talaria_worker_enclave_{}", name)) {
    text_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name_, help, name_, type);
  }
  void sample(const Sha256Digest& enclave, u64 value) {
    text_ += fmt::format("{}{{worker=\"{}\",enclave=\"{}\"}} {}\n", name_, worker_,
                         to_hex(enclave).substr(0, 16), value);
  }

private:
  std::string& text_;
  const std::string& worker_;
  const std::string name_;
};

std::string escaped(const std::string& label) {
  std::string out;
  for (const char c : label) {
    if (c == '"' || c == '\\') out += '\\';
    out += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return out;
}

} // namespace

std::string worker_metrics(const std::string& worker, const worker::WorkerLedger& ledger,
                           const std::vector<transport::WorkerServer::Enclave>& linked) {
  using Totals = worker::WorkerLedger::Totals;
  const auto accounts = ledger.by_enclave();
  const std::string name = escaped(worker);
  std::string text;
  const auto counter = [&](const char* metric, const char* help, u64 Totals::*value) {
    Metric out(text, name, metric, "counter", help);
    for (const auto& [enclave, totals] : accounts) out.sample(enclave, totals.*value);
  };
  counter("products_total", "Products that an enclave was answered.", &Totals::requests);
  counter("rows_total", "Rows in them.", &Totals::rows);
  counter("received_bytes_total", "Bytes of its masked tensors.", &Totals::bytes_in);
  counter("sent_bytes_total", "Bytes of its products.", &Totals::bytes_out);
  counter("multiplications_total",
          "Multiplications of its products and hints: what turns are shared by.",
          &Totals::multiplications);
  const auto now = [&](const char* metric, const char* type, const char* help, auto value) {
    Metric out(text, name, metric, type, help);
    for (const auto& enclave : linked) out.sample(enclave.id, value(enclave));
  };
  using Enclave = transport::WorkerServer::Enclave;
  now("links", "gauge", "Links of an enclave.",
      [](const Enclave& enclave) { return u64{enclave.sessions}; });
  now("jobs", "gauge", "Its requests under way.",
      [](const Enclave& enclave) { return u64{enclave.use.jobs}; });
  now("job_bytes", "gauge", "Bytes of them.",
      [](const Enclave& enclave) { return u64{enclave.use.bytes}; });
  now("held_back_total", "counter", "Times a request waited for its limits.",
      [](const Enclave& enclave) { return enclave.use.held_back; });
  return text;
}

MetricsFile::MetricsFile(std::filesystem::path file, std::function<std::string()> text,
                         std::function<void(const std::string&)> log)
    : file_(std::move(file)), text_(std::move(text)), log_(std::move(log)) {
  write();
  thread_ = std::thread([this] { run(); });
}

MetricsFile::~MetricsFile() {
  {
    const std::lock_guard lock(mutex_);
    end_ = true;
  }
  ending_.notify_all();
  thread_.join();
}

void MetricsFile::write() const {
  try {
    replace_public_file(file_, text_()); // whoever collects it is another user
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("--metrics {}; is the folder there?", error.what()));
  }
}

void MetricsFile::run() {
  std::string last_failure;
  for (bool ending = false; !ending;) {
    {
      std::unique_lock lock(mutex_);
      ending = ending_.wait_for(lock, kBetween, [this] { return end_; });
    }
    try {
      write();
      last_failure.clear();
    } catch (const std::exception& error) { // memory too: figures are no reason to end
      if (last_failure != error.what()) log_(error.what());
      last_failure = error.what();
    }
  }
}

} // namespace talaria::cli
