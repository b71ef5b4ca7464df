// What trust costs: a verdict on real evidence, and a connection that is verified before it may be
// used. bin/attest_bench [--benchmark_filter=REGEX]
#include <benchmark/benchmark.h>

#include <stdexcept>

#include "tests/attest/vector_files.hpp"
#include "tests/connect/toy_enclave.hpp"

namespace talaria {

namespace {

/// From bytes to facts: chain, collateral, signatures, fields. No policy, no network.
void verdict(benchmark::State& state, const tests::RealEvidence& evidence) {
  for (auto _ : state)
    if (tests::outcome(evidence) != "accept") throw std::runtime_error("refused");
}
BENCHMARK_CAPTURE(verdict, snp_turin_v5, tests::turin())->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(verdict, snp_genoa_v5_with_crl, tests::genoa())->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(verdict, tdx_v4_with_collateral, tests::emerald_v4())
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(verdict, tdx_v5_with_collateral, tests::emerald_v5())
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(verdict, azure_snp_with_tpm_quote, tests::azure_genoa())
    ->Unit(benchmark::kMillisecond);

/// Connect, TLS 1.3, nonce, evidence that the simulated chip signs anew, verdict: what a user waits
/// for once for each connection of `talaria connect`, over loopback.
void verified_connection(benchmark::State& state) {
  tests::ToyEnclave enclave;
  const auto trust = tests::toy_trust();
  for (auto _ : state) {
    const connect::Patience patience{transport::SteadyClock::now() + std::chrono::seconds(10), {}};
    if (!connect::UnverifiedConnection::attempt(enclave.address(), trust, patience).channel)
      throw std::runtime_error("refused");
  }
}
BENCHMARK(verified_connection)->Unit(benchmark::kMillisecond)->UseRealTime();

} // namespace

} // namespace talaria

BENCHMARK_MAIN();
