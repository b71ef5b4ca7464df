#include "cli/worker/worker_flags.hpp"

namespace talaria::cli {

void WorkerFlags::add_to(CLI::App& app) {
  app.add_option(
         "--model", model,
         "model folder, GGUF file, the worker folder of `talaria prepare`, or, for measurements, "
         "random:SHAPE[/LAYERS]")
      ->required();
  app.add_option("--model-sha256", model_sha256,
                 "end unless the model is the one with this digest; of a folder as published all "
                 "files are read for it");
  app.add_option("--layers", layers, "A-B, A or all (default); the last layer brings the head");
  app.add_option("--columns", columns,
                 "i/n: only the i-th of n shares of the columns of each matrix (default 1/1)");
  app.add_option("--weights", weights, "int8 (default) or int16");
  app.add_option("--parameters", parameters,
                 "lattice parameters: S48 (default), S46, S40, S54, R48, R43");
  app.add_option(
      "--device", device,
      "cpu (default), cuda (cuda:0), cuda:N, cuda:N,N... or auto: a GPU if there is one");
  app.add_option("--threads", threads,
                 "threads of a product, or of copies to a GPU (0, the default: all cores)");
  app.add_option("--cores", cores,
                 "processors to keep to, like 0-3,8: pins threads, and memory to their NUMA node");
  app.add_option("--isa", isa, "force a SIMD target: avx512, avx2 or reference");
  app.add_option("--listen", listen, "HOST:PORT to serve on; without it: check products and end");
  app.add_option("--cert", cert, "this worker's certificate (PEM)");
  app.add_option("--key", key, "its private key (PEM)");
  app.add_option("--ca", ca,
                 "the CA that signed the enclave's certificate (PEM); may be left out with "
                 "--require-attestation: then any key that evidence covers will do");
  app.add_option("--enclave-name", enclave_name,
                 "name an enclave's certificate must carry (default talaria-enclave)");
  app.add_option("--require-attestation", attestation_policy,
                 "a policy (docs/attestation.md): enclaves get no product, hint or weight unless "
                 "their evidence passes it");
  app.add_option("--seen-collateral", seen_collateral,
                 "a file that keeps the dates of the newest revocation lists and TCB infos that "
                 "evidence came with: older ones are refused from then on");
  app.add_option(
      "--fetch-collateral", fetch_collateral,
      "ask AMD and Intel for collateral that evidence lacks, and keep it in this folder; "
      "they learn of the enclave's machine");
  app.add_option("--seal-secret", seal_secret,
                 "a file of 64 hexadecimal digits: an enclave whose evidence passes is given a key "
                 "made of it, for the hints on its disk (hints.seal)");
  app.add_flag("--allow-simulated", allow_simulated,
               "accept evidence of a simulated platform if the policy does; it proves nothing");
  app.add_option(
         "--enclave-jobs", enclave_jobs,
         "requests that one enclave may have under way; more wait on its side (default 256)")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--enclave-bytes", enclave_bytes,
                 "bytes of them, like 256MiB (default 1GiB); one request always fits")
      ->transform(CLI::AsSizeValue(false));
  app.add_option("--metrics", metrics,
                 "a file for Prometheus' textfile collector: what was done for each enclave");
  app.add_option("--name", name, "name in logs (default: the host name)");
  app.add_option("--record", record,
                 "write everything received into this new folder, as .npy with a JSON line each");
  app.add_option("--trace", trace,
                 "write a Chrome trace of the products when it ends (open it in Perfetto)");
  app.add_option("--progress", progress,
                 "auto (default): a bar on a terminal; none; json: events on standard output");
  app.add_flag("--exit-with-stdin", exit_with_stdin,
               "end when standard input closes, so that no worker outlives who started it");
}

} // namespace talaria::cli
